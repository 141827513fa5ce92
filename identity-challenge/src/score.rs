/// How many scores and thresholds the palm server gives (contract §9).
pub const SCORES: usize = 4;

/// A number from the palm server that cannot be judged. No try is consumed by it.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum VendorFault {
    /// Not four of them.
    #[error("the palm server gave {length} {what}, not {SCORES}")]
    Length {
        /// `scores` or `thresholds`.
        what: &'static str,
        /// How many there were.
        length: usize,
    },
    /// NaN or an infinity.
    #[error("the palm server gave {value} in place {index} of its {what}")]
    NotFinite {
        /// `scores` or `thresholds`.
        what: &'static str,
        /// Which one.
        index: usize,
        /// What it was.
        value: f64,
    },
    /// A threshold in use that any score reaches.
    #[error("the palm server gave the threshold {value} in place {index}, which is not above 0")]
    NotPositive {
        /// Which one.
        index: usize,
        /// What it was.
        value: f64,
    },
}

fn four_finite(what: &'static str, values: &[f64]) -> Result<[f64; SCORES], VendorFault> {
    let four: [f64; SCORES] = values.try_into().map_err(|_| VendorFault::Length {
        what,
        length: values.len(),
    })?;
    match four
        .iter()
        .enumerate()
        .find(|(_, value)| !value.is_finite())
    {
        Some((index, &value)) => Err(VendorFault::NotFinite { what, index, value }),
        None => Ok(four),
    }
}

/// Four finite similarity scores of one candidate; higher is more alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores([f64; SCORES]);

impl Scores {
    /// Takes the palm server's numbers.
    ///
    /// # Errors
    ///
    /// [`VendorFault`] on another length, NaN or an infinity.
    pub fn parse(values: &[f64]) -> Result<Self, VendorFault> {
        four_finite("scores", values).map(Self)
    }

    /// The scores in the palm server's order.
    #[must_use]
    pub const fn as_array(&self) -> &[f64; SCORES] {
        &self.0
    }
}

/// The palm server's four thresholds: a score below its threshold does not pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds([f64; SCORES]);

impl Thresholds {
    /// Takes the palm server's numbers.
    ///
    /// # Errors
    ///
    /// [`VendorFault`] on another length, NaN or an infinity.
    pub fn parse(values: &[f64]) -> Result<Self, VendorFault> {
        four_finite("thresholds", values).map(Self)
    }

    /// The thresholds in the palm server's order.
    #[must_use]
    pub const fn as_array(&self) -> &[f64; SCORES] {
        &self.0
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Scores {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Scores {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = <[f64; SCORES]>::deserialize(deserializer)?;
        Self::parse(&values).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_finite_numbers_and_nothing_else() {
        assert!(Scores::parse(&[0.0, -1.0, f64::MAX, 0.5]).is_ok());
        for length in [0, 1, 3, 5, 400] {
            assert_eq!(
                Scores::parse(&vec![0.9; length]),
                Err(VendorFault::Length {
                    what: "scores",
                    length
                })
            );
        }
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for index in 0..SCORES {
                let mut values = [0.9; SCORES];
                values[index] = bad;
                assert!(matches!(
                    Thresholds::parse(&values),
                    Err(VendorFault::NotFinite { what: "thresholds", index: found, .. }) if found == index
                ));
            }
        }
    }
}
