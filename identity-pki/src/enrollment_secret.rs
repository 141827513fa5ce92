use std::fmt;

use hmac::Mac as _;
use rand_core::CryptoRng;
use zeroize::Zeroize;

use crate::pairing_code::{ALPHABET, draw};
use crate::{Error, PairingCodeHash, PairingPepper};

/// What every secret begins with, so that whoever finds one knows what it is.
const PREFIX: &str = "enr_";

/// Characters behind that: 36²⁶ secrets, 134 bits.
const LEN: usize = 26;

/// What sets its hash apart from a pairing code's, which has fewer bytes than this.
const CONTEXT: &[u8] = b"enrollment secret\0";

/// What a device that was registered by its serial number pairs with, in place of a pairing code.
///
/// It is shown once and stored as its [`PairingCodeHash`], into which the serial number goes: with another
/// serial number the secret is unknown. Hence there is no `Display`, and `Debug` tells nothing.
///
/// ```
/// use identity_pki::{EnrollmentSecret, PairingPepper};
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
///
/// let pepper = PairingPepper::generate(&mut rng);
/// let secret = EnrollmentSecret::generate(&mut rng);
/// let stored = secret.lookup_hash(&pepper, "SN-1");
///
/// let sent = EnrollmentSecret::parse(secret.as_str())?;
/// assert_eq!(sent.lookup_hash(&pepper, "SN-1"), stored);
/// assert_ne!(sent.lookup_hash(&pepper, "SN-2"), stored);
/// # Ok::<(), identity_pki::Error>(())
/// ```
#[derive(Clone)]
pub struct EnrollmentSecret(String);

impl EnrollmentSecret {
    /// Draws a secret; each is as likely as any other.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut drawn = draw(LEN, rng);
        let secret = Self(format!("{PREFIX}{drawn}"));
        drawn.zeroize();
        secret
    }

    /// Reads a secret as it was shown. Programs copy it: nobody types it.
    ///
    /// # Errors
    ///
    /// [`Error::EnrollmentSecret`] for anything but `enr_` and 26 letters `A` to `Z` and digits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let drawn = text.strip_prefix(PREFIX).ok_or(Error::EnrollmentSecret)?;
        if drawn.len() == LEN && drawn.bytes().all(|byte| ALPHABET.contains(&byte)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::EnrollmentSecret)
        }
    }

    /// The secret, to be shown once.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up in its place: HMAC-SHA-256 (RFC 2104) of secret and serial number
    /// under the server's pepper.
    #[must_use]
    pub fn lookup_hash(&self, pepper: &PairingPepper, serial: &str) -> PairingCodeHash {
        let mut mac = pepper.hmac();
        mac.update(CONTEXT);
        // All secrets are of one length: where it ends the serial number begins.
        mac.update(self.0.as_bytes());
        mac.update(serial.as_bytes());
        PairingCodeHash::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl Drop for EnrollmentSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for EnrollmentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrollmentSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "enr_ABCDEFGHIJKLM0123456789XYZ";

    #[test]
    fn a_secret_is_read_as_it_was_shown() {
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let secret = EnrollmentSecret::generate(&mut rng);
        let read = EnrollmentSecret::parse(secret.as_str()).unwrap();
        assert_eq!(read.as_str(), secret.as_str());
        assert!(EnrollmentSecret::parse(SHOWN).is_ok());
        for other in [
            "",
            "enr_",
            "ABCDEFGHIJKLM0123456789XYZ",
            "enr_ABCDEFGHIJKLM0123456789XY",
            "enr_ABCDEFGHIJKLM0123456789XYZA",
            "enr_abcdefghijklm0123456789xyz",
            " enr_ABCDEFGHIJKLM0123456789XYZ",
            "AB12CD34E",
        ] {
            let refused = EnrollmentSecret::parse(other).unwrap_err();
            assert_eq!(refused, Error::EnrollmentSecret, "{other}");
        }
    }

    /// HMAC-SHA-256 as `openssl dgst -sha256 -mac HMAC` prints it, of the context with its NUL, the secret
    /// and the serial number.
    #[test]
    fn the_hash_is_of_secret_and_serial_number_under_the_pepper() {
        let secret = EnrollmentSecret::parse(SHOWN).unwrap();
        let hash = |byte, serial| {
            let pepper = PairingPepper::from_bytes([byte; 32]);
            secret.lookup_hash(&pepper, serial).to_string()
        };
        assert_eq!(
            hash(7, "SN-1"),
            "bf160e536247a7fd5dde016fabe562bc008bb7fd53dc9ee825a5d90e66583fbb"
        );
        assert_ne!(hash(7, "SN-1"), hash(8, "SN-1"));
        assert_ne!(hash(7, "SN-1"), hash(7, "SN-2"));
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let secret = EnrollmentSecret::parse(SHOWN).unwrap();
        assert_eq!(format!("{secret:?}"), "EnrollmentSecret(…)");
    }
}
