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
use super::row::Row;
use crate::{DenialCursor, DeniedPage, Result};

/// SQLite, which has one writer, numbers rows in the order of commits.
pub(super) const PAGE: Sql = Sql {
    sqlite: "SELECT 0 AS xact, sequence, tbs_sha256 FROM revoked_cert_fingerprints
             WHERE $1 = 0 AND sequence > $2 ORDER BY sequence LIMIT $3",
    postgres: "SELECT xact, sequence, tbs_sha256 FROM revoked_cert_fingerprints
               WHERE (xact, sequence) > ($1, $2) ORDER BY xact, sequence LIMIT $3",
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
    let rows = query(PAGE)
        .bind(after.transaction)
        .bind(after.sequence)
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    let digest = |row: &Row| {
        let columns = Columns::of(row, "revoked_cert_fingerprints");
        columns.bytes("tbs_sha256").map(TbsSha256::from_bytes)
    };
    let is_last = rows.len() < usize::try_from(limit).unwrap_or(usize::MAX);
    let next = match (rows.last(), conn) {
        #[cfg(feature = "postgres")]
        (_, Connection::Postgres(_)) if is_last => DenialCursor {
            transaction: horizon,
            sequence: 0,
            horizon: None,
        },
        (Some(last), _) => DenialCursor {
            transaction: last.get("xact")?,
            sequence: last.get("sequence")?,
            horizon: Some(horizon).filter(|_| !is_last),
        },
        (None, _) => after,
    };
    Ok(DeniedPage {
        digests: rows.iter().map(digest).collect::<Result<_>>()?,
        next,
        is_last,
    })
}
