//! Clocks that are wrong, by libfaketime.

use std::path::Path;

use http::Method;
use identity_challenge::ChallengeStatus;
use reference_server::clock::{Clock as _, SystemClock};
use serde_json::json;
use tempfile::NamedTempFile;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::clients::text;
use crate::harness::{DeviceKey, Exit, Process};
use crate::invariants::Invariants;
use crate::retry::until;
use crate::stage::{Setting, Stage, TENANT};
use crate::template::Backend;
use crate::workload::{day_at_a_counter, life_of_a_device};

const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

/// The library, if it is installed.
pub(crate) fn library() -> Option<&'static str> {
    LIBRARIES.into_iter().find(|path| Path::new(path).exists())
}

pub(crate) async fn a_clock_that_steps_back_brings_nobody_back() {
    steps_back(Backend::Sqlite).await;
}

pub(crate) async fn a_clock_before_postgresql_that_steps_back_brings_nobody_back() {
    steps_back(Backend::Postgres).await;
}

async fn steps_back(backend: Backend) {
    let clock = NamedTempFile::new().unwrap();
    let step_to = |offset: &str| std::fs::write(clock.path(), offset).unwrap();
    step_to("+0");
    let variables = [
        ("LD_PRELOAD", library().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.path().to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut stage = Stage::with(Setting {
        variables: variables
            .map(|(name, value)| (name, value.to_owned()))
            .into(),
        backend,
        ..Setting::default()
    })
    .await;
    let clients = stage.clients.clone();
    let mut renewed = clients.paired().await;
    let superseded = renewed.clone();
    clients.renew(&mut renewed).await;
    let revoked = clients.paired().await;
    clients.revoke(&revoked).await;

    // Before the platform CA was made nothing can be issued, and devices come again.
    step_to("-3600");
    let (_, code) = clients.register().await;
    let csr = DeviceKey::generate().csr();
    let pairing = json!({"pairing_code": code, "csr": csr, "device_info": {}});
    let nobody = clients.nobody();
    let request = nobody.request(Method::POST, "/v1/devices/pair");
    let unavailable = clients.try_once(nobody, request.json(&pairing)).await;
    assert!(unavailable.is_none());
    assert_eq!(clients.journal.book().unavailable, 1);

    // New devices and people are served, and end as they should.
    step_to("-200");
    let device = clients.paired().await;
    let own = clients.device(&device).get("/v1/devices/self").await;
    let server_time = OffsetDateTime::parse(&text(&own.json["server_time"]), &Rfc3339).unwrap();
    assert!(
        server_time < SystemClock.now() - Duration::seconds(100),
        "{server_time}"
    );
    life_of_a_device(&clients).await;
    day_at_a_counter(&clients).await;
    for out in [&revoked, &superseded] {
        let api = clients.replicas[0].with_certificate(&out.holding.key, &out.holding.certificate);
        let request = api.request(Method::GET, "/v1/devices/self");
        let reply = clients.try_once(&api, request).await;
        assert!(reply.is_none_or(|reply| reply.status != 200));
    }
    // The jobs of the second half find the chain and the order of events as they were.
    step_to("+0");
    life_of_a_device(&clients).await;
    Invariants::check(&mut stage).await;
}

/// Whatever was issued before has expired there, and what is issued there begins in more than a year.
pub(crate) async fn a_replica_whose_clock_is_more_than_a_year_ahead_breaks_nothing() {
    let mut stage = Stage::on(Backend::Postgres, 1).await;
    let clients = stage.clients.clone();
    day_at_a_counter(&clients).await;
    let (revoked, mut replaced) = (clients.paired().await, clients.paired().await);
    let mut renewed = clients.paired().await;
    let user = clients.user().await;
    let challenge = clients.ask_to_enrol(&renewed, &user).await;

    let mut ahead = Process::run(stage.command(
        0,
        &[
            ("LD_PRELOAD", library().unwrap()),
            ("FAKETIME", "+400d"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ],
    ));
    stage.replicas[0].logs.push(ahead.logged());
    let there = clients.turned_to(vec![clients.nobody().at(ahead.address)]);
    let there = there.await;
    // Its certificate has expired there, and not at the other, which refuses it.
    there.revoke(&revoked).await;
    there.pair_anew(&mut replaced).await;
    life_of_a_device(&there).await;
    let device = there.paired().await;
    let other = there.user().await;
    there.enrol(&device, &other, there.number()).await;
    there.revoke(&device).await;
    clients.renew(&mut renewed).await;
    let store = stage.database.store().await;
    let (tenant_id, challenge) = (TENANT.parse().unwrap(), challenge.parse().unwrap());
    until("its jobs have run", async || {
        let read = store.challenge(&tenant_id, &challenge).await;
        read.unwrap().unwrap().challenge.status() == ChallengeStatus::Expired
    })
    .await;
    store.close().await;
    assert_eq!(ahead.terminate(), Exit::success());

    // It ended the sessions that had expired there.
    stage.clients = clients.turned_to(clients.replicas.clone()).await;
    stage.clients.pair_anew(&mut replaced).await;
    life_of_a_device(&stage.clients).await;
    day_at_a_counter(&stage.clients).await;
    Invariants::check(&mut stage).await;
}
