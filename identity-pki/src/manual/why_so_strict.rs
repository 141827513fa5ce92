//! Why so strict?
//!
//! A certificate signing request is written by the other side. Whoever signs for it without judging
//! it lets a stranger write into his own certificates. Libraries read requests; they do not judge
//! them, and reading alone is generous:
//!
//! - A request may **ask for more than it gets**: CA:true, other key usages, another device's name.
//!   A CA that copies extensions issues what was asked for.
//! - A request may **say two things at once**: two `extensionRequest` attributes, a duplicate
//!   extension, Microsoft's spelling of the same attribute, bytes after the end. Two programs that
//!   read different halves disagree about what was approved.
//! - A request may **be spelled in several ways**: indefinite lengths, long lengths, booleans other
//!   than `FF`. Whatever compares, deduplicates or denies by bytes can then be walked around.
//! - A key may **not be one**: explicit curve parameters, a point off the curve, the generator, a key
//!   that belongs to somebody else. Its algorithm may differ from the signature's.
//!
//! So there is one rule for all of it: **what has no place in a device's request is refused**, with a
//! [`CsrReason`](crate::CsrReason) that names the rule, its clause and the value found. And one rule
//! behind it: even for what passes, [the certificate](crate::PlatformCa::issue) depends on the
//! request through its public key alone. A laxness that we overlooked would still issue nothing that
//! the caller did not mean.
//!
//! # What is tolerated
//!
//! Strictness that honest devices cannot meet would be switched off. These pass, and with them what
//! `openssl req`, Go, Botan, Bouncy Castle, cfssl and pyca/cryptography write unless they are asked
//! for more:
//!
//! | in the request | why it is harmless |
//! |---|---|
//! | any subject | ignored; the certificate's subject comes from the caller |
//! | `BasicConstraints` CA:false, critical or not | repeats the profile |
//! | `KeyUsage` digitalSignature alone, `ExtKeyUsage` clientAuth alone | repeat the profile |
//! | `challengePassword`, `unstructuredName` | ignored, never shown |
//! | the very name that is about to be issued | only by [`expect_identity`](crate::CsrPolicy::expect_identity) |
//! | PEM with CRLF, without a last newline, with lines of any width | the base64 is the same |
//!
//! # What honest tools write and is refused
//!
//! Each of these is a tool's habit and no attack; the change is on the device's side.
//!
//! | what comes | code | why | what to change |
//! |---|---|---|---|
//! | label `NEW CERTIFICATE REQUEST`: `certtool`, NSS `certutil -a`, Java's `keytool`, `openssl req -newhdr` | `pem_label` | RFC 7468 §7 has generators write `CERTIFICATE REQUEST` | leave out `-newhdr`; for the others send base64 of the DER, as below |
//! | words before the block: `openssl req -text`, `certtool`, `certutil -a` | `pem_label` | one block and nothing around it, so that all readers see the same one | leave out `-text`; for the others as below |
//! | a subject key identifier: `keytool` always, pyca/cryptography when it is added | `extension_unknown` | the CA computes it from the key | pyca: do not add `SubjectKeyIdentifier`; Java: write the request by Bouncy Castle's `PKCS10CertificationRequestBuilder` |
//! | NULL parameters behind ecdsa-with-SHA256: Mbed TLS 2.28 | `signature_algorithm` | RFC 5758 §3.2: the parameters are left out | take Mbed TLS 3.5 or later, where its issue 2924 is mended |
//! | keyEncipherment and nonRepudiation: section `v3_req` of OpenSSL's stock configuration | `extension_key_usage` | the key signs handshakes and does nothing else | name no section, or one with `keyUsage = digitalSignature` |
//!
//! A route that takes text by [`check_text`](crate::CsrPolicy::check_text) also takes bare base64 of
//! the DER, which has neither label nor words. `certtool --outder`, `certutil` without `-a` write DER,
//! and OpenSSL turns whatever PEM a tool wrote into it:
//!
//! ```sh
//! openssl req -in request.pem -outform DER | base64
//! ```
//!
//! The bytes under the signature are never changed on the way: what is refused for its contents has
//! to be made again. `tests/requests_of_other_tools.rs` has the output of these tools and the verdicts.
//!
//! # Why a DER reader of our own?
//!
//! Three things must stay byte for byte what they were: the device's `SubjectPublicKeyInfo`, the
//! subject of a CA that somebody brought (verifiers compare issuer names as bytes), and the
//! `TBSCertificate` between the check and the signature. The reader is fuzzed, and what it accepts
//! two other parsers have to accept with the same key; see the project's fuzzing page.
