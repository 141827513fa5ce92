use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Pace, log_failure};
use crate::{App, denials};

/// How long lies between two reads of the whole list, which forget what was purged.
const RELOAD: Duration = Duration::from_secs(10 * 60);

/// Takes up what other replicas denied, when it hears of it and once a second, and closes the
/// connections of devices whose certificates expired. Where the list ended means nothing to a database
/// that restarted: it is read whole.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(1));
    // Where the list ended when it was last read and published, and when it was read whole: at the start.
    let (mut end, mut reloaded) = (app.denied_at_start, Instant::now());
    while pace.turn_or(&app.notices.denied).await {
        if app.notices.take_restarted() || reloaded.elapsed() >= RELOAD {
            end = None;
        }
        let read = match end {
            Some(after) => denials::catch_up(&app, after).await,
            None => {
                reloaded = Instant::now();
                denials::reload(&app).await
            }
        };
        end = log_failure("denials", read).flatten().or(end);
        app.live.close_expired(app.clock.now());
    }
}
