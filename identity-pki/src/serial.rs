use std::fmt;
use std::str::FromStr;

use rand_core::CryptoRng;

use crate::Error;

/// A certificate's serial number: positive and of at most 20 octets (RFC 5280 §4.1.2.2).
///
/// Ours are drawn, not counted: 159 random bits, the most that 20 octets hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber([u8; 20]);

impl SerialNumber {
    /// Draws a serial number of 159 random bits.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = [0; 20];
        rng.fill_bytes(&mut bytes);
        bytes[0] &= 0x7f;
        // Zero is no serial number; a sound generator draws it once in 2^159 times.
        bytes[19] |= u8::from(bytes == [0; 20]);
        Self(bytes)
    }

    /// The contents octets of an INTEGER as they stand in a certificate.
    ///
    /// # Errors
    ///
    /// [`Error::SerialNumber`] when the number is empty, negative, zero, not minimal or longer than
    /// 20 octets.
    pub fn from_der_contents(octets: &[u8]) -> Result<Self, Error> {
        let refused = || Error::SerialNumber {
            length: octets.len(),
        };
        let first = *octets.first().ok_or_else(refused)?;
        let padded = first == 0 && octets.get(1).is_none_or(|second| second & 0x80 == 0);
        let magnitude = octets.strip_prefix(&[0]).unwrap_or(octets);
        let mut bytes = [0; 20];
        match bytes.len().checked_sub(magnitude.len()) {
            Some(start) if first & 0x80 == 0 && !padded && octets.len() <= 20 => {
                bytes[start..].copy_from_slice(magnitude);
                Ok(Self(bytes))
            }
            _ => Err(refused()),
        }
    }

    /// The number, big-endian, padded with zeros to 20 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

/// 40 lower-case hexadecimal digits.
impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SerialNumber {
    type Err = Error;

    /// Reads what `Display` writes: 40 lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::Hex {
            what: "a serial number",
            expected: "40 lower-case hexadecimal digits",
            length: text.len(),
        };
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(refused());
        }
        let mut bytes = [0; 20];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| refused())?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A generator that answers one byte for ever.
    struct Only(u8);

    impl rand_core::TryRng for Only {
        type Error = std::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(u32::from_be_bytes([self.0; 4]))
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::from_be_bytes([self.0; 8]))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Only {}

    #[test]
    fn all_of_the_159_bits_of_a_serial_number_are_drawn() {
        let ones = SerialNumber::generate(&mut Only(0xff));
        let bits: u32 = ones.as_bytes().iter().map(|byte| byte.count_ones()).sum();
        assert_eq!((bits, ones.as_bytes()[0]), (159, 0x7f));
        let zeros = SerialNumber::generate(&mut Only(0));
        assert_eq!(zeros, SerialNumber::from_der_contents(&[1]).unwrap());
        let pattern = SerialNumber::generate(&mut Only(0x5a));
        assert_eq!(pattern.as_bytes(), &[0x5a; 20]);
    }

    #[test]
    fn der_contents_are_positive_minimal_and_at_most_twenty_octets() {
        let longest = [0x7f; 20];
        for good in [&[1][..], &[0x7f], &[0, 0x80], &[0, 0xff], &longest] {
            assert!(SerialNumber::from_der_contents(good).is_ok(), "{good:x?}");
        }
        for bad in [&[][..], &[0], &[0x80], &[0, 0x7f], &[0xff; 20], &[1; 21]] {
            assert!(SerialNumber::from_der_contents(bad).is_err(), "{bad:x?}");
        }
    }
}
