//! How to embed.
//!
//! # The gate alone
//!
//! A team that has its own CA, or sends requests on to one, needs [`CsrPolicy`](crate::CsrPolicy) and
//! nothing else:
//!
//! ```
//! use identity_pki::{CsrPolicy, CsrReason, ECDSA_P256_SHA256, SpkiSha256};
//!
//! /// The device's key, or why there is none.
//! fn key_of(csr_pem: &str, taken: &[SpkiSha256]) -> Result<Vec<u8>, CsrReason> {
//!     let gate = CsrPolicy::new(ECDSA_P256_SHA256).refuse_keys(taken);
//!     Ok(gate.check_pem(csr_pem)?.spki_der().to_vec())
//! }
//! # let csr = include_str!("../../tests/data/device.csr.pem");
//! # let key = key_of(csr, &[])?;
//! # let taken = [SpkiSha256::of_spki(&key)];
//! # assert!(matches!(key_of(csr, &taken), Err(CsrReason::RefusedKey { .. })));
//! # Ok::<(), CsrReason>(())
//! ```
//!
//! `taken` are the keys that no device may have: your CAs', your servers', other devices', and at a
//! renewal the key of the certificate that is replaced.
//!
//! Answer a refusal with [`CsrReason::code`](crate::CsrReason::code), which is stable, and show its
//! `Display` to people: neither repeats more than a few characters of what was sent.
//!
//! # Algorithms, time and randomness
//!
//! The crate chooses no crypto provider. [`ECDSA_P256_SHA256`](crate::ECDSA_P256_SHA256) is portable
//! Rust; a server that has aws-lc-rs passes `webpki::aws_lc_rs::ECDSA_P256_SHA256` instead and
//! verifies several times faster. It reads no clock: pass the time of the request. It draws no random
//! numbers: pass the system's generator, and in tests whatever makes them repeatable.
//!
//! # Before the certificate leaves
//!
//! Write a row with [`serial`](crate::IssuedCertificate::serial),
//! [`tbs_sha256`](crate::IssuedCertificate::tbs_sha256) and the CA **before** the certificate is
//! answered, in the same transaction that ends the right to ask for it. A certificate that somebody
//! holds and nobody recorded cannot be revoked.
//!
//! # Limits
//!
//! A request has at most [`MAX_CSR_LEN`](crate::MAX_CSR_LEN) bytes, a CA certificate
//! [`MAX_CA_CERTIFICATE_LEN`](crate::MAX_CA_CERTIFICATE_LEN), a device certificate
//! [`MAX_DEVICE_CERTIFICATE_LEN`](crate::MAX_DEVICE_CERTIFICATE_LEN). They are checked before anything is
//! allocated for the contents. Limit your HTTP body as well.
