//! Which certificates are denied: immutable snapshots, published without a lock for the readers.

mod snapshot;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use identity_pki::TbsSha256;
use time::{Duration, OffsetDateTime};

pub use snapshot::DenylistSnapshot;

/// The denylist that handshakes read and the application publishes to.
///
/// It **fails closed**: until the first snapshot is published, every device certificate is refused,
/// since nobody knows yet which ones are denied.
///
/// The authoritative list is elsewhere, usually in a database. It reaches this one in two ways:
///
/// - [`begin_reload`](Self::begin_reload), then reading the whole list, then [`Reload::publish`];
///   at start and from time to time, so that purged entries leave and other writers' entries come.
/// - [`add`](Self::add) after each revocation was committed, so that it counts at once.
///
/// The two do not race: what was added after a reload began stays denied when that reload is
/// published, and a reload that was overtaken by a later one is dropped.
///
/// ```
/// use identity_mtls::Denylist;
/// use identity_pki::TbsSha256;
/// use time::macros::datetime;
///
/// let denylist = Denylist::new();
/// assert!(denylist.snapshot().is_none(), "fails closed");
///
/// let reload = denylist.begin_reload(datetime!(2026-11-22 10:00 UTC));
/// let rows_of_the_database = [TbsSha256::from_bytes([1; 32])];
/// let revoked_meanwhile = TbsSha256::from_bytes([2; 32]);
/// denylist.add([revoked_meanwhile]);
/// assert!(reload.publish(rows_of_the_database));
///
/// assert!(denylist.contains(&rows_of_the_database[0]));
/// assert!(denylist.contains(&revoked_meanwhile));
/// assert!(!denylist.contains(&TbsSha256::from_bytes([3; 32])));
/// ```
#[derive(Debug, Default)]
pub struct Denylist {
    current: ArcSwapOption<DenylistSnapshot>,
    publisher: Mutex<Publisher>,
}

/// What the writers need to keep reloads and additions in order.
#[derive(Debug, Default)]
struct Publisher {
    /// Counts reloads begun and additions made.
    sequence: u64,
    /// The place in that sequence of the reload that is published.
    published: u64,
    /// What was added after the published reload began, with its place in the sequence.
    added: Vec<(u64, TbsSha256)>,
}

impl Publisher {
    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}

impl Denylist {
    /// A denylist without a snapshot, under which every device certificate is refused.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces a read of the whole authoritative list; to be called **before** that read begins,
    /// with the time at which it does.
    #[must_use = "nothing changes until the reload is published"]
    pub fn begin_reload(&self, now: OffsetDateTime) -> Reload<'_> {
        Reload {
            denylist: self,
            place: self.publisher().next(),
            taken_at: now,
        }
    }

    /// Denies further certificates at once, in addition to those denied already.
    ///
    /// Call it after the revocation was committed to the authoritative list: a reload that begins
    /// later replaces the addition by what it reads. Before the first snapshot the additions are
    /// kept and everything stays refused.
    ///
    /// The cost grows with the number of additions since the last reload.
    pub fn add(&self, entries: impl IntoIterator<Item = TbsSha256>) {
        let entries: Vec<_> = entries.into_iter().collect();
        let mut publisher = self.publisher();
        let place = publisher.next();
        publisher
            .added
            .extend(entries.iter().map(|entry| (place, *entry)));
        if let Some(current) = self.current.load_full() {
            self.current.store(Some(Arc::new(current.with(entries))));
        }
    }

    /// The snapshot that counts now; `None` before the first one.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<DenylistSnapshot>> {
        self.current.load_full()
    }

    /// Whether the certificate with this `TBSCertificate` hash is denied. Before the first snapshot
    /// every certificate is.
    #[must_use]
    pub fn contains(&self, tbs: &TbsSha256) -> bool {
        self.current
            .load()
            .as_ref()
            .is_none_or(|snapshot| snapshot.contains(tbs))
    }

    /// How long before `now` the read of the published reload began; `None` before the first one.
    ///
    /// It tells how stale this copy can be with respect to other writers of the authoritative list.
    #[must_use]
    pub fn age(&self, now: OffsetDateTime) -> Option<Duration> {
        let current = self.current.load();
        current.as_ref().map(|snapshot| now - snapshot.taken_at())
    }

    fn publisher(&self) -> MutexGuard<'_, Publisher> {
        // Every update leaves the publisher consistent before anything that could panic.
        self.publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read of the whole authoritative list that has begun; see [`Denylist::begin_reload`].
///
/// Dropping it leaves the denylist as it is.
#[derive(Debug)]
pub struct Reload<'a> {
    denylist: &'a Denylist,
    place: u64,
    taken_at: OffsetDateTime,
}

impl Reload<'_> {
    /// Publishes what was read: from now on exactly `entries` are denied, and what was
    /// [added](Denylist::add) since the reload began.
    ///
    /// Returns `false`, and changes nothing, when a reload that began later is published already.
    pub fn publish(self, entries: impl IntoIterator<Item = TbsSha256>) -> bool {
        let snapshot = DenylistSnapshot::new(entries, self.taken_at);
        let mut publisher = self.denylist.publisher();
        if self.place < publisher.published {
            return false;
        }
        publisher.published = self.place;
        publisher.added.retain(|(place, _)| *place > self.place);
        let added = publisher.added.iter().map(|(_, entry)| *entry);
        let snapshot = snapshot.with(added);
        self.denylist.current.store(Some(Arc::new(snapshot)));
        true
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn digest(n: u8) -> TbsSha256 {
        TbsSha256::from_bytes([n; 32])
    }

    #[test]
    fn everything_is_denied_before_the_first_snapshot() {
        let denylist = Denylist::new();
        assert!(denylist.contains(&digest(1)));
        denylist.add([digest(2)]);
        assert!(denylist.contains(&digest(1)), "an addition is no snapshot");
        assert_eq!(denylist.age(NOW), None);

        assert!(denylist.begin_reload(NOW).publish([]));
        assert!(!denylist.contains(&digest(1)));
    }

    #[test]
    fn a_revocation_during_the_first_reload_is_not_lost() {
        let denylist = Denylist::new();
        let reload = denylist.begin_reload(NOW);
        denylist.add([digest(1)]);
        assert!(reload.publish([]));
        assert!(denylist.contains(&digest(1)));
    }

    #[test]
    fn a_reload_replaces_what_was_added_before_it_began() {
        let denylist = Denylist::new();
        assert!(denylist.begin_reload(NOW).publish([digest(1)]));
        denylist.add([digest(2)]);
        assert!(denylist.begin_reload(NOW).publish([digest(3)]));
        let denied = [1, 2, 3, 4].map(|n| denylist.contains(&digest(n)));
        assert_eq!(denied, [false, false, true, false]);
    }

    #[test]
    fn an_overtaken_reload_cannot_drop_a_later_revocation() {
        let denylist = Denylist::new();
        let slow = denylist.begin_reload(NOW);
        denylist.add([digest(1)]);
        let fast = denylist.begin_reload(NOW);
        assert!(fast.publish([digest(1)]));
        assert!(!slow.publish([]), "read before the revocation");
        assert!(denylist.contains(&digest(1)));
    }

    #[test]
    fn additions_are_counted_once_and_leave_the_age_alone() {
        let denylist = Denylist::new();
        assert!(denylist.begin_reload(NOW).publish([digest(1)]));
        denylist.add([digest(1), digest(2), digest(2)]);
        denylist.add([digest(2)]);
        let snapshot = denylist.snapshot().expect("published");
        assert_eq!(snapshot.len(), 2);
        assert_eq!(snapshot.taken_at(), NOW);
        assert_eq!(
            denylist.age(NOW + Duration::minutes(2)),
            Some(Duration::minutes(2))
        );
    }

    #[test]
    fn a_snapshot_does_not_change_under_its_reader() {
        let denylist = Denylist::new();
        assert!(denylist.begin_reload(NOW).publish([]));
        let before = denylist.snapshot().expect("published");
        denylist.add([digest(1)]);
        assert!(before.is_empty());
        assert!(!before.contains(&digest(1)));
        assert!(denylist.contains(&digest(1)));
    }
}
