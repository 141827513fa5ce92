//! Attacks, and what stops each.
//!
//! | attack | what stops it |
//! |---|---|
//! | A request asks for CA:true, or for another device's name | Both are refused, and nothing but the key would reach the certificate |
//! | A request for somebody else's key | Proof of possession is verified over the raw bytes of the request |
//! | One key for two devices, or a CA's own key | [`refuse_keys`](crate::CsrPolicy::refuse_keys) |
//! | A key whose private half is known: the generator | Refused by its coordinates |
//! | Explicit curve parameters (CVE-2020-0601, CVE-2022-0778) | Only the named curve, before any arithmetic |
//! | A point off the curve | Checked against the equation |
//! | A second spelling of the same bytes | One encoding is accepted; everything else is refused before it is interpreted |
//! | A request that makes the parser slow, deep or large | Length, depth and counts are limited before allocations; no recursion follows input |
//! | A rewritten signature, (r, s) as (r, n−s) | The CA writes low s, [`DeviceCertificate`](crate::DeviceCertificate) refuses high s, denials go by [`TbsSha256`](crate::TbsSha256) |
//! | A signing service that signs other bytes, or with another key | [`UnsignedCertificate::complete`](crate::UnsignedCertificate::complete) verifies the signature by the CA's key, over the bytes that were built once |
//! | A signer in the process that turns faulty later | It proved at load that it holds the key; what it gets wrong afterwards verifies nowhere |
//! | A writer that encodes something else than was meant | The certificate is parsed again by another parser and compared field by field |
//! | A guessed serial number (chosen-prefix collisions) | 159 random bits |
//! | An uploaded CA that would refuse all devices | Refused at upload: name constraints, missing usages, critical extensions that nobody knows |
//! | Secrets in error messages | Errors about private keys and pairing codes do not say what was given |
//!
//! What is not stopped here: a device whose private key was taken out acts as that device until it is
//! revoked. Revocation in the handshake and on open connections is `identity-mtls`'s part.
