//! What one change or many write beside their data: audit rows and outbox rows, in one way to the
//! database for all of them.

use serde::Serialize;

use super::column::{json, ms, word};
use super::fault::Step;
use super::query::{Sql, query};
use super::tx::Tx;
use crate::posting::{PostedWebhook, Posting};
use crate::{AuditRow, Result};

/// A row of a tenant's chain is written unless the tenant switched its audit off; a row of the
/// platform's, whose tenant is '', always.
macro_rules! audit {
    ($listed:literal, $switched_off:literal) => {
        concat!(
            "INSERT INTO audit_intake (id, tenant_id, at, actor_type, actor_id, action, outcome,
                                     severity, subject, request_id, ip, metadata)
             SELECT p.id, p.tenant, p.moment, p.actor_type, p.actor_id, p.action, p.outcome,
                    p.severity, p.subject, p.request_id, p.ip, p.metadata
             FROM ",
            $listed,
            " WHERE NOT EXISTS (SELECT 1 FROM tenants t WHERE t.tenant_id = p.tenant AND ",
            $switched_off,
            ")"
        )
    };
}

macro_rules! outbox {
    ($listed:literal) => {
        concat!(
            "INSERT INTO outbox_intake (tenant_id, event_id, event_type, subject, at, data)
             SELECT p.tenant, p.event_id, p.event_type, p.subject, p.moment, p.data
             FROM ",
            $listed
        )
    };
}

/// Both in one way to the database.
const POST: Sql = Sql {
    sqlite: concat!(
        audit!(
            "(SELECT value ->> 'id' AS id, value ->> 'tenant' AS tenant, value ->> 'moment' AS moment,
                     value ->> 'actor_type' AS actor_type, value ->> 'actor_id' AS actor_id,
                     value ->> 'action' AS action, value ->> 'outcome' AS outcome,
                     value ->> 'severity' AS severity, value ->> 'subject' AS subject,
                     value ->> 'request_id' AS request_id, value ->> 'ip' AS ip,
                     value ->> 'metadata' AS metadata
              FROM jsonb_each($1)) AS p",
            "json_extract(t.config, '$.audit_enabled') = 0"
        ),
        "; ",
        outbox!(
            "(SELECT value ->> 'tenant' AS tenant, value ->> 'event_id' AS event_id,
                     value ->> 'event_type' AS event_type, value ->> 'subject' AS subject,
                     value ->> 'moment' AS moment, value ->> 'data' AS data
              FROM jsonb_each($2)) AS p"
        )
    ),
    postgres: concat!(
        "WITH audited AS (",
        audit!(
            "json_to_recordset($1::json) AS p(id text, tenant text, moment bigint, actor_type text,
                 actor_id text, action text, outcome text, severity text, subject text,
                 request_id text, ip text, metadata text)",
            "t.config::jsonb ->> 'audit_enabled' = 'false'"
        ),
        ") ",
        outbox!(
            "json_to_recordset($2::json) AS p(tenant text, event_id text, event_type text,
                 subject text, moment bigint, data text)"
        )
    ),
};

/// An audit row as the statement reads it.
#[derive(Serialize)]
struct ListedRow<'a> {
    id: &'a str,
    tenant: &'a str,
    moment: i64,
    actor_type: &'a str,
    actor_id: &'a str,
    action: &'a str,
    outcome: String,
    severity: String,
    subject: &'a str,
    request_id: &'a str,
    ip: Option<String>,
    metadata: String,
}

impl<'a> ListedRow<'a> {
    fn of(row: &'a AuditRow) -> Result<Self> {
        Ok(Self {
            id: row.id.as_str(),
            tenant: tenant(row),
            moment: ms(row.at),
            actor_type: &row.actor.kind,
            actor_id: &row.actor.id,
            action: &row.action,
            outcome: word(&row.outcome)?,
            severity: word(&row.severity)?,
            subject: &row.subject,
            request_id: &row.request_id,
            ip: row.ip.map(|ip| ip.to_string()),
            metadata: json(&row.metadata)?,
        })
    }
}

/// An outbox row as the statement reads it.
#[derive(Serialize)]
struct ListedWebhook<'a> {
    tenant: &'a str,
    event_id: &'a str,
    event_type: &'static str,
    subject: &'a str,
    moment: i64,
    data: String,
}

impl<'a> ListedWebhook<'a> {
    fn of((row, webhook): (&'a AuditRow, &'a PostedWebhook)) -> Result<Self> {
        Ok(Self {
            tenant: tenant(row),
            event_id: webhook.event_id.as_str(),
            event_type: webhook.event_type,
            subject: &webhook.subject,
            moment: ms(row.at),
            data: json(&webhook.data)?,
        })
    }
}

fn tenant(row: &AuditRow) -> &str {
    row.tenant_id.as_ref().map_or("", |tenant| tenant.as_str())
}

impl Tx {
    /// Writes the audit rows and outbox rows of events.
    pub(super) async fn post_all(&mut self, postings: &[Posting]) -> Step<()> {
        let rows = postings.iter().map(|posting| ListedRow::of(&posting.row));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let webhooks: Vec<_> = postings
            .iter()
            .filter_map(|posting| Some((&posting.row, posting.webhook.as_ref()?)))
            .map(ListedWebhook::of)
            .collect::<Result<_>>()?;
        query(POST)
            .bind(json(&rows)?)
            .bind(json(&webhooks)?)
            .execute(self.conn())
            .await?;
        Ok(())
    }
}
