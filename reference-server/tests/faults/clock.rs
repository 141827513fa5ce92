//! A clock that steps back, by libfaketime.

use std::path::Path;

use http::Method;
use reference_server::clock::{Clock as _, SystemClock};
use serde_json::json;
use tempfile::NamedTempFile;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::clients::text;
use crate::harness::DeviceKey;
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
        variables: variables
            .map(|(name, value)| (name, value.to_owned()))
            .into(),
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
