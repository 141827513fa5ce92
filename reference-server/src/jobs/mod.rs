//! Background work. Each job runs alone, at its own pace, until the last request has finished; then
//! it takes a last turn, where it has something to take up.
//!
//! The jobs of the whole platform run on one replica at a time: on the one that holds the job's
//! lease. A holder that was stopped may go on after another took over: what the sweeper, the erasures of palms and of users,
//! the jobs that were asked for and the ends of graces change, and alerts, are fenced by the lease; the turns of the sealer, of the purge and of the months of the
//! audit trail follow one another in the database, and do nothing twice; what is told of certificates that expire is claimed there. The jobs of a process, which keep its own memory in step with the database, run in each.

mod asked;
mod audit_months;
mod auth_notifications;
mod cert_expiry;
mod certificates;
mod deaf;
mod denials;
mod lease;
mod palm_erasure;
mod purge;
mod renewal_grace;
mod seal;
mod seen;
mod set_up;
mod superseded;
mod sweeper;
mod token_keys;
mod user_erasure;

use std::sync::Arc;
use std::time::Duration;

use identity_store::{Actor, Change, Lease, LeaseName};
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

use crate::App;
use crate::panics::caught;
use crate::webhooks;
use lease::Lessee;

/// How long a job rests that panicked.
const AFTER_PANIC: Duration = Duration::from_secs(1);
/// The same of one that a lease is the right to: another replica has it by then.
const AFTER_PANIC_UNDER_LEASE: Duration = lease::TERM.saturating_add(Duration::from_secs(2));

/// Starts every job.
pub fn start(app: &Arc<App>, tasks: &TaskTracker) {
    for name in LeaseName::ALL {
        let job = move |app| platform_job(app, name);
        spawn(app, tasks, name.as_str(), AFTER_PANIC_UNDER_LEASE, job);
    }
    spawn(app, tasks, "certificates", AFTER_PANIC, certificates::run);
    spawn(app, tasks, "deaf", AFTER_PANIC, deaf::run);
    spawn(app, tasks, "denials", AFTER_PANIC, denials::run);
    spawn(app, tasks, "seen", AFTER_PANIC, seen::run);
    spawn(app, tasks, "set_up", AFTER_PANIC, set_up::run);
    spawn(app, tasks, "superseded", AFTER_PANIC, superseded::run);
    spawn(
        app,
        tasks,
        "follow_token_keys",
        AFTER_PANIC,
        token_keys::follow,
    );
    spawn(app, tasks, "webhooks", AFTER_PANIC, webhooks::run);
    spawn(
        app,
        tasks,
        "auth_notifications",
        AFTER_PANIC,
        auth_notifications::run,
    );
}

fn spawn<J>(
    app: &Arc<App>,
    tasks: &TaskTracker,
    name: &'static str,
    rest: Duration,
    job: impl Fn(Arc<App>) -> J + Send + 'static,
) where
    J: Future<Output = ()> + Send + 'static,
{
    let app = Arc::clone(app);
    tasks.spawn(to_its_end(name, rest, move || job(Arc::clone(&app))));
}

/// Runs a job, anew when it panics, until it has ended of itself.
async fn to_its_end<J: Future<Output = ()>>(
    name: &'static str,
    rest: Duration,
    job: impl Fn() -> J,
) {
    while caught(Box::pin(job())).await.is_err() {
        metrics::counter!("job_failures_total", "name" => name).increment(1);
        tokio::time::sleep(rest).await;
    }
}

/// Runs the job that a lease is the right to, while this replica holds it.
async fn platform_job(app: Arc<App>, name: LeaseName) {
    let lessee = Lessee::new(&app);
    let job = |lease| {
        let app = Arc::clone(&app);
        async move {
            match name {
                LeaseName::AuditMonths => audit_months::run(&app, lease).await,
                LeaseName::AuditSealer => seal::run(&app).await,
                LeaseName::CertExpiry => cert_expiry::run(app).await,
                LeaseName::ChallengeSweeper => sweeper::run(&app, lease).await,
                LeaseName::Jobs => asked::run(&app, lease).await,
                LeaseName::PalmErasure => palm_erasure::run(&app, lease).await,
                LeaseName::Purge => purge::run(&app).await,
                LeaseName::RenewalGrace => renewal_grace::run(&app, lease).await,
                LeaseName::TokenKeys => token_keys::run(&app, lease).await,
                LeaseName::UserErasure => user_erasure::run(&app, lease).await,
            }
        }
    };
    lessee.run(name, job).await;
}

/// A change that a job makes now, which does not commit when its lease passed on meanwhile.
fn change(app: &App, job: &'static str, lease: Option<&Lease>) -> Change {
    let change = Change::new(app.clock.now(), Actor::System(job), format!("job:{job}"));
    match lease {
        Some(lease) => change.under(lease.clone()),
        None => change,
    }
}

/// The pace of a job.
struct Pace<'a> {
    app: &'a App,
    interval: tokio::time::Interval,
}

impl<'a> Pace<'a> {
    /// A turn at once, and one in each `period` from then on; late turns are not made up for.
    fn every(app: &'a App, period: Duration) -> Self {
        let mut interval = tokio::time::interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { app, interval }
    }

    /// Waits for the next turn, or to be woken for one; `false` when the last request
    /// has finished.
    async fn turn_or(&mut self, woken: &Notify) -> bool {
        tokio::select! {
            () = woken.notified() => !self.app.drained.is_cancelled(),
            goes_on = self.turn() => goes_on,
        }
    }

    /// Waits for the next turn; `false` when the last request has finished.
    async fn turn(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.app.drained.cancelled() => false,
            _ = self.interval.tick() => true,
        }
    }
}

/// Logs what a job's turn failed at; the next turn tries again.
fn log_failure<T>(job: &'static str, outcome: identity_store::Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            metrics::counter!("job_failures_total", "name" => job).increment(1);
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(job, %error, source, "a job failed");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicI64, Ordering};

    use identity_store::{CaOrigin, CaState, MemoryStore, Notice, Origin, StoreObserver as _};
    use time::OffsetDateTime;
    use time::macros::datetime;

    use super::*;
    use crate::authority;
    use crate::clock::{Clock, entropy};
    use crate::config::Config;

    /// Tells the seconds that a test sets.
    #[derive(Debug, Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now(&self) -> OffsetDateTime {
            let seconds = self.0.load(Ordering::SeqCst);
            datetime!(2026-11-22 12:00 UTC) + time::Duration::seconds(seconds)
        }
    }

    /// The parts of a replica whose database others share.
    async fn replica(clock: &Arc<Hand>) -> Arc<App> {
        let config = Config::from_lookup(|_| None, false).expect("a configuration");
        let store = Arc::new(MemoryStore::new(entropy()));
        let clock: Arc<dyn Clock> = Arc::<Hand>::clone(clock);
        let app = App::load(config, ([127, 0, 0, 1], 1).into(), store, clock, None).await;
        app.expect("a server")
    }

    /// Another replica on the same database.
    async fn another(app: &App, clock: &Arc<Hand>) -> Arc<App> {
        let config = Config::from_lookup(|_| None, false).expect("a configuration");
        let clock: Arc<dyn Clock> = Arc::<Hand>::clone(clock);
        let store = Arc::clone(&app.store);
        let app = App::load(config, ([127, 0, 0, 1], 1).into(), store, clock, None).await;
        app.expect("a server")
    }

    /// Lets jobs do what they were woken for. No time passes, and none of them looks by itself.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn denials_of_another_replica_are_taken_up_when_it_tells_of_them() {
        let clock = Arc::new(Hand::default());
        let app = replica(&clock).await;
        let job = tokio::spawn(denials::run(Arc::clone(&app)));
        settle().await;
        clock.0.store(5, Ordering::SeqCst);
        for (origin, age) in [(Origin::Here, 5), (Origin::Elsewhere, 0)] {
            app.notices.noticed(&Notice::Denied, origin);
            settle().await;
            let age = time::Duration::seconds(age);
            assert_eq!(app.denylist.age(clock.now()), Some(age), "{origin:?}");
        }
        job.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn certificates_of_another_replica_are_taken_up_when_it_tells_of_them() {
        let clock = Arc::new(Hand::default());
        let app = replica(&clock).await;
        let job = tokio::spawn(certificates::run(Arc::clone(&app)));
        settle().await;
        let (ca, key) =
            authority::generate(clock.now(), time::Duration::ZERO, CaState::Active).expect("a CA");
        let stored = app
            .store
            .add_ca(change(&app, "test", None), ca, key, CaOrigin::Generated)
            .await;
        stored.expect("stored");
        for (origin, is_taken_up) in [(Origin::Here, false), (Origin::Elsewhere, true)] {
            app.notices.noticed(&Notice::Certificates, origin);
            settle().await;
            assert_eq!(app.ca.load().is_some(), is_taken_up, "{origin:?}");
        }
        job.abort();
    }

    /// Two replicas through the replacement of the key that signs: both verify what either signs, before,
    /// while they differ, and after; the key before ends with what it signed.
    #[tokio::test]
    async fn the_key_of_tokens_is_replaced_and_no_token_is_refused_meanwhile() {
        let clock = Arc::new(Hand::default());
        let first = replica(&clock).await;
        let second = another(&first, &clock).await;
        let days = |days: i64| clock.0.store(days * 86_400, Ordering::SeqCst);
        let keys = |app: &App| app.secrets.tokens.usable().expect("keys").jwks(clock.now());
        let signs = |app: &App| {
            let tokens = app.secrets.tokens.usable().expect("keys");
            tokens.signing_key().expect("a key").0
        };
        let tokens_pass = || {
            for (from, to) in [(&first, &second), (&second, &first), (&first, &first)] {
                let scopes = std::collections::BTreeSet::new();
                let client = identity_store::ClientId::generate(clock.now(), &mut entropy());
                let tenant = "acme".parse().expect("a tenant");
                let (from, to) = (from.secrets.tokens.usable(), to.secrets.tokens.usable());
                let token =
                    from.expect("keys")
                        .issue_access(&client, &tenant, &scopes, clock.now());
                let verified = to
                    .expect("keys")
                    .verify_access(&token.expect("a token"), clock.now());
                assert!(verified.is_ok(), "{verified:?}");
            }
        };
        let receipt = serde_json::json!({"sub": "ada", "verdict": "match"});
        token_keys::turn(&first, None).await;
        let old = signs(&first);
        days(88);
        token_keys::turn(&first, None).await;
        assert_eq!(keys(&first).keys.len(), 1, "its term is not over");
        days(89);
        token_keys::turn(&first, None).await;
        token_keys::take_up(&second).await;
        assert_eq!(keys(&first), keys(&second));
        assert_eq!(keys(&first).keys.len(), 2, "the next one is published");
        assert_eq!(signs(&first), old);
        tokens_pass();
        let last = {
            let tokens = second.secrets.tokens.usable().expect("keys");
            tokens
                .sign("verification-receipt+jwt", &receipt)
                .expect("one")
        };
        days(90);
        token_keys::turn(&first, None).await;
        assert_ne!(signs(&first), old);
        assert_eq!(signs(&second), old, "it has not heard of it");
        tokens_pass();
        token_keys::take_up(&second).await;
        assert_eq!(signs(&second), signs(&first));
        tokens_pass();
        assert_eq!(keys(&first).keys.len(), 2, "the one before");
        days(91);
        assert_eq!(keys(&first).keys.len(), 1);
        for app in [&first, &second] {
            let tokens = app.secrets.tokens.usable().expect("keys");
            let kept = tokens.verify::<serde_json::Value>("verification-receipt+jwt", &last);
            assert_eq!(kept.ok().as_ref(), Some(&receipt));
            assert_eq!(tokens.all_keys().len(), 2);
        }
        // Whoever starts now knows all of that.
        let third = another(&first, &clock).await;
        assert_eq!(signs(&third), signs(&first));
        let tokens = third.secrets.tokens.usable().expect("keys");
        assert!(
            tokens
                .verify::<serde_json::Value>("verification-receipt+jwt", &last)
                .is_ok()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_panics_begins_anew() {
        let turns = Cell::new(0);
        let job = || async {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
            assert!(turns.get() > 2, "a turn that panics");
        };
        to_its_end("test", AFTER_PANIC, job).await;
        assert_eq!(turns.get(), 3);
    }
}
