use std::net::IpAddr;

use async_trait::async_trait;

use super::column::{Columns, ms};
use super::post::chain_column;
use super::query::{Sql, query};
use super::row::Row;
use super::seal::seal;
use super::tx::Isolation;
use super::{SqlStore, audit_list};
use crate::{
    AuditActor, AuditFilter, AuditRow, AuditStore, Chain, ChainHead, ChainState, Change, Event,
    Month, OutboxEvent, Page, PageRequest, Result, Sealed, SealedRow, SignedHead,
};

/// Sealed rows.
macro_rules! select {
    ($rest:expr) => {
        concat!(
            "SELECT chain_position, id, nullif(tenant_id, '') AS tenant_id, at, actor_type, actor_id,
                    action, outcome, severity, subject, request_id, ip, metadata, prev_hash, hash
             FROM audit_rows ",
            $rest
        )
    };
}
pub(super) use select;

/// The rows up to the n-th place beyond `$2`, and all that claim one of these places.
const SEALED: &str = select!(
    "WHERE tenant_id = $1 AND chain_position > $2 AND chain_position <= coalesce(
        (SELECT last.chain_position FROM audit_rows last
         WHERE last.tenant_id = $1 AND last.chain_position > $2
         ORDER BY last.chain_position LIMIT 1 OFFSET $3), 9223372036854775807)
     ORDER BY chain_position, id"
);
const UNSEALED: &str = "SELECT count(*) AS rows FROM audit_intake";
const UNSEALED_OF: &str = "SELECT count(*) AS rows FROM audit_intake WHERE tenant_id = $1";
macro_rules! last_place {
    ($at:literal) => {
        concat!(
            "SELECT chain_position FROM audit_rows
             WHERE tenant_id = $1 AND ",
            $at,
            " < $2 AND chain_position IS NOT NULL
             ORDER BY chain_position DESC LIMIT 1"
        )
    };
}

/// Found from the end of the chain. By an index of the moments SQLite would sort all rows before one.
const LAST_PLACE: Sql = Sql {
    sqlite: last_place!("+at"),
    postgres: last_place!("at"),
};
const HEAD: &str = "SELECT length, hash FROM audit_chains WHERE tenant_id = $1";
const CHAINS: &str = "
    SELECT nullif(known.tenant_id, '') AS tenant_id, length, hash, signed_length, signed_hash,
           signed_head
    FROM (SELECT '' AS tenant_id UNION ALL SELECT tenant_id FROM tenants) known
         LEFT JOIN audit_chains chain ON chain.tenant_id = known.tenant_id
    WHERE $1 IS NULL OR known.tenant_id > $1
    ORDER BY known.tenant_id LIMIT $2";
const STATE: &str = "
    SELECT nullif(tenant_id, '') AS tenant_id, length, hash, signed_length, signed_hash, signed_head
    FROM audit_chains WHERE tenant_id = $1";
const UNSIGNED: &str = "
    SELECT nullif(tenant_id, '') AS tenant_id, length, hash, signed_length, signed_hash, signed_head
    FROM audit_chains WHERE signed_length < length ORDER BY tenant_id LIMIT $1";
const SIGN: Sql = Sql {
    sqlite: "
        UPDATE audit_chains
        SET signed_length = head.value ->> 'length', signed_hash = unhex(head.value ->> 'hash'),
            signed_head = head.value ->> 'signature'
        FROM json_each($1) head
        WHERE tenant_id = head.value ->> 'chain' AND signed_length < head.value ->> 'length'",
    postgres: "
        UPDATE audit_chains
        SET signed_length = head.length, signed_hash = decode(head.hash, 'hex'),
            signed_head = head.signature
        FROM json_to_recordset($1::json) AS
             head(chain TEXT, length BIGINT, hash TEXT, signature TEXT)
        WHERE tenant_id = head.chain AND signed_length < head.length",
};
const OUTBOX: &str = "
    SELECT position, event_id, nullif(tenant_id, '') AS tenant_id, event_type, subject, sequence, at,
           data
    FROM outbox WHERE position > $1 ORDER BY position LIMIT $2";

/// A row in the columns that `audit_intake` and `audit_rows` share.
pub(super) fn read(columns: Columns<'_>) -> Result<AuditRow> {
    let ip: Option<IpAddr> = columns.parse_option("ip")?;
    Ok(AuditRow {
        id: columns.parse("id")?,
        at: columns.time("at")?,
        tenant_id: columns.parse_option("tenant_id")?,
        actor: AuditActor {
            kind: columns.get("actor_type")?,
            id: columns.get("actor_id")?,
        },
        action: columns.get("action")?,
        outcome: columns.word("outcome")?,
        severity: columns.word("severity")?,
        subject: columns.get("subject")?,
        request_id: columns.get("request_id")?,
        ip,
        metadata: columns.json("metadata")?,
    })
}

pub(super) fn read_sealed(row: &Row) -> Result<SealedRow> {
    let columns = Columns::of(row, "audit_rows");
    Ok(SealedRow {
        position: columns.number("chain_position")?,
        row: read(columns)?,
        prev_hash: columns.bytes("prev_hash")?,
        hash: columns.bytes("hash")?,
    })
}

pub(super) fn read_outbox(row: &Row) -> Result<OutboxEvent> {
    let columns = Columns::of(row, "outbox");
    Ok(OutboxEvent {
        position: columns.number("position")?,
        event_id: columns.parse("event_id")?,
        tenant_id: columns.parse_option("tenant_id")?,
        event_type: columns.get("event_type")?,
        subject: columns.get("subject")?,
        sequence: columns.number("sequence")?,
        at: columns.time("at")?,
        data: columns.json("data")?,
    })
}

/// A head in two columns.
pub(super) fn read_head(
    columns: Columns<'_>,
    length: &'static str,
    hash: &'static str,
) -> Result<ChainHead> {
    Ok(ChainHead {
        length: columns.number(length)?,
        hash: columns.bytes(hash)?,
    })
}

/// The column `tenant_id`, NULL in the platform's chain.
pub(super) fn read_chain(columns: Columns<'_>) -> Result<Chain> {
    let tenant_id = columns.parse_option("tenant_id")?;
    Ok(tenant_id.map_or(Chain::Platform, Chain::Tenant))
}

fn read_state(row: &Row) -> Result<ChainState> {
    let columns = Columns::of(row, "audit_chains");
    let chain = read_chain(columns)?;
    let signature: Option<String> = columns.get("signed_head")?;
    let signed = match signature {
        None => None,
        Some(signature) => Some(SignedHead {
            chain: chain.clone(),
            head: read_head(columns, "signed_length", "signed_hash")?,
            signature,
        }),
    };
    let head = match columns.get::<Option<i64>>("length")? {
        None => ChainHead::EMPTY,
        Some(_) => read_head(columns, "length", "hash")?,
    };
    Ok(ChainState {
        chain,
        head,
        signed,
    })
}

/// A place or a limit as the databases count.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[async_trait]
impl AuditStore for SqlStore {
    async fn record(&self, change: Change, chain: Chain, events: Vec<Event>) -> Result<()> {
        self.run_change("record", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move {
                for event in &events {
                    tx.post(&chain, event).await?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn seal_audit(&self, limit: u32) -> Result<Sealed> {
        self.run_tx("seal_audit", Isolation::ReadCommitted, move |tx| {
            Box::pin(seal(tx, limit))
        })
        .await
    }

    async fn unsealed_audit(&self, chain: Option<&Chain>) -> Result<u64> {
        self.read("unsealed_audit", async move |conn| {
            let count = match chain {
                None => query(UNSEALED),
                Some(chain) => query(UNSEALED_OF).bind(chain_column(chain)),
            };
            let row = count.fetch_one(conn).await?;
            Ok(Columns::of(&row, "audit_intake").number("rows")?)
        })
        .await
    }

    async fn audit_rows(
        &self,
        chain: &Chain,
        filter: AuditFilter,
        page: PageRequest,
    ) -> Result<Page<SealedRow>> {
        audit_list::page(self, chain, &filter, &page).await
    }

    async fn sealed_audit(&self, chain: &Chain, after: u64, limit: u32) -> Result<Vec<SealedRow>> {
        self.read("sealed_audit", async move |conn| {
            let rows = query(SEALED)
                .bind(chain_column(chain))
                .bind(count(after))
                .bind(i64::from(limit.max(1)) - 1)
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read_sealed).collect::<Result<_>>()?)
        })
        .await
    }

    async fn last_place_in(&self, chain: &Chain, month: Month) -> Result<Option<u64>> {
        self.read("last_place_in", async move |conn| {
            let row = query(LAST_PLACE)
                .bind(chain_column(chain))
                .bind(ms(month.next().start()))
                .fetch_optional(conn)
                .await?;
            let place = |row: Row| Columns::of(&row, "audit_rows").number("chain_position");
            Ok(row.map(place).transpose()?)
        })
        .await
    }

    async fn chain_head(&self, chain: &Chain) -> Result<ChainHead> {
        self.read("chain_head", async |conn| {
            let row = query(HEAD)
                .bind(chain_column(chain))
                .fetch_optional(conn)
                .await?;
            let Some(row) = row else {
                return Ok(ChainHead::EMPTY);
            };
            let columns = Columns::of(&row, "audit_chains");
            Ok(read_head(columns, "length", "hash")?)
        })
        .await
    }

    async fn chain_state(&self, chain: &Chain) -> Result<ChainState> {
        self.read("chain_state", async |conn| {
            let row = query(STATE)
                .bind(chain_column(chain))
                .fetch_optional(conn)
                .await?;
            let state = row.as_ref().map(read_state).transpose()?;
            Ok(state.unwrap_or_else(|| ChainState {
                chain: chain.clone(),
                head: ChainHead::EMPTY,
                signed: None,
            }))
        })
        .await
    }

    async fn chains(&self, after: Option<&Chain>, limit: u32) -> Result<Vec<ChainState>> {
        self.read("chains", async move |conn| {
            let rows = query(CHAINS)
                .bind(after.map(chain_column))
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read_state).collect::<Result<_>>()?)
        })
        .await
    }

    async fn unsigned_heads(&self, limit: u32) -> Result<Vec<ChainState>> {
        self.read("unsigned_heads", async move |conn| {
            let rows = query(UNSIGNED)
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read_state).collect::<Result<_>>()?)
        })
        .await
    }

    async fn keep_signed_heads(&self, heads: Vec<SignedHead>) -> Result<()> {
        let heads = heads.iter().map(|signed| {
            serde_json::json!({
                "chain": chain_column(&signed.chain),
                "length": signed.head.length,
                "hash": hex::encode(signed.head.hash),
                "signature": signed.signature,
            })
        });
        let heads = serde_json::Value::Array(heads.collect()).to_string();
        self.run_tx("keep_signed_heads", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move {
                query(SIGN).bind(heads).execute(tx.conn()).await?;
                Ok(())
            })
        })
        .await
    }

    async fn outbox(&self, after: u64, limit: u32) -> Result<Vec<OutboxEvent>> {
        self.read("outbox", async move |conn| {
            let rows = query(OUTBOX)
                .bind(count(after))
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read_outbox).collect::<Result<_>>()?)
        })
        .await
    }
}
