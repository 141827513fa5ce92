use std::collections::BTreeMap;

use async_trait::async_trait;
use time::{Duration, OffsetDateTime};

use super::MemoryStore;
use super::state::State;
use super::transaction::{as_u64, as_usize};
use crate::posting::{Entropy, to_millisecond};
use crate::{
    Chain, Change, ClaimedDelivery, Delivery, DeliveryId, DeliveryStatus, DeliveryStore,
    DisableReason, DisabledWebhook, Event, FannedOut, Health, OutboxEvent, Result, TriedDelivery,
    Webhook, WebhookId,
};

/// A delivery, whose event is at a position of the outbox.
#[derive(Debug, Clone)]
pub(super) struct DeliveryRow {
    pub(super) delivery: Delivery,
    pub(super) owner: Chain,
    position: u64,
    claims: u64,
}

impl DeliveryRow {
    pub(super) fn new(
        event: &OutboxEvent,
        webhook: &Webhook,
        now: OffsetDateTime,
        entropy: &Entropy,
    ) -> Self {
        Self {
            delivery: Delivery {
                delivery_id: entropy.with(|rng| DeliveryId::generate(now, rng)),
                webhook_id: webhook.webhook_id.clone(),
                event_id: event.event_id.clone(),
                event_type: event.event_type.clone(),
                status: DeliveryStatus::Pending,
                tries: 0,
                due_at: Some(now),
                last_try: None,
                created_at: now,
                ended_at: None,
            },
            owner: webhook.owner.clone(),
            position: event.position,
            claims: 0,
        }
    }

    /// Whether it tells `webhook` of `event`.
    pub(super) fn is(&self, event: &OutboxEvent, webhook: &Webhook) -> bool {
        self.position == event.position && self.delivery.webhook_id == webhook.webhook_id
    }

    pub(super) fn send_again(&mut self, now: OffsetDateTime) {
        self.delivery.status = DeliveryStatus::Pending;
        self.delivery.tries = 0;
        self.delivery.due_at = Some(now);
        self.delivery.ended_at = None;
        self.claims += 1;
    }

    fn is_due(&self, now: OffsetDateTime) -> bool {
        self.delivery.due_at.is_some_and(|due| due <= now)
    }
}

#[async_trait]
impl DeliveryStore for MemoryStore {
    async fn fan_out_events(&self, now: OffsetDateTime, limit: u32) -> Result<FannedOut> {
        let now = to_millisecond(now);
        let mut state = self.state();
        let State {
            outbox,
            webhooks,
            deliveries,
            fanned_out,
            ..
        } = &mut *state;
        let before = deliveries.len();
        let new = outbox.iter().filter(|event| event.position > *fanned_out);
        let new: Vec<_> = new.take(as_usize(limit)).collect();
        for event in &new {
            for webhook in webhooks.values() {
                if webhook.owner.tenant_id() == event.tenant_id.as_ref()
                    && webhook.wants(&event.event_type, &event.subject)
                {
                    deliveries.push(DeliveryRow::new(event, webhook, now, &self.entropy));
                }
            }
        }
        if let Some(last) = new.last() {
            *fanned_out = last.position;
        }
        Ok(FannedOut {
            events: as_u64(new.len()),
            deliveries: as_u64(deliveries.len() - before),
        })
    }

    async fn claim_deliveries(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
        of_each: u32,
        busy: Vec<WebhookId>,
    ) -> Result<Vec<ClaimedDelivery>> {
        let mut state = self.state();
        let State {
            outbox,
            webhooks,
            deliveries,
            ..
        } = &mut *state;
        let mut waiting: Vec<_> = webhooks
            .values()
            .filter(|webhook| webhook.disabled.is_none() && !busy.contains(&webhook.webhook_id))
            .filter_map(|webhook| {
                let own = deliveries
                    .iter()
                    .filter(|row| row.delivery.webhook_id == webhook.webhook_id && row.is_due(now));
                Some((own.filter_map(|row| row.delivery.due_at).min()?, webhook))
            })
            .collect();
        waiting.sort_by_key(|(due, webhook)| (*due, webhook.webhook_id.clone()));
        let mut claimed = Vec::new();
        for (_, webhook) in waiting {
            let left = as_usize(limit).saturating_sub(claimed.len());
            let most = if webhook.failing_since.is_some() {
                1
            } else {
                as_usize(of_each)
            };
            let mut due: Vec<_> = deliveries
                .iter_mut()
                .filter(|row| row.delivery.webhook_id == webhook.webhook_id && row.is_due(now))
                .collect();
            due.sort_by_key(|row| row.delivery.due_at);
            for row in due.into_iter().take(left.min(most)) {
                let Some(event) = outbox.iter().find(|event| event.position == row.position) else {
                    continue;
                };
                row.claims += 1;
                row.delivery.due_at = Some(to_millisecond(until));
                let live = webhook.secrets.iter().filter(|secret| secret.is_live(now));
                claimed.push(ClaimedDelivery {
                    delivery_id: row.delivery.delivery_id.clone(),
                    webhook_id: webhook.webhook_id.clone(),
                    owner: webhook.owner.clone(),
                    url: webhook.url.clone(),
                    secrets: live.cloned().collect(),
                    event: event.clone(),
                    tries: row.delivery.tries,
                    claim: row.claims,
                });
            }
        }
        Ok(claimed)
    }

    async fn finish_deliveries(
        &self,
        change: Change,
        tried: Vec<TriedDelivery>,
        patience: Duration,
    ) -> Result<Vec<DisabledWebhook>> {
        self.commit(change, |tx| {
            let at = tx.at();
            let mut healths = BTreeMap::new();
            for tried in tried {
                let row = tx.state.deliveries.iter_mut().find(|row| {
                    row.delivery.delivery_id == tried.delivery_id
                        && row.owner == tried.owner
                        && row.claims == tried.claim
                        && row.delivery.status == DeliveryStatus::Pending
                });
                let Some(row) = row else {
                    continue;
                };
                row.claims += 1;
                let delivery = &mut row.delivery;
                delivery.status = tried.verdict.status();
                delivery.tries += 1;
                delivery.due_at = tried.verdict.due_at().map(to_millisecond);
                let ended = delivery.due_at.is_none();
                delivery.ended_at = ended.then(|| to_millisecond(tried.tried.at));
                delivery.last_try = Some(crate::Try {
                    at: to_millisecond(tried.tried.at),
                    ..tried.tried
                });
                let health = healths.get(&tried.webhook_id).copied();
                healths.insert(tried.webhook_id, Health::after(health, tried.verdict));
            }
            let mut disabled = Vec::new();
            for (webhook_id, health) in healths {
                let Some(webhook) = tx.state.webhooks.get_mut(&webhook_id) else {
                    continue;
                };
                let reason = match health {
                    Health::Well => {
                        webhook.failing_since = None;
                        None
                    }
                    Health::Gone => Some(DisableReason::Gone),
                    Health::Failing => {
                        let since = *webhook.failing_since.get_or_insert(at);
                        (at - since >= patience).then_some(DisableReason::Failing)
                    }
                };
                let Some(reason) = reason.filter(|_| webhook.disabled.is_none()) else {
                    continue;
                };
                webhook.disabled = Some(reason);
                let owner = webhook.owner.clone();
                let event = Event::WebhookEndpointDisabled {
                    webhook_id: webhook_id.clone(),
                    reason,
                };
                tx.post(&owner, &event);
                if reason == DisableReason::Failing {
                    tx.tell_platform(&Event::webhook_disabled_alert());
                }
                disabled.push(DisabledWebhook {
                    webhook_id,
                    owner,
                    reason,
                });
            }
            Ok(disabled)
        })
    }

    async fn purge_events(&self, before: OffsetDateTime, step: Duration) -> Result<u64> {
        let mut state = self.state();
        let state = &mut *state;
        let Some(oldest) = state.outbox.first() else {
            state.events_purged = None;
            return Ok(0);
        };
        let place = state.events_purged.unwrap_or(oldest.at);
        let place = before.min(place.saturating_add(step)).max(place);
        state.events_purged = Some(place);
        let (before, fanned_out) = (place.min(before), state.fanned_out);
        let is_over = |event: &&OutboxEvent| event.at < before && event.position <= fanned_out;
        let over = state.outbox.iter().take_while(is_over).count();
        for event in state.outbox.drain(..over) {
            state
                .deliveries
                .retain(|row| row.position != event.position);
            let subject = (event.tenant_id, event.subject);
            if Event::ends_subject(&event.event_type) {
                state.numbers.remove(&subject);
            } else {
                state.numbers.insert(subject, event.sequence);
            }
        }
        Ok(as_u64(over))
    }
}
