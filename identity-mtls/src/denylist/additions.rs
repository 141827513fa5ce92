use std::array;
use std::fmt;
use std::sync::Arc;

use identity_pki::TbsSha256;

/// Digests beyond which a leaf becomes a branch.
const LEAF_LEN: usize = 16;
/// Children of a branch: one for each value of four bits.
const FANOUT: usize = 16;

/// A set of digests of which every version stays as it was: a trie over the digests' hexadecimal
/// digits, whose versions share what they have in common.
///
/// To clone it costs a reference. To add an entry copies the nodes from the root to its leaf,
/// however many entries there are: about log₁₆ of their number, and 64 at the very worst, since a
/// digest has 64 digits.
#[derive(Clone)]
pub(super) struct Additions {
    root: Node,
    len: usize,
}

#[derive(Clone)]
enum Node {
    Leaf(Arc<[TbsSha256]>),
    Branch(Arc<[Node; FANOUT]>),
}

impl Additions {
    pub(super) fn new() -> Self {
        Self {
            root: Node::Leaf(Arc::default()),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn contains(&self, digest: &TbsSha256) -> bool {
        let mut node = &self.root;
        let mut depth = 0;
        loop {
            match node {
                Node::Leaf(held) => return held.contains(digest),
                Node::Branch(children) => node = &children[digit(digest, depth)],
            }
            depth += 1;
        }
    }

    /// Adds `digest`, which counts once however often it is added.
    pub(super) fn insert(&mut self, digest: TbsSha256) {
        if !self.contains(&digest) {
            self.root.insert(digest, 0);
            self.len += 1;
        }
    }
}

impl Node {
    /// Adds `digest`, which is not held yet, to the node at `depth`.
    fn insert(&mut self, digest: TbsSha256, depth: usize) {
        match self {
            Self::Leaf(held) => {
                let held = held.iter().copied().chain([digest]).collect();
                *self = Self::of(held, depth);
            }
            Self::Branch(children) => {
                Arc::make_mut(children)[digit(&digest, depth)].insert(digest, depth + 1);
            }
        }
    }

    /// A node at `depth` of distinct digests that agree in all digits before.
    fn of(held: Arc<[TbsSha256]>, depth: usize) -> Self {
        if held.len() <= LEAF_LEN {
            return Self::Leaf(held);
        }
        Self::Branch(Arc::new(array::from_fn(|child| {
            let of_child = |held: &&TbsSha256| digit(held, depth) == child;
            Self::Leaf(held.iter().filter(of_child).copied().collect())
        })))
    }
}

impl fmt::Debug for Additions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Additions")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The hexadecimal digit at `depth`. It is below 64 wherever this is asked: of more than
/// [`LEAF_LEN`] distinct digests no two agree in all digits.
fn digit(digest: &TbsSha256, depth: usize) -> usize {
    let byte = digest.as_bytes()[depth / 2];
    usize::from(if depth.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 0xf
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::*;

    /// Digests of which many agree in all digits but the last two, as real ones do not.
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
        fn every_version_keeps_what_it_held(
            digests in prop::collection::vec(crowded_digest(), 0..200),
            others in prop::collection::vec(crowded_digest(), 0..20),
        ) {
            let mut versions = vec![(Additions::new(), BTreeSet::new())];
            for digest in &digests {
                let (mut additions, mut model) = versions.last().cloned().expect("the first");
                additions.insert(*digest);
                model.insert(*digest);
                versions.push((additions, model));
            }
            for (additions, model) in &versions {
                prop_assert_eq!(additions.len(), model.len());
                for digest in digests.iter().chain(&others) {
                    prop_assert_eq!(additions.contains(digest), model.contains(digest));
                }
            }
        }
    }
}
