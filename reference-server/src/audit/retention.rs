//! Retention: old rows go from the database when their archive was verified, and not before.

use std::collections::BTreeMap;
use std::path::Path;

use identity_store::{Chain, ChainHead, ChainWalk, Month, Retired, Store};

use super::Chains;
use super::live::LiveRows;
use super::verify::{self, VerifyError};

/// Drops live rows that happened up to the end of `last`, month by month, as far as their archives in
/// `folder` are what their manifests say and hold the same rows. Returns what came of it.
///
/// # Errors
///
/// [`VerifyError`] of the first archive that is not good; months before it are dropped, nothing of
/// its own month is.
pub async fn retire(store: &dyn Store, folder: &Path, last: Month) -> Result<Retired, VerifyError> {
    let mut verified: BTreeMap<Chain, ChainHead> = BTreeMap::new();
    let mut pieces = 0;
    for month in archived_months(store, last).await? {
        verify_month(store, folder, month, &mut verified).await?;
        let heads = verified.clone().into_iter().collect();
        pieces += store.retire_audit(month, heads).await?.pieces;
    }
    // Whatever else happened by then has no archive.
    let heads = verified.into_iter().collect();
    let rest = store.retire_audit(last, heads).await?;
    Ok(Retired {
        pieces: pieces + rest.pieces,
        unarchived: rest.unarchived,
    })
}

/// The months up to `last` of which live rows may be there.
async fn archived_months(store: &dyn Store, last: Month) -> Result<Vec<Month>, VerifyError> {
    let mut months = Vec::new();
    let mut chains = Chains::of(store);
    while let Some(state) = chains.next().await? {
        let manifests = store.archive_manifests(&state.chain).await?;
        let due = manifests
            .into_iter()
            .filter(|manifest| !manifest.retired && manifest.month <= last);
        months.extend(due.map(|manifest| manifest.month));
    }
    months.sort_unstable();
    months.dedup();
    Ok(months)
}

/// Verifies what `month` archived of each chain against its file and the live rows.
async fn verify_month(
    store: &dyn Store,
    folder: &Path,
    month: Month,
    verified: &mut BTreeMap<Chain, ChainHead>,
) -> Result<(), VerifyError> {
    let mut chains = Chains::of(store);
    while let Some(state) = chains.next().await? {
        let manifests = store.archive_manifests(&state.chain).await?;
        let due = manifests
            .iter()
            .filter(|manifest| manifest.month == month && !manifest.retired);
        for manifest in due {
            let chain = &state.chain;
            let mut walk = ChainWalk::from(chain.clone(), manifest.previous);
            let mut live = LiveRows::beyond(store, chain, manifest.previous.length);
            verify::piece(folder, manifest, &mut walk, &mut live).await?;
            verified.insert(chain.clone(), manifest.head);
        }
    }
    Ok(())
}
