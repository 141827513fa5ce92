//! Encryption of single columns, so that a copied database file shows no key and no secret.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod digest;
mod key;
mod stored;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) use digest::LookupKey;
pub use key::DataKey;
pub(crate) use stored::Stored;
use stored::{NONCE_LEN, prefix};

use crate::{Error, Result, Unreadable};

/// Where a value is stored. A ciphertext opens in its own place alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    /// The row's key, spelled without ambiguity.
    pub(crate) row: &'a str,
    pub(crate) column: &'static str,
}

impl Place<'_> {
    /// The place as associated data: each part behind its length, so that no two places spell alike.
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for part in [self.table, self.row, self.column] {
            data.extend_from_slice(&(part.len() as u64).to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }

    pub(crate) fn unreadable(&self, why: Unreadable) -> Error {
        Error::Decrypt {
            table: self.table,
            column: self.column,
            row: self.row.trim_end_matches('/').to_owned(),
            why,
        }
    }
}

/// Encrypts columns with AES-256-GCM, bound to table, row and column.
///
/// The first of its keys encrypts, all of them decrypt, so that a key is replaced by putting a new
/// one in front. A stored value is one version byte, the length of the key's id and the id, a nonce
/// of 12 random bytes, and the ciphertext with its tag.
///
/// With random nonces a key encrypts at most 2^32 values (NIST SP 800-38D §8.3); `docs/DATA_MODEL.md`
/// says what counts.
///
/// ```
/// use identity_store::Crypter;
///
/// let crypter = Crypter::parse("2026:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?;
/// assert_eq!(crypter.current().id(), "2026");
/// # Ok::<(), identity_store::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Crypter {
    current: DataKey,
    others: Vec<DataKey>,
}

impl Crypter {
    /// A crypter that encrypts with the first of `keys` and decrypts with any.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for no key, or two of one id.
    pub fn new(keys: Vec<DataKey>) -> Result<Self> {
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|earlier| earlier.id() == key.id()) {
                return Err(Error::Key("two have the same id"));
            }
        }
        let mut keys = keys.into_iter();
        Ok(Self {
            current: keys.next().ok_or(Error::Key("there is none"))?,
            others: keys.collect(),
        })
    }

    /// Reads `id:key[,id:key…]`, the form of `IDENTITY_DATA_ENCRYPTION_KEYS` (contract §14).
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        Self::new(text.split(',').map(DataKey::parse).collect::<Result<_>>()?)
    }

    /// The key that encrypts.
    #[must_use]
    pub fn current(&self) -> &DataKey {
        &self.current
    }

    /// Every key, the one that encrypts first.
    pub fn keys(&self) -> impl Iterator<Item = &DataKey> {
        std::iter::once(&self.current).chain(&self.others)
    }

    /// A crypter of that key of this one alone.
    pub(crate) fn alone(key: &DataKey) -> Self {
        Self {
            current: key.clone(),
            others: Vec::new(),
        }
    }

    /// What a value that the current key encrypted begins with, and no other does.
    pub(crate) fn current_prefix(&self) -> Result<Vec<u8>> {
        prefix(self.current.id().as_bytes()).ok_or(Error::Key("an id is too long"))
    }

    /// `plaintext` for storage in `place`.
    pub(crate) fn encrypt(
        &self,
        place: Place<'_>,
        plaintext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let sealed = self
            .current
            .seal(nonce, &place.associated_data(), plaintext);
        sealed.ok_or(Error::Key("a value is too long to be encrypted"))
    }

    /// The plaintext of what [`encrypt`](Self::encrypt) made for the same place.
    pub(crate) fn decrypt(&self, place: Place<'_>, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let opened = || {
            let stored = Stored::parse(stored).ok_or(Unreadable::Altered)?;
            let mut keys = self.keys();
            let key = keys.find(|key| key.id().as_bytes() == stored.key_id);
            let opened = key
                .ok_or(Unreadable::NoDataKey)?
                .open(&stored, &place.associated_data());
            opened.ok_or(Unreadable::Altered)
        };
        opened().map_err(|why| place.unreadable(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: Place<'static> = Place {
        table: "platform_secrets",
        row: "platform_ca/00ff",
        column: "secret",
    };

    fn rng() -> impl CryptoRng {
        rand_core::UnwrapErr(getrandom::SysRng)
    }

    fn crypter(keys: &[(&str, u8)]) -> Crypter {
        let key = |&(id, byte): &(&str, u8)| DataKey::new(id, [byte; 32]).unwrap();
        Crypter::new(keys.iter().map(key).collect()).unwrap()
    }

    #[track_caller]
    fn why(opened: Result<Zeroizing<Vec<u8>>>) -> Unreadable {
        match opened.unwrap_err() {
            Error::Decrypt { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_value_comes_back_and_never_looks_the_same_twice() {
        let crypter = crypter(&[("a", 1)]);
        let one = crypter.encrypt(HOME, b"canary", &mut rng()).unwrap();
        let two = crypter.encrypt(HOME, b"canary", &mut rng()).unwrap();
        assert_ne!(one, two);
        assert!(!one.windows(6).any(|window| window == b"canary"));
        assert_eq!(*crypter.decrypt(HOME, &one).unwrap(), b"canary");
        assert_eq!(*crypter.decrypt(HOME, &two).unwrap(), b"canary");
    }

    #[test]
    fn a_value_moved_to_another_row_column_or_table_does_not_open() {
        let crypter = crypter(&[("a", 1)]);
        let stored = crypter.encrypt(HOME, b"canary", &mut rng()).unwrap();
        for elsewhere in [
            Place {
                row: "platform_ca/00fe",
                ..HOME
            },
            Place {
                column: "body",
                ..HOME
            },
            Place {
                table: "idempotent_answers",
                ..HOME
            },
            // The same letters, cut elsewhere.
            Place {
                table: "platform_secret",
                row: "splatform_ca/00ff",
                ..HOME
            },
        ] {
            let refused = why(crypter.decrypt(elsewhere, &stored));
            assert_eq!(refused, Unreadable::Altered, "{elsewhere:?}");
        }
    }

    #[test]
    fn a_new_key_in_front_leaves_old_values_readable_and_a_dropped_key_does_not() {
        let old = crypter(&[("a", 1)]);
        let stored = old.encrypt(HOME, b"canary", &mut rng()).unwrap();
        let rotated = crypter(&[("b", 2), ("a", 1)]);
        assert_eq!(*rotated.decrypt(HOME, &stored).unwrap(), b"canary");
        let anew = rotated.encrypt(HOME, b"canary", &mut rng()).unwrap();
        assert_eq!(why(old.decrypt(HOME, &anew)), Unreadable::NoDataKey);
        // The id is known, the key is another.
        let other = crypter(&[("a", 9)]);
        assert_eq!(why(other.decrypt(HOME, &stored)), Unreadable::Altered);
    }

    #[test]
    fn no_cut_and_no_flipped_bit_opens() {
        let crypter = crypter(&[("a", 1)]);
        let stored = crypter.encrypt(HOME, b"canary", &mut rng()).unwrap();
        for length in 0..stored.len() {
            let cut = why(crypter.decrypt(HOME, &stored[..length]));
            assert_eq!(cut, Unreadable::Altered, "{length}");
        }
        for bit in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(crypter.decrypt(HOME, &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn keys_are_read_as_the_contract_writes_them() {
        let zeros = "A".repeat(43);
        let good = format!("2026:01:{zeros},old:{zeros}");
        let crypter = Crypter::parse(&good).unwrap();
        let ids: Vec<_> = crypter.keys().map(DataKey::id).collect();
        assert_eq!(ids, ["2026:01", "old"]);
        for bad in [
            String::new(),
            zeros.clone(),
            format!(":{zeros}"),
            format!("a b:{zeros}"),
            format!("a:{zeros}="),
            format!("a:{}", "A".repeat(42)),
            format!("a:{zeros},"),
            format!("a:{zeros},a:{zeros}"),
        ] {
            assert!(matches!(Crypter::parse(&bad), Err(Error::Key(_))), "{bad}");
        }
    }
}
