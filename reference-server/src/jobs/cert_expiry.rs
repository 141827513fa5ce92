use std::sync::Arc;
use std::time::Duration;

use super::{Pace, change, log_failure};
use crate::App;
use crate::expiry;

const JOB: &str = "cert_expiry";
/// A threshold is a day long; what failed is tried again within the hour.
const PERIOD: Duration = Duration::from_secs(60 * 60);

/// Tells of the expiry of the platform's certificates. Its lease spares others the work; what it does is
/// claimed in the store.
pub(super) async fn run(app: Arc<App>) {
    let mut pace = Pace::every(&app, PERIOD);
    while pace.turn().await {
        let change = change(&app, JOB, None);
        let app = Arc::clone(&app);
        // A round goes on to its end when the lease is lost: what was sent is to be noted.
        let round = tokio::spawn(async move { expiry::round(&app, &change).await });
        match round.await {
            Ok(outcome) => {
                log_failure(JOB, outcome);
            }
            Err(ended) => {
                if let Ok(panic) = ended.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}
