//! Mutations that know DER, so that the lengths around a change still fit.

use libfuzzer_sys::fuzzer_mutate;

use super::tree::{Body, Node};

/// Changes the first `size` bytes of `data`, which has room for `max_size`, and answers how many
/// there are then. For `libfuzzer_sys::fuzz_mutator!`.
///
/// Three times in four a node of the tree changes and all lengths with it; otherwise, and when the
/// bytes are no DER, libFuzzer does what it does without us.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut draw = Draw(u64::from(seed) | 1 << 32);
    if draw.below(4) > 0
        && let Some(bent) = bend(&data[..size], &mut draw)
        && bent.len() <= max_size
    {
        data[..bent.len()].copy_from_slice(&bent);
        return bent.len();
    }
    fuzzer_mutate(data, size, max_size)
}

fn bend(der: &[u8], draw: &mut Draw) -> Option<Vec<u8>> {
    let mut root = Node::parse(der)?;
    let paths = root.paths();
    let donor = root.at_mut(draw.of(&paths)?)?.clone();
    let (last, parent) = draw.of(&paths)?.split_last()?;
    let siblings = root.at_mut(parent)?.children_mut()?;
    match draw.below(8) {
        0 => drop(siblings.remove(*last)),
        1 => siblings.insert(*last, donor),
        2 => siblings[*last] = donor,
        3 => siblings.insert(*last, siblings[*last].clone()),
        4 => siblings.swap(*last, 0),
        5 => siblings[*last].tag = *draw.of(&TAGS)?,
        6 => siblings[*last].body = Body::Nodes(Vec::new()),
        _ => bend_octets(&mut siblings[*last], draw),
    }
    Some(root.encode())
}

/// The tags of X.509.
const TAGS: [u8; 16] = [
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0c, 0x13, 0x16, 0x17, 0x30, 0x31, 0x80, 0x86, 0xa0, 0xa3,
];

fn bend_octets(node: &mut Node, draw: &mut Draw) {
    let Body::Octets(octets) = &mut node.body else {
        return;
    };
    let room = octets.len() + 8;
    let size = octets.len();
    octets.resize(room, 0);
    let size = fuzzer_mutate(octets, size, room);
    octets.truncate(size);
    if draw.below(8) == 0 {
        octets.insert(0, 0);
    }
}

/// Numbers that depend on the seed alone, so that libFuzzer can repeat a run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).map_or(0, |number| number % limit)
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let last = choices.len().max(1);
        choices.get(self.below(last))
    }
}
