//! What tests of PostgreSQL reach inside for. Not part of the public interface.

use super::{bring_up, connect};
use crate::{Migrate, Result};

/// This release's migrations: each one's name and text.
pub const MIGRATIONS: &[(&str, &str)] = super::MIGRATIONS;

/// Brings a database to the schema of `migrations`, under `limits` in place of a connection's own.
///
/// # Errors
///
/// As [`SqlStore::migrate`](crate::SqlStore::migrate).
pub async fn migrate(
    database_url: &str,
    migrations: &'static [(&'static str, &'static str)],
    limits: &[(&str, &str)],
) -> Result<()> {
    let options = connect::options(database_url)?.options(limits.iter().copied());
    bring_up(&options, migrations, Migrate::Auto, None).await
}
