use async_trait::async_trait;

use super::SqlStore;
use super::audit::{count, read_chain, read_head};
use super::column::{Columns, ms};
use super::connection::Connection;
use super::fault::{Step, taken};
use super::post::chain_column;
use super::query::{Sql, query};
use super::row::Row;
use super::seal::take_turn;
use super::tx::Isolation;
use crate::{
    ArchiveManifest, AuditArchiveStore, Chain, ChainHead, Conflict, Month, Result, Retired,
};

const MANIFESTS: &str = "
    SELECT nullif(tenant_id, '') AS tenant_id, month, rows, first_id, last_id, previous_length,
           previous_hash, length, hash, sha256, file_name, retired
    FROM audit_archives WHERE tenant_id = $1 ORDER BY length";
const HAS_ROW: &str = "
    SELECT hash FROM audit_rows WHERE tenant_id = $1 AND chain_position = $2 AND hash = $3";
const KEEP: &str = "
    INSERT INTO audit_archives (tenant_id, month, rows, first_id, last_id, previous_length,
                                previous_hash, length, hash, sha256, file_name, retired)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// Statements over the heads that were verified, `$1`.
macro_rules! verified {
    ($before:literal, $after:literal) => {
        Sql {
            sqlite: concat!(
                $before,
                "(SELECT value ->> 'chain' AS chain, value ->> 'length' AS length
                  FROM json_each($1)) verified ",
                $after
            ),
            postgres: concat!(
                $before,
                "json_to_recordset($1::json) AS verified(chain TEXT, length BIGINT) ",
                $after
            ),
        }
    };
}

/// How many of the heads are manifests'.
const KNOWN: Sql = Sql {
    sqlite: "
        SELECT count(*) AS heads FROM json_each($1) verified JOIN audit_archives archive
            ON archive.tenant_id = verified.value ->> 'chain'
           AND archive.length = verified.value ->> 'length'
           AND archive.hash = unhex(verified.value ->> 'hash')",
    postgres: "
        SELECT count(*) AS heads FROM json_to_recordset($1::json) AS
               verified(chain TEXT, length BIGINT, hash TEXT)
        JOIN audit_archives archive
            ON archive.tenant_id = verified.chain AND archive.length = verified.length
           AND archive.hash = decode(verified.hash, 'hex')",
};
/// How many chains have rows that would go and that no verified archive holds. It goes from chain to
/// chain and looks at the last such row of each, by their index: there may be any number of rows.
/// `IS NOT NULL` is in the words of SQLite's index.
const UNARCHIVED: Sql = verified!(
    "WITH RECURSIVE due(chain) AS (
         SELECT max(tenant_id) FROM audit_rows WHERE at < $2 AND chain_position IS NOT NULL
         UNION ALL
         SELECT (SELECT max(tenant_id) FROM audit_rows
                 WHERE tenant_id < chain AND at < $2 AND chain_position IS NOT NULL)
         FROM due WHERE chain IS NOT NULL)
     SELECT count(*) AS chains FROM due LEFT JOIN ",
    "ON verified.chain = due.chain
     WHERE due.chain IS NOT NULL AND coalesce(verified.length, 0) <
         (SELECT chain_position FROM audit_rows
          WHERE tenant_id = due.chain AND at < $2 AND chain_position IS NOT NULL
          ORDER BY chain_position DESC LIMIT 1)"
);
const DROP: Sql = Sql {
    sqlite: "DELETE FROM audit_rows WHERE at < $1",
    postgres: "SELECT drop_audit_months($1)",
};
const RETIRE: Sql = verified!(
    "UPDATE audit_archives SET retired = TRUE FROM ",
    "WHERE audit_archives.tenant_id = verified.chain
       AND audit_archives.length <= verified.length AND NOT retired"
);
const PREPARE: Sql = Sql {
    // One table holds every month.
    sqlite: "SELECT $1",
    postgres: "SELECT prepare_audit_month($1)",
};
const STRAYS: Sql = Sql {
    sqlite: "SELECT 0 AS strays",
    postgres: "SELECT count(*) AS strays FROM audit_rows_default",
};

fn read_manifest(row: &Row) -> Result<ArchiveManifest> {
    let columns = Columns::of(row, "audit_archives");
    Ok(ArchiveManifest {
        chain: read_chain(columns)?,
        month: columns.parse("month")?,
        rows: columns.number("rows")?,
        first_id: columns.parse("first_id")?,
        last_id: columns.parse("last_id")?,
        previous: read_head(columns, "previous_length", "previous_hash")?,
        head: read_head(columns, "length", "hash")?,
        sha256: columns.bytes("sha256")?,
        file_name: columns.get("file_name")?,
        retired: columns.get("retired")?,
    })
}

async fn manifests(conn: &mut Connection, chain: &Chain) -> Step<Vec<ArchiveManifest>> {
    let rows = query(MANIFESTS)
        .bind(chain_column(chain))
        .fetch_all(conn)
        .await?;
    Ok(rows.iter().map(read_manifest).collect::<Result<_>>()?)
}

async fn keep(conn: &mut Connection, manifest: &ArchiveManifest) -> Step<()> {
    let chain = chain_column(&manifest.chain);
    let earlier = manifests(conn, &manifest.chain).await?.pop();
    let end = earlier.as_ref().map_or(ChainHead::EMPTY, |last| last.head);
    let is_later = earlier.is_none_or(|last| last.month < manifest.month);
    let is_whole = end.length.checked_add(manifest.rows) == Some(manifest.head.length);
    let last_row = query(HAS_ROW)
        .bind(chain)
        .bind(count(manifest.head.length))
        .bind(&manifest.head.hash[..])
        .fetch_optional(conn)
        .await?;
    if end != manifest.previous || !is_later || !is_whole || last_row.is_none() {
        return Err(Conflict::ArchiveGap.into());
    }
    query(KEEP)
        .bind(chain)
        .bind(manifest.month.to_string())
        .bind(count(manifest.rows))
        .bind(manifest.first_id.as_str())
        .bind(manifest.last_id.as_str())
        .bind(count(manifest.previous.length))
        .bind(&manifest.previous.hash[..])
        .bind(count(manifest.head.length))
        .bind(&manifest.head.hash[..])
        .bind(&manifest.sha256[..])
        .bind(&manifest.file_name)
        .bind(manifest.retired)
        .execute(conn)
        .await
        .map_err(taken(Conflict::ArchiveGap))?;
    Ok(())
}

/// Drops all rows that happened before `end` and marks what was archived of them, unless one of
/// them has no verified archive.
async fn retire(conn: &mut Connection, end: i64, verified: &str, heads: i64) -> Step<Retired> {
    take_turn(conn).await?;
    let known = query(KNOWN).bind(verified).fetch_one(conn).await?;
    if Columns::of(&known, "audit_archives").get::<i64>("heads")? != heads {
        return Err(Conflict::ArchiveGap.into());
    }
    let due = query(UNARCHIVED).bind(verified).bind(end);
    let due = due.fetch_one(conn).await?;
    let mut retired = Retired {
        pieces: 0,
        unarchived: Columns::of(&due, "audit_rows").number("chains")?,
    };
    if retired.unarchived == 0 {
        query(DROP).bind(end).execute(conn).await?;
        retired.pieces = query(RETIRE).bind(verified).execute(conn).await?;
    }
    Ok(retired)
}

#[async_trait]
impl AuditArchiveStore for SqlStore {
    async fn archive_manifests(&self, chain: &Chain) -> Result<Vec<ArchiveManifest>> {
        self.read("archive_manifests", async |conn| {
            manifests(conn, chain).await
        })
        .await
    }

    async fn keep_archive_manifest(&self, manifest: ArchiveManifest) -> Result<()> {
        self.run_tx(
            "keep_archive_manifest",
            Isolation::Serializable,
            move |tx| Box::pin(async move { keep(tx.conn(), &manifest).await }),
        )
        .await
    }

    async fn retire_audit(
        &self,
        month: Month,
        verified: Vec<(Chain, ChainHead)>,
    ) -> Result<Retired> {
        let heads = i64::try_from(verified.len()).unwrap_or(i64::MAX);
        let verified = verified.iter().map(|(chain, head)| {
            serde_json::json!({
                "chain": chain_column(chain),
                "length": head.length,
                "hash": hex::encode(head.hash),
            })
        });
        let verified = serde_json::Value::Array(verified.collect()).to_string();
        let end = ms(month.next().start());
        self.run_tx("retire_audit", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move { retire(tx.conn(), end, &verified, heads).await })
        })
        .await
    }

    async fn prepare_audit_months(&self, months: &[Month]) -> Result<u64> {
        let starts: Vec<i64> = months.iter().map(|month| ms(month.start())).collect();
        self.run_tx(
            "prepare_audit_months",
            Isolation::ReadCommitted,
            move |tx| {
                Box::pin(async move {
                    take_turn(tx.conn()).await?;
                    for start in starts {
                        query(PREPARE).bind(start).execute(tx.conn()).await?;
                    }
                    let strays = query(STRAYS).fetch_one(tx.conn()).await?;
                    Ok(Columns::of(&strays, "audit_rows").number("strays")?)
                })
            },
        )
        .await
    }
}
