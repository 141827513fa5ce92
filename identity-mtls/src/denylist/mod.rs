//! Which certificates are denied: immutable snapshots, published without a lock for the readers.

mod additions;
mod age;
mod publisher;
mod read;
mod snapshot;
mod table;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use identity_pki::TbsSha256;
use time::{Duration, OffsetDateTime};

pub use age::AgeLimit;
use publisher::Publisher;
pub use read::{CatchUp, Reload};
pub use snapshot::DenylistSnapshot;

/// The denylist that handshakes read and the application publishes to.
///
/// It **fails closed**: until the first snapshot is published, and again when the last one is older
/// than the [`AgeLimit`] allows, every device certificate is refused, since nobody knows which ones
/// are denied.
///
/// The authoritative list is elsewhere, usually in a database. It reaches this one in three ways:
///
/// - [`begin_reload`](Self::begin_reload), then reading the whole list, then [`Reload::publish`]:
///   at start, and from time to time, so that purged entries leave.
/// - [`begin_catch_up`](Self::begin_catch_up), then reading what came since the last read, then
///   [`CatchUp::publish`]: each second or so, so that other writers' entries come.
/// - [`add`](Self::add) after each revocation was committed, so that it counts at once.
///
/// They do not race: what was added after a reload began stays denied when that reload is
/// published, of reloads that overlap the first to be published counts, and of several reads the
/// one that began last says how [old](Self::age) the list is.
///
/// Readers take no lock, and are never the ones to free a list that was replaced.
///
/// ```
/// use identity_mtls::Denylist;
/// use identity_pki::TbsSha256;
/// use time::ext::NumericalDuration;
/// use time::macros::datetime;
///
/// let start = datetime!(2026-11-22 10:00 UTC);
/// let [row, revoked_meanwhile, of_another_writer, never] =
///     [1, 2, 3, 4].map(|n| TbsSha256::from_bytes([n; 32]));
///
/// let denylist = Denylist::new();
/// assert!(denylist.denies(&never, start), "fails closed");
///
/// let reload = denylist.begin_reload(start);
/// // Here the whole list is read, and meanwhile:
/// denylist.add([revoked_meanwhile]);
/// assert!(reload.publish([row]));
///
/// let later = start + 30.minutes();
/// let catch_up = denylist.begin_catch_up(later).expect("there is a snapshot");
/// // Here the list is read from where the last read ended.
/// catch_up.publish([of_another_writer]);
///
/// let now = later + 1.minutes();
/// assert!([row, revoked_meanwhile, of_another_writer].iter().all(|tbs| denylist.denies(tbs, now)));
/// assert!(!denylist.denies(&never, now));
/// assert_eq!(denylist.age(now), Some(1.minutes()));
/// assert!(denylist.denies(&never, now + 1.hours()), "too old to say");
/// ```
#[derive(Default)]
pub struct Denylist {
    current: ArcSwapOption<DenylistSnapshot>,
    publisher: Mutex<Publisher>,
    age_limit: AgeLimit,
}

impl Denylist {
    /// A denylist without a snapshot, under which every device certificate is refused, with the
    /// default [`AgeLimit`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A denylist without a snapshot, under which every device certificate is refused, with another
    /// age limit.
    #[must_use]
    pub fn with_age_limit(age_limit: AgeLimit) -> Self {
        Self {
            age_limit,
            ..Self::default()
        }
    }

    /// Announces a read of the whole authoritative list; to be called **before** that read begins,
    /// with the time at which it does.
    #[must_use = "nothing changes until the reload is published"]
    pub fn begin_reload(&self, now: OffsetDateTime) -> Reload<'_> {
        Reload::begin(self, now)
    }

    /// Announces a read of what was committed to the authoritative list since the last read of it
    /// that was published, reload or catch-up; to be called **before** that read begins, with the
    /// time at which it does.
    ///
    /// `None` before the first snapshot: there is no read to continue, only one to
    /// [begin](Self::begin_reload).
    #[must_use = "nothing changes until the catch-up is published"]
    pub fn begin_catch_up(&self, now: OffsetDateTime) -> Option<CatchUp<'_>> {
        CatchUp::begin(self, now)
    }

    /// Denies further certificates at once, in addition to those denied already.
    ///
    /// Call it after the revocation was committed to the authoritative list: a reload that begins
    /// later replaces the addition by what it reads. Before the first snapshot the additions are
    /// kept and everything stays refused.
    ///
    /// An entry costs microseconds, however many certificates are denied and however many were
    /// added before. The age of the list stays as it is: that this process denied something says
    /// nothing about other writers.
    pub fn add(&self, entries: impl IntoIterator<Item = TbsSha256>) {
        let entries: Box<[_]> = entries.into_iter().collect();
        let mut publisher = self.publisher();
        if let Some(current) = self.current.load_full() {
            let extended = current.with(entries.iter().copied());
            self.replace(&mut publisher, extended);
        }
        publisher.keep(entries);
    }

    /// The snapshot that counts now; `None` before the first one.
    #[must_use]
    pub fn snapshot(&self) -> Option<Arc<DenylistSnapshot>> {
        self.current.load_full()
    }

    /// Whether the certificate with this `TBSCertificate` hash must be refused at `now`: it is
    /// denied, or nobody knows, which is before the first snapshot and beyond an [`AgeLimit`] that
    /// refuses.
    #[must_use]
    pub fn denies(&self, tbs: &TbsSha256, now: OffsetDateTime) -> bool {
        self.current
            .load()
            .as_ref()
            .is_none_or(|snapshot| snapshot.contains(tbs) || snapshot.check_age(now).is_err())
    }

    /// How long before `now` the last read that was published began; `None` before the first one.
    ///
    /// What another writer committed to the authoritative list since may be missing here. Negative
    /// when `now` is earlier than that read.
    #[must_use]
    pub fn age(&self, now: OffsetDateTime) -> Option<Duration> {
        let current = self.current.load();
        current.as_ref().map(|snapshot| snapshot.age(now))
    }

    /// Whether the list is beyond its [`AgeLimit`] at `now`, or there is none yet.
    #[must_use]
    pub fn is_stale(&self, now: OffsetDateTime) -> bool {
        let current = self.current.load();
        current
            .as_ref()
            .is_none_or(|snapshot| snapshot.is_stale(now))
    }

    /// Makes `snapshot` the one that counts.
    fn replace(&self, publisher: &mut Publisher, snapshot: DenylistSnapshot) {
        let base = Arc::clone(snapshot.base());
        let previous = self.current.swap(Some(Arc::new(snapshot)));
        if let Some(previous) = previous.filter(|previous| !Arc::ptr_eq(previous.base(), &base)) {
            publisher.retire(Arc::clone(previous.base()));
        }
    }

    fn publisher(&self) -> MutexGuard<'_, Publisher> {
        // Every update leaves the publisher consistent before anything that could panic.
        self.publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Denylist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denylist")
            .field("current", &self.current)
            .field("age_limit", &self.age_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::mpsc;
    use std::thread;

    use time::macros::datetime;

    use super::*;
    use crate::Refusal;

    const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);

    fn digest(n: u8) -> TbsSha256 {
        TbsSha256::from_bytes([n; 32])
    }

    fn minute(n: i64) -> OffsetDateTime {
        NOW + Duration::minutes(n)
    }

    /// A denylist of `entries`, read at [`NOW`].
    fn published(entries: impl IntoIterator<Item = TbsSha256>) -> Denylist {
        let denylist = Denylist::new();
        assert!(denylist.begin_reload(NOW).publish(entries));
        denylist
    }

    #[test]
    fn everything_is_denied_before_the_first_snapshot() {
        let denylist = Denylist::new();
        assert!(denylist.denies(&digest(1), NOW));
        assert!(denylist.is_stale(NOW));
        denylist.add([digest(2)]);
        assert!(
            denylist.denies(&digest(1), NOW),
            "an addition is no snapshot"
        );
        assert!(
            denylist.begin_catch_up(NOW).is_none(),
            "nothing to continue"
        );
        assert_eq!(denylist.age(NOW), None);

        assert!(denylist.begin_reload(NOW).publish([]));
        assert!(!denylist.denies(&digest(1), NOW));
    }

    #[test]
    fn a_revocation_during_the_first_reload_is_not_lost() {
        let denylist = Denylist::new();
        let reload = denylist.begin_reload(NOW);
        denylist.add([digest(1)]);
        assert!(reload.publish([]));
        assert!(denylist.denies(&digest(1), NOW));
    }

    #[test]
    fn a_reload_replaces_what_was_added_before_it_began() {
        let denylist = published([digest(1)]);
        denylist.add([digest(2)]);
        assert!(denylist.begin_reload(NOW).publish([digest(3)]));
        let denied = [1, 2, 3, 4].map(|n| denylist.denies(&digest(n), NOW));
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
        assert!(denylist.denies(&digest(1), NOW));
    }

    #[test]
    fn a_reload_that_read_earlier_does_not_replace_one_that_read_later() {
        let denylist = Denylist::new();
        let began_first = denylist.begin_reload(NOW);
        let read_first = denylist.begin_reload(NOW);
        let (rows, rows_later) = ([digest(1)], [digest(1), digest(2)]);
        assert!(began_first.publish(rows_later));
        assert!(!read_first.publish(rows));
        assert!(denylist.denies(&digest(2), NOW));
    }

    #[test]
    fn additions_are_counted_once_and_leave_the_age_alone() {
        let denylist = published([digest(1)]);
        denylist.add([digest(1), digest(2), digest(2)]);
        denylist.add([digest(2)]);
        let snapshot = denylist.snapshot().expect("published");
        assert_eq!(snapshot.len(), 2);
        assert_eq!(snapshot.as_of(), NOW);
        assert_eq!(denylist.age(minute(2)), Some(Duration::minutes(2)));
    }

    #[test]
    fn a_snapshot_does_not_change_under_its_reader() {
        let denylist = published([]);
        let before = denylist.snapshot().expect("published");
        denylist.add([digest(1)]);
        assert!(before.is_empty());
        assert!(!before.contains(&digest(1)));
        assert!(denylist.denies(&digest(1), NOW));
    }

    #[test]
    fn a_catch_up_renews_the_age_together_with_its_entries() {
        let denylist = published([digest(1)]);
        let catch_up = denylist.begin_catch_up(minute(3)).expect("published");
        assert_eq!(denylist.age(minute(4)), Some(Duration::minutes(4)));
        catch_up.publish([digest(2)]);
        let snapshot = denylist.snapshot().expect("published");
        assert_eq!(snapshot.as_of(), minute(3));
        assert!([1, 2].iter().all(|n| snapshot.contains(&digest(*n))));
    }

    #[test]
    fn a_catch_up_that_failed_renews_nothing() {
        let denylist = published([]);
        let failed = denylist.begin_catch_up(minute(3));
        assert!(failed.is_some(), "and goes unpublished");
        assert_eq!(denylist.age(minute(4)), Some(Duration::minutes(4)));
    }

    #[test]
    fn a_slow_read_takes_no_freshness_away_and_claims_none() {
        let denylist = published([]);
        let slow = denylist.begin_catch_up(minute(1)).expect("published");
        let reload = denylist.begin_reload(minute(2));
        let fast = denylist.begin_catch_up(minute(3)).expect("published");
        fast.publish([digest(1)]);
        slow.publish([digest(2)]);
        assert_eq!(denylist.age(minute(3)), Some(Duration::ZERO));
        assert!(reload.publish([]));
        assert_eq!(denylist.age(minute(3)), Some(Duration::ZERO));
        assert!([1, 2].iter().all(|n| denylist.denies(&digest(*n), NOW)));
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_keep_the_list_fresh() {
        let denylist = published([]);
        let day = Duration::DAY;
        let ahead = denylist.begin_catch_up(NOW + day).expect("published");
        ahead.publish([]);
        assert!(denylist.is_stale(minute(1)), "of tomorrow");
        let set_right = denylist.begin_catch_up(minute(1)).expect("published");
        set_right.publish([]);
        assert_eq!(denylist.age(minute(1)), Some(Duration::ZERO));
    }

    #[test]
    fn beyond_its_limit_the_list_refuses_or_serves_as_it_was_told() {
        let limit = Duration::minutes(5);
        let refusing = Denylist::with_age_limit(AgeLimit::refuse_beyond(limit));
        let serving = Denylist::with_age_limit(AgeLimit::serve_beyond(limit));
        for denylist in [&refusing, &serving] {
            assert!(denylist.begin_reload(NOW).publish([digest(1)]));
            assert!(!denylist.is_stale(NOW + limit));
            assert!(!denylist.denies(&digest(2), NOW + limit));
            assert!(denylist.is_stale(minute(6)));
            assert!(denylist.denies(&digest(1), minute(6)));
        }
        assert!(refusing.denies(&digest(2), minute(6)));
        assert!(!serving.denies(&digest(2), minute(6)));
        let age = |denylist: &Denylist| {
            let snapshot = denylist.snapshot().expect("published");
            snapshot.check_age(minute(6))
        };
        let stale = Refusal::StaleDenylist {
            age: Duration::minutes(6),
            limit,
        };
        assert_eq!(age(&refusing), Err(stale));
        assert_eq!(age(&serving), Ok(()));
    }

    #[test]
    fn a_table_is_made_without_the_publishers_lock() {
        let denylist = published([]);
        let entries = (0..9).map(digest).inspect(|_| {
            assert!(denylist.publisher.try_lock().is_ok());
        });
        assert!(denylist.begin_reload(NOW).publish(entries));
    }

    #[test]
    fn a_reader_is_not_the_one_to_free_a_replaced_table() {
        let denylist = published([digest(1)]);
        let reader = denylist.snapshot().expect("published");
        let table: Weak<_> = Arc::downgrade(reader.base());
        assert!(denylist.begin_reload(NOW).publish([]));
        drop(reader);
        assert!(table.upgrade().is_some(), "the publisher keeps it");
        let catch_up = denylist.begin_catch_up(NOW).expect("published");
        catch_up.publish([]);
        assert!(table.upgrade().is_none(), "and frees it");
    }

    #[test]
    fn a_writer_that_holds_the_lock_holds_up_no_reader() {
        let denylist = published([digest(1)]);
        let _held = denylist.publisher();
        thread::scope(|scope| {
            let (answer, answered) = mpsc::channel();
            let denylist = &denylist;
            scope.spawn(move || {
                let denied = denylist.denies(&digest(1), NOW);
                answer.send((denied, denylist.age(NOW))).expect("awaited");
            });
            assert_eq!(answered.recv(), Ok((true, Some(Duration::ZERO))));
        });
    }
}
