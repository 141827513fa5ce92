use std::collections::HashMap;
use std::net::IpAddr;

use super::connection::Connection;
use super::row::Row;
use async_trait::async_trait;

use super::SqlStore;
use super::column::Columns;
use super::fault::Step;
use super::post::chain_column;
use super::query::query;
use super::tx::{Isolation, Tx};
use crate::audit_chain::{GENESIS, audit_hash};
use crate::{
    AuditActor, AuditId, AuditRow, AuditStore, Chain, ChainHead, Change, Event, OutboxEvent, Result,
};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT position, id, nullif(tenant_id, '') AS tenant_id, at, actor_type, actor_id,
                    action, outcome, severity, subject, request_id, ip, metadata, prev_hash, hash
             FROM audit_rows ",
            $rest
        )
    };
}

pub(super) const UNSEALED: &str =
    select!("WHERE chain_position IS NULL ORDER BY position LIMIT $1");
const SEALED: &str = select!(
    "WHERE tenant_id = $1 AND chain_position > CASE WHEN $2 IS NULL THEN 0 ELSE
         (SELECT before.chain_position FROM audit_rows before
          WHERE before.tenant_id = $1 AND before.id = $2) END
     ORDER BY chain_position LIMIT $3"
);
const HEAD: &str = "
    SELECT chain_position, hash FROM audit_rows
    WHERE tenant_id = $1 AND chain_position IS NOT NULL ORDER BY chain_position DESC LIMIT 1";
const SEAL: &str = "
    UPDATE audit_rows SET chain_position = $2, prev_hash = $3, hash = $4
    WHERE position = $1 AND chain_position IS NULL";
const OUTBOX: &str = "
    SELECT event_id, nullif(tenant_id, '') AS tenant_id, event_type, subject, sequence, at, data
    FROM outbox WHERE position > $1 ORDER BY position LIMIT $2";

fn read(row: &Row) -> Result<AuditRow> {
    let columns = Columns::of(row, "audit_rows");
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
        prev_hash: columns.bytes_option("prev_hash")?,
        hash: columns.bytes_option("hash")?,
    })
}

fn read_outbox(row: &Row) -> Result<OutboxEvent> {
    let columns = Columns::of(row, "outbox");
    Ok(OutboxEvent {
        event_id: columns.parse("event_id")?,
        tenant_id: columns.parse_option("tenant_id")?,
        event_type: columns.get("event_type")?,
        subject: columns.get("subject")?,
        sequence: columns.number("sequence")?,
        at: columns.time("at")?,
        data: columns.json("data")?,
    })
}

async fn head(conn: &mut Connection, chain: &str) -> Step<ChainHead> {
    let row = query(HEAD).bind(chain).fetch_optional(conn).await?;
    let Some(row) = row else {
        return Ok(ChainHead {
            length: 0,
            hash: GENESIS,
        });
    };
    let columns = Columns::of(&row, "audit_rows");
    Ok(ChainHead {
        length: columns.number("chain_position")?,
        hash: columns.bytes("hash")?,
    })
}

/// Gives the first unsealed rows their place, each behind the one before it in its chain.
async fn seal(tx: &mut Tx, limit: u32) -> Step<u64> {
    tx.lock_sealing().await?;
    let rows = query(UNSEALED)
        .bind(i64::from(limit))
        .fetch_all(tx.conn())
        .await?;
    let mut heads: HashMap<String, ChainHead> = HashMap::new();
    let mut sealed = 0;
    for row in &rows {
        let position: i64 = Columns::of(row, "audit_rows").get("position")?;
        let row = read(row)?;
        let chain = row.tenant_id.as_ref().map_or("", |id| id.as_str());
        let before = match heads.get(chain) {
            Some(head) => *head,
            None => head(tx.conn(), chain).await?,
        };
        let next = ChainHead {
            length: before.length.saturating_add(1),
            hash: audit_hash(&before.hash, &row)?,
        };
        query(SEAL)
            .bind(position)
            .bind(i64::try_from(next.length).unwrap_or(i64::MAX))
            .bind(&before.hash[..])
            .bind(&next.hash[..])
            .execute(tx.conn())
            .await?;
        heads.insert(chain.to_owned(), next);
        sealed += 1;
    }
    Ok(sealed)
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

    async fn seal_audit(&self, limit: u32) -> Result<u64> {
        self.run_tx("seal_audit", Isolation::ReadCommitted, move |tx| {
            Box::pin(seal(tx, limit))
        })
        .await
    }

    async fn sealed_audit(
        &self,
        chain: &Chain,
        after: Option<&AuditId>,
        limit: u32,
    ) -> Result<Vec<AuditRow>> {
        self.read("sealed_audit", async move |conn| {
            let rows = query(SEALED)
                .bind(chain_column(chain))
                .bind(after.map(AuditId::as_str))
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read).collect::<Result<_>>()?)
        })
        .await
    }

    async fn chain_head(&self, chain: &Chain) -> Result<ChainHead> {
        self.read("chain_head", async |conn| {
            head(conn, chain_column(chain)).await
        })
        .await
    }

    async fn outbox(&self, after: u64, limit: u32) -> Result<Vec<OutboxEvent>> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.read("outbox", async move |conn| {
            let rows = query(OUTBOX)
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read_outbox).collect::<Result<_>>()?)
        })
        .await
    }
}
