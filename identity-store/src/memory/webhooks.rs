use async_trait::async_trait;
use time::OffsetDateTime;

use super::MemoryStore;
use super::deliveries::DeliveryRow;
use super::listing::page;
use super::state::State;
use super::transaction::{Transaction, as_u64, as_usize};
use crate::posting::to_millisecond;
use crate::{
    Chain, Change, Conflict, Delivery, DeliveryId, DeliveryStatus, Entity, Error, Event,
    MAX_WEBHOOKS, NewWebhook, OutboxEvent, Page, PageRequest, Recovered, Result, SecretBytes,
    Webhook, WebhookId, WebhookSecret, WebhookSettings, WebhookStore, rotate,
};

#[async_trait]
impl WebhookStore for MemoryStore {
    async fn create_webhook(&self, change: Change, new: NewWebhook) -> Result<Webhook> {
        self.commit(change, |tx| {
            if let Chain::Tenant(tenant_id) = &new.owner {
                tx.tenant_mut(tenant_id)?;
            }
            if tx.state.webhooks.contains_key(&new.webhook_id) {
                return Err(Error::Conflict(Conflict::IdTaken));
            }
            let all = tx.state.webhooks.values();
            let own = all.filter(|webhook| webhook.owner == new.owner).count();
            if own >= as_usize(MAX_WEBHOOKS) {
                return Err(Error::Conflict(Conflict::TooManyWebhooks));
            }
            let webhook = Webhook {
                webhook_id: new.webhook_id.clone(),
                owner: new.owner,
                url: new.settings.url,
                events: new.settings.events,
                description: new.settings.description,
                secrets: vec![WebhookSecret {
                    secret: new.secret,
                    expires_at: None,
                }],
                disabled: None,
                failing_since: None,
                created_at: tx.at(),
            };
            let webhook_id = new.webhook_id.clone();
            tx.state.webhooks.insert(new.webhook_id, webhook.clone());
            let event = Event::WebhookEndpointCreated { webhook_id };
            tx.post(&webhook.owner, &event);
            Ok(webhook)
        })
    }

    async fn webhook(&self, owner: &Chain, webhook_id: &WebhookId) -> Result<Option<Webhook>> {
        let state = self.state();
        let webhook = state.webhooks.get(webhook_id);
        Ok(webhook.filter(|webhook| webhook.owner == *owner).cloned())
    }

    async fn webhooks(&self, owner: &Chain, request: PageRequest) -> Result<Page<Webhook>> {
        let state = self.state();
        let all = state.webhooks.values();
        let own = all.filter(|webhook| webhook.owner == *owner);
        page(own.cloned().collect(), &request, |webhook: &Webhook| {
            (webhook.created_at, webhook.webhook_id.as_str())
        })
    }

    async fn update_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        settings: WebhookSettings,
    ) -> Result<Webhook> {
        self.commit(change, |tx| {
            let webhook = tx.webhook_mut(owner, webhook_id)?;
            webhook.url = settings.url;
            webhook.events = settings.events;
            webhook.description = settings.description;
            let (webhook, webhook_id) = (webhook.clone(), webhook_id.clone());
            tx.post(owner, &Event::WebhookEndpointUpdated { webhook_id });
            Ok(webhook)
        })
    }

    async fn delete_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<()> {
        self.commit(change, |tx| {
            tx.webhook_mut(owner, webhook_id)?;
            tx.state.webhooks.remove(webhook_id);
            let deliveries = &mut tx.state.deliveries;
            deliveries.retain(|row| row.delivery.webhook_id != *webhook_id);
            let webhook_id = webhook_id.clone();
            tx.post(owner, &Event::WebhookEndpointDeleted { webhook_id });
            Ok(())
        })
    }

    async fn rotate_webhook_secret(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        secret: SecretBytes,
        others_until: OffsetDateTime,
    ) -> Result<Webhook> {
        self.commit(change, |tx| {
            let at = tx.at();
            let webhook = tx.webhook_mut(owner, webhook_id)?;
            let until = to_millisecond(others_until);
            rotate(&mut webhook.secrets, secret, until, at);
            let (webhook, webhook_id) = (webhook.clone(), webhook_id.clone());
            tx.post(owner, &Event::WebhookEndpointSecretRotated { webhook_id });
            Ok(webhook)
        })
    }

    async fn enable_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<Webhook> {
        self.commit(change, |tx| {
            let webhook = tx.webhook_mut(owner, webhook_id)?;
            let was_disabled = webhook.disabled.take().is_some();
            if was_disabled {
                webhook.failing_since = None;
            }
            let (webhook, webhook_id) = (webhook.clone(), webhook_id.clone());
            if was_disabled {
                tx.post(owner, &Event::WebhookEndpointEnabled { webhook_id });
            }
            Ok(webhook)
        })
    }

    async fn test_webhook(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
    ) -> Result<()> {
        self.commit(change, |tx| {
            tx.enabled_webhook(owner, webhook_id)?;
            let webhook_id = webhook_id.clone();
            tx.post(owner, &Event::WebhookEndpointTested { webhook_id });
            Ok(())
        })
    }

    async fn deliveries(
        &self,
        owner: &Chain,
        webhook_id: &WebhookId,
        status: Option<DeliveryStatus>,
        request: PageRequest,
    ) -> Result<Page<Delivery>> {
        let state = self.state();
        let found = state.deliveries.iter().filter(|row| {
            row.owner == *owner
                && row.delivery.webhook_id == *webhook_id
                && status.is_none_or(|status| row.delivery.status == status)
        });
        let found = found.map(|row| row.delivery.clone()).collect();
        page(found, &request, |delivery: &Delivery| {
            (delivery.created_at, delivery.delivery_id.as_str())
        })
    }

    async fn resend_delivery(
        &self,
        change: Change,
        owner: &Chain,
        delivery_id: &DeliveryId,
    ) -> Result<Delivery> {
        self.commit(change, |tx| {
            let at = tx.at();
            let found =
                tx.state.deliveries.iter().position(|row| {
                    row.owner == *owner && row.delivery.delivery_id == *delivery_id
                });
            let place = found.ok_or(Error::NotFound(Entity::Delivery))?;
            let webhook_id = tx.state.deliveries[place].delivery.webhook_id.clone();
            match tx.enabled_webhook(owner, &webhook_id) {
                Err(Error::NotFound(_)) => return Err(Error::NotFound(Entity::Delivery)),
                other => other?,
            };
            let row = &mut tx.state.deliveries[place];
            row.send_again(at);
            let delivery = row.delivery.clone();
            let event = Event::WebhookDeliveryResent {
                webhook_id,
                delivery_id: delivery_id.clone(),
            };
            tx.post(owner, &event);
            Ok(delivery)
        })
    }

    async fn recover_deliveries(
        &self,
        change: Change,
        owner: &Chain,
        webhook_id: &WebhookId,
        since: OffsetDateTime,
        limit: u32,
    ) -> Result<Recovered> {
        let entropy = &self.entropy;
        self.commit(change, |tx| {
            let (at, since) = (tx.at(), to_millisecond(since));
            let webhook = tx.enabled_webhook(owner, webhook_id)?.clone();
            let State {
                outbox,
                deliveries,
                fanned_out,
                ..
            } = &mut tx.state;
            let missed = outbox.iter().filter(|event| {
                let delivered = deliveries.iter().find(|row| row.is(event, &webhook));
                event.position <= *fanned_out
                    && event.at >= since
                    && event.tenant_id.as_ref() == owner.tenant_id()
                    && webhook.wants(&event.event_type, &event.subject)
                    && delivered.is_none_or(|row| row.delivery.status == DeliveryStatus::Failed)
            });
            let mut missed: Vec<_> = missed.take(as_usize(limit) + 1).collect();
            let more = missed.len() > as_usize(limit);
            missed.truncate(as_usize(limit));
            for event in &missed {
                match deliveries.iter_mut().find(|row| row.is(event, &webhook)) {
                    Some(row) => row.send_again(at),
                    None => deliveries.push(DeliveryRow::new(event, &webhook, at, entropy)),
                }
            }
            let events = as_u64(missed.len());
            let event = Event::WebhookEndpointRecovered {
                webhook_id: webhook_id.clone(),
                since,
                count: events,
            };
            tx.post(owner, &event);
            Ok(Recovered { events, more })
        })
    }

    async fn events(
        &self,
        owner: &Chain,
        subject: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<OutboxEvent>> {
        let state = self.state();
        let found = state.outbox.iter().filter(|event| {
            event.tenant_id.as_ref() == owner.tenant_id()
                && event.subject == subject
                && event.sequence > after
        });
        Ok(found.take(as_usize(limit)).cloned().collect())
    }
}

impl Transaction<'_> {
    fn webhook_mut(&mut self, owner: &Chain, webhook_id: &WebhookId) -> Result<&mut Webhook> {
        let webhook = self.state.webhooks.get_mut(webhook_id);
        let own = webhook.filter(|webhook| webhook.owner == *owner);
        own.ok_or(Error::NotFound(Entity::Webhook))
    }

    fn enabled_webhook(&mut self, owner: &Chain, webhook_id: &WebhookId) -> Result<&Webhook> {
        let webhook = self.webhook_mut(owner, webhook_id)?;
        match webhook.disabled {
            None => Ok(webhook),
            Some(_) => Err(Error::Conflict(Conflict::WebhookDisabled)),
        }
    }
}
