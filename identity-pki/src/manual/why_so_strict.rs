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
//! Strictness that honest devices cannot meet would be switched off. What stock tools write passes:
//!
//! | in the request | why it is harmless |
//! |---|---|
//! | any subject | ignored; the certificate's subject comes from the caller |
//! | `BasicConstraints` CA:false, critical or not | repeats the profile |
//! | `KeyUsage` digitalSignature, `ExtKeyUsage` clientAuth | repeat the profile |
//! | `challengePassword`, `unstructuredName` | ignored, never shown |
//! | the very name that is about to be issued | only by [`expect_identity`](crate::CsrPolicy::expect_identity) |
//! | PEM with CRLF, without a last newline, with lines of any width | the base64 is the same |
//!
//! # Why a DER reader of our own?
//!
//! Three things must stay byte for byte what they were: the device's `SubjectPublicKeyInfo`, the
//! subject of a CA that somebody brought (verifiers compare issuer names as bytes), and the
//! `TBSCertificate` between the check and the signature. The reader is fuzzed, and what it accepts
//! two other parsers have to accept with the same key; see the project's fuzzing page.
