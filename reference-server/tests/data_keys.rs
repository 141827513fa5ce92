//! Data keys: their rotation while a server serves, and what a wrong or lost one stops.

#![allow(clippy::expect_used, reason = "tests")]

mod harness;
#[path = "data_keys/lost_secrets.rs"]
mod lost_secrets;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use harness::{
    ADMIN, Api, PASSWORD, Platform, Process, Random, embedded_store, program, rotate_and_kill,
};
use identity_store::{Crypter, Store as _};
use serde_json::json;

const VARIABLE: &str = "IDENTITY_DATA_ENCRYPTION_KEYS";
const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
const LOST: &str = "lost:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";

/// So many users are there before the rotation, and so often it is killed.
const USERS: usize = 1200;
const KILLS: usize = 14;

fn both(first: &str, second: &str) -> String {
    format!("{first},{second}")
}

/// Starts the platform's server again, with other data keys.
fn restart(platform: &mut Platform, keys: &str) {
    platform.process.terminate();
    start(platform, keys);
}

/// Starts the platform's server, which was ended, at the same address.
fn start(platform: &mut Platform, keys: &str) {
    let address = platform.process.address.to_string();
    let directory = platform.directory.path();
    platform.process = Process::start(directory, &address, &[(VARIABLE, keys)]);
    platform.admin = reconnected(platform, &platform.admin);
}

/// The same caller over connections of its own.
fn reconnected(platform: &Platform, caller: &Api) -> Api {
    caller.moved_to_https(platform.process.address, &platform.server_key)
}

/// A command of the program on the platform's database.
fn command(directory: &Path, keys: &str, arguments: &[&str]) -> Command {
    let database = format!("sqlite://{}", directory.join("identity.db").display());
    let mut command = program();
    command
        .args(arguments)
        .env("DATABASE_URL", database)
        .env("IDENTITY_LISTEN", "127.0.0.1:0")
        .env("IDENTITY_METRICS_LISTEN", "127.0.0.1:0")
        .env(VARIABLE, keys)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Puts users into the database beside the server.
async fn add_users(directory: &Path) {
    let crypter = Crypter::parse(OLD).expect("a key");
    let store = embedded_store(&directory.join("identity.db"), crypter).await;
    harness::add_users(&store, USERS).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_again_and_again_loses_nothing_while_a_server_serves() {
    let mut platform = Platform::first_run_with(&[(VARIABLE, OLD)]).await;
    let operator = platform.tenant("acme").await;
    add_users(platform.directory.path()).await;
    restart(&mut platform, &both(OLD, NEW));
    restart(&mut platform, &both(NEW, OLD));
    let operator = reconnected(&platform, &operator);

    // Meanwhile names are read and changed.
    let (done, edits) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let editor = tokio::spawn(edit(
        operator.clone(),
        Arc::clone(&done),
        Arc::clone(&edits),
    ));
    let directory = platform.directory.path().to_owned();
    let killed = tokio::task::spawn_blocking(move || {
        rotate_and_kill(KILLS, &mut Random::seeded(1), || {
            command(&directory, &both(NEW, OLD), &["keys", "rotate"])
        });
    });
    killed.await.expect("no panic");
    let keys = both(NEW, OLD);
    let mut last = command(platform.directory.path(), &keys, &["keys", "rotate"]);
    let last = tokio::task::spawn_blocking(move || last.output().expect("it runs"));
    let last = last.await.expect("no panic");
    done.store(true, Ordering::Relaxed);
    let edited = editor.await.expect("every request was answered");
    let said = String::from_utf8_lossy(&last.stdout).into_owned();
    assert!(
        last.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&last.stderr)
    );
    assert!(said.contains("the others may be dropped"), "{said}");

    restart(&mut platform, NEW);
    let operator = reconnected(&platform, &operator);
    for number in 0..USERS {
        let user = operator.get(&format!("/v1/users/user{number}")).await;
        let name = edited.get(&number).cloned();
        let name = name.unwrap_or_else(|| format!("Name {number}"));
        assert_eq!(user.json["display_name"], name, "user{number}");
    }
    assert!(!edited.is_empty());
    platform.api().sign_in(ADMIN, PASSWORD).await;
    let ready = platform.admin.get("/readyz").await;
    assert_eq!(ready.json["issuing"], "UP", "{}", ready.text);
}

/// Renames users until it is done; returns the last name of each.
async fn edit(
    operator: Api,
    done: Arc<AtomicBool>,
    edits: Arc<AtomicU64>,
) -> std::collections::BTreeMap<usize, String> {
    let mut names = std::collections::BTreeMap::new();
    while !done.load(Ordering::Relaxed) {
        let edit = edits.fetch_add(1, Ordering::Relaxed);
        let number = usize::try_from(edit * 7 % USERS as u64).expect("small");
        let name = format!("Renamed {edit}");
        let path = format!("/v1/users/user{number}");
        let put = operator.put(&path, json!({"display_name": name})).await;
        assert_eq!(put.status, 200, "{}", put.text);
        names.insert(number, name);
        let list = operator.get("/v1/users?limit=20").await;
        assert_eq!(list.status, 200, "{}", list.text);
        let users = list.json["data"].as_array().expect("users");
        assert!(users.iter().all(|user| user["display_name"].is_string()));
    }
    names
}

#[tokio::test]
async fn a_wrong_data_key_stops_the_start_with_one_line() {
    let mut platform = Platform::first_run_with(&[(VARIABLE, OLD)]).await;
    platform.process.terminate();
    let other_of_that_id = NEW.replace("new:", "old:");
    for (keys, said) in [
        (
            LOST,
            "none of the configured data encryption keys is this database's: it knows old",
        ),
        (
            &*other_of_that_id,
            "`old` is not the one that this database knows by that id",
        ),
    ] {
        for arguments in [&["serve"][..], &["keys", "rotate"]] {
            let ended = command(platform.directory.path(), keys, arguments).output();
            let ended = ended.expect("it runs");
            assert_eq!(ended.status.code(), Some(1));
            let log = String::from_utf8_lossy(&ended.stderr).into_owned();
            let last = log.lines().last().unwrap_or_default();
            assert!(last.starts_with("reference-server: "), "{log}");
            assert!(last.contains(said), "{log}");
        }
    }
    start(&mut platform, OLD);
    platform.api().sign_in(ADMIN, PASSWORD).await;
}

#[test]
fn a_command_about_keys_makes_no_database() {
    let directory = tempfile::tempdir().expect("a directory");
    for arguments in [&["rotate"][..], &["replace", "pairing_pepper"]] {
        let arguments = [&["keys"], arguments].concat();
        let ended = command(directory.path(), OLD, &arguments).output();
        let ended = ended.expect("it runs");
        assert_eq!(ended.status.code(), Some(1));
        let log = String::from_utf8_lossy(&ended.stderr);
        assert!(log.contains("there is no database in"), "{log}");
        assert!(!directory.path().join("identity.db").exists());
    }
}

// Its clients say goodbye while it waits for a server's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_ca_whose_key_is_lost_stops_issuing_and_nothing_else() {
    let mut platform = Platform::first_run_with(&[(VARIABLE, OLD)]).await;
    let operator = platform.tenant("acme").await;
    let key = harness::DeviceKey::generate();
    let paired = pair(&platform, &operator, &key).await;
    assert_eq!(paired.status, 200, "{}", paired.text);
    let certificate = paired.json["certificate"]
        .as_str()
        .expect("a certificate")
        .to_owned();

    restart(&mut platform, &both(LOST, OLD));
    let made = platform
        .admin
        .post("/v1/admin/ssl/ca-cert/generate", json!({}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);

    restart(&mut platform, OLD);
    let operator = reconnected(&platform, &operator);
    let ready = platform.admin.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json["issuing"]),
        (200, &json!("DOWN")),
        "{}",
        ready.text
    );
    let shown = platform.admin.get("/v1/admin/ssl/ca-cert").await;
    assert_eq!(shown.json["fingerprint"], made.json["fingerprint"]);
    let refused = pair(&platform, &operator, &harness::DeviceKey::generate()).await;
    assert_eq!((refused.status, refused.error()), (503, "unavailable"));
    let device = platform.device(&key, &certificate);
    let served = device.get("/v1/challenges/pending?wait=0").await;
    assert_eq!(served.status, 200, "{}", served.text);

    let made = platform
        .admin
        .post("/v1/admin/ssl/ca-cert/generate", json!({}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let paired = pair(&platform, &operator, &harness::DeviceKey::generate()).await;
    assert_eq!(paired.status, 200, "{}", paired.text);
}

/// Registers a scanner and pairs it.
async fn pair(platform: &Platform, operator: &Api, key: &harness::DeviceKey) -> harness::Reply {
    let device = json!({"device_name": "Counter"});
    let registered = operator.post("/v1/devices", device).await;
    assert_eq!(registered.status, 201, "{}", registered.text);
    let body = json!({
        "pairing_code": registered.json["pairing_code"], "csr": key.csr(), "device_info": {},
    });
    platform.api().post("/v1/devices/pair", body).await
}
