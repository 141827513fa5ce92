//! A standby that takes the place of the primary.

use std::sync::Arc;

use postgres_cluster::{Cluster, Installation};

use crate::invariants::Invariants;
use crate::outage::{recovers, requests_are_refused};
use crate::postgres::picked;
use crate::stage::Stage;
use crate::template::Backend;
use crate::workload::Workload;

/// One that can be copied.
pub(crate) fn installation() -> Option<Installation> {
    let all = Installation::all().into_iter();
    picked(all.filter(Installation::can_copy))
}

/// Whether a commit waits for the standby.
const WAITS: &str = "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')";

/// With `remote_apply`, what the primary answered is on the standby.
pub(crate) async fn a_failover_loses_nothing_that_was_answered() {
    let installation = installation().unwrap();
    let primary = Arc::new(Cluster::options(&installation).throw_away().start());
    let mut stage = Stage::on(Backend::Cluster(Arc::clone(&primary)), 2).await;
    primary.set(&[
        ("synchronous_standby_names", "standby"),
        ("synchronous_commit", "remote_apply"),
    ]);
    let standby = primary.standby("standby");
    // Backends take the parameters over between two statements of theirs; new ones have them.
    for replica in 0..2 {
        stage.link(replica).cut_all();
    }
    let workload = Workload::start(&stage, 2, 2);
    workload.goes_on().await;
    // Nothing is answered that the standby has not applied.
    standby.execute("postgres", "SELECT pg_wal_replay_pause()");
    primary.wait_until("postgres", WAITS);
    primary.kill();
    requests_are_refused(&stage, 4).await;
    // As its copy it waits for a standby of that name, which it is itself.
    standby.set(&[("synchronous_standby_names", "")]);
    standby.promote();
    stage.lead_to(&standby);
    recovers(&stage, workload).await;
    Invariants::check(&mut stage).await;
}
