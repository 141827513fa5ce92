use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{DisableReason, OutboxEvent, WebhookSecret};
use crate::{Chain, DeliveryId, EventId, WebhookId};

/// That an endpoint is to be told of an event, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// The event.
    pub event_id: EventId,
    /// The event's dotted name.
    pub event_type: String,
    /// How far it is.
    pub status: DeliveryStatus,
    /// How many tries have ended.
    pub tries: u32,
    /// When it is tried next, if it is; while somebody is trying, when somebody else may.
    pub due_at: Option<OffsetDateTime>,
    /// What came of the last try.
    pub last_try: Option<Try>,
    /// When it was asked for.
    pub created_at: OffsetDateTime,
    /// When it was delivered, or given up.
    pub ended_at: Option<OffsetDateTime>,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It is to be tried.
    Pending,
    /// The endpoint has taken it.
    Delivered,
    /// No try succeeded, and none follows.
    Failed,
}

impl DeliveryStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Failed];

    /// The status as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// When it ended.
    pub at: OffsetDateTime,
    /// What the endpoint answered, if it did.
    pub response_status: Option<u16>,
    /// The beginning of the answer's body. Control characters are to be taken out of it.
    pub response_body: Option<String>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// A delivery that somebody is to try until the claim is over.
#[derive(Debug, Clone)]
pub struct ClaimedDelivery {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// Whose it is.
    pub owner: Chain,
    /// Where to.
    pub url: String,
    /// What signs at the time of the claim.
    pub secrets: Vec<WebhookSecret>,
    /// The event.
    pub event: OutboxEvent,
    /// How many tries have ended.
    pub tries: u32,
    /// Which claim it is: a later one makes it void.
    pub claim: u64,
}

/// A delivery that was tried.
#[derive(Debug, Clone)]
pub struct TriedDelivery {
    /// Its id.
    pub delivery_id: DeliveryId,
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// Whose it is.
    pub owner: Chain,
    /// Under which claim.
    pub claim: u64,
    /// What came of it.
    pub tried: Try,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows from a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the endpoint has taken it.
    Delivered,
    /// Another try.
    Again {
        /// When.
        at: OffsetDateTime,
    },
    /// Nothing: this was the last one.
    GivenUp,
    /// The endpoint wants nothing any more.
    Gone,
}

impl Verdict {
    pub(crate) fn status(self) -> DeliveryStatus {
        match self {
            Self::Delivered => DeliveryStatus::Delivered,
            Self::Again { .. } => DeliveryStatus::Pending,
            Self::GivenUp | Self::Gone => DeliveryStatus::Failed,
        }
    }

    pub(crate) fn due_at(self) -> Option<OffsetDateTime> {
        match self {
            Self::Again { at } => Some(at),
            Self::Delivered | Self::GivenUp | Self::Gone => None,
        }
    }
}

/// What a batch of tries says of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// A try succeeded.
    Well,
    /// Tries failed, and none succeeded.
    Failing,
    /// It answered 410.
    Gone,
}

impl Health {
    /// After one more try.
    pub(crate) fn after(before: Option<Self>, verdict: Verdict) -> Self {
        match (before, verdict) {
            (Some(Self::Gone), _) | (_, Verdict::Gone) => Self::Gone,
            (Some(Self::Well), _) | (_, Verdict::Delivered) => Self::Well,
            (Some(Self::Failing) | None, Verdict::Again { .. } | Verdict::GivenUp) => Self::Failing,
        }
    }
}

/// An endpoint that is told of nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisabledWebhook {
    /// Which.
    pub webhook_id: WebhookId,
    /// Whose.
    pub owner: Chain,
    /// Why.
    pub reason: DisableReason,
}

/// How far a turn of the fan-out came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FannedOut {
    /// How many events it looked at.
    pub events: u64,
    /// How many deliveries they are.
    pub deliveries: u64,
}

/// What is to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// How many events.
    pub events: u64,
    /// Whether there are more: ask again.
    pub more: bool,
}
