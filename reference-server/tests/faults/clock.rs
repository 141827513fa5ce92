//! A clock that steps back, by libfaketime.

use std::path::Path;

use http::Method;
use tempfile::NamedTempFile;

use crate::invariants::Invariants;
use crate::stage::{Setting, Stage};
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
        variables: variables.map(|(name, value)| (name, value.to_owned())).into(),
        ..Setting::default()
    })
    .await;
    let clients = stage.clients.clone();
    let mut renewed = clients.paired().await;
    let superseded = renewed.clone();
    clients.renew(&mut renewed).await;
    let revoked = clients.paired().await;
    clients.revoke(&revoked).await;

    step_to("-3600");
    let beat = clients.nobody().get("/v1/auth/me").await;
    let date = beat.header("date").map(str::to_owned);
    assert!(date.is_some() || beat.status == 401);
    // New devices and people are served, and end as they should.
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
