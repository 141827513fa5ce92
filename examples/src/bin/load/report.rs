//! What a run says at its end: a row for each figure, as `just bench` prints them.

use std::fmt;

/// A figure, and what it has to be.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    figure: f64,
    unit: &'static str,
    bar: Option<Bar>,
}

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    /// A figure that has no bar.
    pub(crate) fn plain(what: impl Into<String>, figure: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            figure,
            unit,
            bar: None,
        }
    }

    /// A figure that has one.
    pub(crate) fn measured(
        what: impl Into<String>,
        figure: f64,
        unit: &'static str,
        bar: Bar,
    ) -> Self {
        Self {
            bar: Some(bar),
            ..Self::plain(what, figure, unit)
        }
    }

    /// Whether the bar holds, if there is one.
    pub(crate) fn holds(&self) -> bool {
        match self.bar {
            None => true,
            Some(Bar::AtLeast(bar)) => self.figure >= bar,
            Some(Bar::AtMost(bar)) => self.figure <= bar,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, .. } = self;
        let places = if self.figure.abs() < 100.0 { 2 } else { 0 };
        write!(f, "| {what} | {:.places$}{unit} | ", self.figure)?;
        match self.bar {
            None => return write!(f, "none | |"),
            Some(Bar::AtLeast(bar)) => write!(f, "≥ {bar}{unit}")?,
            Some(Bar::AtMost(bar)) => write!(f, "≤ {bar}{unit}")?,
        }
        let verdict = if self.holds() { "holds" } else { "falls short" };
        write!(f, " | {verdict} |")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_bar_holds() {
        let row = |figure, bar| Row::measured("speed", figure, " ×", bar).to_string();
        let said = row(0.5, Bar::AtLeast(0.5));
        assert_eq!(said, "| speed | 0.50 × | ≥ 0.5 × | holds |");
        let said = row(0.49, Bar::AtLeast(0.5));
        assert_eq!(said, "| speed | 0.49 × | ≥ 0.5 × | falls short |");
        let said = row(131.4, Bar::AtMost(130.0));
        assert_eq!(said, "| speed | 131 × | ≤ 130 × | falls short |");
        let said = Row::plain("speed", 3.0, "/s").to_string();
        assert_eq!(said, "| speed | 3.00/s | none | |");
    }

    #[test]
    fn what_could_not_be_measured_does_not_hold() {
        assert!(!Row::measured("speed", f64::NAN, " ×", Bar::AtLeast(0.5)).holds());
        assert!(!Row::measured("speed", f64::NAN, " ×", Bar::AtMost(0.5)).holds());
    }
}
