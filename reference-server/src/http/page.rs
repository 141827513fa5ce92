//! Lists: `?limit=` and `?cursor=` in, `{"data", "next_cursor"}` out (contract §1).

use identity_store::{Cursor, Page, PageRequest};
use serde::Serialize;

use super::Problem;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;

/// The page that `limit` and `cursor` ask for.
///
/// # Errors
///
/// 422 `validation_failed` for a limit outside 1 to 200 and for a cursor that no page gave.
pub fn page_request(limit: Option<u32>, cursor: Option<&str>) -> Result<PageRequest, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid(
            "limit",
            format!("must be 1 to {MAX_LIMIT}"),
        ));
    }
    let after = cursor
        .map(Cursor::decode)
        .transpose()
        .map_err(|error| Problem::invalid("cursor", error.to_string()))?;
    Ok(PageRequest { limit, after })
}

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct List<T> {
    /// The objects.
    pub data: Vec<T>,
    /// Where to go on; `null` at the end.
    pub next_cursor: Option<String>,
}

impl<T> List<T> {
    /// The page of `rows`, each shown as `show` does.
    pub fn of<R>(rows: Page<R>, show: impl FnMut(R) -> T) -> Self {
        Self {
            next_cursor: rows.next.as_ref().map(Cursor::encode),
            data: rows.data.into_iter().map(show).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_1_to_200_and_50_by_default() {
        assert_eq!(page_request(None, None).map(|p| p.limit).ok(), Some(50));
        for (limit, good) in [(0, false), (1, true), (200, true), (201, false)] {
            assert_eq!(page_request(Some(limit), None).is_ok(), good, "{limit}");
        }
    }

    #[test]
    fn a_cursor_that_no_page_gave_is_refused() {
        for cursor in ["!", "NyBhAA"] {
            assert!(page_request(None, Some(cursor)).is_err(), "{cursor}");
        }
    }
}
