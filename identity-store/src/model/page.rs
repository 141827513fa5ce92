use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// Which part of a list to read: newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// How many at the most, 1 to 200.
    pub limit: u32,
    /// Where the page before ended; `None` reads the first page.
    pub after: Option<Cursor>,
}

impl PageRequest {
    /// The first page.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }
}

/// Where a page ended: opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor behind the row that is sorted by `key`.
    pub(crate) fn after(key: &str) -> Self {
        Self(key.to_owned())
    }

    /// The sort key of the row that the page before ended with.
    pub(crate) fn key(&self) -> &str {
        &self.0
    }

    /// The text that clients carry.
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    ///
    /// [`Error::Cursor`] for anything else.
    pub fn decode(text: &str) -> Result<Self, Error> {
        if text.len() > 512 {
            return Err(Error::Cursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Cursor)?;
        let key = String::from_utf8(bytes).map_err(|_| Error::Cursor)?;
        if key.contains(char::is_control) {
            return Err(Error::Cursor);
        }
        Ok(Self(key))
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where to go on, when there is more.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Cuts `rows`, which were read one beyond `limit`, to a page.
    pub(crate) fn cut(mut rows: Vec<T>, limit: u32, key: impl Fn(&T) -> String) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows
            .last()
            .filter(|_| more)
            .map(|row| Cursor::after(&key(row)));
        Self { data: rows, next }
    }
}
