//! A turn of the sealer: rows go from the intake to their place.
//!
//! The one row of `audit_sealer` is held to the end, so that turns follow one another. A change takes
//! its intake number when it writes the row, behind every change that was committed before: the order
//! of intake numbers keeps what follows one another, and a row that becomes visible late gets a later
//! place, whatever its number. Nothing that writers hold is waited for.

use std::collections::HashMap;

use serde::Serialize;

use super::audit::{count, read, read_head};
use super::column::{Columns, json};
use super::connection::Connection;
use super::fault::Step;
use super::query::{Sql, query};
use super::tx::Tx;
use crate::{Chain, ChainHead, Result, Sealed, audit_chain};

const TURN: Sql = Sql {
    sqlite: "SELECT outbox_position FROM audit_sealer",
    postgres: "SELECT outbox_position FROM audit_sealer FOR UPDATE",
};
const INTAKE: &str = "
    SELECT position, id, nullif(tenant_id, '') AS tenant_id, at, actor_type, actor_id, action,
           outcome, severity, subject, request_id, ip, metadata
    FROM audit_intake ORDER BY position LIMIT $1";
const HEADS: Sql = Sql {
    sqlite: "
        SELECT tenant_id, length, hash FROM audit_chains
        WHERE tenant_id IN (SELECT value FROM json_each($1))",
    postgres: "
        SELECT tenant_id, length, hash FROM audit_chains
        WHERE tenant_id IN (SELECT json_array_elements_text($1::json))",
};

macro_rules! seal {
    ($prev_hash:literal, $hash:literal, $from:literal) => {
        concat!(
            "INSERT INTO audit_rows (chain_position, prev_hash, hash, id, tenant_id, at, actor_type,
                 actor_id, action, outcome, severity, subject, request_id, ip, metadata)
             SELECT place.chain_position, ",
            $prev_hash,
            ", ",
            $hash,
            ", intake.id, intake.tenant_id, intake.at, intake.actor_type, intake.actor_id,
                 intake.action, intake.outcome, intake.severity, intake.subject,
                 intake.request_id, intake.ip, intake.metadata
             FROM (",
            $from,
            ") place JOIN audit_intake intake ON intake.position = place.position
             ORDER BY intake.position"
        )
    };
}

const SEAL: Sql = Sql {
    sqlite: seal!(
        "unhex(place.prev_hash)",
        "unhex(place.hash)",
        "SELECT value ->> 'position' AS position, value ->> 'chain_position' AS chain_position,
                value ->> 'prev_hash' AS prev_hash, value ->> 'hash' AS hash
         FROM jsonb_each($1)"
    ),
    postgres: seal!(
        "decode(place.prev_hash, 'hex')",
        "decode(place.hash, 'hex')",
        "SELECT * FROM json_to_recordset($1::json) AS
                fields(position BIGINT, chain_position BIGINT, prev_hash TEXT, hash TEXT)"
    ),
};
const UNSEAL: Sql = Sql {
    sqlite: "
        DELETE FROM audit_intake
        WHERE position IN (SELECT value ->> 'position' FROM json_each($1))",
    postgres: "
        DELETE FROM audit_intake
        WHERE position IN (SELECT position FROM json_to_recordset($1::json) AS place(position BIGINT))",
};
const MOVE_HEADS: Sql = Sql {
    sqlite: "
        INSERT INTO audit_chains (tenant_id, length, hash)
        SELECT value ->> 'chain', value ->> 'length', unhex(value ->> 'hash')
        FROM json_each($1) WHERE TRUE
        ON CONFLICT (tenant_id) DO UPDATE SET length = excluded.length, hash = excluded.hash",
    postgres: "
        INSERT INTO audit_chains (tenant_id, length, hash)
        SELECT chain, length, decode(hash, 'hex')
        FROM json_to_recordset($1::json) AS head(chain TEXT, length BIGINT, hash TEXT)
        ON CONFLICT (tenant_id) DO UPDATE SET length = excluded.length, hash = excluded.hash",
};

const EVENTS: &str = "SELECT position FROM outbox_intake ORDER BY position LIMIT $1";

macro_rules! place {
    ($chosen:literal) => {
        concat!(
            "INSERT INTO outbox (position, tenant_id, event_id, event_type, subject, sequence, at,
                                 data)
             SELECT $2 + row_number() OVER (ORDER BY event.position), event.tenant_id,
                    event.event_id, event.event_type, event.subject,
                    coalesce((SELECT max(last.sequence) FROM (
                                  SELECT max(earlier.sequence) AS sequence FROM outbox earlier
                                  WHERE earlier.tenant_id = event.tenant_id
                                    AND earlier.subject = event.subject
                                  UNION ALL
                                  SELECT purged.sequence FROM outbox_numbers purged
                                  WHERE purged.tenant_id = event.tenant_id
                                    AND purged.subject = event.subject) last), 0)
                    + row_number() OVER (PARTITION BY event.tenant_id, event.subject
                                         ORDER BY event.position),
                    event.at, event.data
             FROM outbox_intake event WHERE event.position IN (",
            $chosen,
            ")"
        )
    };
}

const PLACE: Sql = Sql {
    sqlite: place!("SELECT value FROM json_each($1)"),
    postgres: place!("SELECT json_array_elements_text($1::json)::BIGINT"),
};
const UNPLACE: Sql = Sql {
    sqlite: "DELETE FROM outbox_intake WHERE position IN (SELECT value FROM json_each($1))",
    postgres: "
        DELETE FROM outbox_intake
        WHERE position IN (SELECT json_array_elements_text($1::json)::BIGINT)",
};
const PLACED: &str = "UPDATE audit_sealer SET outbox_position = $1";

/// Waits until this is the only turn; returns how many events have their place.
pub(super) async fn take_turn(conn: &mut Connection) -> Step<i64> {
    let row = query(TURN).fetch_one(conn).await?;
    Ok(Columns::of(&row, "audit_sealer").get("outbox_position")?)
}

/// Gives at most `limit` rows and `limit` events their place.
pub(super) async fn seal(tx: &mut Tx, limit: u32) -> Step<Sealed> {
    let placed = take_turn(tx.conn()).await?;
    Ok(Sealed {
        rows: seal_rows(tx.conn(), limit).await?,
        events: place_events(tx.conn(), placed, limit).await?,
    })
}

/// The place of a row of the intake.
#[derive(Serialize)]
struct Place {
    position: i64,
    chain_position: u64,
    prev_hash: String,
    hash: String,
}

/// Where a chain ends.
#[derive(Serialize)]
struct End<'a> {
    chain: &'a str,
    length: u64,
    hash: String,
}

async fn seal_rows(conn: &mut Connection, limit: u32) -> Step<u64> {
    let found = query(INTAKE).bind(i64::from(limit)).fetch_all(conn).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        let columns = Columns::of(row, "audit_intake");
        rows.push((columns.get("position")?, read(columns)?));
    }
    let chains = rows.iter().map(|(_, row)| row.chain()).collect();
    let mut heads = heads(conn, chains).await?;
    let mut places = Vec::with_capacity(rows.len());
    for (position, row) in rows {
        let head = heads.entry(row.chain()).or_insert(ChainHead::EMPTY);
        let sealed = audit_chain::seal(head, row)?;
        *head = sealed.head();
        places.push(Place {
            position,
            chain_position: sealed.position,
            prev_hash: hex::encode(sealed.prev_hash),
            hash: hex::encode(sealed.hash),
        });
    }
    let moved = json(&places)?;
    query(SEAL).bind(&moved).execute(conn).await?;
    query(UNSEAL).bind(&moved).execute(conn).await?;
    let ends: Vec<_> = heads
        .iter()
        .map(|(chain, head)| End {
            chain: super::post::chain_column(chain),
            length: head.length,
            hash: hex::encode(head.hash),
        })
        .collect();
    query(MOVE_HEADS).bind(json(&ends)?).execute(conn).await?;
    Ok(u64::try_from(places.len()).unwrap_or(u64::MAX))
}

/// The heads of those `chains` that have rows.
async fn heads(conn: &mut Connection, chains: Vec<Chain>) -> Step<HashMap<Chain, ChainHead>> {
    let mut names: Vec<_> = chains.iter().map(super::post::chain_column).collect();
    names.sort_unstable();
    names.dedup();
    let found = query(HEADS).bind(json(&names)?).fetch_all(conn).await?;
    let by_name = found.iter().map(|row| {
        let columns = Columns::of(row, "audit_chains");
        let name: String = columns.get("tenant_id")?;
        Ok((name, read_head(columns, "length", "hash")?))
    });
    let by_name: HashMap<String, ChainHead> = by_name.collect::<Result<_>>()?;
    let known = chains.into_iter().filter_map(|chain| {
        let head = by_name.get(super::post::chain_column(&chain)).copied();
        head.map(|head| (chain, head))
    });
    Ok(known.collect())
}

async fn place_events(conn: &mut Connection, placed: i64, limit: u32) -> Step<u64> {
    let found = query(EVENTS).bind(i64::from(limit)).fetch_all(conn).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let events = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let position = |row| Columns::of(row, "outbox_intake").get::<i64>("position");
    let chosen = json(&found.iter().map(position).collect::<Result<Vec<_>>>()?)?;
    query(PLACE)
        .bind(&chosen)
        .bind(placed)
        .execute(conn)
        .await?;
    query(UNPLACE).bind(&chosen).execute(conn).await?;
    let placed = placed.saturating_add(count(events));
    query(PLACED).bind(placed).execute(conn).await?;
    Ok(events)
}
