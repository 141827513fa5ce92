//! Verification: live rows and archives together, against the heads that were noted and signed.

use std::collections::BTreeMap;
use std::path::Path;

use identity_store::{
    ArchiveManifest, BrokenChain, Chain, ChainFault, ChainHead, ChainState, ChainWalk, SealedRow,
    Store,
};
use time::{Duration, OffsetDateTime};

use super::live::LiveRows;
use super::piece::{PieceError, PieceReader};
use super::{Chains, heads};
use crate::tokens::{TokenError, Tokens};

/// How old a row may be without a signature. The sealer signs within a second or so of the change, as
/// long as it is not far behind.
const UNSIGNED: Duration = Duration::minutes(5);

/// Why a chain is not whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A row is wrong.
    #[error(transparent)]
    Broken(#[from] BrokenChain),
    /// A row in a file is wrong.
    #[error("{file}: {broken}")]
    Archive {
        /// The file.
        file: String,
        /// The row.
        broken: BrokenChain,
    },
    /// A file is not what its manifest says.
    #[error("{chain}: {file}")]
    Piece {
        /// Whose piece it is.
        chain: Chain,
        /// The file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: PieceError,
    },
    /// A manifest does not lie behind the one before it.
    #[error("{chain}: the manifest of {month} does not lie behind the one before it")]
    Manifest {
        /// Whose manifest it is.
        chain: Chain,
        /// Its month.
        month: identity_store::Month,
    },
    /// Pieces were archived, and nobody said where they lie.
    #[error("{0}: pieces of it are archived: name their folder")]
    NoFolder(Chain),
    /// The stored head was not signed by the platform, or is another chain's.
    #[error("{chain}: its signed head is not the platform's")]
    Signature {
        /// Which chain.
        chain: Chain,
        /// What is wrong with the signature.
        #[source]
        source: Option<TokenError>,
    },
    /// Rows that should have been signed by now are not: nobody signs, or the newest rows were cut off
    /// together with their signature.
    #[error(
        "{chain}: {rows} rows from place {position} on are not signed, and not all of them are new: no server signs, or somebody cut rows off with their signature"
    )]
    Unsigned {
        /// Whose rows they are.
        chain: Chain,
        /// The place of the first.
        position: u64,
        /// How many there are.
        rows: u64,
    },
    /// The database does not answer.
    #[error("{0}")]
    Store(#[from] identity_store::Error),
}

impl VerifyError {
    /// Whether rows, files or heads are wrong; otherwise nobody could look.
    #[must_use]
    pub fn is_finding(&self) -> bool {
        match self {
            Self::Store(_) | Self::NoFolder(_) => false,
            Self::Broken(_)
            | Self::Archive { .. }
            | Self::Piece { .. }
            | Self::Manifest { .. }
            | Self::Signature { .. }
            | Self::Unsigned { .. } => true,
        }
    }
}

/// A chain that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Which chain.
    pub chain: Chain,
    /// Where it ends.
    pub head: ChainHead,
    /// Up to which place it is archived.
    pub archived: u64,
    /// Up to which place its head is signed.
    pub signed: u64,
}

/// Verifies every chain, and tells `each` of its outcome. `noted` are heads that were kept outside
/// the database; it is `now` before any of it is read. Without `tokens` no signature is verified.
///
/// # Errors
///
/// When the list of chains cannot be read.
pub async fn verify_all(
    store: &dyn Store,
    tokens: Option<&Tokens>,
    folder: Option<&Path>,
    noted: Vec<(Chain, ChainHead)>,
    now: OffsetDateTime,
    mut each: impl FnMut(Result<Verified, VerifyError>),
) -> identity_store::Result<()> {
    let mut by_chain: BTreeMap<Chain, Vec<ChainHead>> = BTreeMap::new();
    for (chain, head) in noted {
        by_chain.entry(chain).or_default().push(head);
    }
    let mut chains = Chains::of(store);
    while let Some(state) = chains.next().await? {
        let heads = by_chain.remove(&state.chain).unwrap_or_default();
        each(verify(store, tokens, folder, state, heads, now).await);
    }
    // Chains that the database no longer knows.
    for (chain, heads) in by_chain {
        let gone = ChainState {
            chain,
            head: ChainHead::EMPTY,
            signed: None,
        };
        each(verify(store, tokens, folder, gone, heads, now).await);
    }
    Ok(())
}

/// Verifies a chain from its first row to its head: archived pieces, live rows, where both are there
/// that they are the same, that it meets its signed head and the heads that were `noted`, and that what
/// is not signed is no older than a few minutes.
///
/// # Errors
///
/// The first thing that is wrong.
pub async fn verify(
    store: &dyn Store,
    tokens: Option<&Tokens>,
    folder: Option<&Path>,
    state: ChainState,
    noted: Vec<ChainHead>,
    now: OffsetDateTime,
) -> Result<Verified, VerifyError> {
    let signed_head = signed_head(tokens, &state)?;
    let signed = signed_head.map_or(0, |head| head.length);
    let chain = state.chain;
    let expected = noted.into_iter().chain(signed_head);
    let mut walk = ChainWalk::of(chain.clone()).expecting(expected);
    let mut live = LiveRows::beyond(store, &chain, 0);
    let manifests = store.archive_manifests(&chain).await?;
    for manifest in &manifests {
        let folder = folder.ok_or_else(|| VerifyError::NoFolder(chain.clone()))?;
        piece(folder, manifest, &mut walk, &mut live).await?;
    }
    let archived = walk.head().length;
    let due = tokens.map(|_| now - UNSIGNED);
    // What is archived is of a month that is over.
    let mut is_late = due.is_some() && archived > signed;
    let mut head = store.chain_head(&chain).await?;
    loop {
        while let Some(row) = live.next().await? {
            walk.step(&row)?;
            is_late |= row.position > signed && due.is_some_and(|due| row.row.at < due);
        }
        if walk.head().length <= head.length {
            break;
        }
        // Rows that were sealed since the head was read came with a later head.
        let later = store.chain_head(&chain).await?;
        if later == head {
            break;
        }
        head = later;
    }
    let head = walk.finish_at(head)?;
    if is_late {
        return Err(VerifyError::Unsigned {
            chain,
            position: signed.saturating_add(1),
            rows: head.length.saturating_sub(signed),
        });
    }
    Ok(Verified {
        head,
        archived,
        signed,
        chain,
    })
}

/// The head that the platform signed last; without `tokens` its signature cannot be verified.
fn signed_head(
    tokens: Option<&Tokens>,
    state: &ChainState,
) -> Result<Option<ChainHead>, VerifyError> {
    let (Some(tokens), Some(signed)) = (tokens, &state.signed) else {
        return Ok(None);
    };
    let not_ours = |source| VerifyError::Signature {
        chain: state.chain.clone(),
        source,
    };
    let (chain, head) =
        heads::read(tokens, &signed.signature).map_err(|error| not_ours(Some(error)))?;
    if chain == state.chain {
        Ok(Some(head))
    } else {
        Err(not_ours(None))
    }
}

/// Takes an archived piece, and the live rows that are in it too.
pub(super) async fn piece(
    folder: &Path,
    manifest: &ArchiveManifest,
    walk: &mut ChainWalk,
    live: &mut LiveRows<'_>,
) -> Result<(), VerifyError> {
    if walk.head() != manifest.previous {
        return Err(VerifyError::Manifest {
            chain: manifest.chain.clone(),
            month: manifest.month,
        });
    }
    let unfit = |source| VerifyError::Piece {
        chain: manifest.chain.clone(),
        file: manifest.file_name.clone(),
        source,
    };
    let mut file = PieceReader::open(folder, manifest).await.map_err(unfit)?;
    loop {
        match file.next().await {
            Ok(Some(archived)) => {
                walk.step(&archived)?;
                if walk.is_whole() {
                    same(manifest, &archived, live).await?;
                }
            }
            // The row that is wrong says more than the file that it is in.
            Ok(None) => return in_file(manifest, walk),
            Err(error) => return in_file(manifest, walk).and(Err(unfit(error))),
        }
    }
}

/// Whether the rows of the file were good so far.
fn in_file(manifest: &ArchiveManifest, walk: &ChainWalk) -> Result<(), VerifyError> {
    if walk.is_whole() {
        return Ok(());
    }
    let broken = walk.clone().finish().map(|_| ());
    broken.map_err(|broken| VerifyError::Archive {
        file: manifest.file_name.clone(),
        broken,
    })
}

/// Checks that the live row in the place of `archived` is the same; that it is there, unless live
/// rows of the piece were dropped.
async fn same(
    manifest: &ArchiveManifest,
    archived: &SealedRow,
    live: &mut LiveRows<'_>,
) -> Result<(), VerifyError> {
    let twin = live.next_up_to(archived.position).await?;
    let fault = match &twin {
        Some(row) if row == archived => return Ok(()),
        None if manifest.retired => return Ok(()),
        Some(row) if row.position == archived.position => ChainFault::Edited,
        Some(_) => ChainFault::Inserted,
        None => ChainFault::Missing,
    };
    let row = twin.as_ref().unwrap_or(archived);
    Err(VerifyError::Broken(BrokenChain {
        chain: manifest.chain.clone(),
        position: row.position,
        row: Some(row.row.id.clone()),
        fault,
    }))
}
