//! Short texts for people: names, places.

use std::fmt;

use serde::Deserialize;

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
