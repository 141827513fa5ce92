//! The denylist at ten million entries: look-ups, cache lines, memory, and what one more entry costs.

use std::collections::HashSet;
use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use identity_bench::clock::thread_cpu_time;
use identity_bench::counting::{self, Counting};
use identity_bench::paired::{self, Spread};
use identity_bench::report::{self, Bar};
use identity_mtls::{Denylist, DenylistSnapshot};
use identity_pki::TbsSha256;
use time::OffsetDateTime;
use time::macros::datetime;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
const ENTRIES: u64 = 10_000_000;
const CACHE_LINE: usize = 64;

/// The `n`th digest: entries are those below [`ENTRIES`].
fn digest(n: u64) -> TbsSha256 {
    let mut bytes = [0; 32];
    for (word, place) in bytes.chunks_exact_mut(8).zip(0..) {
        word.copy_from_slice(&mixed(n * 4 + place).to_be_bytes());
    }
    TbsSha256::from_bytes(bytes)
}

/// SplitMix64: every input has an output of its own, and they look random.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Random digests, entries or none: a sequence that does not repeat within a run.
struct Keys {
    next: u64,
    is_entry: bool,
}

impl Keys {
    fn entries() -> Self {
        Self {
            next: 1 << 40,
            is_entry: true,
        }
    }

    fn others() -> Self {
        Self {
            next: 1 << 41,
            is_entry: false,
        }
    }
}

impl Iterator for Keys {
    type Item = TbsSha256;

    fn next(&mut self) -> Option<TbsSha256> {
        self.next += 1;
        let n = mixed(self.next) % ENTRIES;
        Some(digest(if self.is_entry { n } else { n + ENTRIES }))
    }
}

fn main() {
    let denylist = memory();
    cache_lines(&denylist.snapshot().expect("published"));
    look_ups(&denylist);
    publications(&denylist);
    readers_meanwhile(&denylist);
}

/// A published denylist of [`ENTRIES`]; what it takes, and took while it was made.
fn memory() -> Denylist {
    let denylist = Denylist::new();
    let reload = denylist.begin_reload(NOW);
    let before = counting::live();
    counting::reset_peak();
    let start = Instant::now();
    assert!(reload.publish((0..ENTRIES).map(digest)));
    let took = start.elapsed();
    let bytes = (counting::live() - before) as f64 / ENTRIES as f64;
    let peak = (counting::peak() - before) as f64 / ENTRIES as f64;
    println!(
        "denylist, made in {took:.1?}: {bytes:.1} bytes an entry, at most {peak:.1} meanwhile"
    );
    let name = "denylist memory, 10 million entries, bytes an entry";
    report::row(name, bytes, Bar::AtMost(40.0), "B");
    denylist
}

fn cache_lines(snapshot: &DenylistSnapshot) {
    let means = [("hits", Keys::entries()), ("misses", Keys::others())].map(|(what, keys)| {
        let mut touched: Vec<usize> = keys
            .take(1_000_000)
            .map(|key| lines(&snapshot.addresses_read(&key)))
            .collect();
        touched.sort_unstable();
        let mean = touched.iter().sum::<usize>() as f64 / touched.len() as f64;
        let p99 = touched[touched.len() * 99 / 100];
        println!("denylist, cache lines of {what}: mean {mean:.2}, 99th percentile {p99}");
        mean
    });
    let name = "denylist look-up, 10 million entries, cache lines touched (mean)";
    report::row(name, means[0].max(means[1]), Bar::AtMost(3.0), "lines");
}

/// How many cache lines the addresses are in.
fn lines(addresses: &Range<usize>) -> usize {
    if addresses.is_empty() {
        return 0;
    }
    (addresses.end - 1) / CACHE_LINE - addresses.start / CACHE_LINE + 1
}

/// Look-ups one after another, as handshakes make them: a fence keeps the processor from beginning
/// the next one before the one before has its answer. The peer is a plain hash table of the keys.
fn look_ups(denylist: &Denylist) {
    let table: HashSet<[u8; 32]> = (0..ENTRIES).map(|n| *digest(n).as_bytes()).collect();
    let snapshot = denylist.snapshot().expect("published");
    let listed = |keys: &mut Keys| {
        let key = keys.next().expect("endless");
        fence(Ordering::SeqCst);
        assert_eq!(snapshot.contains(black_box(&key)), keys.is_entry);
    };
    let tabled = |keys: &mut Keys| {
        let key = keys.next().expect("endless");
        fence(Ordering::SeqCst);
        assert_eq!(table.contains(black_box(key.as_bytes())), keys.is_entry);
    };
    let [mut a, mut b] = [Keys::entries(), Keys::entries()];
    let [mut c, mut d] = [Keys::others(), Keys::others()];
    let turns = paired::turns(
        [
            &mut || listed(&mut a),
            &mut || listed(&mut c),
            &mut || tabled(&mut b),
            &mut || tabled(&mut d),
        ],
        Duration::from_secs(10),
    );
    let [hit, miss, plain_hit, plain_miss] =
        [0, 1, 2, 3].map(|side| Spread::of(turns.iter().map(|turn| turn[side])));
    println!("denylist, look-up: hits {hit} ns, misses {miss} ns");
    println!("a plain HashSet<[u8; 32]>: hits {plain_hit} ns, misses {plain_miss} ns");
    let name = "denylist look-up, 10 million entries, random keys (the worse of hits and misses)";
    let worse = hit.median.max(miss.median);
    report::row(name, worse, Bar::AtMost(300.0), "ns");
}

/// What one more entry costs after none, a thousand and a hundred thousand others.
fn publications(denylist: &Denylist) {
    let mut fresh = (2 * ENTRIES..).map(digest);
    let mut means = Vec::new();
    for earlier in [0, 1_000, 100_000] {
        assert!(republish(denylist), "only reload");
        for entry in fresh.by_ref().take(earlier) {
            denylist.add([entry]);
        }
        let mut took: Vec<f64> = fresh
            .by_ref()
            .take(1_000)
            .map(|entry| {
                let start = thread_cpu_time();
                denylist.add([entry]);
                (thread_cpu_time() - start).as_nanos() as f64 / 1e3
            })
            .collect();
        took.sort_by(f64::total_cmp);
        let mean = took.iter().sum::<f64>() / took.len() as f64;
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        println!(
            "denylist, one more after {earlier}: mean {mean:.2} µs, median {median:.2} µs, \
             worst of a thousand {worst:.1} µs"
        );
        means.push(mean);
    }
    let name = "denylist, publishing one more onto 10 million (mean; the worst of the three)";
    let worst = means.into_iter().fold(0.0, f64::max);
    report::row(name, worst, Bar::AtMost(50.0), "µs");
}

/// Publishes the entries again, which forgets what was added.
fn republish(denylist: &Denylist) -> bool {
    let reload = denylist.begin_reload(NOW);
    reload.publish((0..ENTRIES).map(digest))
}

/// Look-ups while another thread publishes one entry after another, beside look-ups in peace.
fn readers_meanwhile(denylist: &Denylist) {
    let look_up = |keys: &mut Keys| {
        let key = keys.next().expect("endless");
        fence(Ordering::SeqCst);
        let start = Instant::now();
        black_box(denylist.denies(&key, NOW));
        start.elapsed().as_nanos() as f64
    };
    let measure = || {
        let mut keys = Keys::entries();
        let mut took: Vec<f64> = (0..1_000_000).map(|_| look_up(&mut keys)).collect();
        took.sort_by(f64::total_cmp);
        [50, 99].map(|percent| took[took.len() * percent / 100])
    };
    let [median, p99] = measure();
    println!("denylist, readers in peace: median {median:.0} ns, 99th percentile {p99:.0} ns");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for entry in (3 * ENTRIES..).map(digest) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                denylist.add([entry]);
            }
        });
        let [median, p99] = measure();
        is_over.store(true, Ordering::Relaxed);
        println!(
            "denylist, readers while another thread publishes without a pause: median {median:.0} ns, 99th percentile {p99:.0} ns"
        );
    });
}
