//! The command `audit archive`: a closed month of each chain into files, flat in memory.

use std::io;
use std::path::Path;

use identity_store::{
    ArchiveManifest, AuditId, BrokenChain, Chain, ChainHead, ChainWalk, Month, Store,
};
use time::OffsetDateTime;

use super::live::LiveRows;
use super::piece::{ManifestFile, PieceWriter};
use super::{Chains, file_stem};

/// Why a month is not archived.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// Rows may still come.
    #[error("the month {0} is not over")]
    Open(Month),
    /// A chain is broken: nothing of it is archived.
    #[error(transparent)]
    Broken(#[from] BrokenChain),
    /// The database does not answer, or another run archived the same.
    #[error("{0}")]
    Store(#[from] identity_store::Error),
    /// A file cannot be written.
    #[error("{file} cannot be written")]
    Write {
        /// Which file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Archives `month` of every chain into `folder`: each chain's rows behind what was archived before,
/// up to the last that happened before the month's end. Chains without such rows, or whose month is
/// archived, are passed over. Returns the manifests of what was archived now.
///
/// Files come first, the manifest in the database last: what a run that was stopped left behind is
/// written again by the next.
///
/// # Errors
///
/// [`ArchiveError`]; chains that came before keep their archives.
pub async fn archive(
    store: &dyn Store,
    month: Month,
    folder: &Path,
    now: OffsetDateTime,
) -> Result<Vec<ArchiveManifest>, ArchiveError> {
    if now < month.next().start() {
        return Err(ArchiveError::Open(month));
    }
    let mut kept = Vec::new();
    let mut chains = Chains::of(store);
    while let Some(state) = chains.next().await? {
        let chain = state.chain;
        let earlier = store.archive_manifests(&chain).await?.pop();
        if earlier.as_ref().is_some_and(|last| last.month >= month) {
            continue;
        }
        let previous = earlier.map_or(ChainHead::EMPTY, |last| last.head);
        let end = store.last_place_in(&chain, month).await?.unwrap_or(0);
        if end > previous.length {
            let manifest = write_piece(store, chain, month, previous, end, folder).await?;
            store.keep_archive_manifest(manifest.clone()).await?;
            kept.push(manifest);
        }
    }
    Ok(kept)
}

/// Writes the rows of `chain` behind `previous` up to the place `end`, and their manifest.
async fn write_piece(
    store: &dyn Store,
    chain: Chain,
    month: Month,
    previous: ChainHead,
    end: u64,
    folder: &Path,
) -> Result<ArchiveManifest, ArchiveError> {
    let file_name = format!("audit-{}-{month}.ndjson", file_stem(&chain));
    let failed = |source| ArchiveError::Write {
        file: folder.join(&file_name).display().to_string(),
        source,
    };
    let mut file = PieceWriter::create(folder, &file_name)
        .await
        .map_err(failed)?;
    let mut walk = ChainWalk::from(chain.clone(), previous);
    let mut rows = LiveRows::beyond(store, &chain, previous.length);
    let mut ends: Option<(AuditId, AuditId)> = None;
    while let Some(row) = rows.next_up_to(end).await? {
        walk.step(&row)?;
        file.line(&row.to_json()?).await.map_err(failed)?;
        let id = row.row.id;
        ends = Some((ends.map_or_else(|| id.clone(), |(first, _)| first), id));
    }
    let head = walk.finish()?;
    let sha256 = file.finish().await.map_err(failed)?;
    // A store that names a last place has rows up to it.
    let (first_id, last_id) = ends.ok_or_else(|| failed(io::ErrorKind::UnexpectedEof.into()))?;
    let manifest = ArchiveManifest {
        rows: head.length.saturating_sub(previous.length),
        chain,
        month,
        first_id,
        last_id,
        previous,
        head,
        sha256,
        file_name: file_name.clone(),
        retired: false,
    };
    write_manifest(folder, &manifest).await.map_err(failed)?;
    Ok(manifest)
}

/// Writes the manifest beside its file.
async fn write_manifest(folder: &Path, manifest: &ArchiveManifest) -> io::Result<()> {
    let name = format!("{}.manifest.json", manifest.file_name);
    let mut file = PieceWriter::create(folder, &name).await?;
    let text = serde_json::to_string_pretty(&ManifestFile::from(manifest))?;
    file.line(&text).await?;
    file.finish().await.map(|_| ())
}
