use async_trait::async_trait;
use time::OffsetDateTime;

use super::audit::{count, read_outbox};
use super::column::{Columns, json, ms, place};
use super::fault::{Step, taken};
use super::post::chain_column;
use super::query::query;
use super::row::Row;
use super::tx::{ChangeTx, Isolation};
use super::webhook_rows::{self, find, hold, hold_enabled, key, read};
use super::{SqlStore, fan_out, tenants};
use crate::posting::to_millisecond;
use crate::{
    Chain, Change, Conflict, Delivery, DeliveryId, DeliveryStatus, Entity, Error, Event,
    MAX_WEBHOOKS, NewWebhook, OutboxEvent, Page, PageRequest, Recovered, Result, SecretBytes, Try,
    Webhook, WebhookId, WebhookSecret, WebhookSettings, WebhookStore, rotate,
};

const COUNT: &str = "SELECT count(*) AS endpoints FROM webhook_endpoints WHERE tenant_id = $1";
const INSERT: &str = "
    INSERT INTO webhook_endpoints (tenant_id, endpoint_id, url, events, description, secrets,
                                   created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)";
const UPDATE: &str = "
    UPDATE webhook_endpoints SET url = $3, events = $4, description = $5
    WHERE tenant_id = $1 AND endpoint_id = $2";
const SET_SECRETS: &str = "
    UPDATE webhook_endpoints SET secrets = $3 WHERE tenant_id = $1 AND endpoint_id = $2";
const ENABLE: &str = "
    UPDATE webhook_endpoints SET disabled_reason = NULL, failing_since = NULL
    WHERE tenant_id = $1 AND endpoint_id = $2";
const DELETE: &str = "DELETE FROM webhook_endpoints WHERE tenant_id = $1 AND endpoint_id = $2";
const DELETE_DELIVERIES: &str = "
    DELETE FROM webhook_deliveries WHERE tenant_id = $1 AND delivery_id IN (
        SELECT delivery_id FROM webhook_deliveries WHERE tenant_id = $1 AND endpoint_id = $2)";

macro_rules! deliveries {
    ($rest:literal) => {
        concat!(
            "SELECT delivery_id, endpoint_id, event_id, event_type, status, tries, due_at, tried_at,
                    ended_at, response_status, response_body, error, created_at
             FROM webhook_deliveries ",
            $rest
        )
    };
}

const DELIVERY: &str = deliveries!("WHERE tenant_id = $1 AND delivery_id = $2");
const DELIVERIES: &str = deliveries!(
    "WHERE tenant_id = $1 AND endpoint_id = $2 AND (created_at, delivery_id) < ($3, $4)
     ORDER BY created_at DESC, delivery_id DESC LIMIT $5"
);
const DELIVERIES_OF_STATUS: &str = deliveries!(
    "WHERE status = $3 AND tenant_id = $1 AND endpoint_id = $2
       AND (created_at, delivery_id) < ($4, $5)
     ORDER BY created_at DESC, delivery_id DESC LIMIT $6"
);
const SEND_AGAIN: &str = "
    UPDATE webhook_deliveries
    SET status = 'pending', tries = 0, claims = claims + 1, due_at = $3, ended_at = NULL
    WHERE tenant_id = $1 AND delivery_id = $2";
const EVENTS: &str = "
    SELECT position, event_id, nullif(tenant_id, '') AS tenant_id, event_type, subject, sequence, at,
           data
    FROM outbox WHERE tenant_id = $1 AND subject = $2 AND sequence > $3 ORDER BY sequence LIMIT $4";

fn read_delivery(row: &Row) -> Result<Delivery> {
    let columns = Columns::of(row, "webhook_deliveries");
    let response_status: Option<i64> = columns.get("response_status")?;
    let response_status = response_status
        .map(|status| u16::try_from(status).map_err(|_| columns.corrupt("response_status")));
    let last_try = match columns.time_option("tried_at")? {
        None => None,
        Some(at) => Some(Try {
            at,
            response_status: response_status.transpose()?,
            response_body: columns.get("response_body")?,
            error: columns.get("error")?,
        }),
    };
    Ok(Delivery {
        delivery_id: columns.parse("delivery_id")?,
        webhook_id: columns.parse("endpoint_id")?,
        event_id: columns.parse("event_id")?,
        event_type: columns.get("event_type")?,
        status: columns.word("status")?,
        tries: columns.number("tries")?,
        due_at: columns.time_option("due_at")?,
        last_try,
        created_at: columns.time("created_at")?,
        ended_at: columns.time_option("ended_at")?,
    })
}

async fn create(tx: &mut ChangeTx<'_>, new: NewWebhook) -> Step<Webhook> {
    let NewWebhook {
        webhook_id,
        owner,
        settings,
        secret,
    } = new;
    if let Chain::Tenant(tenant_id) = &owner {
        tenants::must_find(tx.conn(), tenant_id).await?;
    }
    let counted = query(COUNT).bind(chain_column(&owner));
    let counted = counted.fetch_one(tx.conn()).await?;
    let endpoints: u32 = Columns::of(&counted, "webhook_endpoints").number("endpoints")?;
    if endpoints >= MAX_WEBHOOKS {
        return Err(Conflict::TooManyWebhooks.into());
    }
    let webhook = Webhook {
        webhook_id,
        owner,
        url: settings.url,
        events: settings.events,
        description: settings.description,
        secrets: vec![WebhookSecret {
            secret,
            expires_at: None,
        }],
        disabled: None,
        failing_since: None,
        created_at: tx.at(),
    };
    let key = key(&webhook.owner, &webhook.webhook_id);
    let secrets = webhook_rows::seal(tx.tx.shared.sealer(), &key, &webhook.secrets)?;
    query(INSERT)
        .bind(chain_column(&webhook.owner))
        .bind(webhook.webhook_id.as_str())
        .bind(&webhook.url)
        .bind(json(&webhook.events)?)
        .bind(&webhook.description)
        .bind(secrets)
        .bind(ms(webhook.created_at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    let webhook_id = webhook.webhook_id.clone();
    let event = Event::WebhookEndpointCreated { webhook_id };
    tx.post(&webhook.owner, &event).await?;
    Ok(webhook)
}

async fn update(
    tx: &mut ChangeTx<'_>,
    owner: &Chain,
    webhook_id: &WebhookId,
    settings: WebhookSettings,
) -> Step<Webhook> {
    let mut webhook = hold(tx, owner, webhook_id).await?;
    query(UPDATE)
        .bind(chain_column(owner))
        .bind(webhook_id.as_str())
        .bind(&settings.url)
        .bind(json(&settings.events)?)
        .bind(&settings.description)
        .execute(tx.conn())
        .await?;
    webhook.url = settings.url;
    webhook.events = settings.events;
    webhook.description = settings.description;
    let webhook_id = webhook_id.clone();
    let event = Event::WebhookEndpointUpdated { webhook_id };
    tx.post(owner, &event).await?;
    Ok(webhook)
}

async fn delete(tx: &mut ChangeTx<'_>, owner: &Chain, webhook_id: &WebhookId) -> Step<()> {
    hold(tx, owner, webhook_id).await?;
    for statement in [DELETE, DELETE_DELIVERIES] {
        let statement = query(statement).bind(chain_column(owner));
        let statement = statement.bind(webhook_id.as_str());
        statement.execute(tx.conn()).await?;
    }
    let webhook_id = webhook_id.clone();
    let event = Event::WebhookEndpointDeleted { webhook_id };
    tx.post(owner, &event).await
}

async fn rotate_secret(
    tx: &mut ChangeTx<'_>,
    owner: &Chain,
    webhook_id: &WebhookId,
    secret: SecretBytes,
    others_until: OffsetDateTime,
) -> Step<Webhook> {
    let at = tx.at();
    let mut webhook = hold(tx, owner, webhook_id).await?;
    rotate(&mut webhook.secrets, secret, others_until, at);
    let sealer = tx.tx.shared.sealer();
    let secrets = webhook_rows::seal(sealer, &key(owner, webhook_id), &webhook.secrets)?;
    query(SET_SECRETS)
        .bind(chain_column(owner))
        .bind(webhook_id.as_str())
        .bind(secrets)
        .execute(tx.conn())
        .await?;
    let webhook_id = webhook_id.clone();
    let event = Event::WebhookEndpointSecretRotated { webhook_id };
    tx.post(owner, &event).await?;
    Ok(webhook)
}

async fn enable(tx: &mut ChangeTx<'_>, owner: &Chain, webhook_id: &WebhookId) -> Step<Webhook> {
    let mut webhook = hold(tx, owner, webhook_id).await?;
    if webhook.disabled.take().is_none() {
        return Ok(webhook);
    }
    webhook.failing_since = None;
    query(ENABLE)
        .bind(chain_column(owner))
        .bind(webhook_id.as_str())
        .execute(tx.conn())
        .await?;
    let webhook_id = webhook_id.clone();
    let event = Event::WebhookEndpointEnabled { webhook_id };
    tx.post(owner, &event).await?;
    Ok(webhook)
}

async fn resend(tx: &mut ChangeTx<'_>, owner: &Chain, delivery_id: &DeliveryId) -> Step<Delivery> {
    let at = tx.at();
    let one = || {
        let one = query(DELIVERY).bind(chain_column(owner));
        one.bind(delivery_id.as_str())
    };
    let found = one().fetch_optional(tx.conn()).await?;
    let webhook_id = read_delivery(&found.ok_or(Entity::Delivery)?)?.webhook_id;
    match hold_enabled(tx, owner, &webhook_id).await {
        Err(super::fault::Fault::Refused(Error::NotFound(Entity::Webhook))) => {
            return Err(Entity::Delivery.into());
        }
        other => other?,
    };
    query(SEND_AGAIN)
        .bind(chain_column(owner))
        .bind(delivery_id.as_str())
        .bind(ms(at))
        .execute(tx.conn())
        .await?;
    let event = Event::WebhookDeliveryResent {
        webhook_id,
        delivery_id: delivery_id.clone(),
    };
    tx.post(owner, &event).await?;
    let row = one().fetch_optional(tx.conn()).await?;
    Ok(read_delivery(&row.ok_or(Entity::Delivery)?)?)
}

async fn recover(
    tx: &mut ChangeTx<'_>,
    owner: &Chain,
    webhook_id: &WebhookId,
    since: OffsetDateTime,
    limit: u32,
) -> Step<Recovered> {
    let webhook = hold_enabled(tx, owner, webhook_id).await?;
    let recovered = fan_out::recover(tx, &webhook, since, limit).await?;
    let event = Event::WebhookEndpointRecovered {
        webhook_id: webhook_id.clone(),
        since,
        count: recovered.events,
    };
    tx.post(owner, &event).await?;
    Ok(recovered)
}

#[async_trait]
impl WebhookStore for SqlStore {
    async fn create_webhook(&self, change: Change, webhook: NewWebhook) -> Result<Webhook> {
        self.run_change(
            "create_webhook",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { create(tx, webhook).await }),
        )
        .await
    }

    async fn webhook(&self, owner: &Chain, webhook_id: &WebhookId) -> Result<Option<Webhook>> {
        self.read("webhook", async |conn| {
            find(conn, &self.shared, owner, webhook_id).await
        })
        .await
    }

    async fn webhooks(&self, owner: &Chain, page: PageRequest) -> Result<Page<Webhook>> {
        let list = query(webhook_rows::LIST).bind(chain_column(owner));
        let read = |row: &Row| read(row, &self.shared);
        self.page("webhooks", list, &page, read, |webhook| {
            place(webhook.created_at, webhook.webhook_id.as_str())
        })
        .await
    }

    async fn update_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        settings: WebhookSettings,
    ) -> Result<Webhook> {
        let (owner, webhook_id) = (owner.clone(), webhook_id.clone());
        self.run_change(
            "update_webhook",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { update(tx, &owner, &webhook_id, settings).await }),
        )
        .await
    }

    async fn delete_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<()> {
        let (owner, webhook_id) = (owner.clone(), webhook_id.clone());
        self.run_change(
            "delete_webhook",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { delete(tx, &owner, &webhook_id).await }),
        )
        .await
    }

    async fn rotate_webhook_secret(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        secret: SecretBytes,
        others_until: OffsetDateTime,
    ) -> Result<Webhook> {
        let (owner, webhook_id) = (owner.clone(), webhook_id.clone());
        let until = to_millisecond(others_until);
        self.run_change(
            "rotate_webhook_secret",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move { rotate_secret(tx, &owner, &webhook_id, secret, until).await })
            },
        )
        .await
    }

    async fn enable_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<Webhook> {
        let (owner, webhook_id) = (owner.clone(), webhook_id.clone());
        self.run_change(
            "enable_webhook",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { enable(tx, &owner, &webhook_id).await }),
        )
        .await
    }

    async fn test_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<()> {
        let (owner, webhook_id) = (owner.clone(), webhook_id.clone());
        self.run_change(
            "test_webhook",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move {
                    hold_enabled(tx, &owner, &webhook_id).await?;
                    let event = Event::WebhookEndpointTested { webhook_id };
                    tx.post(&owner, &event).await
                })
            },
        )
        .await
    }

    async fn deliveries(
        &self,
        owner: &Chain,
        webhook_id: &WebhookId,
        status: Option<DeliveryStatus>,
        page: PageRequest,
    ) -> Result<Page<Delivery>> {
        let list = match status {
            None => query(DELIVERIES),
            Some(_) => query(DELIVERIES_OF_STATUS),
        };
        let list = list.bind(chain_column(owner)).bind(webhook_id.as_str());
        let list = match status {
            None => list,
            Some(status) => list.bind(status.as_str()),
        };
        self.page("deliveries", list, &page, read_delivery, |delivery| {
            place(delivery.created_at, delivery.delivery_id.as_str())
        })
        .await
    }

    async fn resend_delivery(
        &self,
        change: Change,
        owner: &Chain,
        delivery_id: &DeliveryId,
    ) -> Result<Delivery> {
        let (owner, delivery_id) = (owner.clone(), delivery_id.clone());
        self.run_change(
            "resend_delivery",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { resend(tx, &owner, &delivery_id).await }),
        )
        .await
    }

    async fn recover_deliveries(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        since: OffsetDateTime,
        limit: u32,
    ) -> Result<Recovered> {
        let (owner, webhook_id) = (owner.clone(), webhook_id.clone());
        let since = to_millisecond(since);
        self.run_change(
            "recover_deliveries",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { recover(tx, &owner, &webhook_id, since, limit).await }),
        )
        .await
    }

    async fn events(
        &self,
        owner: &Chain,
        subject: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<OutboxEvent>> {
        self.read("events", async |conn| {
            let rows = query(EVENTS)
                .bind(chain_column(owner))
                .bind(subject)
                .bind(count(after))
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read_outbox).collect::<Result<_>>()?)
        })
        .await
    }
}
