//! The commands `audit verify` and `audit archive`.

use std::path::{Path, PathBuf};

use identity_store::{Chain, ChainHead, Month, Store};

use super::verify::{Verified, VerifyError};
use super::{archive, heads, kept, verify};
use crate::cli::print;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::secrets::{self, Secret};
use crate::serve::open_as_it_is;
use crate::start::StartError;
use crate::tokens::Tokens;

/// Verifies every chain, live rows and archives together, and prints a line for each. `signed` are
/// heads that the operator kept from the log, and `heads` a file of them.
///
/// # Errors
///
/// [`StartError::AuditBroken`] when something is wrong, [`StartError::SecretLost`] when the signatures
/// could not be verified, and what keeps it from looking.
pub async fn verify(
    config: Config,
    folder: Option<PathBuf>,
    signed: &[String],
    heads: Option<&Path>,
) -> Result<(), StartError> {
    let folder = folder.or_else(|| config.audit.archives.clone());
    let store = open_as_it_is(config).await?;
    let outcome = verify_store(&store, folder.as_deref(), signed, heads).await;
    store.close().await;
    outcome
}

async fn verify_store(
    store: &dyn Store,
    folder: Option<&Path>,
    signed: &[String],
    heads: Option<&Path>,
) -> Result<(), StartError> {
    let now = SystemClock.now();
    let tokens = secrets::known_tokens(store).await?;
    let noted = noted(&tokens, signed, heads).await?;
    let mut lines = Vec::new();
    let mut broken = 0;
    verify::verify_all(store, tokens.usable(), folder, noted, now, |outcome| {
        broken += u64::from(outcome.is_err());
        lines.push(line(outcome));
    })
    .await?;
    let unsealed = store.unsealed_audit(None).await?;
    lines.push(format!("unsealed rows: {unsealed}"));
    print(&lines.join("\n"))?;
    match (broken, tokens) {
        (0, Secret::Usable(_)) => Ok(()),
        (0, Secret::Lost(lost)) => Err(StartError::SecretLost(lost)),
        (chains, _) => Err(StartError::AuditBroken(chains)),
    }
}

/// The heads that were kept from the log.
async fn noted(
    tokens: &Secret<Tokens>,
    signed: &[String],
    file: Option<&Path>,
) -> Result<Vec<(Chain, ChainHead)>, StartError> {
    let tokens = match tokens {
        Secret::Usable(tokens) => tokens,
        Secret::Lost(_) if signed.is_empty() && file.is_none() => return Ok(Vec::new()),
        Secret::Lost(lost) => return Err(StartError::SecretLost(*lost)),
    };
    let heads = signed.iter().map(|head| heads::read(tokens, head));
    let mut heads: Vec<_> = heads.collect::<Result<_, _>>().map_err(StartError::Head)?;
    if let Some(file) = file {
        heads.extend(kept::longest(tokens, file).await?);
    }
    Ok(heads)
}

/// What is said of a chain.
fn line(outcome: Result<Verified, VerifyError>) -> String {
    match outcome {
        Ok(verified) => {
            let Verified {
                chain,
                head,
                archived,
                signed,
            } = verified;
            let hash = hex::encode(head.hash);
            let length = head.length;
            format!(
                "ok      {chain}: {length} rows, {archived} archived, signed to {signed}, head {hash}"
            )
        }
        Err(error) => {
            let kind = match &error {
                VerifyError::Unsigned { .. } => "UNSIGNED",
                error if error.is_finding() => "BROKEN ",
                _ => "UNKNOWN",
            };
            let source = std::error::Error::source(&error);
            let source = source
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            format!("{kind} {error}{source}")
        }
    }
}

/// Archives `month` of every chain into `folder`, which is made if it is not there, and prints a line
/// for each file.
///
/// # Errors
///
/// [`StartError::Archive`], and what keeps it from looking.
pub async fn archive(config: Config, month: Month, folder: &Path) -> Result<(), StartError> {
    tokio::fs::create_dir_all(folder)
        .await
        .map_err(|source| StartError::System {
            what: "the folder of the archives cannot be made",
            source,
        })?;
    let store = open_as_it_is(config).await?;
    let now = SystemClock.now();
    let archived = archive::archive(&store, month, folder, now).await;
    store.close().await;
    let archived = archived?;
    for manifest in &archived {
        let chain: &Chain = &manifest.chain;
        let (file, rows) = (&manifest.file_name, manifest.rows);
        print(&format!("{chain}: {rows} rows in {file}"))?;
    }
    print(&format!("{} chains archived for {month}", archived.len()))
}
