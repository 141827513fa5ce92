use std::sync::Arc;
use std::time::Duration;

use super::{Pace, log_failure};
use crate::{App, denials};

/// How many turns lie between two reads of the whole list, which forget what was purged.
const TURNS_PER_RELOAD: u32 = 600;

/// Takes up what other replicas denied, when it hears of it and once a second, and closes the
/// connections of devices whose certificates expired.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(1));
    // Where the list ended when it was last read and published.
    let mut end = None;
    for turn in (0..TURNS_PER_RELOAD).cycle() {
        if !pace.turn_or(&app.notices.denied).await {
            return;
        }
        let read = match end {
            Some(after) if turn > 0 => denials::catch_up(&app, after).await,
            _ => denials::reload(&app).await,
        };
        end = log_failure("denials", read).flatten().or(end);
        app.live.close_expired(app.clock.now());
    }
}
