//! Pages of a chain's rows, those that happened last first.
//!
//! Each statement enters the index of the most telling thing that is asked for, and looks for the rest
//! in the rows that it finds there.

use super::SqlStore;
use super::audit::{read_sealed, select};
use super::column::{Window, ms, place, word};
use super::post::chain_column;
use super::query::query;
use crate::{AuditFilter, Chain, Page, PageRequest, Result, SealedRow, Severity};

macro_rules! list {
    ($by:literal) => {
        select!(concat!(
            "WHERE tenant_id = $1 ",
            $by,
            " AND (at, id) < ($2, $3) AND at >= $4
              AND ($5 IS NULL OR actor_id = $5) AND ($6 IS NULL OR action = $6)
              AND ($7 IS NULL OR subject = $7) AND ($8 IS NULL OR severity = $8)
              ORDER BY at DESC, id DESC LIMIT $9"
        ))
    };
}

const NEWEST: &str = list!("");
const BY_SUBJECT: &str = list!("AND subject = $7");
const BY_ACTOR: &str = list!("AND actor_id = $5");
const BY_ACTION: &str = list!("AND action = $6");
/// The index has no rows of the daily course.
const BY_SEVERITY: &str = list!("AND severity = $8 AND severity <> 'info'");

fn statement(filter: &AuditFilter) -> &'static str {
    let matters = filter.severity.is_some_and(|it| it != Severity::Info);
    if filter.subject.is_some() {
        BY_SUBJECT
    } else if matters {
        BY_SEVERITY
    } else if filter.actor.is_some() {
        BY_ACTOR
    } else if filter.action.is_some() {
        BY_ACTION
    } else {
        NEWEST
    }
}

pub(super) async fn page(
    store: &SqlStore,
    chain: &Chain,
    filter: &AuditFilter,
    page: &PageRequest,
) -> Result<Page<SealedRow>> {
    let window = Window::of(page)?;
    let beyond = (window.at, window.id);
    let end = filter.to.map(|to| (ms(to), String::new()));
    let (at, id) = end.map_or(beyond.clone(), |end| end.min(beyond));
    let severity = filter.severity.as_ref().map(word).transpose()?;
    let list = query(statement(filter))
        .bind(chain_column(chain))
        .bind(at)
        .bind(id)
        .bind(filter.from.map_or(i64::MIN, ms))
        .bind(&filter.actor)
        .bind(&filter.action)
        .bind(&filter.subject)
        .bind(severity)
        .bind(window.rows);
    let rows = store.read("audit_rows", async move |conn| {
        Ok(list.fetch_all(conn).await?)
    });
    let rows = rows.await?.iter().map(read_sealed).collect::<Result<_>>()?;
    Ok(Page::cut(rows, page.limit, |sealed: &SealedRow| {
        place(sealed.row.at, sealed.row.id.as_str())
    }))
}
