//! A backup of the embedded database, made by the real binary while another serves writes.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod harness;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Api, DeviceKey, Platform, Process, embedded_store, program};
use identity_pki::DeviceCertificate;
use identity_store::{AuditStore, CertificateStore as _, Chain, ChainWalk};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Registers and pairs devices until told to stop, and tells of each certificate that it got.
async fn pair_devices(
    admin: Api,
    public: Api,
    stop: Arc<AtomicBool>,
    got: UnboundedSender<String>,
) {
    while !stop.load(Ordering::Relaxed) {
        let made = admin
            .post("/v1/devices", json!({"device_name": "desk"}))
            .await;
        let code = &made.json["pairing_code"];
        let csr = DeviceKey::generate().csr();
        let request = json!({"pairing_code": code, "csr": csr, "device_info": {}});
        let paired = public.post("/v1/devices/pair", request).await;
        assert_eq!(paired.status, 200, "{}", paired.text);
        let certificate = paired.json["certificate"].as_str().expect("a certificate");
        if got.send(certificate.to_owned()).is_err() {
            return;
        }
    }
}

/// The next certificates that were answered.
async fn next(answered: &mut UnboundedReceiver<String>, count: usize) -> Vec<String> {
    let mut certificates = Vec::new();
    while certificates.len() < count {
        certificates.push(answered.recv().await.expect("pairing goes on"));
    }
    certificates
}

/// Runs `backup` for the database in `directory`.
async fn back_up(directory: &Path, to: &Path) -> Output {
    let mut command = program();
    let database = directory.join("identity.db");
    command
        .arg("backup")
        .arg(to)
        .env("DATABASE_URL", format!("sqlite://{}", database.display()));
    tokio::task::spawn_blocking(move || command.output().expect("it runs"))
        .await
        .expect("it ends")
}

/// The chain's rows follow from one another, as far as they are sealed; how many there are.
async fn verify(store: &dyn AuditStore, chain: &Chain) -> usize {
    let rows = store.sealed_audit(chain, 0, 10_000).await.expect("rows");
    let mut walk = ChainWalk::of(chain.clone());
    for row in &rows {
        walk.step(row).expect("a hash");
    }
    let head = store.chain_head(chain).await.expect("its head");
    walk.finish_at(head).expect("a whole chain");
    rows.len()
}

fn serial(certificate: &str) -> identity_pki::SerialNumber {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let certificate = DeviceCertificate::from_der(&der).expect("a device's");
    certificate.serial()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_writes_has_every_certificate_that_was_answered_before_it() {
    let platform = Platform::first_run().await;
    let admin = platform.tenant("acme").await;
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, mut answered) = unbounded_channel();
    let writers: Vec<_> = (0..2)
        .map(|_| {
            let (admin, public) = (admin.clone(), platform.api());
            tokio::spawn(pair_devices(
                admin,
                public,
                Arc::clone(&stop),
                sender.clone(),
            ))
        })
        .collect();
    let before = next(&mut answered, 5).await;

    let elsewhere = tempfile::tempdir().expect("a directory");
    let copy = elsewhere.path().join("identity.db");
    let output = back_up(platform.directory.path(), &copy).await;
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{said} {:?}", output.stderr);
    let key_file = platform.directory.path().join("identity.db.key");
    assert!(
        said.contains("NOT in it") && said.contains(key_file.to_str().unwrap()),
        "{said}"
    );

    next(&mut answered, 2).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("every pairing was answered");
    }

    let mode = std::fs::metadata(&copy)
        .expect("the copy")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = std::fs::read_dir(elsewhere.path())
        .expect("a directory")
        .count();
    assert_eq!(files, 1, "the copy is one file, and no key is beside it");
    let crypter = reference_server::config::load_or_create(&key_file).expect("the key");
    let store = embedded_store(&copy, crypter).await;
    for certificate in &before {
        let issuance = store
            .issuance(&serial(certificate))
            .await
            .expect("a ledger");
        assert!(issuance.is_some(), "{certificate} is not in the ledger");
    }
    let tenant = Chain::Tenant("acme".parse().expect("an id"));
    let sealed = verify(&store, &tenant).await + verify(&store, &Chain::Platform).await;
    assert!(sealed > 0, "the server sealed rows");
    identity_store::Store::close(&store).await;

    // With the key beside it, a server takes up where the copy ends.
    std::fs::copy(&key_file, elsewhere.path().join("identity.db.key")).expect("the key");
    Process::start(elsewhere.path(), "127.0.0.1:0", &[]);
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_copies_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().join("copy.db");
    let refused = async |reason: &str| {
        let output = back_up(directory.path(), &to).await;
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(reason) && said.lines().count() == 1, "{said}");
    };
    refused("backup failed").await;
    assert!(
        !directory.path().join("identity.db").exists(),
        "nothing is made"
    );
    std::fs::write(directory.path().join("identity.db"), "").expect("written");
    refused("finds no identity database").await;
    assert!(!to.exists());

    let migrated = program()
        .arg("migrate")
        .current_dir(directory.path())
        .env("DATABASE_URL", "sqlite://identity.db")
        .status();
    assert!(migrated.expect("it runs").success());
    std::fs::write(&to, "something of somebody").expect("written");
    refused("does not overwrite").await;
    assert_eq!(
        std::fs::read(&to).expect("it is there"),
        b"something of somebody"
    );
}

#[test]
fn postgresql_is_backed_up_by_its_own_tools() {
    let output = program()
        .args(["backup", "copy.db"])
        .env("DATABASE_URL", "postgres://id:canary@127.0.0.1:1/identity")
        .output()
        .expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("pg_basebackup") && said.contains("OPERATIONS.md"),
        "{said}"
    );
    assert!(!said.contains("canary"), "{said}");
}
