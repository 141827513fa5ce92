//! The stored form of a ciphertext: a version byte, the length of the key's id and the id, a nonce
//! of 12 bytes, the ciphertext with its tag.

pub(super) const NONCE_LEN: usize = 12;
const VERSION: u8 = 1;

/// A stored value, taken apart and not yet opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    /// The id of the key that made it.
    pub(crate) key_id: &'a [u8],
    pub(super) nonce: [u8; NONCE_LEN],
    /// The ciphertext, then the tag.
    pub(super) ciphertext: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Takes bytes from the database apart; `None` for what no version of this program wrote.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&version, rest) = bytes.split_first()?;
        let (&id_len, rest) = rest.split_first()?;
        let (key_id, rest) = rest.split_at_checked(id_len.into())?;
        let (&nonce, ciphertext) = rest.split_first_chunk()?;
        (version == VERSION).then_some(Self {
            key_id,
            nonce,
            ciphertext,
        })
    }

    /// The bytes that [`parse`](Self::parse) takes apart; `None` for an id beyond 255 bytes.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = prefix(self.key_id)?;
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(self.ciphertext);
        Some(bytes)
    }
}

/// What every value under the key of that id begins with, and no other value does.
pub(super) fn prefix(key_id: &[u8]) -> Option<Vec<u8>> {
    let id_len = u8::try_from(key_id.len()).ok()?;
    let mut prefix = vec![VERSION, id_len];
    prefix.extend_from_slice(key_id);
    Some(prefix)
}
