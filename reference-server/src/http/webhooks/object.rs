use std::collections::BTreeSet;

use identity_store::{
    Chain, Delivery, DeliveryId, DeliveryStatus, DisableReason, EventId, EventPattern, OutboxEvent,
    Webhook, WebhookId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::Timestamp;

/// Whose events an endpoint is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WebhookScope {
    /// The tenant's.
    Tenant,
    /// The platform's own, for its administrators.
    Platform,
}

/// An endpoint that is told of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookObject {
    #[schema(value_type = String)]
    pub(super) webhook_id: WebhookId,
    pub(super) scope: WebhookScope,
    pub(super) url: String,
    #[schema(value_type = Vec<String>)]
    pub(super) events: BTreeSet<EventPattern>,
    pub(super) description: Option<String>,
    /// Whether events are delivered.
    pub(super) enabled: bool,
    /// Why they are not: `gone`, it answered 410, or `failing`, nothing reached it for five days.
    #[schema(value_type = Option<String>)]
    pub(super) disabled_reason: Option<DisableReason>,
    /// When the first try failed since one succeeded.
    pub(super) failing_since: Option<Timestamp>,
    /// What signs, the newest last.
    pub(super) secrets: Vec<SigningSecret>,
    pub(super) created_at: Timestamp,
}

/// A secret that signs deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SigningSecret {
    /// Until when it signs; `null` if nothing ends it.
    pub(super) expires_at: Option<Timestamp>,
}

impl From<Webhook> for WebhookObject {
    fn from(webhook: Webhook) -> Self {
        let secrets = webhook.secrets.iter();
        Self {
            webhook_id: webhook.webhook_id,
            scope: match webhook.owner {
                Chain::Tenant(_) => WebhookScope::Tenant,
                Chain::Platform => WebhookScope::Platform,
            },
            url: webhook.url,
            events: webhook.events,
            description: webhook.description,
            enabled: webhook.disabled.is_none(),
            disabled_reason: webhook.disabled,
            failing_since: webhook.failing_since.map(Timestamp),
            secrets: secrets
                .map(|secret| SigningSecret {
                    expires_at: secret.expires_at.map(Timestamp),
                })
                .collect(),
            created_at: Timestamp(webhook.created_at),
        }
    }
}

/// That an endpoint is to be told of an event, and how far that is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub(super) struct DeliveryObject {
    #[schema(value_type = String)]
    delivery_id: DeliveryId,
    #[schema(value_type = String)]
    webhook_id: WebhookId,
    /// The event's id, which the receiver finds in `webhook-id`.
    #[schema(value_type = String)]
    event_id: EventId,
    event_type: String,
    /// `pending`, `delivered` or `failed`.
    #[schema(value_type = String)]
    status: DeliveryStatus,
    /// How many tries have ended since it was asked for, or sent again.
    tries: u32,
    /// When it is tried next.
    next_try_at: Option<Timestamp>,
    last_try: Option<TryObject>,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
}

/// What came of a try.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookTry)]
struct TryObject {
    at: Timestamp,
    /// What the endpoint answered, if it did.
    response_status: Option<u16>,
    /// The beginning of what it answered to a try that failed.
    response_body: Option<String>,
    /// Why the try failed, if it did.
    error: Option<String>,
}

impl From<Delivery> for DeliveryObject {
    fn from(delivery: Delivery) -> Self {
        Self {
            delivery_id: delivery.delivery_id,
            webhook_id: delivery.webhook_id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            status: delivery.status,
            tries: delivery.tries,
            next_try_at: delivery.due_at.map(Timestamp),
            last_try: delivery.last_try.map(|tried| TryObject {
                at: Timestamp(tried.at),
                response_status: tried.response_status,
                response_body: tried.response_body,
                error: tried.error,
            }),
            created_at: Timestamp(delivery.created_at),
            ended_at: delivery.ended_at.map(Timestamp),
        }
    }
}

/// An event, as its deliveries have it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventObject {
    #[schema(value_type = String)]
    id: EventId,
    #[serde(rename = "type")]
    event_type: String,
    timestamp: Timestamp,
    /// `null` for an event of the platform.
    tenant_id: Option<String>,
    /// Its number among the events of its subject, from 1.
    sequence: u64,
    subject: String,
    data: serde_json::Value,
}

impl From<OutboxEvent> for EventObject {
    fn from(event: OutboxEvent) -> Self {
        Self {
            id: event.event_id,
            event_type: event.event_type,
            timestamp: Timestamp(event.at),
            tenant_id: event.tenant_id.map(|id| id.to_string()),
            sequence: event.sequence,
            subject: event.subject,
            data: event.data,
        }
    }
}
