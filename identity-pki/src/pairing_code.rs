use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Error, PairingCodeHash};

pub(crate) const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Characters of a code: 36⁹ codes, 46.5 bits (§9.2.1 of the product's specification).
const LEN: usize = 9;

/// The longest text that is looked at: a code that somebody spaced out generously.
const MAX_TYPED_LEN: usize = 64;

/// The code that an operator reads out and a scanner's user types: nine letters and digits.
///
/// It is shown once and stored as its [`PairingCodeHash`]. Hence there is no `Display`, and `Debug`
/// tells nothing.
///
/// ```
/// use identity_pki::{PairingCode, PairingPepper};
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
///
/// let pepper = PairingPepper::generate(&mut rng);
/// let code = PairingCode::generate(&mut rng);
/// let stored = code.lookup_hash(&pepper);
///
/// let typed = code.as_str().to_lowercase();
/// let typed = format!(" {}-{} ", &typed[..4], &typed[4..]);
/// assert_eq!(PairingCode::parse(&typed)?.lookup_hash(&pepper), stored);
/// # Ok::<(), identity_pki::Error>(())
/// ```
#[derive(Clone)]
pub struct PairingCode(String);

impl PairingCode {
    /// Draws a code; each is as likely as any other.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self(draw(LEN, rng))
    }

    /// Reads a typed code: spaces and hyphens are dropped and lower case is raised, so that the
    /// hash has one input for each code.
    ///
    /// # Errors
    ///
    /// [`Error::PairingCode`] for anything but nine letters `A` to `Z` and digits.
    pub fn parse(typed: &str) -> Result<Self, Error> {
        if typed.len() > MAX_TYPED_LEN {
            return Err(Error::PairingCode);
        }
        let mut code = Self(String::with_capacity(MAX_TYPED_LEN));
        code.0.extend(
            typed
                .trim()
                .chars()
                .filter(|c| !matches!(c, ' ' | '-'))
                .map(|c| c.to_ascii_uppercase()),
        );
        let in_alphabet = |byte| ALPHABET.contains(&byte);
        if code.0.len() == LEN && code.0.bytes().all(in_alphabet) {
            Ok(code)
        } else {
            Err(Error::PairingCode)
        }
    }

    /// The code, to be shown once.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up in its place: HMAC-SHA-256 (RFC 2104) under the server's
    /// pepper. A stolen table does not give the codes away, and a look-up is one equality.
    #[must_use]
    pub fn lookup_hash(&self, pepper: &PairingPepper) -> PairingCodeHash {
        let mut mac = pepper.hmac();
        mac.update(self.0.as_bytes());
        PairingCodeHash::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl Drop for PairingCode {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(…)")
    }
}

/// So many letters and digits, each as likely as any other.
pub(crate) fn draw(len: usize, rng: &mut (impl CryptoRng + ?Sized)) -> String {
    let mut drawn = String::with_capacity(len);
    while drawn.len() < len {
        let mut byte = [0];
        rng.fill_bytes(&mut byte);
        // 252 is the largest multiple of 36 in a byte: what is above would favour the first
        // letters.
        let letter = match byte {
            [byte @ 0..252] => ALPHABET.get(usize::from(byte) % ALPHABET.len()),
            _ => None,
        };
        drawn.extend(letter.map(|letter| char::from(*letter)));
    }
    drawn
}

/// The server's secret under which pairing codes are hashed: 32 random bytes.
///
/// Whoever changes it makes the codes that are open at that moment unknown, and nothing else.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PairingPepper([u8; 32]);

impl PairingPepper {
    /// Draws a new pepper.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// A pepper that was made before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, to be stored encrypted.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key shorter than a block of the hash is filled up with zeros (RFC 2104 §2).
    pub(crate) fn hmac(&self) -> Hmac<Sha256> {
        let mut block = Zeroizing::new([0; 64]);
        block
            .iter_mut()
            .zip(self.0)
            .for_each(|(to, from)| *to = from);
        Hmac::new((&*block).into())
    }
}

impl fmt::Debug for PairingPepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingPepper(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::UnwrapErr;

    #[test]
    fn each_character_of_the_alphabet_is_drawn_about_as_often() {
        let mut rng = UnwrapErr(getrandom::SysRng);
        let mut counts = [0_u32; 128];
        for _ in 0..8_000 {
            for byte in PairingCode::generate(&mut rng).as_str().bytes() {
                counts[usize::from(byte)] += 1;
            }
        }
        // 72,000 draws: 2,000 each, with a standard deviation of 44. Taking bytes modulo 36 would
        // give A to D 2,250 each.
        for letter in ALPHABET {
            let count = counts[usize::from(*letter)];
            assert!((1_700..2_230).contains(&count), "{letter}: {count}");
        }
        assert_eq!(counts.iter().sum::<u32>(), 72_000);
    }

    #[test]
    fn every_way_of_typing_a_code_has_one_hash() {
        let pepper = PairingPepper::from_bytes([7; 32]);
        let hash = PairingCode::parse("AB12CD34E")
            .unwrap()
            .lookup_hash(&pepper);
        for typed in [
            "ab12cd34e",
            " AB1-2CD-34E\n",
            "A B 1 2 c d 3 4 e",
            "--ab12cd34e--",
        ] {
            let code = PairingCode::parse(typed).unwrap();
            assert_eq!(code.as_str(), "AB12CD34E");
            assert_eq!(code.lookup_hash(&pepper), hash, "{typed}");
        }
    }

    #[test]
    fn other_texts_are_no_codes() {
        let spaced = format!("AB12CD34E{}", " ".repeat(64));
        for typed in [
            "",
            "AB12CD34",
            "AB12CD34EF",
            "AB12CD34É",
            "AB12_D34E",
            "ÀB12CD34",
            &spaced,
        ] {
            assert_eq!(
                PairingCode::parse(typed).unwrap_err(),
                Error::PairingCode,
                "{typed}"
            );
        }
        // U+0131 and U+017F are raised to I and S by Unicode, but not here.
        assert!(PairingCode::parse("ab12cd34ı").is_err());
        assert!(PairingCode::parse("ab12cd34ſ").is_err());
    }

    /// HMAC-SHA-256 of the code as `openssl dgst -sha256 -mac HMAC` prints it.
    #[test]
    fn the_hash_is_hmac_sha_256_under_the_pepper() {
        let code = PairingCode::parse("AB12CD34E").unwrap();
        let hash = |byte| {
            code.lookup_hash(&PairingPepper::from_bytes([byte; 32]))
                .to_string()
        };
        assert_eq!(
            hash(7),
            "8d4730f2b34e9bcbc0b79acb54d1391580fbbd392efecfb843be1b95882d9b57"
        );
        assert_ne!(hash(7), hash(8));
    }

    #[test]
    fn neither_code_nor_pepper_shows_itself() {
        let code = PairingCode::parse("AB12CD34E").unwrap();
        assert_eq!(format!("{code:?}"), "PairingCode(…)");
        let pepper = PairingPepper::from_bytes([0xab; 32]);
        assert_eq!(format!("{pepper:?}"), "PairingPepper(…)");
    }
}
