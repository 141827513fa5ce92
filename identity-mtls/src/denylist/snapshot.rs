use std::ops::Range;
use std::sync::Arc;

use identity_pki::TbsSha256;
use time::{Duration, OffsetDateTime};

use super::additions::Additions;
use super::age::AgeLimit;
use super::table::DigestTable;
use crate::Refusal;

/// The certificates that are denied at one moment: an immutable set of `TBSCertificate` hashes.
///
/// It is keyed by [`TbsSha256`] since a certificate's own fingerprint is no key: anyone can rewrite
/// the ECDSA signature (r, s) as (r, n−s), which still verifies and changes the fingerprint.
///
/// A snapshot is cheap to clone and to extend: extending shares the large part.
#[derive(Debug, Clone)]
pub struct DenylistSnapshot {
    base: Arc<DigestTable>,
    /// None of them is in `base`.
    added: Additions,
    as_of: OffsetDateTime,
    age_limit: AgeLimit,
}

impl DenylistSnapshot {
    /// The set of `entries`, by a read of the authoritative list that began at `as_of`, with the
    /// default [`AgeLimit`].
    ///
    /// An entry takes 39 bytes, and while the set is made as much again; sorting ten million of them
    /// takes seconds.
    #[must_use]
    pub fn new(entries: impl IntoIterator<Item = TbsSha256>, as_of: OffsetDateTime) -> Self {
        Self {
            base: Arc::new(DigestTable::new(entries)),
            added: Additions::new(),
            as_of,
            age_limit: AgeLimit::default(),
        }
    }

    /// The same set under another age limit.
    #[must_use]
    pub fn with_age_limit(self, age_limit: AgeLimit) -> Self {
        Self { age_limit, ..self }
    }

    /// Whether the certificate with this `TBSCertificate` hash is denied.
    #[must_use]
    pub fn contains(&self, tbs: &TbsSha256) -> bool {
        self.base.contains(tbs) || self.added.contains(tbs)
    }

    /// Which addresses a look-up in the set reads, additions apart, for the bench of this
    /// repository, which counts cache lines.
    #[doc(hidden)]
    #[must_use]
    pub fn addresses_read(&self, tbs: &TbsSha256) -> Range<usize> {
        self.base.reads(tbs)
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

    /// What was committed to the authoritative list before this moment is in the set, whoever
    /// committed it: the moment at which the last read that was published began.
    #[must_use]
    pub fn as_of(&self) -> OffsetDateTime {
        self.as_of
    }

    /// How long before `now` that was; negative when `now` is earlier.
    #[must_use]
    pub fn age(&self, now: OffsetDateTime) -> Duration {
        now - self.as_of
    }

    /// Whether the age is beyond the [`AgeLimit`] at `now`, whatever follows from that.
    #[must_use]
    pub fn is_stale(&self, now: OffsetDateTime) -> bool {
        self.age_limit.is_exceeded(self.as_of, now)
    }

    /// Refuses to decide at `now` when the age limit says so.
    pub(crate) fn check_age(&self, now: OffsetDateTime) -> Result<(), Refusal> {
        self.age_limit.check(self.as_of, now)
    }

    /// The same set and `entries`.
    pub(super) fn with(&self, entries: impl IntoIterator<Item = TbsSha256>) -> Self {
        let mut extended = self.clone();
        for entry in entries {
            if !self.base.contains(&entry) {
                extended.added.insert(entry);
            }
        }
        extended
    }

    /// The same set, as of another moment.
    pub(super) fn renewed(self, as_of: OffsetDateTime) -> Self {
        Self { as_of, ..self }
    }

    /// The part that further snapshots share.
    pub(super) fn base(&self) -> &Arc<DigestTable> {
        &self.base
    }
}
