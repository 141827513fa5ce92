//! The command `backup`.

use std::path::Path;

use crate::cli;
use crate::config::{Config, Database};
use crate::start::StartError;

/// Copies the embedded database to the new file `to`, and says what is not in it.
///
/// # Errors
///
/// [`StartError::BackupOfPostgres`]; [`StartError::Store`] when the copy is not made.
pub async fn run(config: &Config, to: &Path) -> Result<(), StartError> {
    let Database::Sqlite(database) = &config.database else {
        return Err(StartError::BackupOfPostgres);
    };
    let backup = identity_store::back_up(database.as_path(), to).await?;
    let key = match &config.data_keys {
        Some(_) => "IDENTITY_DATA_ENCRYPTION_KEYS".to_owned(),
        None => database.data_key_file().display().to_string(),
    };
    cli::print(&format!(
        "{}: {} bytes, schema version {}, checked.\n\
         The data key is NOT in it, and it cannot be used without: keep {key} elsewhere.",
        to.display(),
        backup.length,
        backup.schema_version,
    ))
}
