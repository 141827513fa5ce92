//! Delivers what is due: each replica for itself, since a delivery is claimed by one at a time.
//!
//! One loop claims deliveries and notes what came of them, many tries run beside it. An endpoint has a few of
//! them at once, and one that is failing one, so that what hangs takes nobody else's turn.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use identity_store::{
    Actor, Change, ClaimedDelivery, DisableReason, TriedDelivery, Verdict, WebhookId,
};
use time::Duration as Span;
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::sender::TRY_TIME;
use super::verdict::judge;
use crate::App;
use crate::clock::entropy;

/// How many tries run at once.
const SLOTS: usize = 512;
/// How many of them one endpoint has.
const SLOTS_OF_EACH: u32 = 16;
/// How many deliveries are claimed in one way to the database.
const BATCH: usize = 128;
/// How long a claim lasts: longer than a try, by all that the database may take to note what came of it.
const CLAIM: Span = Span::seconds(2 * TRY_TIME.as_secs().cast_signed());
/// How long an endpoint may fail before it is disabled (contract §10).
const PATIENCE: Span = Span::days(5);
/// How often it is looked for what is due.
const PERIOD: Duration = Duration::from_millis(500);
/// The job's name in audit rows, logs and metrics.
const JOB: &str = "webhooks";

/// How long the tries under way may take when the process ends. What is cut is delivered by the next process.
const LAST_TRIES: Duration = Duration::from_secs(4);

/// Delivers until the last request has finished, and notes what came of the tries that end soon after.
pub async fn run(app: Arc<App>) {
    let mut deliverer = Deliverer {
        app: &app,
        tries: JoinSet::new(),
        under_way: HashMap::new(),
        failing: HashSet::new(),
        unnoted: Vec::new(),
    };
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !app.drained.is_cancelled() {
        tokio::select! {
            () = app.drained.cancelled() => break,
            Some(ended) = deliverer.tries.join_next_with_id() => deliverer.ended(ended),
            () = app.webhooks.due.notified() => {}
            _ = ticks.tick() => {}
        }
        deliverer.note().await;
        if !app.shutdown.is_cancelled() {
            deliverer.begin().await;
        }
    }
    let last = async {
        while let Some(ended) = deliverer.tries.join_next_with_id().await {
            deliverer.ended(ended);
        }
    };
    if timeout(LAST_TRIES, last).await.is_err() {
        tracing::info!(
            tries = deliverer.tries.len(),
            "deliveries were cut at the end"
        );
    }
    deliverer.note().await;
}

struct Deliverer<'a> {
    app: &'a Arc<App>,
    tries: JoinSet<TriedDelivery>,
    /// The endpoint of each try.
    under_way: HashMap<task::Id, WebhookId>,
    /// Endpoints whose last try here failed.
    failing: HashSet<WebhookId>,
    /// What came of tries that the database was not told of yet.
    unnoted: Vec<TriedDelivery>,
}

impl Deliverer<'_> {
    fn ended(&mut self, ended: Result<(task::Id, TriedDelivery), JoinError>) {
        match ended {
            Ok((id, tried)) => {
                self.under_way.remove(&id);
                if tried.verdict == Verdict::Delivered {
                    self.failing.remove(&tried.webhook_id);
                } else {
                    self.failing.insert(tried.webhook_id.clone());
                }
                self.unnoted.push(tried);
            }
            // It panicked, which the log has: its delivery is tried again when the claim is over.
            Err(error) => {
                self.under_way.remove(&error.id());
            }
        }
    }

    /// The endpoints that have as many tries as they may.
    fn busy(&self) -> Vec<WebhookId> {
        let mut counts: HashMap<&WebhookId, u32> = HashMap::new();
        for webhook_id in self.under_way.values() {
            *counts.entry(webhook_id).or_default() += 1;
        }
        let is_busy = |(webhook_id, count): &(&WebhookId, u32)| {
            // A claim gives each up to its full number, on top of what it has.
            *count > SLOTS_OF_EACH / 2 || self.failing.contains(*webhook_id)
        };
        let busy = counts.into_iter().filter(is_busy);
        busy.map(|(webhook_id, _)| webhook_id.clone()).collect()
    }

    /// Notes what came of the tries that have ended, all at once. What cannot be noted now is noted later, if
    /// nobody else has tried it by then.
    async fn note(&mut self) {
        while let Some(ended) = self.tries.try_join_next_with_id() {
            self.ended(ended);
        }
        if self.unnoted.is_empty() {
            return;
        }
        let now = self.app.clock.now();
        let change = Change::new(now, Actor::System(JOB), format!("job:{JOB}"));
        let tried = self.unnoted.clone();
        let noted = self.app.store.finish_deliveries(change, tried, PATIENCE);
        match noted.await {
            Ok(disabled) => {
                self.unnoted.clear();
                for disabled in disabled {
                    let reason = disabled.reason.as_str();
                    metrics::counter!("webhook_endpoints_disabled_total", "reason" => reason)
                        .increment(1);
                    let (webhook_id, owner) = (&disabled.webhook_id, &disabled.owner);
                    match disabled.reason {
                        DisableReason::Failing => {
                            metrics::counter!("ops_alerts_total", "kind" => "webhook_disabled")
                                .increment(1);
                            tracing::error!(%webhook_id, %owner, "an endpoint failed for five days and is disabled");
                        }
                        DisableReason::Gone => {
                            tracing::warn!(%webhook_id, %owner, "an endpoint answered 410 and is disabled");
                        }
                    }
                }
            }
            Err(error) => failed(&error),
        }
    }

    /// Claims what is due, and begins to try it.
    async fn begin(&mut self) {
        loop {
            let free = SLOTS.saturating_sub(self.tries.len()).min(BATCH);
            if free == 0 || !self.unnoted.is_empty() {
                return;
            }
            let now = self.app.clock.now();
            let limit = u32::try_from(free).unwrap_or(u32::MAX);
            let claimed = self
                .app
                .store
                .claim_deliveries(now, now + CLAIM, limit, SLOTS_OF_EACH, self.busy())
                .await;
            let claimed = match claimed {
                Ok(claimed) => claimed,
                Err(error) => return failed(&error),
            };
            if claimed.is_empty() {
                return;
            }
            for delivery in claimed {
                let webhook_id = delivery.webhook_id.clone();
                let started = self.tries.spawn(attempt(Arc::clone(self.app), delivery));
                self.under_way.insert(started.id(), webhook_id);
            }
        }
    }
}

/// Tries one delivery.
async fn attempt(app: Arc<App>, delivery: ClaimedDelivery) -> TriedDelivery {
    metrics::gauge!("webhook_tries_under_way").increment(1);
    let begun = Instant::now();
    let outcome = app.webhooks.sender.send(&delivery, app.clock.now()).await;
    metrics::gauge!("webhook_tries_under_way").decrement(1);
    let (tried, verdict) = judge(outcome, delivery.tries, app.clock.now(), &mut entropy());
    let label = match verdict {
        Verdict::Delivered => "delivered",
        Verdict::Again { .. } => "failed",
        Verdict::GivenUp => "given_up",
        Verdict::Gone => "gone",
    };
    metrics::counter!("webhook_tries_total", "outcome" => label).increment(1);
    metrics::histogram!("webhook_try_duration_seconds").record(begun.elapsed().as_secs_f64());
    tracing::debug!(
        delivery_id = %delivery.delivery_id, webhook_id = %delivery.webhook_id,
        event_id = %delivery.event.event_id, tries = delivery.tries, outcome = label,
        error = tried.error, "a webhook was tried"
    );
    TriedDelivery {
        delivery_id: delivery.delivery_id,
        webhook_id: delivery.webhook_id,
        owner: delivery.owner,
        claim: delivery.claim,
        tried,
        verdict,
    }
}

fn failed(error: &identity_store::Error) {
    metrics::counter!("job_failures_total", "name" => JOB).increment(1);
    let source = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(job = JOB, %error, source, "a job failed");
}
