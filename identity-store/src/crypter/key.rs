use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::stored::{NONCE_LEN, Stored};
use crate::{Error, Result};

const KEY_LEN: usize = 32;
const MAX_ID_LEN: usize = 64;

/// An AES-256 key and the id by which stored values name it.
///
/// An id is never given to a second key: each database remembers which key it first saw under an id,
/// and refuses another.
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

    /// The id that stored values name it by.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `plaintext` as it is stored. `None` when it is longer than GCM takes (NIST SP 800-38D §5.2.1.1).
    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        associated_data: &[u8],
        plaintext: &[u8],
    ) -> Option<Vec<u8>> {
        let payload = Payload {
            msg: plaintext,
            aad: associated_data,
        };
        let ciphertext = self.cipher().encrypt(&nonce.into(), payload).ok()?;
        let stored = Stored {
            key_id: self.id.as_bytes(),
            nonce,
            ciphertext: &ciphertext,
        };
        stored.encode()
    }

    /// The plaintext of a stored value, if this key and these data made it.
    pub(super) fn open(
        &self,
        stored: &Stored<'_>,
        associated_data: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let payload = Payload {
            msg: stored.ciphertext,
            aad: associated_data,
        };
        let plaintext = self.cipher().decrypt(&stored.nonce.into(), payload).ok()?;
        Some(Zeroizing::new(plaintext))
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&(*self.key).into())
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
