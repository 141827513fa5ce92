//! What every change writes beside its data: audit rows, outbox rows, the answer to keep.

use super::column::{json, ms, word};
use super::fault::Step;
use super::idempotency;
use super::query::{Sql, query};
use super::tx::ChangeTx;
use crate::posting::{Posting, posting};
use crate::{Chain, Event};

/// A row of a tenant's chain is written unless the tenant switched its audit off; a row of the
/// platform's, whose tenant is '', always.
macro_rules! audit {
    ($switched_off:literal) => {
        concat!(
            "INSERT INTO audit_intake (id, tenant_id, at, actor_type, actor_id, action, outcome,
                                       severity, subject, request_id, ip, metadata)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12
             WHERE NOT EXISTS (SELECT 1 FROM tenants WHERE tenant_id = $2 AND ",
            $switched_off,
            ")"
        )
    };
}

const AUDIT: Sql = Sql {
    sqlite: audit!("json_extract(config, '$.audit_enabled') = 0"),
    postgres: audit!("config::jsonb ->> 'audit_enabled' = 'false'"),
};

const OUTBOX: &str = "
    INSERT INTO outbox_intake (tenant_id, event_id, event_type, subject, at, data)
    VALUES ($1, $2, $3, $4, $5, $6)";

/// The tenant's column of a chain: '' in the platform's.
pub(super) fn chain_column(chain: &Chain) -> &str {
    chain.tenant_id().map_or("", |tenant_id| tenant_id.as_str())
}

impl ChangeTx<'_> {
    /// Tells `event` in `chain` and to those who subscribe to it.
    pub(super) async fn post(&mut self, chain: &Chain, event: &Event) -> Step<()> {
        let Posting { row, webhook } = posting(&self.change, chain, event, &self.tx.shared.entropy);
        let tenant = chain_column(chain);
        query(AUDIT)
            .bind(row.id.as_str())
            .bind(tenant)
            .bind(ms(row.at))
            .bind(&row.actor.kind)
            .bind(&row.actor.id)
            .bind(&row.action)
            .bind(word(&row.outcome)?)
            .bind(word(&row.severity)?)
            .bind(&row.subject)
            .bind(&row.request_id)
            .bind(row.ip.map(|ip| ip.to_string()))
            .bind(json(&row.metadata)?)
            .execute(self.conn())
            .await?;
        if let Some(webhook) = webhook {
            query(OUTBOX)
                .bind(tenant)
                .bind(webhook.event_id.as_str())
                .bind(webhook.event_type)
                .bind(&webhook.subject)
                .bind(ms(row.at))
                .bind(json(&webhook.data)?)
                .execute(self.conn())
                .await?;
        }
        Ok(())
    }

    /// Keeps the change's answer, if it has one, for a repetition of its request.
    pub(super) async fn keep_answer(&mut self) -> Step<()> {
        match self.change.answer.take() {
            Some(answer) => idempotency::answer_with_work(self.tx, &answer).await,
            None => Ok(()),
        }
    }
}
