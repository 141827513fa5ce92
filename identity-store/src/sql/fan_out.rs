//! Events become deliveries. The one row of `webhook_fan_out` is held to the end, so that turns follow one
//! another: an event is taken with the place up to which events are taken, or not at all.

use std::collections::BTreeSet;

use serde::Serialize;
use time::OffsetDateTime;

use super::audit::count;
use super::column::{Columns, json, ms};
use super::connection::Connection;
use super::fault::Step;
use super::post::chain_column;
use super::query::{Sql, query};
use super::row::Row;
use super::tx::{ChangeTx, Tx};
use super::webhook_rows;
use crate::{DeliveryId, FannedOut, Recovered, Result, Webhook};

const TURN: Sql = Sql {
    sqlite: "SELECT position FROM webhook_fan_out",
    postgres: "SELECT position FROM webhook_fan_out FOR UPDATE",
};
const TAKEN: &str = "SELECT position FROM webhook_fan_out";
const NEXT: &str = "
    SELECT position, tenant_id, event_id, event_type, subject
    FROM outbox WHERE position > $1 ORDER BY position LIMIT $2";
const MOVE: &str = "UPDATE webhook_fan_out SET position = $1";
/// Of one event there is one delivery to an endpoint; what was given up is sent again.
const DELIVER: Sql = Sql {
    sqlite: "
        INSERT INTO webhook_deliveries (tenant_id, delivery_id, endpoint_id, event_position, event_id,
                                        event_type, status, tries, claims, due_at, created_at)
        SELECT value ->> 'tenant', value ->> 'delivery_id', value ->> 'endpoint_id',
               value ->> 'position', value ->> 'event_id', value ->> 'event_type',
               'pending', 0, 0, $2, $2
        FROM json_each($1) WHERE TRUE
        ON CONFLICT (event_position, endpoint_id) DO UPDATE
        SET status = 'pending', tries = 0, claims = webhook_deliveries.claims + 1, due_at = $2,
            ended_at = NULL
        WHERE webhook_deliveries.status = 'failed'",
    postgres: "
        INSERT INTO webhook_deliveries (tenant_id, delivery_id, endpoint_id, event_position, event_id,
                                        event_type, status, tries, claims, due_at, created_at)
        SELECT tenant, delivery_id, endpoint_id, position, event_id, event_type, 'pending', 0, 0, $2, $2
        FROM json_to_recordset($1::json) AS
             delivery(tenant TEXT, delivery_id TEXT, endpoint_id TEXT, position BIGINT, event_id TEXT,
                      event_type TEXT)
        ON CONFLICT (event_position, endpoint_id) DO UPDATE
        SET status = 'pending', tries = 0, claims = webhook_deliveries.claims + 1, due_at = $2,
            ended_at = NULL
        WHERE webhook_deliveries.status = 'failed'",
};
/// What happened since $2, the oldest first, of which an endpoint has no delivery or one that was given up.
const MISSED: &str = "
    SELECT o.position, o.tenant_id, o.event_id, o.event_type, o.subject
    FROM outbox o
    WHERE o.tenant_id = $1 AND o.at >= $2 AND o.position > $3 AND o.position <= $4
      AND NOT EXISTS (SELECT 1 FROM webhook_deliveries d
                      WHERE d.event_position = o.position AND d.endpoint_id = $5
                        AND d.tenant_id = o.tenant_id AND d.status <> 'failed')
    ORDER BY o.position LIMIT $6";

/// How many events are looked at in one way to the database.
const PAGE: u32 = 1000;

/// An event that may have to be delivered.
struct Candidate {
    position: i64,
    tenant: String,
    event_id: String,
    event_type: String,
    subject: String,
}

impl Candidate {
    fn read(row: &Row) -> Result<Self> {
        let columns = Columns::of(row, "outbox");
        Ok(Self {
            position: columns.get("position")?,
            tenant: columns.get("tenant_id")?,
            event_id: columns.get("event_id")?,
            event_type: columns.get("event_type")?,
            subject: columns.get("subject")?,
        })
    }

    fn is_for(&self, webhook: &Webhook) -> bool {
        self.tenant == chain_column(&webhook.owner)
            && webhook.wants(&self.event_type, &self.subject)
    }
}

/// A delivery as the statement reads it.
#[derive(Serialize)]
struct Listed<'a> {
    tenant: &'a str,
    delivery_id: String,
    endpoint_id: &'a str,
    position: i64,
    event_id: &'a str,
    event_type: &'a str,
}

async fn deliver(tx: &mut Tx, pairs: &[(&Candidate, &Webhook)], now: OffsetDateTime) -> Step<()> {
    if pairs.is_empty() {
        return Ok(());
    }
    let draw = || tx.shared.entropy.with(|rng| DeliveryId::generate(now, rng));
    let listed: Vec<_> = pairs
        .iter()
        .map(|(event, webhook)| Listed {
            tenant: &event.tenant,
            delivery_id: draw().into(),
            endpoint_id: webhook.webhook_id.as_str(),
            position: event.position,
            event_id: &event.event_id,
            event_type: &event.event_type,
        })
        .collect();
    let listed = json(&listed)?;
    let deliver = query(DELIVER).bind(listed).bind(ms(now));
    deliver.execute(tx.conn()).await?;
    Ok(())
}

async fn candidates(rows: &[Row]) -> Step<Vec<Candidate>> {
    Ok(rows.iter().map(Candidate::read).collect::<Result<_>>()?)
}

/// Takes at most `limit` events.
pub(super) async fn fan_out(tx: &mut Tx, now: OffsetDateTime, limit: u32) -> Step<FannedOut> {
    let turn = query(TURN).fetch_one(tx.conn()).await?;
    let taken: i64 = Columns::of(&turn, "webhook_fan_out").get("position")?;
    let rows = query(NEXT).bind(taken).bind(i64::from(limit));
    let rows = rows.fetch_all(tx.conn()).await?;
    let events = candidates(&rows).await?;
    let Some(last) = events.last() else {
        return Ok(FannedOut {
            events: 0,
            deliveries: 0,
        });
    };
    let owners: BTreeSet<_> = events.iter().map(|event| event.tenant.as_str()).collect();
    let owners: Vec<_> = owners.into_iter().collect();
    let webhooks = webhook_rows::enabled(tx, &owners).await?;
    let mut pairs = Vec::new();
    for event in &events {
        let told = webhooks.iter().filter(|webhook| event.is_for(webhook));
        pairs.extend(told.map(|webhook| (event, webhook)));
    }
    deliver(tx, &pairs, now).await?;
    query(MOVE).bind(last.position).execute(tx.conn()).await?;
    let number = |length| u64::try_from(length).unwrap_or(u64::MAX);
    Ok(FannedOut {
        events: number(events.len()),
        deliveries: number(pairs.len()),
    })
}

/// Up to which place events have their deliveries.
pub(super) async fn taken(conn: &mut Connection) -> Step<i64> {
    let row = query(TAKEN).fetch_one(conn).await?;
    Ok(Columns::of(&row, "webhook_fan_out").get("position")?)
}

/// Makes at most `limit` events due that an endpoint missed.
pub(super) async fn recover(
    tx: &mut ChangeTx<'_>,
    webhook: &Webhook,
    since: OffsetDateTime,
    limit: u32,
) -> Step<Recovered> {
    let at = tx.at();
    let last = taken(tx.conn()).await?;
    let (mut behind, mut events) = (0, 0_u64);
    loop {
        let rows = query(MISSED)
            .bind(chain_column(&webhook.owner))
            .bind(ms(since))
            .bind(behind)
            .bind(last)
            .bind(webhook.webhook_id.as_str())
            .bind(i64::from(PAGE))
            .fetch_all(tx.conn())
            .await?;
        let missed = candidates(&rows).await?;
        let wanted = missed.iter().filter(|event| event.is_for(webhook));
        let mut pairs: Vec<_> = wanted.map(|event| (event, webhook)).collect();
        let left = u64::from(limit).saturating_sub(events);
        let more = u64::try_from(pairs.len()).is_ok_and(|found| found > left);
        pairs.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        deliver(tx.tx, &pairs, at).await?;
        events += u64::try_from(pairs.len()).unwrap_or(u64::MAX);
        behind = missed.last().map_or(behind, |event| event.position);
        let is_last = count(u64::try_from(missed.len()).unwrap_or(u64::MAX)) < i64::from(PAGE);
        if more || is_last {
            return Ok(Recovered { events, more });
        }
    }
}
