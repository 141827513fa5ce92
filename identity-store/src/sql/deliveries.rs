use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::audit::{count, read_outbox};
use super::column::{Columns, json, ms};
use super::fan_out;
use super::fault::Step;
use super::post::chain_column;
use super::query::{Sql, query};
use super::tx::{ChangeTx, Isolation, Tx};
use super::{SqlStore, webhook_rows};
use crate::posting::to_millisecond;
use crate::{
    Chain, Change, ClaimedDelivery, DeliveryStore, DisableReason, DisabledWebhook, Event,
    FannedOut, Health, OutboxEvent, Result, TriedDelivery, Webhook, WebhookId,
};

/// The endpoints that have something pending, one after the other by the index of what is pending: however much
/// one of them has, it is one step.
macro_rules! waiting {
    ($busy:literal) => {
        concat!(
            "WITH RECURSIVE waiting (endpoint_id) AS (
                 SELECT (SELECT min(endpoint_id) FROM webhook_deliveries WHERE status = 'pending')
                 UNION ALL
                 SELECT (SELECT min(d.endpoint_id) FROM webhook_deliveries d
                         WHERE d.status = 'pending' AND d.endpoint_id > waiting.endpoint_id)
                 FROM waiting WHERE waiting.endpoint_id IS NOT NULL
             )
             SELECT nullif(e.tenant_id, '') AS tenant_id, e.endpoint_id, e.url, e.events, e.description,
                    e.secrets, e.disabled_reason, e.failing_since, e.created_at
             FROM (SELECT endpoint_id, (SELECT min(d.due_at) FROM webhook_deliveries d
                                        WHERE d.endpoint_id = waiting.endpoint_id
                                          AND d.status = 'pending') AS due_at
                   FROM waiting WHERE endpoint_id IS NOT NULL) due
                  JOIN webhook_endpoints e ON e.endpoint_id = due.endpoint_id
             WHERE due.due_at <= $1 AND e.disabled_reason IS NULL AND e.endpoint_id NOT IN (",
            $busy,
            ") ORDER BY due.due_at, e.endpoint_id LIMIT $3"
        )
    };
}

const WAITING: Sql = Sql {
    sqlite: waiting!("SELECT value FROM json_each($2)"),
    postgres: waiting!("SELECT json_array_elements_text($2::json)"),
};
const CLAIM: Sql = Sql {
    sqlite: "
        UPDATE webhook_deliveries SET due_at = $4, claims = claims + 1
        WHERE tenant_id = $2 AND delivery_id IN (
            SELECT delivery_id FROM webhook_deliveries
            WHERE endpoint_id = $1 AND tenant_id = $2 AND status = 'pending' AND due_at <= $3
            ORDER BY due_at LIMIT $5)
        RETURNING delivery_id, event_position, tries, claims",
    postgres: "
        UPDATE webhook_deliveries d SET due_at = $4, claims = claims + 1
        FROM (SELECT tenant_id, delivery_id FROM webhook_deliveries
              WHERE endpoint_id = $1 AND tenant_id = $2 AND status = 'pending' AND due_at <= $3
              ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED) due
        WHERE d.tenant_id = due.tenant_id AND d.delivery_id = due.delivery_id
        RETURNING d.delivery_id, d.event_position, d.tries, d.claims",
};
const EVENTS: Sql = Sql {
    sqlite: "
        SELECT position, event_id, nullif(tenant_id, '') AS tenant_id, event_type, subject, sequence,
               at, data
        FROM outbox NOT INDEXED
        WHERE tenant_id = $2 AND position IN (SELECT value FROM json_each($1))",
    postgres: "
        SELECT position, event_id, nullif(tenant_id, '') AS tenant_id, event_type, subject, sequence,
               at, data
        FROM outbox
        WHERE tenant_id = $2 AND position IN (SELECT json_array_elements_text($1::json)::BIGINT)",
};
const FINISH: Sql = Sql {
    sqlite: "
        UPDATE webhook_deliveries
        SET status = tried.value ->> 'status', tries = tries + 1, claims = claims + 1,
            due_at = tried.value ->> 'due_at', tried_at = tried.value ->> 'tried_at',
            ended_at = tried.value ->> 'ended_at',
            response_status = tried.value ->> 'response_status',
            response_body = tried.value ->> 'response_body', error = tried.value ->> 'error'
        FROM json_each($1) tried
        WHERE tenant_id = tried.value ->> 'tenant' AND delivery_id = tried.value ->> 'delivery_id'
          AND claims = tried.value ->> 'claim' AND status = 'pending'
        RETURNING delivery_id",
    postgres: "
        UPDATE webhook_deliveries d
        SET status = tried.status, tries = d.tries + 1, claims = d.claims + 1, due_at = tried.due_at,
            tried_at = tried.tried_at, ended_at = tried.ended_at,
            response_status = tried.response_status, response_body = tried.response_body,
            error = tried.error
        FROM json_to_recordset($1::json) AS
             tried(tenant TEXT, delivery_id TEXT, claim BIGINT, status TEXT, due_at BIGINT,
                   tried_at BIGINT, ended_at BIGINT, response_status BIGINT, response_body TEXT,
                   error TEXT)
        WHERE d.tenant_id = tried.tenant AND d.delivery_id = tried.delivery_id
          AND d.claims = tried.claim AND d.status = 'pending'
        RETURNING d.delivery_id",
};
const WELL: &str = "
    UPDATE webhook_endpoints SET failing_since = NULL
    WHERE tenant_id = $1 AND endpoint_id = $2 AND failing_since IS NOT NULL";
const FAILING: &str = "
    UPDATE webhook_endpoints SET failing_since = coalesce(failing_since, $3)
    WHERE tenant_id = $1 AND endpoint_id = $2 AND disabled_reason IS NULL
    RETURNING failing_since";
const DISABLE: &str = "
    UPDATE webhook_endpoints SET disabled_reason = $3
    WHERE tenant_id = $1 AND endpoint_id = $2 AND disabled_reason IS NULL";
const PURGED_TO: &str = "
    SELECT purged_to, (SELECT at FROM outbox ORDER BY position LIMIT 1) AS oldest FROM webhook_fan_out";
const MOVE_PURGED: &str = "UPDATE webhook_fan_out SET purged_to = $1";
const OLDEST: &str = "
    SELECT position, at, tenant_id, subject, sequence, event_type
    FROM outbox WHERE position <= $1 ORDER BY position LIMIT $2";
const KEEP_NUMBERS: Sql = Sql {
    sqlite: "
        INSERT INTO outbox_numbers (tenant_id, subject, sequence)
        SELECT value ->> 'tenant', value ->> 'subject', value ->> 'sequence'
        FROM json_each($1) WHERE TRUE
        ON CONFLICT (tenant_id, subject) DO UPDATE SET sequence = excluded.sequence",
    postgres: "
        INSERT INTO outbox_numbers (tenant_id, subject, sequence)
        SELECT tenant, subject, sequence
        FROM json_to_recordset($1::json) AS number(tenant TEXT, subject TEXT, sequence BIGINT)
        ON CONFLICT (tenant_id, subject) DO UPDATE SET sequence = excluded.sequence",
};
const FORGET_NUMBERS: Sql = Sql {
    sqlite: "
        DELETE FROM outbox_numbers WHERE (tenant_id, subject) IN (
            SELECT value ->> 'tenant', value ->> 'subject' FROM json_each($1))",
    postgres: "
        DELETE FROM outbox_numbers WHERE (tenant_id, subject) IN (
            SELECT tenant, subject
            FROM json_to_recordset($1::json) AS number(tenant TEXT, subject TEXT))",
};
const PURGE_DELIVERIES: &str = "DELETE FROM webhook_deliveries WHERE event_position <= $1";
const PURGE: &str = "DELETE FROM outbox WHERE position <= $1";

/// How many events one transaction deletes.
const PURGED_AT_ONCE: u32 = 1000;

/// A delivery that was claimed, without its event.
struct Claimed {
    delivery_id: String,
    position: i64,
    tries: u32,
    claim: u64,
}

async fn claim(
    tx: &mut Tx,
    now: OffsetDateTime,
    until: OffsetDateTime,
    limit: u32,
    of_each: u32,
    busy: &[WebhookId],
) -> Step<Vec<ClaimedDelivery>> {
    let waiting = query(WAITING)
        .bind(ms(now))
        .bind(json(&busy)?)
        .bind(i64::from(limit))
        .fetch_all(tx.conn())
        .await?;
    let shared = std::sync::Arc::clone(&tx.shared);
    let waiting = waiting.iter().map(|row| webhook_rows::read(row, &shared));
    let waiting = waiting.collect::<Result<Vec<_>>>()?;
    let mut claimed = Vec::new();
    for webhook in waiting {
        let have = u32::try_from(claimed.len()).unwrap_or(u32::MAX);
        let left = limit.saturating_sub(have);
        let of_each = match webhook.failing_since {
            Some(_) => 1,
            None => of_each,
        };
        claimed.extend(claim_of(tx, &webhook, now, until, left.min(of_each)).await?);
    }
    Ok(claimed)
}

/// Claims at most `most` deliveries of one endpoint.
async fn claim_of(
    tx: &mut Tx,
    webhook: &Webhook,
    now: OffsetDateTime,
    until: OffsetDateTime,
    most: u32,
) -> Step<Vec<ClaimedDelivery>> {
    if most == 0 {
        return Ok(Vec::new());
    }
    let rows = query(CLAIM)
        .bind(webhook.webhook_id.as_str())
        .bind(chain_column(&webhook.owner))
        .bind(ms(now))
        .bind(ms(until))
        .bind(i64::from(most))
        .fetch_all(tx.conn())
        .await?;
    let claimed = rows.iter().map(|row| {
        let columns = Columns::of(row, "webhook_deliveries");
        Ok(Claimed {
            delivery_id: columns.get("delivery_id")?,
            position: columns.get("event_position")?,
            tries: columns.number("tries")?,
            claim: columns.number("claims")?,
        })
    });
    let claimed = claimed.collect::<Result<Vec<_>>>()?;
    let positions: Vec<_> = claimed.iter().map(|claimed| claimed.position).collect();
    let rows = query(EVENTS).bind(json(&positions)?);
    let rows = rows.bind(chain_column(&webhook.owner));
    let rows = rows.fetch_all(tx.conn()).await?;
    let events = rows.iter().map(|row| {
        let event = read_outbox(row)?;
        Ok((count(event.position), event))
    });
    let events: BTreeMap<i64, OutboxEvent> = events.collect::<Result<_>>()?;
    let live = webhook.secrets.iter().filter(|secret| secret.is_live(now));
    let secrets: Vec<_> = live.cloned().collect();
    let with_event = claimed.into_iter().filter_map(|claimed| {
        let event = events.get(&claimed.position)?.clone();
        Some((claimed, event))
    });
    let whole = with_event.map(|(claimed, event)| {
        Ok(ClaimedDelivery {
            delivery_id: claimed.delivery_id.parse()?,
            webhook_id: webhook.webhook_id.clone(),
            owner: webhook.owner.clone(),
            url: webhook.url.clone(),
            secrets: secrets.clone(),
            event,
            tries: claimed.tries,
            claim: claimed.claim,
        })
    });
    Ok(whole.collect::<Result<_>>()?)
}

/// What came of a try, as the statement reads it.
#[derive(Serialize)]
struct ListedTry<'a> {
    tenant: &'a str,
    delivery_id: &'a str,
    claim: u64,
    status: &'static str,
    due_at: Option<i64>,
    tried_at: i64,
    ended_at: Option<i64>,
    response_status: Option<u16>,
    response_body: Option<&'a str>,
    error: Option<&'a str>,
}

impl<'a> ListedTry<'a> {
    fn of(tried: &'a TriedDelivery) -> Self {
        let (due_at, tried_at) = (tried.verdict.due_at().map(ms), ms(tried.tried.at));
        Self {
            tenant: chain_column(&tried.owner),
            delivery_id: tried.delivery_id.as_str(),
            claim: tried.claim,
            status: tried.verdict.status().as_str(),
            due_at,
            tried_at,
            ended_at: due_at.is_none().then_some(tried_at),
            response_status: tried.tried.response_status,
            response_body: tried.tried.response_body.as_deref(),
            error: tried.tried.error.as_deref(),
        }
    }
}

async fn finish(
    tx: &mut ChangeTx<'_>,
    tried: &[TriedDelivery],
    patience: Duration,
) -> Step<Vec<DisabledWebhook>> {
    let listed: Vec<_> = tried.iter().map(ListedTry::of).collect();
    let rows = query(FINISH).bind(json(&listed)?);
    let rows = rows.fetch_all(tx.conn()).await?;
    let counted = rows
        .iter()
        .map(|row| Columns::of(row, "webhook_deliveries").get::<&str>("delivery_id"));
    let counted = counted.collect::<Result<std::collections::BTreeSet<_>>>()?;
    let mut healths: BTreeMap<&WebhookId, (&Chain, Health)> = BTreeMap::new();
    for tried in tried {
        if counted.contains(tried.delivery_id.as_str()) {
            let before = healths.get(&tried.webhook_id).map(|(_, health)| *health);
            let health = Health::after(before, tried.verdict);
            healths.insert(&tried.webhook_id, (&tried.owner, health));
        }
    }
    let mut disabled = Vec::new();
    for (webhook_id, (owner, health)) in healths {
        if let Some(reason) = note_health(tx, owner, webhook_id, health, patience).await? {
            disabled.push(DisabledWebhook {
                webhook_id: webhook_id.clone(),
                owner: owner.clone(),
                reason,
            });
        }
    }
    Ok(disabled)
}

/// Notes how an endpoint is, and disables it where that is too bad; says why if it did.
async fn note_health(
    tx: &mut ChangeTx<'_>,
    owner: &Chain,
    webhook_id: &WebhookId,
    health: Health,
    patience: Duration,
) -> Step<Option<DisableReason>> {
    let at = tx.at();
    let note = |statement: &'static str| {
        let note = query(statement).bind(chain_column(owner));
        note.bind(webhook_id.as_str())
    };
    let reason = match health {
        Health::Well => {
            note(WELL).execute(tx.conn()).await?;
            return Ok(None);
        }
        Health::Gone => DisableReason::Gone,
        Health::Failing => {
            let noted = note(FAILING).bind(ms(at)).fetch_optional(tx.conn()).await?;
            let Some(row) = noted else {
                return Ok(None);
            };
            let since = Columns::of(&row, "webhook_endpoints").time("failing_since")?;
            if at - since < patience {
                return Ok(None);
            }
            DisableReason::Failing
        }
    };
    let disabled = note(DISABLE)
        .bind(reason.as_str())
        .execute(tx.conn())
        .await?;
    if disabled == 0 {
        return Ok(None);
    }
    let event = Event::WebhookEndpointDisabled {
        webhook_id: webhook_id.clone(),
        reason,
    };
    tx.post(owner, &event).await?;
    if reason == DisableReason::Failing {
        tx.post(&Chain::Platform, &Event::webhook_disabled_alert())
            .await?;
    }
    Ok(Some(reason))
}

/// Moves the purge on to `before`, by `step` at most; says before when events may go now, if there are any.
async fn move_purge(tx: &mut Tx, before: i64, step: i64) -> Step<Option<i64>> {
    let row = query(PURGED_TO).fetch_one(tx.conn()).await?;
    let columns = Columns::of(&row, "webhook_fan_out");
    let (purged_to, oldest): (Option<i64>, Option<i64>) =
        (columns.get("purged_to")?, columns.get("oldest")?);
    let place = oldest.map(|oldest| {
        let place = purged_to.unwrap_or(oldest);
        before.min(place.saturating_add(step)).max(place)
    });
    if place != purged_to {
        query(MOVE_PURGED).bind(place).execute(tx.conn()).await?;
    }
    Ok(place.map(|place| place.min(before)))
}

/// The last number of a subject among events that are purged.
#[derive(Serialize)]
struct Number<'a> {
    tenant: &'a str,
    subject: &'a str,
    sequence: i64,
    #[serde(skip)]
    ends: bool,
}

/// Deletes what is over of the oldest events; returns how many, and whether there may be more.
async fn purge(tx: &mut Tx, before: i64) -> Step<(u64, bool)> {
    let taken = fan_out::taken(tx.conn()).await?;
    let oldest = query(OLDEST).bind(taken).bind(i64::from(PURGED_AT_ONCE));
    let oldest = oldest.fetch_all(tx.conn()).await?;
    let (mut last, mut over) = (None, 0);
    let mut numbers = BTreeMap::new();
    for row in &oldest {
        let columns = Columns::of(row, "outbox");
        if columns.get::<i64>("at")? >= before {
            break;
        }
        (last, over) = (Some(columns.get::<i64>("position")?), over + 1);
        let number = Number {
            tenant: columns.get("tenant_id")?,
            subject: columns.get("subject")?,
            sequence: columns.get("sequence")?,
            ends: Event::ends_subject(columns.get("event_type")?),
        };
        // The newest of its subject is what counts.
        numbers.insert((number.tenant, number.subject), number);
    }
    if let Some(last) = last {
        let (ended, kept): (Vec<_>, Vec<_>) = numbers.into_values().partition(|it| it.ends);
        for (statement, numbers) in [(KEEP_NUMBERS, kept), (FORGET_NUMBERS, ended)] {
            let statement = query(statement).bind(json(&numbers)?);
            statement.execute(tx.conn()).await?;
        }
        for statement in [PURGE_DELIVERIES, PURGE] {
            query(statement).bind(last).execute(tx.conn()).await?;
        }
    }
    Ok((over, over == u64::from(PURGED_AT_ONCE)))
}

#[async_trait]
impl DeliveryStore for SqlStore {
    async fn fan_out_events(&self, now: OffsetDateTime, limit: u32) -> Result<FannedOut> {
        let now = to_millisecond(now);
        self.run_tx("fan_out_events", Isolation::ReadCommitted, move |tx| {
            Box::pin(fan_out::fan_out(tx, now, limit))
        })
        .await
    }

    async fn claim_deliveries(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
        of_each: u32,
        busy: Vec<WebhookId>,
    ) -> Result<Vec<ClaimedDelivery>> {
        self.run_tx("claim_deliveries", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move { claim(tx, now, until, limit, of_each, &busy).await })
        })
        .await
    }

    async fn finish_deliveries(
        &self,
        change: Change,
        tried: Vec<TriedDelivery>,
        patience: Duration,
    ) -> Result<Vec<DisabledWebhook>> {
        self.run_change(
            "finish_deliveries",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { finish(tx, &tried, patience).await }),
        )
        .await
    }

    async fn purge_events(&self, before: OffsetDateTime, step: Duration) -> Result<u64> {
        let (before, step) = (ms(before), step.whole_milliseconds());
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let moved = self.run_tx("move_event_purge", Isolation::ReadCommitted, move |tx| {
            Box::pin(move_purge(tx, before, step))
        });
        let Some(before) = moved.await? else {
            return Ok(0);
        };
        let mut purged = 0;
        loop {
            let batch = self.run_tx("purge_events", Isolation::ReadCommitted, move |tx| {
                Box::pin(purge(tx, before))
            });
            let (batch, more) = batch.await?;
            purged += batch;
            if !more {
                return Ok(purged);
            }
        }
    }
}
