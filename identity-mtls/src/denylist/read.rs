use identity_pki::TbsSha256;
use time::OffsetDateTime;

use super::{Denylist, DenylistSnapshot};

/// A read of the whole authoritative list that has begun; see [`Denylist::begin_reload`].
///
/// Dropping it leaves the denylist as it is.
#[derive(Debug)]
pub struct Reload<'a> {
    denylist: &'a Denylist,
    place: u64,
    begun_at: OffsetDateTime,
}

impl<'a> Reload<'a> {
    pub(super) fn begin(denylist: &'a Denylist, now: OffsetDateTime) -> Self {
        Self {
            denylist,
            place: denylist.publisher().next(),
            begun_at: now,
        }
    }

    /// Publishes what was read: from now on exactly `entries` are denied, and what was
    /// [added](Denylist::add) or [caught up with](CatchUp) since the reload began.
    ///
    /// Ten million entries take seconds, in which neither readers nor other writers wait; one
    /// addition since the reload began takes a microsecond, in which other writers do.
    ///
    /// Returns `false`, and changes nothing, when another reload was published since this one began:
    /// it may have read what this one has not. A catch-up then continues that one.
    pub fn publish(self, entries: impl IntoIterator<Item = TbsSha256>) -> bool {
        let snapshot = DenylistSnapshot::new(entries, self.begun_at);
        let snapshot = snapshot.with_age_limit(self.denylist.age_limit);
        let mut publisher = self.denylist.publisher();
        if publisher.has_overtaken(self.place) {
            return false;
        }
        let mut snapshot = snapshot.with(publisher.added_since(self.place));
        let forgotten = publisher.reloaded();
        if !publisher.is_freshest(self.place)
            && let Some(current) = self.denylist.snapshot()
        {
            snapshot = snapshot.renewed(current.as_of());
        }
        self.denylist.replace(&mut publisher, snapshot);
        let unused = publisher.unused();
        drop(publisher);
        drop((forgotten, unused));
        true
    }
}

/// A read of what the authoritative list gained that has begun; see [`Denylist::begin_catch_up`].
///
/// Dropping it, as after a read that failed, leaves the denylist and its age as they are.
#[derive(Debug)]
pub struct CatchUp<'a> {
    denylist: &'a Denylist,
    place: u64,
    begun_at: OffsetDateTime,
}

impl<'a> CatchUp<'a> {
    pub(super) fn begin(denylist: &'a Denylist, now: OffsetDateTime) -> Option<Self> {
        let mut publisher = denylist.publisher();
        denylist.snapshot().map(|_| Self {
            denylist,
            place: publisher.next(),
            begun_at: now,
        })
    }

    /// Publishes what was read: `entries` are denied too, and the list is as old as this read, in
    /// one step. No entries at all are news as well.
    ///
    /// `entries` must reach from the end of the last read that was published to the end of the
    /// list. When a read that began later is published already, they are denied all the same, and
    /// the age stays.
    pub fn publish(self, entries: impl IntoIterator<Item = TbsSha256>) {
        let entries: Box<[_]> = entries.into_iter().collect();
        let mut publisher = self.denylist.publisher();
        // There was a snapshot when the read began, and none ever goes.
        if let Some(current) = self.denylist.snapshot() {
            let mut snapshot = current.with(entries.iter().copied());
            if publisher.is_freshest(self.place) {
                snapshot = snapshot.renewed(self.begun_at);
            }
            self.denylist.replace(&mut publisher, snapshot);
        }
        if !entries.is_empty() {
            publisher.keep(entries);
        }
        let unused = publisher.unused();
        drop(publisher);
        drop(unused);
    }
}
