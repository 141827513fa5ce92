//! The commands `keys rotate`, which re-encrypts what is under an earlier data key while servers serve,
//! and `keys replace`, for what is lost.

use identity_store::{
    Actor, Change, NamedSecret, Rotation, RotationProgress, SqlStore, Store as _,
};

use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::http::RequestId;
use crate::serve::{open_as_it_is, require_database};
use crate::start::StartError;
use crate::{cli, secrets};

/// Encrypts under the first configured data key whatever is under another, and says at the end
/// whether the others may be dropped. It may be ended at any moment and run again.
///
/// # Errors
///
/// [`StartError::Rotation`] when something is left under another key; [`StartError`] when the
/// database does not open or fails.
pub async fn rotate(config: Config) -> Result<(), StartError> {
    let store = open_as_it_is(config).await?;
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

/// Makes a new secret in the place of one that is lost, and says what is left to do. One that was altered
/// is evidence: it is replaced if `altered_too` says so.
///
/// # Errors
///
/// [`StartError::Store`] for a secret that can be read, and beside a server; [`StartError`] when the
/// database does not open or fails.
pub async fn replace(
    config: Config,
    name: NamedSecret,
    altered_too: bool,
) -> Result<(), StartError> {
    require_database(&config)?;
    SqlStore::refuse_open_elsewhere(&config.database.url()).await?;
    let store = open_as_it_is(config).await?;
    let now = SystemClock.now();
    let request_id = RequestId::generate(now);
    let change = Change::new(now, Actor::System("keys_replace"), request_id.as_str());
    let fresh = secrets::fresh(name)?;
    let not_found = store.replace_lost_secret(change, name, fresh, altered_too);
    let not_found = not_found.await;
    store.close().await;
    for operator_id in not_found? {
        cli::print(&format!(
            "{operator_id}: the address cannot be read; no sign-in until it is set anew"
        ))?;
    }
    let name = name.as_str();
    cli::print(&format!("{name} was replaced: start every server anew"))
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
