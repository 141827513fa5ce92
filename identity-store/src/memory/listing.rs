use time::OffsetDateTime;

use super::transaction::as_usize;
use crate::{Error, Page, PageRequest, Result};

/// A page of `rows`, newest first; rows of one millisecond by their id.
pub(super) fn page<T>(
    rows: Vec<T>,
    request: &PageRequest,
    made: impl Fn(&T) -> (OffsetDateTime, &str),
) -> Result<Page<T>> {
    let key = |row: &T| {
        let (at, id) = made(row);
        sort_key(at, id)
    };
    let after = match &request.after {
        Some(cursor) if !is_sort_key(cursor.key()) => return Err(Error::Cursor),
        Some(cursor) => Some(cursor.key()),
        None => None,
    };
    let mut rows: Vec<(String, T)> = rows
        .into_iter()
        .map(|row| (key(&row), row))
        .filter(|(key, _)| after.is_none_or(|after| key.as_str() < after))
        .collect();
    rows.sort_by(|(left, _), (right, _)| right.cmp(left));
    rows.truncate(as_usize(request.limit).saturating_add(1));
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    Ok(Page::cut(rows, request.limit, key))
}

/// The digits of a moment in milliseconds, all of one length so that text sorts as time does.
const DIGITS: usize = 20;

fn sort_key(at: OffsetDateTime, id: &str) -> String {
    let millis = at.unix_timestamp_nanos() / 1_000_000;
    format!("{millis:0DIGITS$}:{id}")
}

fn is_sort_key(text: &str) -> bool {
    text.split_once(':').is_some_and(|(millis, _)| {
        millis.len() == DIGITS && millis.bytes().all(|byte| byte.is_ascii_digit())
    })
}
