//! A CA after another: as an ordinary rotation, and because a key may be known.

use std::cell::Cell;
use std::rc::Rc;

use identity_pki::{CaCertificate, Fingerprint};
use identity_store::{
    Actor, CaOrigin, CaRecord, CaState, Change, PrivateKeyPem, SecretStore as _, Severity,
    Store as _,
};
use reqwest::tls::Version;
use serde_json::{Value, json};
use tokio::task::{JoinSet, LocalSet};

use crate::calls::{Answer, Caller};
use crate::harness::CaKey;
use crate::platform::{Key, Platform, Scanner, text};

const GENERATE: &str = "/v1/admin/ssl/ca-cert/generate";
const REGENERATE: &str = "/v1/admin/ssl/ca-cert/regenerate";
const REVOKE_DEVICES: &str = "/v1/admin/ssl/ca-cert/regenerate/revoke-devices";

impl Platform {
    /// Prepares a CA; its fingerprint.
    async fn prepare(&self) -> String {
        let prepared = json!({"activate": false});
        let prepared = self.operator.post(GENERATE, prepared).await.expect(201);
        text(&prepared["fingerprint"])
    }

    async fn change_ca(&self, fingerprint: &str, change: &str, body: Value) -> Answer {
        let path = format!("/v1/admin/ssl/ca-certs/{fingerprint}/{change}");
        self.operator.post(&path, body).await
    }

    /// The state of a CA that does not issue, and how many devices have certificates of it.
    async fn previous(&self, fingerprint: &str) -> (String, u64) {
        let ca = self.ca().await;
        let mut previous = ca["previous"].as_array().unwrap().iter();
        let found = previous
            .find(|ca| ca["fingerprint"] == fingerprint)
            .unwrap();
        let devices = found["active_devices"].as_u64().unwrap();
        (text(&found["state"]), devices)
    }

    /// The job when it has ended.
    pub(crate) async fn ended(&self, job_id: &Value) -> Value {
        let path = format!("/v1/jobs/{}", text(job_id));
        loop {
            let job = self.operator.get(&path).await.expect(200);
            if !job["ended_at"].is_null() {
                return job;
            }
        }
    }

    /// The scanner with another certificate, and what it was given.
    async fn renew(&self, scanner: &Scanner) -> (Scanner, Value) {
        let key = Key::new();
        let connection = self.connect(scanner, None);
        let renewal = json!({"csr": key.csr()});
        let renewed = connection
            .post("/v1/devices/renew", renewal)
            .await
            .expect(200);
        let certificate = text(&renewed["certificate"]);
        let device_id = scanner.device_id.clone();
        let scanner = Scanner {
            device_id,
            certificate,
            key,
        };
        (scanner, renewed)
    }

    async fn serves(&self, connection: &Caller) {
        connection.get("/v1/devices/self").await.expect(200);
    }
}

/// What a connection that was open is answered, if it is.
pub(crate) async fn is_over(connection: &Caller) {
    let request = connection.request(http::Method::GET, "/v1/devices/self");
    if let Ok(response) = request.send().await {
        let status = response.status();
        assert_eq!(status, 401, "a request that overtook the closing");
    }
}

#[tokio::test]
async fn a_ca_goes_when_its_devices_have_moved_to_the_next() {
    let platform = Platform::start().await;
    let first = text(&platform.ca().await["fingerprint"]);
    let scanner = platform.scanner().await;
    let open = platform.connect(&scanner, None);
    platform.serves(&open).await;
    let second = platform.prepare().await;
    assert_eq!(platform.previous(&second).await, ("prepared".to_owned(), 0));

    // There and back, and there.
    for (issuing, other) in [(&second, &first), (&first, &second), (&second, &first)] {
        let active = platform.change_ca(issuing, "activate", json!({})).await;
        let active = active.expect(200);
        assert_eq!(
            (&active["fingerprint"], &active["state"]),
            (&json!(issuing), &json!("active"))
        );
        assert_eq!(platform.ca().await["fingerprint"], issuing.as_str());
        assert_eq!(platform.previous(other).await.0, "retiring");
        platform.serves(&open).await;
    }
    assert_eq!(platform.previous(&first).await, ("retiring".to_owned(), 1));
    let early = platform.change_ca(&first, "retire", json!({})).await;
    let early = early.refused(409, "ca_in_use");
    assert!(
        text(&early["detail"]).starts_with("1 devices still"),
        "{early}"
    );
    let issuing = platform
        .change_ca(&second, "retire", json!({"force": true}))
        .await;
    issuing.refused(409, "conflict");

    let (moved, renewed) = platform.renew(&scanner).await;
    assert_eq!(renewed["ca_chain"], platform.ca().await["public_cert_pem"]);
    let retired = platform.change_ca(&first, "retire", json!({})).await;
    assert_eq!(retired.expect(200)["state"], "retired");
    assert_eq!(platform.previous(&first).await, ("retired".to_owned(), 0));
    platform.serves(&platform.connect(&moved, None)).await;
    for change in ["activate", "retire"] {
        let again = platform.change_ca(&first, change, json!({})).await;
        again.refused(409, "conflict");
        for unknown in ["00".repeat(32), "nonsense".to_owned()] {
            let unknown = platform.change_ca(&unknown, change, json!({})).await;
            unknown.refused(404, "not_found");
        }
    }
    let store = platform.store().await;
    let first: Fingerprint = first.parse().unwrap();
    assert!(store.private_key(&first).await.unwrap().is_none());
    store.close().await;
    let audit = platform.audit().await;
    let told: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
    let told = told
        .into_iter()
        .filter(|action| action.starts_with("platform_ca_"));
    let expected = [
        "platform_ca_generated",
        "platform_ca_generated",
        "platform_ca_activated",
        "platform_ca_activated",
        "platform_ca_activated",
        "platform_ca_retired",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_ca_that_is_retired_by_force_locks_its_devices_out_at_once() {
    let platform = Platform::start().await;
    let first = text(&platform.ca().await["fingerprint"]);
    let scanner = platform.scanner().await;
    let open = platform.connect(&scanner, None);
    platform.serves(&open).await;
    platform
        .operator
        .post(GENERATE, json!({}))
        .await
        .expect(201);
    let retired = platform
        .change_ca(&first, "retire", json!({"force": true}))
        .await;
    retired.expect(200);
    is_over(&open).await;
    assert!(platform.is_out(&scanner, Version::TLS_1_3).await);
}

#[tokio::test]
async fn polling_devices_see_nothing_of_a_rotation() {
    LocalSet::new().run_until(rotate_under_polls()).await;
}

/// What the devices of a rotation are told, and tell.
#[derive(Default)]
struct Load {
    polls: Cell<usize>,
    renew: Cell<bool>,
    is_over: Cell<bool>,
}

impl Load {
    /// Until each device has polled a few times more. One that was refused anything has panicked.
    async fn goes_on(&self, devices: &mut JoinSet<()>) {
        let enough = self.polls.get() + 4 * devices.len();
        while self.polls.get() < enough {
            tokio::task::yield_now().await;
            if let Some(ended) = devices.try_join_next() {
                ended.unwrap();
            }
        }
    }
}

/// Polls over one connection, renews once when it is to, and goes on over another.
async fn poll(platform: Rc<Platform>, load: Rc<Load>) {
    let mut scanner = platform.scanner().await;
    let mut connection = platform.connect(&scanner, None);
    let mut is_renewed = false;
    while !load.is_over.get() {
        connection.get("/v1/challenges/pending").await.expect(200);
        let heartbeat = connection.post("/v1/device/heartbeat", json!({})).await;
        heartbeat.expect(200);
        load.polls.set(load.polls.get() + 1);
        if load.renew.get() && !is_renewed {
            scanner = platform.renew(&scanner).await.0;
            connection = platform.connect(&scanner, None);
            is_renewed = true;
        }
    }
    assert!(is_renewed);
}

async fn rotate_under_polls() {
    const DEVICES: usize = 6;
    let platform = Rc::new(Platform::start().await);
    let load = Rc::new(Load::default());
    let mut devices = JoinSet::new();
    for _ in 0..DEVICES {
        devices.spawn_local(poll(Rc::clone(&platform), Rc::clone(&load)));
    }
    let first = text(&platform.ca().await["fingerprint"]);
    load.goes_on(&mut devices).await;
    let second = platform.prepare().await;
    load.goes_on(&mut devices).await;
    let activated = platform.change_ca(&second, "activate", json!({})).await;
    activated.expect(200);
    load.goes_on(&mut devices).await;
    load.renew.set(true);
    loop {
        let retired = platform.change_ca(&first, "retire", json!({})).await;
        if retired.status == 200 {
            break;
        }
        retired.refused(409, "ca_in_use");
    }
    load.goes_on(&mut devices).await;
    load.is_over.set(true);
    while let Some(polled) = devices.join_next().await {
        polled.unwrap();
    }
}

#[tokio::test]
async fn the_devices_of_a_tainted_ca_work_until_they_are_revoked_all_at_once() {
    let platform = Platform::start().await;
    let other = platform.tenant("other").await;
    let old = text(&platform.ca().await["fingerprint"]);
    let stays = [platform.scanner().await, platform.scanner_of(&other).await];
    let moves = platform.scanner().await;
    let open = stays
        .each_ref()
        .map(|scanner| platform.connect(scanner, None));
    for connection in &open {
        platform.serves(connection).await;
    }
    for wrong in [
        json!({}),
        json!({"confirm": "nonsense"}),
        json!({"confirm": "00".repeat(32)}),
    ] {
        let refused = platform.operator.post(REGENERATE, wrong.clone()).await;
        refused.refused(409, "regenerate_confirm_required");
        let refused = platform.operator.post(REVOKE_DEVICES, wrong).await;
        refused.refused(409, "regenerate_confirm_required");
    }
    let early = platform
        .operator
        .post(REVOKE_DEVICES, json!({"confirm": old}))
        .await;
    early.refused(409, "regenerate_confirm_required");
    let regenerated = platform
        .operator
        .post(REGENERATE, json!({"confirm": old}))
        .await;
    let regenerated = regenerated.expect(201);
    let ca = platform.ca().await;
    assert_eq!(ca["fingerprint"], regenerated["fingerprint"]);
    assert_eq!(platform.previous(&old).await, ("tainted".to_owned(), 3));
    let again = platform
        .operator
        .post(REGENERATE, json!({"confirm": old}))
        .await;
    again.refused(409, "regenerate_confirm_required");
    let back = platform.change_ca(&old, "activate", json!({})).await;
    back.refused(409, "conflict");

    for (scanner, connection) in stays.iter().zip(&open) {
        platform.serves(connection).await;
        platform.serves(&platform.connect(scanner, None)).await;
    }
    let (moved, renewed) = platform.renew(&moves).await;
    assert_eq!(renewed["ca_chain"], ca["public_cert_pem"]);
    let new = platform.scanner().await;

    let job = platform
        .operator
        .post(REVOKE_DEVICES, json!({"confirm": old}))
        .await;
    let job = job.expect(202);
    assert_eq!(job["matched"], 2);
    let ended = platform.ended(&job["job_id"]).await;
    assert_eq!(
        (&ended["kind"], &ended["target"]),
        (&json!("revoke_ca"), &json!(old))
    );
    let counts = ["total", "done", "failed"].map(|name| ended[name].as_u64().unwrap());
    assert_eq!((&ended["status"], counts), (&json!("succeeded"), [2, 2, 0]));
    for (scanner, connection) in stays.iter().zip(&open) {
        is_over(connection).await;
        for version in [Version::TLS_1_2, Version::TLS_1_3] {
            assert!(platform.is_out(scanner, version).await, "{version:?}");
        }
    }
    for scanner in [&moved, &new] {
        platform.serves(&platform.connect(scanner, None)).await;
    }
    assert_eq!(platform.previous(&old).await, ("retired".to_owned(), 0));
    let audit = platform.audit().await;
    let row = |action| audit.iter().find(|row| row.action == action).unwrap();
    let regenerated = row("platform_ca_regenerated");
    assert_eq!(regenerated.severity, Severity::High);
    assert_eq!(regenerated.metadata["old_fingerprint"], old);
    let revoked = row("device_certs_bulk_revoked");
    assert_eq!(
        (
            &revoked.metadata["count"],
            &revoked.metadata["ca_fingerprint"]
        ),
        (&json!(2), &json!(old))
    );
    row("platform_ca_retired");
}

#[tokio::test]
async fn an_expired_ca_issues_nothing_and_is_not_activated() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let (_, code) = platform.register().await;
    let ends = rcgen::date_time_ymd(2020, 1, 1);
    let expired = |state| {
        let key = CaKey::with(|params| params.not_after = ends);
        let certificate = CaCertificate::from_pem(&key.certificate_pem()).unwrap();
        let record = CaRecord {
            fingerprint: certificate.fingerprint(),
            certificate_pem: certificate.pem(),
            state,
            not_after: ends,
            created_at: ends,
        };
        (record, PrivateKeyPem::new(key.key_pem()))
    };
    let store = platform.store().await;
    let mut prepared = String::new();
    for state in [CaState::Prepared, CaState::Active] {
        let (record, key) = expired(state);
        if state == CaState::Prepared {
            prepared = record.fingerprint.to_string();
        }
        let change = Change::new(ends, Actor::System("test"), "req");
        let added = store.add_ca(change, record, key, CaOrigin::Generated).await;
        added.unwrap();
    }
    store.close().await;
    platform.reload();
    let key = Key::new();
    let refused = platform.pair(&code, &key.csr()).await;
    assert!(refused.headers.contains_key("retry-after"));
    let refused = refused.refused(503, "unavailable");
    assert!(
        text(&refused["detail"]).contains("platform CA is not valid now"),
        "{refused}"
    );
    let device = platform.connect(&scanner, None);
    let renewal = json!({"csr": Key::new().csr()});
    let refused = device.post("/v1/devices/renew", renewal).await;
    assert!(refused.headers.contains_key("retry-after"));
    let refused = refused.refused(503, "unavailable");
    assert!(
        text(&refused["detail"]).contains("platform CA is not valid now"),
        "{refused}"
    );
    // Its own certificate is of an earlier CA.
    platform.serves(&device).await;
    let refused = platform.change_ca(&prepared, "activate", json!({})).await;
    refused.refused(422, "cert_expired");
    // The code is still good, under a CA that is; so is the certificate.
    platform
        .operator
        .post(GENERATE, json!({}))
        .await
        .expect(201);
    platform.pair(&code, &key.csr()).await.expect(200);
    platform.renew(&scanner).await;
}

#[tokio::test]
async fn a_replica_that_has_not_heard_of_it_issues_under_the_new_ca() {
    let platform = Platform::start().await;
    let old = text(&platform.ca().await["fingerprint"]);
    let scanner = platform.scanner().await;
    let (_, code) = platform.register().await;
    let (_process, replica) = platform.replica();
    let regenerated = platform
        .operator
        .post(REGENERATE, json!({"confirm": old}))
        .await;
    regenerated.expect(201);
    let ca = platform.ca().await["public_cert_pem"].clone();
    let key = Key::new();
    let paired = platform.pair_at(&replica, &code, &key.csr()).await;
    assert_eq!(paired.expect(200)["ca_chain"], ca);
    let device = Caller {
        base: replica.base,
        ..platform.connect(&scanner, None)
    };
    let renewal = json!({"csr": Key::new().csr()});
    let renewed = device.post("/v1/devices/renew", renewal).await;
    assert_eq!(renewed.expect(200)["ca_chain"], ca);
}
