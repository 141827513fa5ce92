//! The first run as seed 002 tells it (§9.2.2, diagram 5.4.1), under a supervisor that starts the server
//! again whenever it ends.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    ADMIN, Api, DeviceKey, FIRST_PASSWORD, PASSWORD, ServerKey, command,
    sign_in_for_the_first_time, wrapped,
};

/// What systemd's `Restart=always` does. How each run ended is written down.
const RESTART_ALWAYS: &str = r#"while :; do "$0"; echo $? >> exits; /bin/sleep 0.2; done"#;

/// So long a restart may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_operator_without_a_shell_sets_a_supervised_platform_up() {
    let supervisor = Supervisor::start();
    let plain = Api::plain(supervisor.address);
    answers(&plain).await;
    let seeded = plain.sign_in(ADMIN, FIRST_PASSWORD).await;
    let barred = seeded.get("/v1/admin/ssl/status").await;
    assert_eq!(barred.error(), "password_change_required");
    let admin = sign_in_for_the_first_time(&plain).await;
    assert_eq!(set_up(&admin).await, [false, false, false]);

    // The console is of full use before HTTPS; scanners are not.
    let tenant = json!({"tenant_id": "acme", "name": "Acme"});
    let made = admin.post("/v1/admin/tenants", tenant).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(pairing(&plain).await, (503, "mtls_not_configured".into()));

    let server_key = ServerKey::generate();
    let uploaded = admin.upload(&server_key).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text);
    assert_eq!(uploaded.json["restart_scheduled"], true);
    let secure = Api::https(supervisor.address, &server_key);
    answers(&secure).await;
    assert_eq!(supervisor.exits(), ["0"]);
    assert!(
        plain.try_get("/healthz").await.is_err(),
        "HTTPS and nothing else"
    );
    let seed = json!({"email": ADMIN, "password": FIRST_PASSWORD});
    let ignored = secure.post("/v1/auth/login", seed).await;
    assert_eq!(ignored.error(), "invalid_credentials");
    let admin = secure.sign_in(ADMIN, PASSWORD).await;
    assert_eq!(set_up(&admin).await, [true, false, false]);
    assert_eq!(pairing(&secure).await, (503, "mtls_not_configured".into()));

    let made = admin
        .post("/v1/admin/ssl/ca-cert/generate", json!({}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(set_up(&admin).await, [true, true, true]);
    assert_eq!(pairing(&secure).await, (401, "pairing_code_invalid".into()));

    supervisor.kill_the_server();
    until(async || supervisor.exits().len() == 2).await;
    answers(&secure).await;
    assert_eq!(set_up(&admin).await, [true, true, true]);
    assert_eq!(supervisor.exits(), ["0", "137"]);
}

/// Server certificate, platform CA, all.
async fn set_up(admin: &Api) -> [Value; 3] {
    let status = admin.get("/v1/admin/ssl/status").await;
    assert_eq!(status.status, 200, "{}", status.text);
    let parts = [
        "server_cert_configured",
        "platform_ca_configured",
        "setup_complete",
    ];
    parts.map(|part| status.json[part].clone())
}

/// What a scanner is told that pairs with a code that nobody gave out.
async fn pairing(api: &Api) -> (u16, String) {
    let csr = DeviceKey::generate().csr();
    let body = json!({"pairing_code": "AAAAAAAAA", "csr": csr, "device_info": {}});
    let reply = api.post("/v1/devices/pair", body).await;
    (reply.status, reply.error().to_owned())
}

/// Waits until a request is answered.
async fn answers(api: &Api) {
    until(async || api.try_get("/healthz").await.is_ok()).await;
}

async fn until(is_so: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "not so within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A shell that starts the server again and again. Both end when this is dropped.
struct Supervisor {
    shell: Child,
    directory: TempDir,
    address: SocketAddr,
}

impl Supervisor {
    fn start() -> Self {
        let directory = TempDir::new().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("an address");
        drop(free);
        let server = command(directory.path(), &address.to_string(), &[]);
        let log = File::create(directory.path().join("log")).expect("a log");
        let shell = wrapped(&["/bin/sh", "-c", RESTART_ALWAYS], server)
            .current_dir(directory.path())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("the shell starts");
        Self {
            shell,
            directory,
            address,
        }
    }

    /// The statuses that the server ended with so far.
    fn exits(&self) -> Vec<String> {
        let exits = std::fs::read_to_string(self.directory.path().join("exits"));
        let exits = exits.unwrap_or_default();
        exits.lines().map(str::to_owned).collect()
    }

    /// As `kill -9` of the server alone.
    fn kill_the_server(&self) {
        let parent = self.shell.id().to_string();
        let killed = Command::new("pkill")
            .args(["-KILL", "-f", "reference-server", "-P", &parent])
            .status();
        assert!(killed.expect("pkill runs").success());
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let group = format!("-{}", self.shell.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.shell.wait();
    }
}
