use std::fmt;
use std::str::FromStr;

use time::{Date, OffsetDateTime};

use crate::{Error, Result};

/// A calendar month in UTC, written `2026-11`.
///
/// ```
/// use identity_store::Month;
///
/// let november: Month = "2026-11".parse()?;
/// assert_eq!(november.next().to_string(), "2026-12");
/// assert!(november.start() < november.next().start());
/// # Ok::<(), identity_store::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// Its first day.
    first: Date,
}

impl Month {
    /// The month in which `at` falls.
    #[must_use]
    pub fn of(at: OffsetDateTime) -> Self {
        let date = at.to_offset(time::UtcOffset::UTC).date();
        Self {
            // Every month has a first day.
            first: date.replace_day(1).unwrap_or(date),
        }
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> OffsetDateTime {
        self.first.midnight().assume_utc()
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        // From a first day, 31 days on is the next month, whose first day is in reach.
        Self::of(self.start().saturating_add(time::Duration::days(31)))
    }

    /// The month `months` before it.
    #[must_use]
    pub fn before(self, months: u32) -> Self {
        (0..months).fold(self, |month, _| {
            Self::of(month.start().saturating_sub(time::Duration::days(1)))
        })
    }

    /// Its year.
    #[must_use]
    pub fn year(self) -> i32 {
        self.first.year()
    }

    /// Its number in the year, 1 to 12.
    #[must_use]
    pub fn number(self) -> u8 {
        self.first.month().into()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year(), self.number())
    }
}

impl FromStr for Month {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::Month`] for anything but `YYYY-MM`.
    fn from_str(text: &str) -> Result<Self> {
        let month = || {
            let (year, month) = text.split_once('-')?;
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            let is_written_so =
                year.len() == 4 && month.len() == 2 && digits(year) && digits(month);
            let number = time::Month::try_from(month.parse::<u8>().ok()?).ok()?;
            let first = Date::from_calendar_date(year.parse().ok()?, number, 1).ok()?;
            is_written_so.then_some(Self { first })
        };
        month().ok_or(Error::Month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_written_one_way() {
        for good in ["2026-11", "2024-02", "1999-12", "0001-01"] {
            assert_eq!(good.parse::<Month>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "2026-1",
            "26-11",
            "+026-11",
            "2026-11-01",
        ] {
            assert!(matches!(bad.parse::<Month>(), Err(Error::Month)), "{bad}");
        }
    }

    #[test]
    fn months_follow_one_another() {
        let mut month: Month = "2023-11".parse().unwrap();
        for expected in ["2023-12", "2024-01", "2024-02", "2024-03"] {
            let end = month.next().start() - time::Duration::MILLISECOND;
            assert_eq!(Month::of(end), month);
            assert_eq!(month.next().before(1), month);
            month = month.next();
            assert_eq!(month.to_string(), expected);
            assert_eq!(Month::of(month.start()), month);
        }
        assert_eq!(month.before(4).to_string(), "2023-11");
    }
}
