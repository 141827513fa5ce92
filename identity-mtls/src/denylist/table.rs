use std::fmt;

use identity_pki::TbsSha256;

/// Entries per bucket that the index aims at: a look-up then reads one line of the index and two or
/// three of the digests.
const BUCKET_LEN: usize = 4;

/// An immutable set of digests: a sorted array, and where in it each leading bit pattern begins.
///
/// Digests are uniformly distributed, so the leading bits find the place without a search, and an
/// entry costs its 32 bytes and at most four more.
pub(super) struct DigestTable {
    digests: Box<[TbsSha256]>,
    /// Bucket `b` is `digests[starts[b]..starts[b + 1]]`.
    starts: Box<[usize]>,
    bucket_bits: u32,
}

impl DigestTable {
    pub(super) fn new(digests: impl IntoIterator<Item = TbsSha256>) -> Self {
        let mut digests: Vec<_> = digests.into_iter().collect();
        digests.sort_unstable();
        digests.dedup();
        let buckets = (digests.len() / BUCKET_LEN).max(1).next_power_of_two();
        let bucket_bits = buckets.trailing_zeros();
        Self {
            starts: bucket_starts(&digests, buckets, bucket_bits),
            digests: digests.into(),
            bucket_bits,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.digests.len()
    }

    pub(super) fn contains(&self, digest: &TbsSha256) -> bool {
        let bucket = bucket_of(digest, self.bucket_bits);
        let range = match (self.starts.get(bucket), self.starts.get(bucket + 1)) {
            (Some(&start), Some(&end)) => self.digests.get(start..end),
            _ => None,
        };
        // A bucket outside the index cannot be; if it were, the entry would count as denied.
        range.is_none_or(|bucket| bucket.binary_search(digest).is_ok())
    }
}

impl fmt::Debug for DigestTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestTable")
            .field("len", &self.digests.len())
            .finish_non_exhaustive()
    }
}

/// The digest's first `bits` bits, as a number.
fn bucket_of(digest: &TbsSha256, bits: u32) -> usize {
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    let leading = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    leading.checked_shr(u64::BITS - bits).unwrap_or(0) as usize
}

fn bucket_starts(sorted: &[TbsSha256], buckets: usize, bits: u32) -> Box<[usize]> {
    let mut starts = Vec::with_capacity(buckets + 1);
    for (index, digest) in sorted.iter().enumerate() {
        let begun = bucket_of(digest, bits) + 1;
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
}
