//! The rows of the table: name, measured, bar, verdict.

use std::fmt;

/// What a measured value has to be.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Bar {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtMost(bar) => measured <= bar,
            Self::AtLeast(bar) => measured >= bar,
        }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bar) => write!(f, "≤ {bar}"),
            Self::AtLeast(bar) => write!(f, "≥ {bar}"),
        }
    }
}

/// Prints the row of `name`: `measured` and its bar are in `unit`, such as `ns` or `×`.
///
/// `just bench` finds rows by their first character, so nothing else that a bench prints may begin
/// with `|`.
pub fn row(name: &str, measured: f64, bar: Bar, unit: &str) {
    let verdict = if bar.holds(measured) {
        "holds"
    } else {
        "falls short"
    };
    println!(
        "| {name} | {} {unit} | {bar} {unit} | {verdict} |",
        rounded(measured)
    );
}

/// Prints the row of something that cannot be measured on this machine.
pub fn skipped(name: &str, bar: Bar, unit: &str, why: &str) {
    println!("| {name} | – | {bar} {unit} | skipped: {why} |");
}

/// Three significant digits, or all before the point.
fn rounded(value: f64) -> String {
    let before_the_point = value.abs().max(1.0).log10().floor() as usize + 1;
    format!("{value:.*}", 3_usize.saturating_sub(before_the_point))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_belongs_to_what_holds() {
        assert!(Bar::AtMost(3.0).holds(3.0) && !Bar::AtMost(3.0).holds(3.01));
        assert!(Bar::AtLeast(1.5).holds(1.5) && !Bar::AtLeast(1.5).holds(1.49));
    }

    #[test]
    fn figures_have_three_digits() {
        let values = [0.0, 0.0123, 1.2345, 38.44, 260.4, 123_456.7].map(rounded);
        assert_eq!(values, ["0.00", "0.01", "1.23", "38.4", "260", "123457"]);
    }
}
