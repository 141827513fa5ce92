//! Why this crate is as it is, and how to use it. Text, no code.
//!
//! - [`why_so_strict`]: what a certificate signing request can smuggle, and what is tolerated.
//! - [`embedding`]: from one dependency to issued certificates.
//! - [`attacks`]: what an attacker would try, and what stops each.

pub mod attacks;
pub mod embedding;
pub mod why_so_strict;
