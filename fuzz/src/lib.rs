//! What the fuzz targets need beside the entry points of the crates.

mod differential;
#[path = "../../reference-server/src/http/devices/import_table.rs"]
mod import_table;
#[path = "../../reference-server/src/http/devices/import_table_laws.rs"]
mod import_table_laws;
mod mutate;
mod platform;
#[allow(dead_code, reason = "the server has a use for all of it")]
#[path = "../../reference-server/src/http/text.rs"]
mod text;
#[allow(
    dead_code,
    reason = "the tests of identity-pki have a use for all of it"
)]
#[path = "../../identity-pki/tests/support/tree.rs"]
mod tree;
mod unsigned;

/// Where the server's own files, which are compiled here so that nobody has to build all of it, look for
/// each other.
mod http {
    pub(crate) use crate::text;
}

pub use differential::csr_differential;
pub use mutate::mutate;
pub use platform::PLATFORM;
pub use unsigned::Unsigned;

/// A table of devices to import; whether it is one.
#[must_use]
pub fn import_table(table: &[u8]) -> bool {
    import_table_laws::hold(table)
}
