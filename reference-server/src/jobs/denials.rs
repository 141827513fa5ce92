use std::sync::Arc;
use std::time::Duration;

use super::{Pace, log_failure};
use crate::{App, denials};

/// How many turns lie between two reads of the whole list, which forget what was purged.
const TURNS_PER_RELOAD: u32 = 600;
/// How many turns lie between two looks at connections whose certificates expired.
const TURNS_PER_LOOK: u32 = 10;

/// Takes up what other replicas denied, within a second, and closes the connections of devices whose
/// certificates expired.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, Duration::from_secs(1));
    let mut after = 0;
    let mut turns: u32 = 0;
    while pace.turn().await {
        let last = log_failure("denials", denials::catch_up(&app, after).await);
        after = last.unwrap_or(after);
        turns = turns.wrapping_add(1);
        if turns.is_multiple_of(TURNS_PER_RELOAD) {
            log_failure("denials", denials::reload(&app).await);
        }
        if turns.is_multiple_of(TURNS_PER_LOOK) {
            denials::re_decide(&app);
        }
    }
}
