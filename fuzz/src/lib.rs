//! What the fuzz targets need beside the entry points of the crates.

mod differential;
mod mutate;
mod platform;
#[allow(
    dead_code,
    reason = "the tests of identity-pki have a use for all of it"
)]
#[path = "../../identity-pki/tests/support/tree.rs"]
mod tree;
mod unsigned;

pub use differential::csr_differential;
pub use mutate::mutate;
pub use platform::PLATFORM;
pub use unsigned::Unsigned;
