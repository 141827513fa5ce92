//! Readers and writers of one denylist on threads: what a reader saw denied never comes back.
//!
//! The orders of whole steps are `denylist_model`'s; this is about what happens within them, in
//! memory, where `loom` cannot look, since `arc-swap` uses the real atomics. The work is bounded,
//! and the readers go on for as long as the writers do.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use identity_mtls::Denylist;
use identity_pki::TbsSha256;
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
/// Revocations by each of the writers.
const EACH: u64 = 10_000;
const WRITERS: u64 = 2;
const READERS: usize = 2;

fn digest(writer: u64, entry: u64) -> TbsSha256 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&entry.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8] = writer as u8;
    TbsSha256::from_bytes(bytes)
}

/// What the threads share.
#[derive(Default)]
struct World {
    denylist: Denylist,
    authoritative: Mutex<Vec<TbsSha256>>,
    /// How many entries each writer has denied: committed and added.
    denied: [AtomicU64; WRITERS as usize],
    writing: AtomicUsize,
}

impl World {
    fn rows_after(&self, end: usize) -> Vec<TbsSha256> {
        self.authoritative.lock().expect("lock")[end..].to_vec()
    }

    fn is_written(&self) -> bool {
        self.writing.load(Ordering::Acquire) == 0
    }

    fn write(&self, writer: u64) {
        for entry in 0..EACH {
            let tbs = digest(writer, entry);
            self.authoritative.lock().expect("lock").push(tbs);
            self.denylist.add([tbs]);
            self.denied[writer as usize].store(entry + 1, Ordering::Release);
        }
        self.writing.fetch_sub(1, Ordering::Release);
    }

    /// Reads the whole list and what it gains, in turn, from before the first revocation to after
    /// the last.
    fn copy(&self) {
        loop {
            let is_last = self.is_written();
            let reload = self.denylist.begin_reload(NOW);
            let rows = self.rows_after(0);
            let end = rows.len();
            reload.publish(rows);
            let catch_up = self.denylist.begin_catch_up(NOW).expect("published");
            catch_up.publish(self.rows_after(end));
            if is_last {
                return;
            }
        }
    }

    /// Asks for all that was denied so far, for as long as something is being denied.
    fn read(&self) {
        loop {
            let is_last = self.is_written();
            for writer in 0..WRITERS {
                let denied = self.denied[writer as usize].load(Ordering::Acquire);
                let snapshot = self.denylist.snapshot();
                for tbs in (0..denied).map(|entry| digest(writer, entry)) {
                    assert!(self.denylist.denies(&tbs, NOW), "{tbs} is back");
                    let is_missing = snapshot.as_ref().is_some_and(|held| !held.contains(&tbs));
                    assert!(!is_missing, "{tbs} is missing");
                }
            }
            if is_last {
                return;
            }
        }
    }
}

#[test]
fn a_denied_certificate_never_comes_back() {
    let world = World::default();
    world.writing.store(WRITERS as usize, Ordering::Release);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let world = &world;
            scope.spawn(move || world.write(writer));
        }
        // Two that copy overtake one another.
        for _ in 0..2 {
            scope.spawn(|| world.copy());
        }
        for _ in 0..READERS {
            scope.spawn(|| world.read());
        }
    });
    let snapshot = world.denylist.snapshot().expect("published");
    assert_eq!(snapshot.len() as u64, WRITERS * EACH);
}
