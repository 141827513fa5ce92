use std::path::Path;
use std::time::Duration;

use identity_store::{Actor, Chain, Change, Event, Month};

use super::{Pace, log_failure};
use crate::App;
use crate::audit::retention;
use crate::audit::verify::VerifyError;

const JOB: &str = "audit_months";
const ALERT: &str = "audit_chain_broken";

/// Makes the months' partitions ahead of time, and drops months whose retention is over and whose
/// archives verify.
pub(super) async fn run(app: &App) {
    let mut pace = Pace::every(app, Duration::from_secs(60 * 60));
    let mut alerted = false;
    while pace.turn().await {
        prepare(app).await;
        if let Some(last) = last_month_to_go(app) {
            alerted = retire(app, last, alerted).await;
        }
    }
}

/// The months that rows may fall into before the next turn, and for two months without one.
async fn prepare(app: &App) {
    let month = Month::of(app.clock.now());
    let months = [month, month.next(), month.next().next()];
    let strays = app.store.prepare_audit_months(&months).await;
    let Some(strays) = log_failure(JOB, strays) else {
        return;
    };
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    metrics::gauge!("audit_rows_in_default_partition").set(strays as f64);
    if strays > 0 {
        tracing::warn!(
            strays,
            "audit rows lie in no month's partition: look at the clocks"
        );
    }
}

fn last_month_to_go(app: &App) -> Option<Month> {
    let months = app.config.audit.retention_months?;
    Some(Month::of(app.clock.now()).before(months.get()).before(1))
}

/// Drops what may go; returns whether an alert stands. It is raised once, until all is well again.
async fn retire(app: &App, last: Month, alerted: bool) -> bool {
    let Some(folder) = &app.config.audit.archives else {
        return alerted;
    };
    match retention::retire(&*app.store, folder, last).await {
        Ok(retired) => {
            if retired.pieces > 0 {
                tracing::info!(pieces = retired.pieces, %last, "archived audit rows were dropped");
            }
            if retired.unarchived > 0 {
                let chains = retired.unarchived;
                tracing::warn!(chains, %last, "audit rows whose retention is over are not archived");
            }
            false
        }
        Err(error) => {
            metrics::counter!("job_failures_total", "job" => JOB).increment(1);
            refuse(folder, last, &error);
            if error.is_finding() && !alerted {
                alert(app).await;
            }
            alerted || error.is_finding()
        }
    }
}

fn refuse(folder: &Path, last: Month, error: &VerifyError) {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let folder = folder.display();
    tracing::error!(%error, source, %folder, %last, "audit rows were not dropped");
}

async fn alert(app: &App) {
    metrics::counter!("ops_alerts_total", "kind" => ALERT).increment(1);
    let change = Change::new(app.clock.now(), Actor::System(JOB), "job:audit_months");
    let alert = Event::OpsAlert { kind: ALERT };
    let recorded = app.store.record(change, Chain::Platform, vec![alert]);
    log_failure(JOB, recorded.await);
}
