//! The command `keys rotate`: re-encrypts what is under an earlier data key, while servers serve.

use identity_store::{Migrate, Rotation, RotationProgress, Store as _};

use crate::cli;
use crate::config::Config;
use crate::serve::open_store;
use crate::start::StartError;

/// Encrypts under the first configured data key whatever is under another, and says at the end
/// whether the others may be dropped. It may be ended at any moment and run again.
///
/// # Errors
///
/// [`StartError::Rotation`] when something is left under another key; [`StartError`] when the
/// database does not open or fails.
pub async fn rotate(mut config: Config) -> Result<(), StartError> {
    // Servers decide when the schema changes.
    config.migrate = Migrate::Off;
    let store = open_store(&config).await?;
    let mut printed = Ok(());
    let rotated = store.rotate_keys(|progress| {
        if printed.is_ok() {
            printed = cli::print(&line(&progress));
        }
    });
    let rotation = rotated.await?;
    store.close().await;
    printed?;
    conclude(&rotation)
}

fn line(progress: &RotationProgress) -> String {
    match progress {
        RotationProgress::ReEncrypted {
            table,
            column,
            values,
        } => format!("{table}.{column}: {values} values re-encrypted"),
        RotationProgress::Verified {
            table,
            column,
            values,
        } => format!("{table}.{column}: {values} values verified"),
        other => format!("{other:?}"),
    }
}

fn conclude(rotation: &Rotation) -> Result<(), StartError> {
    if !rotation.is_complete() {
        return Err(StartError::Rotation {
            stale: rotation.stale,
            unreadable: rotation.unreadable,
            named: rotation.unreadable_values.join(", "),
        });
    }
    cli::print(&format!(
        "done: {} values re-encrypted; all {} values are under the first data key, and the others may be dropped",
        rotation.re_encrypted, rotation.verified
    ))
}
