//! DER as a tree that can be bent and written again with lengths that fit.

/// One element, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub tag: u8,
    pub body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Octets(Vec<u8>),
    /// The elements of a constructed one, or of a string that wraps an encoding.
    Nodes(Vec<Node>),
    /// The elements that a BIT STRING without unused bits wraps.
    Bits(Vec<Node>),
}

/// The way from the root to a node: which child, of that which child, and so on.
pub type Path = Vec<usize>;

impl Node {
    /// The one element that `der` is; `None` when it is none or not minimally encoded.
    pub fn parse(der: &[u8]) -> Option<Self> {
        match elements(der)?.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let contents = match &self.body {
            Body::Octets(octets) => octets.clone(),
            Body::Nodes(nodes) => encode_all(nodes),
            Body::Bits(nodes) => [vec![0], encode_all(nodes)].concat(),
        };
        [vec![self.tag], length(contents.len()), contents].concat()
    }

    /// The whole, with the node at `path` written by `write`, given its tag and contents, in a way
    /// that DER may not know.
    pub fn encode_with(&self, path: &[usize], write: &dyn Fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
        let child = |(position, child): (usize, &Self)| match path {
            [first, rest @ ..] if *first == position => child.encode_with(rest, write),
            _ => child.encode(),
        };
        let children: Vec<u8> = self.children().iter().enumerate().flat_map(child).collect();
        let contents = match &self.body {
            Body::Octets(octets) => octets.clone(),
            Body::Nodes(_) => children,
            Body::Bits(_) => [vec![0], children].concat(),
        };
        match path {
            [] => write(self.tag, &contents),
            _ => [vec![self.tag], length(contents.len()), contents].concat(),
        }
    }

    pub fn children(&self) -> &[Self] {
        match &self.body {
            Body::Octets(_) => &[],
            Body::Nodes(nodes) | Body::Bits(nodes) => nodes,
        }
    }

    pub fn children_mut(&mut self) -> Option<&mut Vec<Self>> {
        match &mut self.body {
            Body::Octets(_) => None,
            Body::Nodes(nodes) | Body::Bits(nodes) => Some(nodes),
        }
    }

    /// The ways to all nodes, the root's first.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = vec![Vec::new()];
        for (position, child) in self.children().iter().enumerate() {
            let below = child.paths().into_iter();
            paths.extend(below.map(|path| [vec![position], path].concat()));
        }
        paths
    }

    pub fn at_mut(&mut self, path: &[usize]) -> Option<&mut Self> {
        match path {
            [] => Some(self),
            [first, rest @ ..] => self.children_mut()?.get_mut(*first)?.at_mut(rest),
        }
    }
}

fn encode_all(nodes: &[Node]) -> Vec<u8> {
    nodes.iter().flat_map(Node::encode).collect()
}

pub fn length(length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    match (length, significant.len()) {
        (0, _) => vec![0],
        (1..=0x7f, _) => significant,
        (_, octets) => [vec![0x80 | octets as u8], significant].concat(),
    }
}

fn elements(mut input: &[u8]) -> Option<Vec<Node>> {
    let mut nodes = Vec::new();
    while !input.is_empty() {
        let (node, rest) = element(input)?;
        nodes.push(node);
        input = rest;
    }
    Some(nodes)
}

fn element(input: &[u8]) -> Option<(Node, &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (size, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        _ => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let size = octets.iter().try_fold(0_usize, |size, octet| {
                size.checked_mul(256)?.checked_add(usize::from(*octet))
            })?;
            (size, rest)
        }
    };
    let (contents, rest) = rest.split_at_checked(size)?;
    let node = Node {
        tag,
        body: body(tag, contents),
    };
    // What does not come out as it went in is kept as octets, so that `encode` undoes `parse`.
    let taken = input.len() - rest.len();
    (node.encode() == input[..taken]).then_some((node, rest))
}

fn body(tag: u8, contents: &[u8]) -> Body {
    let wrapped = |contents: &[u8]| elements(contents).filter(|nodes| nodes.len() == 1);
    let nodes = match (tag, contents) {
        (0x03, [0, wrapping @ ..]) => wrapped(wrapping).map(Body::Bits),
        (0x04, wrapping) => wrapped(wrapping).map(Body::Nodes),
        (constructed, contents) if constructed & 0x20 != 0 => elements(contents).map(Body::Nodes),
        _ => None,
    };
    nodes.unwrap_or_else(|| Body::Octets(contents.to_vec()))
}
