//! The real binary behind a real HAProxy, as `docs/OPERATIONS.md` sets it up. Where there is none, the
//! test reports itself as ignored, which is why it has a `main` of its own.

#![allow(clippy::expect_used, reason = "tests")]

mod harness;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use harness::{DeviceKey, Platform, embedded_store, key_beside};
use identity_store::{AuditStore as _, Chain};
use libtest_mimic::{Arguments, Trial};
use reqwest::Certificate;
use serde_json::{Value, json};
use tempfile::TempDir;

const PAGE: &str = include_str!("../../docs/OPERATIONS.md");
/// Where HAProxy opens its connections.
const BALANCER: &str = "127.0.0.9";
/// Where Debian has it, which is in the path of root alone.
const DEBIANS: &str = "/usr/sbin/haproxy";
/// Where the client is.
const CLIENT: [u8; 4] = [127, 0, 0, 2];

fn main() -> ExitCode {
    let there = Command::new(program())
        .arg("-v")
        .stdout(Stdio::null())
        .status();
    let name = "devices_are_known_by_their_own_addresses_behind_haproxy";
    let test = Trial::test(name, || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        runtime
            .expect("a runtime")
            .block_on(devices_are_known_by_their_own_addresses());
        Ok(())
    });
    let test = test.with_ignored_flag(there.is_err());
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit_code()
}

fn program() -> &'static str {
    match Path::new(DEBIANS).exists() {
        true => DEBIANS,
        false => "haproxy",
    }
}

/// A running HAProxy; it is killed when this is dropped.
struct Haproxy {
    address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

impl Haproxy {
    /// The one of the page, but for addresses: it takes the listener as its standard input, so that
    /// the port is a free one, and has one server.
    fn in_front_of(server: SocketAddr) -> Self {
        let (_, page) = PAGE.split_once("```haproxy\n").expect("an example");
        let (example, _) = page.split_once("```").expect("its end");
        let own = example
            .replace("bind :443", "bind fd@0")
            .replace("10.0.0.5:3000", &format!("{server} source {BALANCER}"));
        let lines = own.lines().filter(|line| !line.contains("10.0.0.6"));
        let config: String = lines.flat_map(|line| [line, "\n"]).collect();
        assert!(
            config.contains("fd@0") && config.contains(BALANCER),
            "{config}"
        );
        let directory = TempDir::new().expect("a directory");
        let file = directory.path().join("haproxy.cfg");
        std::fs::write(&file, config).expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let child = Command::new(program())
            .args(["-db", "-f"])
            .arg(file)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .spawn();
        Self {
            address,
            child: child.expect("it starts"),
            _directory: directory,
        }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn devices_are_known_by_their_own_addresses() {
    let believed = [("IDENTITY_PROXY_PROTOCOL", BALANCER)];
    let platform = Platform::first_run_with(&believed).await;
    let acme = platform.tenant("acme").await;
    let haproxy = Haproxy::in_front_of(platform.process.address);
    let url = |path: &str| format!("https://{}{path}", haproxy.address);
    let root = Certificate::from_pem(platform.server_key.root_pem().as_bytes());
    let root = root.expect("a root");
    let builder = || {
        let builder = reqwest::Client::builder().no_proxy();
        builder
            .tls_certs_only([root.clone()])
            .local_address(IpAddr::from(CLIENT))
    };

    let made = acme
        .post("/v1/devices", json!({"device_name": "Desk"}))
        .await
        .json;
    let key = DeviceKey::generate();
    let pairing = json!({
        "pairing_code": made["pairing_code"], "csr": key.csr(), "device_info": {},
    });
    let unpaired = builder().build().expect("a client");
    let paired = unpaired
        .post(url("/v1/devices/pair"))
        .json(&pairing)
        .send()
        .await;
    let paired: Value = paired.expect("an answer").json().await.expect("JSON");
    let certificate = paired["certificate"].as_str().expect("a certificate");
    let identity = format!("{certificate}{}", key.pem());
    let identity = reqwest::Identity::from_pem(identity.as_bytes()).expect("an identity");
    let device = builder().identity(identity).build().expect("a client");
    let own = device
        .get(url("/v1/devices/self"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(own.status(), 200);
    let own: Value = own.json().await.expect("JSON");
    assert_eq!(own["device_id"], made["device_id"]);

    let database = platform.directory.path().join("identity.db");
    let store = embedded_store(&database, key_beside(&database)).await;
    store.seal_audit(10_000).await.expect("sealed");
    let chain = Chain::Tenant("acme".parse().expect("an id"));
    let rows = store.sealed_audit(&chain, 0, 10_000).await.expect("rows");
    let mut rows = rows.into_iter().map(|sealed| sealed.row);
    let paired = rows.find(|row| row.action == "device_paired");
    assert_eq!(paired.and_then(|row| row.ip), Some(IpAddr::from(CLIENT)));

    // A revoked device is cut off through the balancer too.
    let path = format!("/v1/devices/{}", made["device_id"].as_str().expect("an id"));
    assert_eq!(acme.delete(&path).await.status, 200);
    let answer = device.get(url("/v1/devices/self")).send().await;
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status() == 401));

    // Its checks have headers that say so: nothing came without one.
    let metrics = harness::Api::plain(platform.process.metrics)
        .get("/metrics")
        .await
        .text;
    assert!(!metrics.contains(r#"reason="proxy_header""#), "{metrics}");
}
