use std::fmt;
use std::ops::Range;

use identity_pki::TbsSha256;

/// Entries and buckets of the index: five entries in four buckets on average, so that a bucket's
/// entries seldom span more than two cache lines and an entry costs 32 + 8 × 4/5 = 38.4 bytes.
const ENTRIES: usize = 5;
const BUCKETS: usize = 4;

/// Up to this many entries a bucket is scanned; of random digests hardly any bucket has more.
const SCANNED: usize = 16;

/// An immutable set of digests: a sorted array, and where in it each bucket begins.
///
/// Digests are uniformly distributed, so their leading bits find the place without a search: a
/// look-up of random digests reads one line of the index and one or two of the digests. Digests
/// that crowd into few buckets cost time, never an answer: a crowded bucket is searched in
/// logarithmic time.
pub(super) struct DigestTable {
    digests: Box<[Entry]>,
    /// Bucket `b` is `digests[starts[b]..starts[b + 1]]`.
    starts: Box<[usize]>,
}

/// One digest, aligned so that it never straddles two cache lines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(align(32))]
struct Entry(TbsSha256);

impl DigestTable {
    /// The table of `digests`, in any order; one that is there twice counts once.
    ///
    /// With an iterator that knows its length, building needs no more memory than the table.
    pub(super) fn new(digests: impl IntoIterator<Item = TbsSha256>) -> Self {
        let mut digests: Vec<_> = digests.into_iter().map(Entry).collect();
        digests.sort_unstable();
        digests.dedup();
        let buckets = (digests.len() / ENTRIES * BUCKETS).max(1);
        Self {
            starts: bucket_starts(&digests, buckets),
            digests: digests.into(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.digests.len()
    }

    pub(super) fn contains(&self, digest: &TbsSha256) -> bool {
        let entry = Entry(*digest);
        // A bucket outside the index cannot be; if it were, the entry would count as denied.
        self.bucket(digest).is_none_or(|bucket| {
            if bucket.len() <= SCANNED {
                bucket.contains(&entry)
            } else {
                bucket.binary_search(&entry).is_ok()
            }
        })
    }

    /// What a look-up reads, as ranges of addresses: the index's two places, and the entries of the
    /// bucket up to the one that is sought. The bench counts cache lines by it.
    pub(super) fn reads(&self, digest: &TbsSha256) -> [Range<usize>; 2] {
        let bucket = bucket_of(digest, self.starts.len() - 1);
        let places = self.starts.get(bucket..bucket + 2).unwrap_or_default();
        let entries = self.bucket(digest).unwrap_or_default();
        let sought = entries.iter().position(|Entry(held)| held == digest);
        let scanned = sought.and_then(|at| entries.get(..=at));
        [addresses(places), addresses(scanned.unwrap_or(entries))]
    }

    /// The entries among which `digest` has to be.
    fn bucket(&self, digest: &TbsSha256) -> Option<&[Entry]> {
        let bucket = bucket_of(digest, self.starts.len() - 1);
        let start = *self.starts.get(bucket)?;
        let end = *self.starts.get(bucket + 1)?;
        self.digests.get(start..end)
    }
}

impl fmt::Debug for DigestTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestTable")
            .field("len", &self.digests.len())
            .finish_non_exhaustive()
    }
}

/// Which of `buckets` the digest belongs to: its leading 64 bits, read as a fraction below 1, times
/// `buckets`. It rises with the digest.
fn bucket_of(digest: &TbsSha256, buckets: usize) -> usize {
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    let leading = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    ((u128::from(leading) * buckets as u128) >> u64::BITS) as usize
}

fn addresses<T>(slice: &[T]) -> Range<usize> {
    let range = slice.as_ptr_range();
    range.start.addr()..range.end.addr()
}

fn bucket_starts(sorted: &[Entry], buckets: usize) -> Box<[usize]> {
    let mut starts = Vec::with_capacity(buckets + 1);
    for (index, Entry(digest)) in sorted.iter().enumerate() {
        let begun = bucket_of(digest, buckets) + 1;
        starts.resize(starts.len().max(begun), index);
    }
    starts.resize(buckets + 1, sorted.len());
    starts.into()
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
        for entry in &table.digests {
            assert!(std::ptr::from_ref(entry).addr().is_multiple_of(32));
        }
    }
}
