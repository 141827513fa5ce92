//! Tells clients in CIBA's ping mode that their users have answered.
//!
//! Each replica tells of what it claims. A client that is not reached can poll all the same.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use identity_store::{ClaimedNotification, SecretBytes};
use time::{Duration as Span, OffsetDateTime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Pace, log_failure};
use crate::App;
use crate::auth_notification::AuthNotification;

const JOB: &str = "auth_notifications";
/// How often it is looked for what is due.
const PERIOD: Duration = Duration::from_millis(500);
/// How many clients are told at once.
const SLOTS: usize = 64;
/// How long a client may take to answer: whoever hangs has a place for that long.
const TRY_TIME: Duration = Duration::from_secs(5);
/// How long a claim lasts: longer than a try, by all that the database may take to note what came of it.
const CLAIM: Span = Span::seconds(30);
/// How long after each try that failed the next is made.
const WAITS: [Span; 3] = [Span::seconds(2), Span::seconds(5), Span::seconds(15)];

/// Tells of what is due until the last request has finished, and waits for the tries under way.
pub(super) async fn run(app: Arc<App>) {
    let mut tries = JoinSet::new();
    let mut pace = Pace::every(&app, PERIOD);
    while pace.turn().await {
        while tries.try_join_next().is_some() {}
        if !app.shutdown.is_cancelled() {
            begin(&app, &mut tries).await;
        }
    }
    let last = async { while tries.join_next().await.is_some() {} };
    if timeout(TRY_TIME, last).await.is_err() {
        tracing::info!(job = JOB, "notifications were cut at the end");
    }
}

async fn begin(app: &Arc<App>, tries: &mut JoinSet<()>) {
    let free = SLOTS.saturating_sub(tries.len());
    let limit = u32::try_from(free).unwrap_or(u32::MAX);
    if limit == 0 {
        return;
    }
    let now = app.clock.now();
    let claimed = app.store.claim_auth_notifications(now, now + CLAIM, limit);
    for claimed in log_failure(JOB, claimed.await).unwrap_or_default() {
        tries.spawn(tell(Arc::clone(app), claimed));
    }
}

/// Tells one client, and notes what came of it.
async fn tell(app: Arc<App>, claimed: ClaimedNotification) {
    let told = match &claimed.notification {
        Some(notification) => send(&app, notification).await,
        None => Err("no data key opens the notification".to_owned()),
    };
    let (outcome, again) = match &told {
        Ok(()) => ("sent", None),
        Err(_) => match again(claimed.tries, app.clock.now()) {
            Some(again) => ("failed", Some(again)),
            None => ("given_up", None),
        },
    };
    metrics::counter!("ciba_notifications_total", "outcome" => outcome).increment(1);
    tracing::debug!(
        challenge_id = %claimed.challenge_id, tries = claimed.tries, outcome, error = told.err(),
        "a client was told of an answer"
    );
    log_failure(
        JOB,
        app.store.finish_auth_notification(claimed, again).await,
    );
}

/// When what failed for the `tries`th time is tried again.
fn again(tries: u32, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let place = usize::try_from(tries).ok()?.checked_sub(1)?;
    WAITS.get(place).map(|wait| now + *wait)
}

async fn send(app: &App, notification: &SecretBytes) -> Result<(), String> {
    let notification = AuthNotification::read(notification).map_err(|error| error.to_string())?;
    let bearer = HeaderValue::from_str(&format!("Bearer {}", notification.token));
    let mut bearer = bearer.map_err(|error| error.to_string())?;
    bearer.set_sensitive(true);
    let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
    let sender = &app.webhooks.sender;
    let sent = sender.post(&notification.endpoint, headers, notification.body());
    match timeout(TRY_TIME, sent).await {
        Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
        Ok(Ok(answer)) => Err(format!("it answered {}", answer.status)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it did not answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_four_times_at_most() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let waits: Vec<_> = (1..=5).map(|tries| again(tries, now)).collect();
        let after = |seconds| Some(now + Span::seconds(seconds));
        assert_eq!(waits, [after(2), after(5), after(15), None, None]);
    }
}
