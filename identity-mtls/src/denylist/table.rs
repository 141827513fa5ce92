use std::fmt;
use std::ops::Range;

use identity_pki::TbsSha256;

/// Slots and entries: 39 slots for 32 entries, so that an entry costs 39 bytes and is found 2.3 slots
/// after the one where it is looked for, on average.
const SLOTS: usize = 39;
const ENTRIES: usize = 32;

/// So many slots are looked at in any case: they hold four of five random digests.
const NEAR: usize = 4;

/// So many more are looked at one by one; random digests hardly ever need that many.
const SCANNED: usize = 32;

/// An immutable set of digests: a sorted array with gaps, in which a digest is looked for where its
/// leading bits say.
///
/// Digests are uniformly distributed, so each is at the slot that its leading bits name or shortly
/// after it, as in a hash table with linear probing, and a look-up waits for memory once. Digests
/// that crowd into few slots cost time, never an answer: the array is sorted, so that the rest is
/// searched in logarithmic time.
pub(super) struct DigestTable {
    /// Sorted. A gap holds the entry that follows it.
    slots: Box<[Entry]>,
    homes: usize,
    len: usize,
}

/// One digest, aligned so that it never straddles two cache lines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(align(32))]
struct Entry(TbsSha256);

impl Entry {
    /// The leading 64 bits, which order entries as their bytes do.
    fn leading(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = *self.0.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The slot, of so many, at which the entry is looked for: its leading bits, read as a fraction
    /// below 1, times `homes`. It rises with the entry.
    fn home(&self, homes: usize) -> usize {
        ((u128::from(self.leading()) * homes as u128) >> u64::BITS) as usize
    }
}

impl DigestTable {
    /// The table of `digests`, in any order; one that is there twice counts once.
    ///
    /// While it is made, as much memory again may be in use for a moment.
    pub(super) fn new(digests: impl IntoIterator<Item = TbsSha256>) -> Self {
        let mut slots: Vec<_> = digests.into_iter().map(Entry).collect();
        slots.sort_unstable();
        slots.dedup();
        let len = slots.len();
        let homes = len + len / ENTRIES * (SLOTS - ENTRIES);
        spread(&mut slots, homes);
        Self {
            slots: slots.into(),
            homes,
            len,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn contains(&self, digest: &TbsSha256) -> bool {
        let sought = Entry(*digest);
        let slots = self.slots_for(&sought);
        let Some((near, far)) = slots.split_first_chunk::<NEAR>() else {
            return search(slots, &sought);
        };
        // All of them, without a branch: the processor would guess where the search ends, and a
        // wrong guess waits for memory.
        let found = near
            .iter()
            .fold(false, |found, held| found | (*held == sought));
        let [.., last] = near;
        if found | (last.leading() > sought.leading()) {
            return found;
        }
        search(far, &sought)
    }

    /// The addresses that a look-up reads. The bench counts cache lines by it.
    pub(super) fn reads(&self, digest: &TbsSha256) -> Range<usize> {
        let sought = Entry(*digest);
        let slots = self.slots_for(&sought);
        let end = slots.iter().position(|held| *held >= sought);
        let end = end.map_or(slots.len(), |end| slots.len().min(NEAR.max(end + 1)));
        let range = slots.get(..end).unwrap_or(slots).as_ptr_range();
        range.start.addr()..range.end.addr()
    }

    /// The slots in which `sought` can be.
    fn slots_for(&self, sought: &Entry) -> &[Entry] {
        let slots = self.slots.get(sought.home(self.homes)..);
        slots.unwrap_or_default()
    }
}

impl fmt::Debug for DigestTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestTable")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// Whether these sorted slots hold `sought`, which is more likely near their beginning.
fn search(slots: &[Entry], sought: &Entry) -> bool {
    let (near, far) = slots.split_at(slots.len().min(SCANNED));
    match near.iter().find(|held| *held >= sought) {
        Some(held) => held == sought,
        None => far.binary_search(sought).is_ok(),
    }
}

/// Moves sorted entries apart, each to its home or, where that is taken, to the next free slot.
fn spread(slots: &mut Vec<Entry>, homes: usize) {
    let next_free = |free: usize, entry: &Entry| free.max(entry.home(homes)) + 1;
    let len = slots.len();
    let gaps = slots.iter().fold(0, next_free) - len;
    slots.reserve_exact(gaps);
    slots.resize(len + gaps, Entry(TbsSha256::from_bytes([0; 32])));
    slots.copy_within(..len, gaps);
    let mut free = 0;
    for next in gaps..slots.len() {
        // At most `next`: behind it are as many slots as entries. So none is overwritten unread.
        let entry = slots[next];
        let end = next_free(free, &entry);
        slots[free..end].fill(entry);
        free = end;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    /// Digests of which many share their leading bits, as real ones do not.
    fn crowded_digest() -> impl Strategy<Value = TbsSha256> {
        (any::<[u8; 32]>(), prop::bool::ANY).prop_map(|(mut bytes, crowded)| {
            if crowded {
                bytes[..31].fill(0x7f);
            }
            TbsSha256::from_bytes(bytes)
        })
    }

    proptest! {
        #[test]
        fn holds_exactly_what_it_was_made_of(
            held in prop::collection::vec(crowded_digest(), 0..300),
            other in prop::collection::vec(crowded_digest(), 0..50),
        ) {
            let model: BTreeSet<_> = held.iter().copied().collect();
            let table = DigestTable::new(held.iter().copied());
            prop_assert_eq!(table.len(), model.len());
            for digest in &held {
                prop_assert!(table.contains(digest));
            }
            for digest in &other {
                prop_assert_eq!(table.contains(digest), model.contains(digest));
            }
        }
    }

    #[test]
    fn the_lowest_and_the_highest_digest_are_found_in_every_size() {
        let ends = [0, 0xff].map(|byte| TbsSha256::from_bytes([byte; 32]));
        for fill in 0..100_u8 {
            let filling = (0..fill).map(|i| TbsSha256::from_bytes([i.wrapping_mul(83); 32]));
            let table = DigestTable::new(filling.chain(ends));
            assert!(ends.iter().all(|end| table.contains(end)), "{fill}");
        }
    }

    #[test]
    fn no_entry_straddles_two_cache_lines() {
        let table = DigestTable::new((0..9).map(|i| TbsSha256::from_bytes([i; 32])));
        for entry in &table.slots {
            assert!(std::ptr::from_ref(entry).addr().is_multiple_of(32));
        }
    }
}
