//! Reads, additions and purges in any order, against a model of the authoritative list.
//!
//! Steps of one thread are the interleavings here: a read is three steps (it begins, it sees the
//! authoritative list, it is published), a revocation two (committed, added), so that anything can
//! come between them. `loom` cannot run this code, since `arc-swap` uses the real atomics;
//! `denylist_threads` runs it on threads.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use identity_mtls::{CatchUp, Denylist, Reload};
use identity_pki::TbsSha256;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof};
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

#[derive(Debug, Clone)]
enum Step {
    /// Another writer denies a certificate.
    Commit,
    /// This process denies a certificate, and has yet to add it.
    CommitHere,
    /// This process adds one of those.
    Add(Index),
    /// The oldest entry of the authoritative list leaves it.
    Purge,
    BeginReload,
    BeginCatchUp,
    /// One of the reads that have begun sees the authoritative list.
    See(Index),
    /// One of the reads that have seen it is published.
    Publish(Index),
    /// One of the reads fails.
    Fail(Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Commit),
        2 => Just(Step::CommitHere),
        2 => any::<Index>().prop_map(Step::Add),
        1 => Just(Step::Purge),
        2 => Just(Step::BeginReload),
        3 => Just(Step::BeginCatchUp),
        5 => any::<Index>().prop_map(Step::See),
        5 => any::<Index>().prop_map(Step::Publish),
        1 => any::<Index>().prop_map(Step::Fail),
    ]
}

enum Read<'a> {
    Reload(Reload<'a>),
    /// With the place in the authoritative list from which it reads on.
    CatchUp(CatchUp<'a>, u64),
}

/// The authoritative list, and all that is under way.
struct World<'a> {
    denylist: &'a Denylist,
    /// Steps so far, which is the time too, in seconds.
    step: u64,
    /// When each entry of the authoritative list was committed; its place in the list too.
    list: BTreeSet<u64>,
    /// Entries committed here and not added yet.
    to_add: Vec<u64>,
    begun: Vec<(u64, Read<'a>)>,
    /// With where the read ended, and what it saw.
    seen: Vec<(u64, Read<'a>, u64, Vec<u64>)>,
    /// Where the reads that were published end.
    end: u64,
    /// When the read began that began last among the published ones.
    as_of: Option<u64>,
    /// What was denied here once and is still in the authoritative list.
    denied: BTreeSet<u64>,
}

fn digest(entry: u64) -> TbsSha256 {
    let mut bytes = [0; 32];
    // Some crowd, some do not.
    bytes[(entry % 2 * 24) as usize..][..8].copy_from_slice(&entry.to_be_bytes());
    TbsSha256::from_bytes(bytes)
}

fn time(step: u64) -> OffsetDateTime {
    datetime!(2026-11-22 12:00 UTC) + Duration::seconds(step as i64)
}

fn take<T>(from: &mut Vec<T>, which: Index) -> Option<T> {
    (!from.is_empty()).then(|| from.remove(which.index(from.len())))
}

impl<'a> World<'a> {
    fn new(denylist: &'a Denylist) -> Self {
        Self {
            denylist,
            step: 0,
            list: BTreeSet::new(),
            to_add: Vec::new(),
            begun: Vec::new(),
            seen: Vec::new(),
            end: 0,
            as_of: None,
            denied: BTreeSet::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        self.step += 1;
        match step {
            Step::Commit => {
                self.list.insert(self.step);
            }
            Step::CommitHere => {
                self.list.insert(self.step);
                self.to_add.push(self.step);
            }
            Step::Add(which) => {
                if let Some(entry) = take(&mut self.to_add, *which) {
                    self.denylist.add([digest(entry)]);
                    self.denied.insert(entry);
                }
            }
            Step::Purge => {
                self.list.pop_first();
            }
            Step::BeginReload => {
                let reload = self.denylist.begin_reload(time(self.step));
                self.begun.push((self.step, Read::Reload(reload)));
            }
            Step::BeginCatchUp => {
                if let Some(catch_up) = self.denylist.begin_catch_up(time(self.step)) {
                    let read = Read::CatchUp(catch_up, self.end);
                    self.begun.push((self.step, read));
                }
            }
            Step::See(which) => self.see(*which),
            Step::Publish(which) => self.publish(*which),
            Step::Fail(which) => drop(take(&mut self.begun, *which)),
        }
        self.denied.retain(|entry| self.list.contains(entry));
    }

    fn see(&mut self, which: Index) {
        if let Some((begun, read)) = take(&mut self.begun, which) {
            let after = match &read {
                Read::Reload(_) => 0,
                Read::CatchUp(_, after) => *after,
            };
            let rows = self.list.range(after + 1..).copied().collect();
            self.seen.push((begun, read, self.step, rows));
        }
    }

    fn publish(&mut self, which: Index) {
        let Some((begun, read, end, rows)) = take(&mut self.seen, which) else {
            return;
        };
        let entries = rows.iter().map(|entry| digest(*entry));
        let is_published = match read {
            Read::Reload(reload) => reload.publish(entries),
            Read::CatchUp(catch_up, _) => {
                catch_up.publish(entries);
                true
            }
        };
        if is_published {
            self.end = self.end.max(end);
            self.as_of = self.as_of.max(Some(begun));
            self.denied.extend(rows);
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Some(snapshot) = self.denylist.snapshot() else {
            prop_assert_eq!(self.as_of, None);
            return Ok(());
        };
        for entry in &self.denied {
            prop_assert!(snapshot.contains(&digest(*entry)), "{} is lost", entry);
        }
        // The age that the list claims is the truth: the entries of others included.
        let as_of = self.as_of.expect("a read is published");
        prop_assert_eq!(snapshot.as_of(), time(as_of));
        for entry in self.list.range(..as_of) {
            prop_assert!(snapshot.contains(&digest(*entry)), "{} is missing", entry);
        }
        let held = (0..=self.step).filter(|entry| snapshot.contains(&digest(*entry)));
        prop_assert_eq!(snapshot.len(), held.count(), "only what was committed once");
        Ok(())
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(512))]

    #[test]
    fn no_order_of_steps_loses_a_denial(steps in prop::collection::vec(step(), 0..150)) {
        let denylist = Denylist::new();
        let mut world = World::new(&denylist);
        for step in &steps {
            world.take(step);
            world.check()?;
        }
        // The next reload holds exactly the authoritative list, and what was added meanwhile.
        let (exact, now) = (world.list.len(), time(world.step + 1));
        let rows = world.list.iter().map(|entry| digest(*entry));
        prop_assert!(denylist.begin_reload(now).publish(rows));
        prop_assert_eq!(denylist.snapshot().expect("published").len(), exact);
    }
}
