use async_trait::async_trait;
use time::{Duration, OffsetDateTime};

use crate::{
    Change, ClaimedDelivery, DisabledWebhook, FannedOut, Result, TriedDelivery, WebhookId,
};

/// From the outbox to the endpoints: each event becomes a delivery for each endpoint that is to be told of it,
/// and each delivery is tried by one at a time until it has ended.
#[async_trait]
pub trait DeliveryStore: Send + Sync {
    /// Makes the next events of the outbox, at most `limit`, deliveries that are due at `now`: one for each
    /// endpoint of the event's owner that is enabled and subscribes to it. Each event is taken once, whoever
    /// takes it, and none is left out. No event, no audit row.
    async fn fan_out_events(&self, now: OffsetDateTime, limit: u32) -> Result<FannedOut>;

    /// Claims deliveries that are due at `now`, of endpoints that are enabled: the endpoint that has waited
    /// longest first, of each at most `of_each`, of one that is failing one, in all about `limit` and of
    /// `busy` none. Nobody else gets them before `until`, and whoever claims them then makes this claim void.
    /// No event, no audit row.
    async fn claim_deliveries(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
        of_each: u32,
        busy: Vec<WebhookId>,
    ) -> Result<Vec<ClaimedDelivery>>;

    /// Notes what came of tries, of those whose claim stands. An endpoint that answered 410, or of which no try
    /// has succeeded for `patience` and one failed now, is disabled and returned. Events, for each of them:
    /// `webhook_endpoint_disabled` in its owner's chain, and after `patience` `ops_alert` in the platform's.
    async fn finish_deliveries(
        &self,
        change: Change,
        tried: Vec<TriedDelivery>,
        patience: Duration,
    ) -> Result<Vec<DisabledWebhook>>;

    /// Deletes events that happened before `before`, with their deliveries; returns how many events. It goes at
    /// most `step` further than it came the last time, the first time than to the oldest event: a clock that is
    /// ahead takes nothing that somebody is to read. One that the fan-out has not taken stays, and so does what
    /// has a place behind one that stays. The events of a subject are numbered on; the
    /// number of one whose last event goes, an ended challenge or an erased user, is forgotten. No event, no
    /// audit row.
    async fn purge_events(&self, before: OffsetDateTime, step: Duration) -> Result<u64>;
}
