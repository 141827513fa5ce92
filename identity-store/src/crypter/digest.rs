use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{Error, Result, SecretBytes};

/// Keys the digests by which rows are found whose text is encrypted: HMAC-SHA-256 (RFC 2104).
///
/// Whoever holds the database alone can neither read such a text nor try texts against its digest.
pub(crate) struct LookupKey(Zeroizing<[u8; 32]>);

impl LookupKey {
    /// The key that a secret of the platform is.
    pub(crate) fn new(secret: &SecretBytes) -> Result<Self> {
        let key = secret.expose().try_into().map_err(|_| Error::Corrupt {
            table: "platform_secrets",
            column: "secret",
        })?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// The digest of an address in canonical form.
    pub(crate) fn email(&self, canonical: &str) -> [u8; 32] {
        // A key shorter than a block of the hash is filled up with zeros (RFC 2104 §2).
        let mut block = Zeroizing::new([0; 64]);
        let bytes = block.iter_mut().zip(*self.0);
        bytes.for_each(|(to, from)| *to = from);
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(canonical.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for LookupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LookupKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_hmac_sha_256() {
        // Python: hmac.new(bytes([7] * 32), b"root@example.com", "sha256").hexdigest()
        let key = LookupKey::new(&SecretBytes::new([7; 32])).unwrap();
        assert_eq!(
            hex::encode(key.email("root@example.com")),
            "c08fbe30fb896e488cdfac77db329b5a3464e50e3293efa493cba5d7c1066eb8"
        );
        assert!(LookupKey::new(&SecretBytes::new([7; 31])).is_err());
    }
}
