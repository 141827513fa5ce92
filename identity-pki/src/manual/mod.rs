//! Why this crate is as it is, and how to use it. Text, no code.
//!
//! - [`why_so_strict`]: what a certificate signing request can smuggle, and what is tolerated.
//! - [`embedding`]: from one dependency to issued certificates.
//! - [`hsm`]: keeping the CA's key in a token or a key management service.
//! - [`revocation_lists`]: telling nginx, Envoy and others what is revoked.
//! - [`rotating_a_ca`]: from one CA to the next, and what an uploaded one has to be.
//! - [`attacks`]: what an attacker would try, and what stops each.

pub mod attacks;
pub mod embedding;
pub mod hsm;
pub mod revocation_lists;
pub mod rotating_a_ca;
pub mod why_so_strict;
