//! PostgreSQL that stops, is slow, loses connections and answers, and has no room.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use postgres_cluster::{Cluster, Installation, Server, Stop};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};

use crate::clients::text;
use crate::harness::{Flow, Random};
use crate::invariants::Invariants;
use crate::outage::{health_is_down, recovers, requests_are_refused};
use crate::retry::until;
use crate::stage::{Setting, Stage};
use crate::template::Backend;
use crate::workload::Workload;
use crate::{rounds, seed};

/// The one of these that the seed picks: each run has one version of PostgreSQL.
pub(crate) fn picked<T>(all: impl IntoIterator<Item = T>) -> Option<T> {
    let mut all: Vec<T> = all.into_iter().collect();
    let count = u64::try_from(all.len()).unwrap();
    let place = seed().checked_rem(count)?;
    Some(all.swap_remove(usize::try_from(place).unwrap()))
}

/// The PostgreSQL that stories share.
pub(crate) fn server() -> Option<Server> {
    picked(Server::all())
}

/// The PostgreSQL that a story starts and stops.
pub(crate) fn installation() -> Option<Installation> {
    picked(Installation::all())
}

pub(crate) async fn a_database_that_stops_under_load_is_answered_503_until_it_is_back() {
    let installation = installation().unwrap();
    let cluster = Arc::new(Cluster::options(&installation).throw_away().start());
    let mut stage = Stage::on(Backend::Cluster(Arc::clone(&cluster)), 1).await;
    for how in [Some(Stop::Fast), Some(Stop::Immediate), None] {
        let workload = Workload::start(&stage, 2, 2);
        workload.goes_on().await;
        match how {
            Some(how) => cluster.stop(how),
            None => cluster.kill(),
        }
        requests_are_refused(&stage, 4).await;
        health_is_down(&stage).await;
        cluster.resume();
        recovers(&stage, workload).await;
    }
    Invariants::check(&mut stage).await;
}

pub(crate) async fn connections_to_the_database_that_are_cut_cost_nothing() {
    const ALL_OF_THEM: &str = "
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND datname = current_database()";
    /// The longest time between two cuts, in milliseconds.
    const PAUSE_MS: u64 = 100;
    let mut random = Random::seeded(seed());
    let mut stage = Stage::with(Setting {
        backend: Backend::Postgres,
        variables: vec![("IDENTITY_LOG", "info,identity_store=debug".to_owned())],
        ..Setting::default()
    })
    .await;
    let workload = Workload::start(&stage, 2, 2);
    for round in 0..rounds(30) {
        if round % 6 == 5 {
            stage.database.tamper(ALL_OF_THEM).await;
        } else {
            until("a connection is open", async || stage.link(0).cut_one()).await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(PAUSE_MS))).await;
    }
    workload.goes_on().await;
    workload.finish().await;
    Invariants::check(&mut stage).await;
    // Serialization failures and the like are tried again as well.
    let was_cut = |line: &String| line.contains("Io(") || line.contains("57P01");
    let lines = stage.logs();
    let mut retries = lines
        .iter()
        .filter(|line| line.contains("to be tried again"));
    assert!(retries.any(was_cut), "no transaction met a cut");
}

/// Whether a transaction happened whose `COMMIT` was not answered, nobody in the server knows.
pub(crate) async fn a_commit_whose_answer_is_lost_is_not_lost() {
    let mut stage = Stage::on(Backend::Postgres, 1).await;
    let workload = Workload::start(&stage, 2, 2);
    for _ in 0..rounds(5) {
        stage.link(0).lose_answers_to(Some(b"COMMIT"));
        requests_are_refused(&stage, 2).await;
        stage.link(0).lose_answers_to(None);
        workload.goes_on().await;
    }
    workload.finish().await;
    Invariants::check(&mut stage).await;
}

/// sqlx issues 4385 and 4393: a future that is dropped while PostgreSQL answers `BEGIN` hands a
/// connection with an open transaction to the next borrower, whose write is acknowledged and never
/// committed.
pub(crate) async fn a_client_that_leaves_during_begin_takes_nobodys_write_with_it() {
    const LEFT: &str = "Left behind";
    let mut stage = Stage::on(Backend::Postgres, 1).await;
    for _ in 0..rounds(5) {
        let held = stage.link(0).hold(b"BEGIN");
        let clients = &stage.clients;
        let leaving: Vec<_> = (0..8)
            .map(|n| {
                let operator = clients.operator();
                let body = json!({"device_name": format!("{LEFT} {n}")});
                let request = operator.request(Method::POST, "/v1/devices").json(&body);
                tokio::spawn(async move { operator.try_send(request).await })
            })
            .collect();
        until("transactions begin", async || held.hits() >= 4).await;
        for leaving in leaving {
            leaving.abort();
        }
        stage.replicas[0].front.cut_all();
        drop(held);
        // The next borrowers of the same connections.
        for _ in 0..8 {
            stage.clients.register().await;
        }
    }
    // Some of what was held were the jobs' own; these went on when nobody waited for them any more.
    until("they went on", async || {
        let listed = stage.clients.operator_gets("/v1/devices?limit=200").await;
        let listed = listed.expect(200);
        let devices = listed["data"].as_array().expect("devices").iter();
        let name = |device: &Value| text(&device["device_name"]);
        devices.map(name).filter(|n| n.starts_with(LEFT)).count() >= 4
    })
    .await;
    Invariants::check(&mut stage).await;
}

pub(crate) async fn a_slow_database_is_waited_for() {
    let mut stage = Stage::on(Backend::Postgres, 1).await;
    stage.link(0).delay(Duration::from_millis(20));
    let workload = Workload::start(&stage, 2, 1);
    workload.goes_on().await;
    workload.finish().await;
    stage.link(0).delay(Duration::ZERO);
    assert!(stage.link(0).delayed() > 0);
    let extent = Invariants::check(&mut stage).await;
    assert_eq!(extent.unavailable, 0, "{extent:?}");
}

/// A machine that is gone refuses nothing: no byte comes back, on connections old and new.
pub(crate) async fn a_database_that_is_silent_is_answered_503_until_it_speaks() {
    let mut stage = Stage::on(Backend::Postgres, 1).await;
    let workload = Workload::start(&stage, 2, 2);
    workload.goes_on().await;
    stage.link(0).set_flow(Flow::BlackHole);
    requests_are_refused(&stage, 4).await;
    health_is_down(&stage).await;
    // What was sent meanwhile is lost: the connections from before stay silent.
    stage.link(0).set_flow(Flow::Pass);
    recovers(&stage, workload).await;
    Invariants::check(&mut stage).await;
}

pub(crate) async fn a_lock_that_is_not_given_back_is_answered_503_until_it_is() {
    let mut stage = Stage::on(Backend::Postgres, 1).await;
    let workload = Workload::start(&stage, 2, 2);
    let url = stage.database.url();
    let mut stuck = PgConnection::connect(&url).await.unwrap();
    let lock = "BEGIN; LOCK TABLE devices, users IN EXCLUSIVE MODE";
    stuck.execute(lock).await.unwrap();
    requests_are_refused(&stage, 4).await;
    stuck.execute("ROLLBACK").await.unwrap();
    recovers(&stage, workload).await;
    Invariants::check(&mut stage).await;
}

/// Two connections, and both in statements that do not end by themselves: health, which looks at no
/// table of theirs, gets none, until PostgreSQL gives the statements up.
pub(crate) async fn a_full_pool_is_answered_503_until_it_has_room() {
    const STAY: &str = "
        CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM pg_sleep(3600); RETURN NEW; END';
        CREATE TRIGGER stay BEFORE INSERT ON devices FOR EACH ROW EXECUTE FUNCTION stay()";
    const LEAVE: &str = "DROP FUNCTION stay CASCADE";
    let mut stage = Stage::with(Setting {
        backend: Backend::Postgres,
        variables: vec![("DB_MAX_OPEN_CONNS", "2".to_owned())],
        ..Setting::default()
    })
    .await;
    let workload = Workload::start(&stage, 2, 2);
    workload.goes_on().await;
    stage.database.tamper(STAY).await;
    requests_are_refused(&stage, 4).await;
    health_is_down(&stage).await;
    until("a statement is given up", async || {
        stage.has_logged("statement timeout")
    })
    .await;
    stage.database.tamper(LEAVE).await;
    recovers(&stage, workload).await;
    Invariants::check(&mut stage).await;
}

/// Somebody else has every connection that PostgreSQL allows.
pub(crate) async fn a_database_without_a_free_connection_is_answered_503_until_it_has_one() {
    let installation = installation().unwrap();
    let few = Cluster::options(&installation).set("max_connections", "16");
    let cluster = Arc::new(few.throw_away().start());
    let mut stage = Stage::on(Backend::Cluster(cluster), 1).await;
    let workload = Workload::start(&stage, 2, 2);
    workload.goes_on().await;
    stage.link(0).set_flow(Flow::Refuse);
    stage.link(0).cut_all();
    let all = every_connection(&stage.database.url()).await;
    stage.link(0).set_flow(Flow::Pass);
    requests_are_refused(&stage, 4).await;
    health_is_down(&stage).await;
    drop(all);
    recovers(&stage, workload).await;
    Invariants::check(&mut stage).await;
}

/// Takes what PostgreSQL allows, and what others give back meanwhile.
async fn every_connection(url: &str) -> Vec<PgConnection> {
    const OTHERS: &str = "
        SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND application_name <> 'all'";
    let mut all: Vec<PgConnection> = Vec::new();
    let options = PgConnectOptions::from_str(url).unwrap();
    let options = options.application_name("all");
    until("every connection is taken", async || {
        match options.connect().await {
            Ok(connection) => {
                all.push(connection);
                return false;
            }
            Err(sqlx::Error::Database(full)) => assert_eq!(full.code().as_deref(), Some("53300")),
            Err(error) => panic!("{error}"),
        }
        let others = sqlx::query_scalar(OTHERS).fetch_one(&mut all[0]).await;
        matches!(others, Ok(0_i64))
    })
    .await;
    all
}
