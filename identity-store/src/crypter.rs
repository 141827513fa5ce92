//! Encryption of single columns, so that a copied database file shows no key and no secret.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{Error, Result};

const VERSION: u8 = 1;
const NONCE_LEN: usize = 12;
const KEY_LEN: usize = 32;
const MAX_ID_LEN: usize = 64;

/// An AES-256 key and the id by which stored values name it.
#[derive(Clone)]
pub struct DataKey {
    id: String,
    key: Zeroizing<[u8; KEY_LEN]>,
}

impl DataKey {
    /// A key under an id of 1 to 64 visible ASCII characters without comma.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for any other id.
    pub fn new(id: impl Into<String>, key: [u8; KEY_LEN]) -> Result<Self> {
        let id = id.into();
        let fits = |b: u8| b.is_ascii_graphic() && b != b',';
        if !(1..=MAX_ID_LEN).contains(&id.len()) || !id.bytes().all(fits) {
            return Err(Error::Key(
                "an id is 1 to 64 visible characters without comma",
            ));
        }
        Ok(Self {
            id,
            key: Zeroizing::new(key),
        })
    }

    /// Reads `id:key`, split at the last colon, the key being 32 bytes in unpadded base64url.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for anything else. It never shows what was given.
    pub fn parse(text: &str) -> Result<Self> {
        let (id, encoded) = text
            .rsplit_once(':')
            .ok_or(Error::Key("it is written id:key"))?;
        let bytes = URL_SAFE_NO_PAD
            .decode(encoded)
            .map(Zeroizing::new)
            .map_err(|_| Error::Key("the key is unpadded base64url"))?;
        let key = <[u8; KEY_LEN]>::try_from(bytes.as_slice())
            .map_err(|_| Error::Key("the key has 32 bytes"))?;
        Self::new(id, key)
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

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

    fn unreadable(&self) -> Error {
        Error::Decrypt {
            table: self.table,
            column: self.column,
        }
    }
}

/// Encrypts columns with AES-256-GCM, bound to table, row and column.
///
/// The first of its keys encrypts, all of them decrypt, so that a key is replaced by putting a new
/// one in front. A stored value is one version byte, the length of the key's id and the id, a nonce
/// of 12 random bytes, and the ciphertext with its tag.
///
/// ```
/// use identity_store::Crypter;
///
/// let crypter = Crypter::parse("2026:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?;
/// assert_eq!(format!("{crypter:?}"), r#"Crypter { keys: [DataKey { id: "2026", .. }] }"#);
/// # Ok::<(), identity_store::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Crypter {
    keys: Vec<DataKey>,
}

impl Crypter {
    /// A crypter that encrypts with the first of `keys` and decrypts with any.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for no key, or two of one id.
    pub fn new(keys: Vec<DataKey>) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::Key("there is none"));
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|earlier| earlier.id == key.id) {
                return Err(Error::Key("two have the same id"));
            }
        }
        Ok(Self { keys })
    }

    /// Reads `id:key[,id:key…]`, the form of `IDENTITY_DATA_ENCRYPTION_KEYS` (contract §14).
    ///
    /// # Errors
    ///
    /// [`Error::Key`] for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        Self::new(text.split(',').map(DataKey::parse).collect::<Result<_>>()?)
    }

    /// `plaintext` for storage in `place`.
    pub(crate) fn encrypt(
        &self,
        place: Place<'_>,
        plaintext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>> {
        let failed = || Error::Key("a value is too long to be encrypted");
        let key = self.keys.first().ok_or(Error::Key("there is none"))?;
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let payload = Payload {
            msg: plaintext,
            aad: &place.associated_data(),
        };
        let ciphertext = cipher(key)
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| failed())?;
        let id_len = u8::try_from(key.id.len()).map_err(|_| failed())?;
        let mut stored = vec![VERSION, id_len];
        stored.extend_from_slice(key.id.as_bytes());
        stored.extend_from_slice(&nonce);
        stored.extend_from_slice(&ciphertext);
        Ok(stored)
    }

    /// The plaintext of what [`encrypt`](Self::encrypt) made for the same place.
    pub(crate) fn decrypt(&self, place: Place<'_>, stored: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let opened = || {
            let (&version, rest) = stored.split_first()?;
            let (&id_len, rest) = rest.split_first()?;
            let (id, rest) = rest.split_at_checked(id_len.into())?;
            let (nonce, ciphertext) = rest.split_at_checked(NONCE_LEN)?;
            let key = self.keys.iter().find(|key| key.id.as_bytes() == id)?;
            let nonce = <[u8; NONCE_LEN]>::try_from(nonce).ok()?;
            let payload = Payload {
                msg: ciphertext,
                aad: &place.associated_data(),
            };
            (version == VERSION)
                .then(|| cipher(key).decrypt(&Nonce::from(nonce), payload).ok())
                .flatten()
        };
        opened()
            .map(Zeroizing::new)
            .ok_or_else(|| place.unreadable())
    }
}

fn cipher(key: &DataKey) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key.key))
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
            let refused = crypter.decrypt(elsewhere, &stored);
            assert!(
                matches!(refused, Err(Error::Decrypt { .. })),
                "{elsewhere:?}"
            );
        }
    }

    #[test]
    fn a_new_key_in_front_leaves_old_values_readable_and_a_dropped_key_does_not() {
        let old = crypter(&[("a", 1)]);
        let stored = old.encrypt(HOME, b"canary", &mut rng()).unwrap();
        let rotated = crypter(&[("b", 2), ("a", 1)]);
        assert_eq!(*rotated.decrypt(HOME, &stored).unwrap(), b"canary");
        let anew = rotated.encrypt(HOME, b"canary", &mut rng()).unwrap();
        assert!(matches!(
            old.decrypt(HOME, &anew),
            Err(Error::Decrypt { .. })
        ));
        // The id is known, the key is another.
        let other = crypter(&[("a", 9)]);
        assert!(matches!(
            other.decrypt(HOME, &stored),
            Err(Error::Decrypt { .. })
        ));
    }

    #[test]
    fn no_cut_and_no_flipped_bit_opens() {
        let crypter = crypter(&[("a", 1)]);
        let stored = crypter.encrypt(HOME, b"canary", &mut rng()).unwrap();
        for length in 0..stored.len() {
            assert!(
                crypter.decrypt(HOME, &stored[..length]).is_err(),
                "{length}"
            );
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
        let ids: Vec<_> = Crypter::parse(&good)
            .unwrap()
            .keys
            .into_iter()
            .map(|k| k.id)
            .collect();
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
