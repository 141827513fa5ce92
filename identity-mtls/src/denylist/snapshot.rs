use std::sync::Arc;

use identity_pki::TbsSha256;
use time::OffsetDateTime;

use super::table::DigestTable;

/// The certificates that are denied at one moment: an immutable set of `TBSCertificate` hashes.
///
/// It is keyed by [`TbsSha256`] since a certificate's own fingerprint is no key: anyone can rewrite
/// the ECDSA signature (r, s) as (r, n−s), which still verifies and changes the fingerprint.
///
/// A snapshot is cheap to clone and to extend: extending shares the large part.
#[derive(Debug, Clone)]
pub struct DenylistSnapshot {
    base: Arc<DigestTable>,
    /// Sorted, and none of them in `base`.
    added: Arc<[TbsSha256]>,
    taken_at: OffsetDateTime,
}

impl DenylistSnapshot {
    /// The set of `entries`, read from the authoritative store at `taken_at`.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = TbsSha256>, taken_at: OffsetDateTime) -> Self {
        Self {
            base: Arc::new(DigestTable::new(entries)),
            added: Arc::new([]),
            taken_at,
        }
    }

    /// Whether the certificate with this `TBSCertificate` hash is denied.
    #[must_use]
    pub fn contains(&self, tbs: &TbsSha256) -> bool {
        self.base.contains(tbs) || self.added.binary_search(tbs).is_ok()
    }

    /// How many certificates are denied.
    #[must_use]
    pub fn len(&self) -> usize {
        self.base.len() + self.added.len()
    }

    /// Whether no certificate is denied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the read from the authoritative store began. Entries added since do not change it.
    #[must_use]
    pub fn taken_at(&self) -> OffsetDateTime {
        self.taken_at
    }

    pub(super) fn with(&self, entries: impl IntoIterator<Item = TbsSha256>) -> Self {
        let mut added = self.added.to_vec();
        added.extend(entries.into_iter().filter(|new| !self.base.contains(new)));
        added.sort();
        added.dedup();
        Self {
            base: Arc::clone(&self.base),
            added: added.into(),
            taken_at: self.taken_at,
        }
    }
}
