use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use identity_store::{Chain, Event, Lease, Month, Retired};
use metrics::Gauge;

use super::{Pace, change, log_failure};
use crate::App;
use crate::audit::retention;
use crate::audit::verify::VerifyError;

const JOB: &str = "audit_months";
const ALERT: &str = "audit_chain_broken";

/// Makes the months' partitions ahead of time, and drops months whose retention is over and whose
/// archives verify.
pub(super) async fn run(app: &App, lease: Option<Lease>) {
    let mut pace = Pace::every(app, Duration::from_secs(60 * 60));
    let _told = Told;
    while pace.turn().await {
        turn(app, lease.as_ref()).await;
    }
}

async fn turn(app: &App, lease: Option<&Lease>) {
    prepare(app).await;
    if let Some(last) = last_month_to_go(app) {
        retire(app, last, lease).await;
    }
}

/// What this job tells of the database. Whoever does it no more tells it no more.
struct Told;

impl Drop for Told {
    fn drop(&mut self) {
        strays().set(0);
        unarchived().set(0);
    }
}

fn strays() -> Gauge {
    metrics::gauge!("audit_rows_in_default_partition")
}

fn unarchived() -> Gauge {
    metrics::gauge!("audit_chains_unarchived")
}

/// The months that rows may fall into before the next turn, and for two months without one.
async fn prepare(app: &App) {
    let month = Month::of(app.clock.now());
    let months = [month, month.next(), month.next().next()];
    let rows = app.store.prepare_audit_months(&months).await;
    let Some(rows) = log_failure(JOB, rows) else {
        return;
    };
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    strays().set(rows as f64);
    if rows > 0 {
        tracing::warn!(
            rows,
            "audit rows lie in no month's partition: look at the clocks"
        );
    }
}

fn last_month_to_go(app: &App) -> Option<Month> {
    let months = app.config.audit.retention_months?;
    Some(Month::of(app.clock.now()).before(months.get()).before(1))
}

/// Drops what may go. An alert is raised once, until all is well again.
async fn retire(app: &App, last: Month, lease: Option<&Lease>) {
    let Some(folder) = &app.config.audit.archives else {
        return;
    };
    match retention::retire(&*app.store, folder, last).await {
        Ok(retired) => {
            app.audit_alert_stands.store(false, Ordering::Relaxed);
            tell(retired, last);
        }
        Err(error) => {
            metrics::counter!("job_failures_total", "name" => JOB).increment(1);
            unarchived().set(0);
            refuse(folder, last, &error);
            if error.is_finding() && !app.audit_alert_stands.load(Ordering::Relaxed) {
                alert(app, lease).await;
            }
        }
    }
}

fn tell(retired: Retired, last: Month) {
    if retired.pieces > 0 {
        tracing::info!(pieces = retired.pieces, %last, "archived audit rows were dropped");
    }
    let chains = retired.unarchived;
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    unarchived().set(chains as f64);
    if chains > 0 {
        tracing::warn!(chains, %last, "audit rows whose retention is over are not archived");
    }
}

fn refuse(folder: &Path, last: Month, error: &VerifyError) {
    let source = std::error::Error::source(error).map(ToString::to_string);
    let folder = folder.display();
    tracing::error!(%error, source, %folder, %last, "audit rows were not dropped");
}

async fn alert(app: &App, lease: Option<&Lease>) {
    metrics::counter!("ops_alerts_total", "kind" => ALERT).increment(1);
    let alert = Event::OpsAlert { kind: ALERT };
    let change = change(app, JOB, lease);
    let recorded = app.store.record(change, Chain::Platform, vec![alert]).await;
    if log_failure(JOB, recorded).is_some() {
        app.audit_alert_stands.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use identity_store::{Actor, AuditStore as _, Change, MemoryStore};
    use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

    use super::*;
    use crate::audit::archive::archive;
    use crate::clock::{Clock as _, SystemClock, entropy};
    use crate::config::Config;

    /// A server whose platform chain has a row of a month that is to go, and archives in `folder`.
    async fn with_an_old_row(folder: &Path) -> (Arc<App>, Month) {
        let store = Arc::new(MemoryStore::new(entropy()));
        let old = SystemClock.now() - time::Duration::days(100);
        let change = Change::new(old, Actor::System("test"), "req");
        let recorded = store.record(change, Chain::Platform, vec![Event::PairingRefused]);
        recorded.await.expect("recorded");
        store.seal_audit(9).await.expect("sealed");
        let variables = |name: &str| match name {
            "IDENTITY_AUDIT_RETENTION_MONTHS" => Some("1".into()),
            "IDENTITY_AUDIT_ARCHIVES" => Some(folder.into()),
            _ => None,
        };
        let config = Config::from_lookup(variables, false).expect("a configuration");
        let clock = Arc::new(SystemClock);
        let app = App::load(config, ([127, 0, 0, 1], 1).into(), store, clock, None).await;
        (app.expect("a server"), Month::of(old))
    }

    fn shows(recorder: &PrometheusRecorder, line: &str) -> bool {
        let metrics = recorder.handle().render();
        metrics.lines().any(|shown| shown == line)
    }

    #[tokio::test]
    async fn chains_whose_rows_should_be_archived_are_told_by_whoever_does_the_job() {
        let (app, _) = with_an_old_row(Path::new("/nowhere")).await;
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recorded = metrics::set_default_local_recorder(&recorder);
        let is_told = async {
            while !shows(&recorder, "audit_chains_unarchived 1") {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = run(&app, None) => {}
            () = is_told => {}
        }
        assert!(shows(&recorder, "audit_chains_unarchived 0"));
    }

    #[tokio::test]
    async fn an_archive_that_is_missing_is_alerted_once_however_often_the_job_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (app, month) = with_an_old_row(folder.path()).await;
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recorded = metrics::set_default_local_recorder(&recorder);
        turn(&app, None).await;
        assert!(shows(&recorder, "audit_chains_unarchived 1"));
        let manifests = archive(&*app.store, month, folder.path(), app.clock.now()).await;
        let [manifest] = &manifests.expect("archived")[..] else {
            panic!("one chain has such a row");
        };
        let file = folder.path().join(&manifest.file_name);
        std::fs::remove_file(file).expect("it was there");
        for failures in 1..=3 {
            turn(&app, None).await;
            let line = format!("job_failures_total{{name=\"{JOB}\"}} {failures}");
            assert!(shows(&recorder, &line), "{line}");
        }
        let line = format!("ops_alerts_total{{kind=\"{ALERT}\"}} 1");
        assert!(shows(&recorder, &line), "{line}");
        assert!(shows(&recorder, "audit_chains_unarchived 0"), "unknown");
    }
}
