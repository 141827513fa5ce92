//! Values to columns and back. What a column cannot hold is [`Error::Corrupt`], never a panic.

use super::row::{Readable, Row};
use identity_pki::{DeviceId, DeviceIdentity, SerialNumber};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{Deserialize, IntoDeserializer};
use time::OffsetDateTime;

use crate::{Cursor, Error, PageRequest, Result};

/// A moment as milliseconds since the Unix epoch.
pub(super) fn ms(at: OffsetDateTime) -> i64 {
    let millis = at.unix_timestamp_nanos().div_euclid(1_000_000);
    // The years that OffsetDateTime spans have far fewer milliseconds than i64 counts.
    i64::try_from(millis).unwrap_or(i64::MAX)
}

/// A value as JSON text.
pub(super) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|_| UNWRITABLE)
}

/// A unit variant as its one spelling.
pub(super) fn word(value: &impl Serialize) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(_) | Err(_) => Err(UNWRITABLE),
    }
}

const UNWRITABLE: Error = Error::Corrupt {
    table: "value",
    column: "to be stored",
};

/// A row of one table, for the error that names what cannot be read.
#[derive(Clone, Copy)]
pub(super) struct Columns<'r> {
    row: &'r Row,
    table: &'static str,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r Row, table: &'static str) -> Self {
        Self { row, table }
    }

    pub(super) fn corrupt(&self, column: &'static str) -> Error {
        Error::Corrupt {
            table: self.table,
            column,
        }
    }

    /// A column as the database holds it; `Option` for one that may be NULL.
    pub(super) fn get<T>(&self, column: &'static str) -> Result<T>
    where
        T: Readable<'r>,
    {
        self.row.get(column).map_err(|_| self.corrupt(column))
    }

    /// A count or number within the range of `T`.
    pub(super) fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        T::try_from(self.get::<i64>(column)?).map_err(|_| self.corrupt(column))
    }

    pub(super) fn time(&self, column: &'static str) -> Result<OffsetDateTime> {
        self.moment(column, self.get(column)?)
    }

    pub(super) fn time_option(&self, column: &'static str) -> Result<Option<OffsetDateTime>> {
        self.get::<Option<i64>>(column)?
            .map(|millis| self.moment(column, millis))
            .transpose()
    }

    pub(super) fn moment(&self, column: &'static str, millis: i64) -> Result<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .map_err(|_| self.corrupt(column))
    }

    pub(super) fn bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N]> {
        self.get::<&[u8]>(column)?
            .try_into()
            .map_err(|_| self.corrupt(column))
    }

    pub(super) fn serial(&self, column: &'static str) -> Result<SerialNumber> {
        let octets: [u8; 20] = self.bytes(column)?;
        hex::encode(octets)
            .parse()
            .map_err(|_| self.corrupt(column))
    }

    /// Text that a type reads itself: an id, a name.
    pub(super) fn parse<T: std::str::FromStr>(&self, column: &'static str) -> Result<T> {
        self.get::<&str>(column)?
            .parse()
            .map_err(|_| self.corrupt(column))
    }

    pub(super) fn parse_option<T: std::str::FromStr>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>> {
        self.get::<Option<&str>>(column)?
            .map(|text| text.parse().map_err(|_| self.corrupt(column)))
            .transpose()
    }

    /// What [`word`] wrote.
    pub(super) fn word<T: for<'de> Deserialize<'de>>(&self, column: &'static str) -> Result<T> {
        let text: StrDeserializer<'_, WordError> = self.get::<&str>(column)?.into_deserializer();
        T::deserialize(text).map_err(|_| self.corrupt(column))
    }

    /// What [`json`] wrote.
    pub(super) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        serde_json::from_str(self.get::<&str>(column)?).map_err(|_| self.corrupt(column))
    }

    pub(super) fn json_option<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>> {
        self.get::<Option<&str>>(column)?
            .map(|text| serde_json::from_str(text).map_err(|_| self.corrupt(column)))
            .transpose()
    }

    /// The columns `tenant_id` and `device_id`.
    pub(super) fn identity(&self) -> Result<DeviceIdentity> {
        let device_id: DeviceId = self.parse("device_id")?;
        Ok(DeviceIdentity::new(self.parse("tenant_id")?, device_id))
    }
}

/// Where a page starts, and how many rows to read to know whether there is another.
#[derive(Debug)]
pub(super) struct Window {
    /// The moment that the page before ended with; for the first page one that is later than all, so
    /// that an index is entered where the page begins.
    pub(super) at: i64,
    /// The id that the page before ended with.
    pub(super) id: String,
    /// One more than the page holds.
    pub(super) rows: i64,
}

impl Window {
    pub(super) fn of(page: &PageRequest) -> Result<Self> {
        let rows = i64::from(page.limit).saturating_add(1);
        let Some(after) = page.after.as_ref().map(Cursor::key) else {
            return Ok(Self {
                at: i64::MAX,
                id: String::new(),
                rows,
            });
        };
        let (at, id) = after.split_once(' ').ok_or(Error::Cursor)?;
        Ok(Self {
            at: at.parse().map_err(|_| Error::Cursor)?,
            id: id.to_owned(),
            rows,
        })
    }
}

/// The cursor's text behind the row of `id`, made at `at`.
pub(super) fn place(at: OffsetDateTime, id: &str) -> String {
    format!("{} {id}", ms(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn four_scores_come_back_to_the_last_bit(scores: [f64; 4]) {
            prop_assume!(scores.iter().all(|score| score.is_finite()));
            let stored = json(&scores).unwrap();
            let read: [f64; 4] = serde_json::from_str(&stored).unwrap();
            prop_assert_eq!(read.map(f64::to_bits), scores.map(f64::to_bits));
        }

        #[test]
        fn a_moment_is_stored_as_the_millisecond_that_it_falls_in(nanos in -1_i64 << 60..1 << 60) {
            let at = OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).unwrap();
            prop_assert_eq!(ms(at), nanos.div_euclid(1_000_000));
            let cut = crate::posting::to_millisecond(at);
            prop_assert_eq!(ms(cut), ms(at), "cut off and stored, a moment is the same");
        }
    }

    #[test]
    fn a_cursor_is_the_place_behind_a_row_and_nothing_else() {
        let at = OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(5);
        let page = |key: &str| PageRequest {
            limit: 10,
            after: Some(Cursor::after(key)),
        };
        let window = Window::of(&page(&place(at, "dev_1"))).unwrap();
        assert_eq!((window.at, window.id.as_str()), (5, "dev_1"));
        assert_eq!(window.rows, 11);
        for key in ["", "5", "x dev_1", "dev_1 5"] {
            assert!(
                matches!(Window::of(&page(key)), Err(Error::Cursor)),
                "{key}"
            );
        }
    }
}
