//! The feed of the denylist.
//!
//! PostgreSQL numbers rows before it commits them: a reader who has seen the seventh may see the sixth
//! later. So a pass over the feed goes by the transactions that wrote, and the next begins with the
//! first one that was under way when this one began.

use identity_pki::TbsSha256;

use super::column::Columns;
use super::connection::Connection;
use super::fault::Step;
use super::query::{Sql, query};
use crate::{DenialCursor, DeniedPage, Result};

/// The digests of a page in one value: a start reads a million, and a row for each would take longer
/// than all the rest of it.
macro_rules! page {
    ($digests:literal, $last:literal, $rows:literal) => {
        concat!(
            "SELECT count(*) AS rows, ",
            $digests,
            " AS digests, ",
            $last,
            " FROM (",
            $rows,
            ") AS page"
        )
    };
}

/// SQLite, which has one writer, numbers rows in the order of commits.
const PAGE: Sql = Sql {
    sqlite: page!(
        "unhex(group_concat(hex(tbs_sha256), ''))",
        "0 AS xact, max(sequence) AS sequence",
        "SELECT sequence, tbs_sha256 FROM revoked_cert_fingerprints
         WHERE $1 = 0 AND sequence > $2 ORDER BY sequence LIMIT $3"
    ),
    postgres: page!(
        "string_agg(tbs_sha256, NULL)",
        "(array_agg(xact))[count(*)] AS xact, (array_agg(sequence))[count(*)] AS sequence",
        "SELECT xact, sequence, tbs_sha256 FROM revoked_cert_fingerprints
         WHERE (xact, sequence) > ($1, $2) ORDER BY xact, sequence LIMIT $3"
    ),
};
const HORIZON: Sql = Sql {
    sqlite: "SELECT 0 AS horizon",
    postgres: "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon",
};

pub(super) async fn page(
    conn: &mut Connection,
    after: DenialCursor,
    limit: u32,
) -> Step<DeniedPage> {
    let horizon = match after.horizon {
        Some(horizon) => horizon,
        None => query(HORIZON).fetch_one(conn).await?.get("horizon")?,
    };
    let page = query(PAGE)
        .bind(after.transaction)
        .bind(after.sequence)
        .bind(i64::from(limit))
        .fetch_one(conn)
        .await?;
    let columns = Columns::of(&page, "revoked_cert_fingerprints");
    let rows: u32 = columns.number("rows")?;
    let is_last = rows < limit;
    let next = match conn {
        #[cfg(feature = "postgres")]
        Connection::Postgres(_) if is_last => DenialCursor {
            transaction: horizon,
            sequence: 0,
            horizon: None,
        },
        _ if rows > 0 => DenialCursor {
            transaction: columns.get("xact")?,
            sequence: columns.get("sequence")?,
            horizon: Some(horizon).filter(|_| !is_last),
        },
        _ => after,
    };
    Ok(DeniedPage {
        digests: digests(columns, rows)?,
        next,
        is_last,
    })
}

/// So many digests, one behind the other; no value where there are none.
fn digests(columns: Columns<'_>, rows: u32) -> Result<Vec<TbsSha256>> {
    let bytes: Option<&[u8]> = columns.get("digests")?;
    let (digests, rest) = bytes.unwrap_or_default().as_chunks();
    let is_whole = rest.is_empty() && u32::try_from(digests.len()) == Ok(rows);
    is_whole
        .then(|| digests.iter().copied().map(TbsSha256::from_bytes).collect())
        .ok_or_else(|| columns.corrupt("tbs_sha256"))
}
