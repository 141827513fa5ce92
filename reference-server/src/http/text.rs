//! Members of requests: short texts for people, such as names and places, and what may be `null`.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A line of 1 to `MAX` characters without control characters, and without white space around it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Line<const MAX: usize>(String);

impl<const MAX: usize> Line<MAX> {
    /// The text.
    #[must_use]
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Text that is no [`Line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotALine {
    max: usize,
}

impl fmt::Display for NotALine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max;
        write!(
            f,
            "must be 1 to {max} characters on one line, without white space around them"
        )
    }
}

impl<const MAX: usize> TryFrom<String> for Line<MAX> {
    type Error = NotALine;

    fn try_from(text: String) -> Result<Self, NotALine> {
        let fits = (1..=MAX).contains(&text.chars().count());
        if fits && text.trim() == text && !text.chars().any(char::is_control) {
            Ok(Self(text))
        } else {
            Err(NotALine { max: MAX })
        }
    }
}

/// A member that is there, if only as `null`: what an edit leaves out is not what it removes.
pub(crate) fn present<'de, T, D>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_and_on_one_line() {
        for good in ["a", "Front desk", "Tor Süd", "äöüß"] {
            assert!(Line::<10>::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
        for bad in ["", " ", " a", "a\n", "a\u{0}b", "a\u{7f}", "elevenchars"] {
            assert!(Line::<10>::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
