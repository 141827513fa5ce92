use std::fmt;

use crate::Error;

/// A CRL number (RFC 5280 §5.2.3): not negative, and of at most 20 octets as an INTEGER.
///
/// Each CRL of a CA has a higher number than those before. The caller keeps the last one, where it
/// keeps the CA: two replicas that count by themselves would sign two lists of one number.
///
/// ```
/// use identity_pki::CrlNumber;
///
/// let number = CrlNumber::from(41_u64);
/// assert!(number < CrlNumber::from_be_bytes(&[1, 0])?);
/// assert_eq!(number.to_string(), "29");
/// # Ok::<(), identity_pki::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CrlNumber([u8; 20]);

impl CrlNumber {
    /// The number with these octets, the highest first; leading zeros do not count.
    ///
    /// # Errors
    ///
    /// [`Error::CrlNumber`] when it is 2^159 or more, which is the first that takes 21 octets.
    pub fn from_be_bytes(octets: &[u8]) -> Result<Self, Error> {
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        let (_, magnitude) = octets.split_at(zeros);
        let mut number = [0; 20];
        let refused = || Error::CrlNumber {
            length: magnitude.len(),
        };
        let start = number.len().checked_sub(magnitude.len());
        let (_, end) = number.split_at_mut(start.ok_or_else(refused)?);
        end.copy_from_slice(magnitude);
        match number {
            [first, ..] if first & 0x80 != 0 => Err(refused()),
            _ => Ok(Self(number)),
        }
    }

    /// The number, big-endian, padded with zeros to 20 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl From<u64> for CrlNumber {
    fn from(value: u64) -> Self {
        let mut number = [0; 20];
        let (_, end) = number.split_at_mut(20 - size_of::<u64>());
        end.copy_from_slice(&value.to_be_bytes());
        Self(number)
    }
}

/// Lower-case hexadecimal digits without leading zeros.
impl fmt::Display for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        match digits.trim_start_matches('0') {
            "" => f.write_str("0"),
            digits => f.write_str(digits),
        }
    }
}

impl fmt::Debug for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_at_most_twenty_octets_and_leading_zeros_do_not_count() {
        let mut longest = [0xff; 20];
        longest[0] = 0x7f;
        assert!(CrlNumber::from_be_bytes(&longest).is_ok());
        assert_eq!(CrlNumber::from_be_bytes(&[]), Ok(CrlNumber::from(0)));
        let padded = [&[0; 30][..], &[1, 2]].concat();
        assert_eq!(CrlNumber::from_be_bytes(&padded), Ok(CrlNumber::from(258)));
        for (octets, length) in [(&[0xff; 20][..], 20), (&[1; 21], 21)] {
            let refused = CrlNumber::from_be_bytes(octets);
            assert_eq!(refused, Err(Error::CrlNumber { length }));
        }
        assert_eq!(CrlNumber::from(0).to_string(), "0");
        assert_eq!(CrlNumber::from(u64::MAX).to_string(), "f".repeat(16));
    }
}
