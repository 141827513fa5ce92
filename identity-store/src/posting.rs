//! What every state change writes beside its data, made in one place for every back end.

use std::sync::{Mutex, PoisonError};

use rand_core::CryptoRng;
use time::OffsetDateTime;

use crate::model::AuditActor;
use crate::{AuditId, AuditRow, Chain, Change, Event, EventId};

/// The entropy of a back end: ids of audit rows and events, nonces of ciphertexts.
pub(crate) struct Entropy(Mutex<Box<dyn CryptoRng + Send>>);

impl Entropy {
    pub(crate) fn new(rng: impl CryptoRng + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(rng)))
    }

    /// Lends the generator. A panic elsewhere leaves it as good as it was.
    pub(crate) fn with<T>(&self, draw: impl FnOnce(&mut dyn CryptoRng) -> T) -> T {
        draw(&mut **self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A random part of `longest`.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn up_to(&self, longest: std::time::Duration) -> std::time::Duration {
        let drawn = self.with(|rng| rng.next_u32());
        longest.mul_f64(f64::from(drawn) / f64::from(u32::MAX))
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// An event on its way into the audit trail and the outbox.
#[derive(Debug)]
pub(crate) struct Posting {
    /// The audit row.
    pub(crate) row: AuditRow,
    /// The event's webhook.
    pub(crate) webhook: Option<PostedWebhook>,
}

/// A webhook without its place and its number: the sealer gives them.
#[derive(Debug)]
pub(crate) struct PostedWebhook {
    pub(crate) event_id: EventId,
    pub(crate) event_type: &'static str,
    pub(crate) subject: String,
    pub(crate) data: serde_json::Value,
}

/// What `event` adds to `chain` when `change` is made.
pub(crate) fn posting(change: &Change, chain: &Chain, event: &Event, entropy: &Entropy) -> Posting {
    let at = to_millisecond(change.at);
    let webhook = event.webhook_type().map(|event_type| PostedWebhook {
        event_id: entropy.with(|rng| EventId::generate(at, rng)),
        event_type,
        subject: event.webhook_subject(),
        data: event.webhook_data(),
    });
    let row = AuditRow {
        id: entropy.with(|rng| AuditId::generate(at, rng)),
        at,
        tenant_id: chain.tenant_id().cloned(),
        actor: AuditActor {
            kind: change.actor.kind().to_owned(),
            id: change.actor.id().to_owned(),
        },
        action: event.name().to_owned(),
        outcome: event.outcome(),
        severity: event.severity(),
        subject: event.subject(),
        request_id: change.request_id.clone(),
        ip: change.source,
        metadata: event.audit_metadata_of(&change.actor),
    };
    Posting { row, webhook }
}

/// Cuts off what is finer than a millisecond, the resolution of every stored time.
pub(crate) fn to_millisecond(at: OffsetDateTime) -> OffsetDateTime {
    at.truncate_to_millisecond().to_offset(time::UtcOffset::UTC)
}
