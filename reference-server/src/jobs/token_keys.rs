use std::sync::Arc;
use std::time::Duration;

use identity_store::Lease;

use super::{Pace, change, log_failure};
use crate::App;
use crate::start::StartError;
use crate::token_keys::{Due, due, fresh};

const JOB: &str = "token_keys";

/// Publishes the next key of tokens, and lets it sign when its time has come.
pub(super) async fn run(app: &App, lease: Option<Lease>) {
    let mut pace = Pace::every(app, Duration::from_secs(60));
    while pace.turn().await {
        turn(app, lease.as_ref()).await;
    }
}

pub(super) async fn turn(app: &App, lease: Option<&Lease>) {
    if let Err(error) = rotate(app, lease).await {
        metrics::counter!("job_failures_total", "name" => JOB).increment(1);
        tracing::warn!(
            error = error.one_line(),
            "the keys of tokens were not looked after"
        );
    }
}

async fn rotate(app: &App, lease: Option<&Lease>) -> Result<(), StartError> {
    let Some(tokens) = app.secrets.tokens.usable() else {
        return Ok(());
    };
    let now = app.clock.now();
    let keys = app.store.token_keys().await?;
    if keys.active_since.is_none() {
        app.store.date_token_key(now).await?;
    }
    match due(&keys, now) {
        Due::Nothing => return Ok(()),
        Due::Publish(active_from) => {
            let next = fresh(now, active_from)?;
            let change = change(app, JOB, lease);
            app.store.publish_token_key(change, next).await?;
        }
        Due::Activate => {
            // What signs now, as it is stored.
            tokens.follow(&keys)?;
            let (key_id, public) = tokens.signing_key()?;
            let change = change(app, JOB, lease);
            app.store.activate_token_key(change, key_id, public).await?;
        }
    }
    tokens.follow(&app.store.token_keys().await?)?;
    Ok(())
}

/// Takes up the keys of tokens that another replica published or activated, every five seconds.
pub(super) async fn follow(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(5));
    while pace.turn().await {
        take_up(&app).await;
    }
}

pub(super) async fn take_up(app: &App) {
    let Some(tokens) = app.secrets.tokens.usable() else {
        return;
    };
    let keys = log_failure("follow_token_keys", app.store.token_keys().await);
    if let Some(Err(error)) = keys.map(|keys| tokens.follow(&keys)) {
        metrics::counter!("job_failures_total", "name" => "follow_token_keys").increment(1);
        tracing::warn!(%error, "the keys of tokens were not taken up");
    }
}
