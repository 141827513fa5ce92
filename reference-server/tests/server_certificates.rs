//! Server certificates as operators upload them to the real binary: kinds of keys, chains, slips, and
//! replacements while devices work.

#![allow(clippy::expect_used, reason = "tests")]

mod harness;

use std::sync::Arc;

use harness::{Api, CaKey, DeviceKey, Exit, Fresh, Platform, Process, Reply, ServerKey};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SignatureAlgorithm,
};
use reqwest::tls::Version;
use reqwest::{Certificate, Method};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A root and an intermediate.
struct Authority {
    root: String,
    intermediate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate under the intermediate, and its key.
struct Leaf {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let (root_params, root_key) = (ca("Root"), key(&PKCS_ECDSA_P256_SHA256));
        let root = root_params.self_signed(&root_key).expect("a root").pem();
        let root_issuer = Issuer::new(root_params, root_key);
        let (params, key) = (ca("Intermediate"), key(&PKCS_ECDSA_P256_SHA256));
        let intermediate = params.signed_by(&key, &root_issuer).expect("a CA").pem();
        Self {
            root,
            intermediate,
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for this machine.
    fn leaf(&self, key: KeyPair) -> Leaf {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer);
        Leaf {
            certificate: certificate.expect("a certificate").pem(),
            key: key.serialize_pem(),
        }
    }
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).expect("a key")
}

/// The certificates that the server presents to a new connection.
fn presented(server: &Process, root: &str) -> Vec<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(root.as_bytes()).expect("PEM");
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut stream = std::net::TcpStream::connect(server.address).expect("a connection");
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).expect("a handshake");
    }
    tls.peer_certificates().expect("certificates").to_vec()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
}

/// Whether one of the warnings has this text.
fn warns(uploaded: &Reply, text: &str) -> bool {
    assert_eq!(uploaded.status, 200, "{}", uploaded.text);
    let warnings = uploaded.json["warnings"].as_array().expect("warnings");
    let mut warnings = warnings.iter().filter_map(Value::as_str);
    warnings.any(|warning| warning.contains(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_sent_in_order_and_without_its_root_also_after_a_restart() {
    let mut platform = Platform::first_run().await;
    let authority = Authority::new();
    let leaf = authority.leaf(key(&PKCS_ECDSA_P256_SHA256));
    let Authority {
        root, intermediate, ..
    } = &authority;
    let sent = [der(&leaf.certificate), der(intermediate)];
    let certificate = leaf.certificate.as_str();
    let admin = |process: &Process| {
        let https = Api::trusting(process.address, root.clone());
        https.with_bearer(platform.admin.token())
    };
    let mut api = platform.admin.clone();
    for (cert, chain, reordered, had_root) in [
        (certificate.to_owned(), intermediate.clone(), false, false),
        (
            format!("{root}{intermediate}{certificate}"),
            String::new(),
            true,
            true,
        ),
        (
            intermediate.clone(),
            format!("{root}{certificate}"),
            true,
            true,
        ),
        (
            format!("{certificate}{intermediate}{root}"),
            String::new(),
            false,
            true,
        ),
    ] {
        let parts = [("cert", &*cert), ("key", &*leaf.key), ("chain", &*chain)];
        let uploaded = api.upload_parts(&parts).await;
        assert_eq!(
            warns(&uploaded, "out of order"),
            reordered,
            "{}",
            uploaded.text
        );
        assert_eq!(
            warns(&uploaded, "root is not sent"),
            had_root,
            "{}",
            uploaded.text
        );
        assert_eq!(presented(&platform.process, root), sent);
        api = admin(&platform.process);
    }
    platform.restart();
    assert_eq!(presented(&platform.process, root), sent);
}

#[tokio::test]
async fn keys_of_each_kind_serve_tls_1_2_and_1_3() {
    let platform = Platform::first_run().await;
    let authority = Authority::new();
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
    let mut api = platform.admin.clone();
    for (key, name) in [
        (key(&PKCS_ECDSA_P256_SHA256), "ECDSA P-256"),
        (rsa.expect("a key"), "RSA 2048"),
        (key(&PKCS_ECDSA_P384_SHA384), "ECDSA P-384"),
    ] {
        let leaf = authority.leaf(key);
        let parts = [
            ("cert", &*leaf.certificate),
            ("key", &*leaf.key),
            ("chain", &*authority.intermediate),
        ];
        let uploaded = api.upload_parts(&parts).await;
        assert_eq!(uploaded.status, 200, "{name}: {}", uploaded.text);
        let https = Api::trusting(platform.process.address, authority.root.clone());
        api = https.with_bearer(platform.admin.token());
        let shown = api.get("/v1/admin/ssl/server-cert").await.json;
        assert_eq!(shown["key_algorithm"], name);
        for version in [Version::TLS_1_2, Version::TLS_1_3] {
            let root = Certificate::from_pem(authority.root.as_bytes()).expect("a root");
            let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
            let client = client.tls_version_min(version).tls_version_max(version);
            let client = client.build().expect("a client");
            let answer = client.get(format!("{}/healthz", https.base())).send().await;
            assert_eq!(
                answer.expect("an answer").status(),
                200,
                "{name} {version:?}"
            );
        }
    }
}

#[tokio::test]
async fn each_slip_has_an_answer_of_its_own_and_changes_nothing() {
    let platform = Platform::first_run().await;
    let before = platform.admin.get("/v1/admin/ssl/server-cert").await.json;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let leaf = authority.leaf(key(&PKCS_ECDSA_P256_SHA256));
    let ed25519 = authority.leaf(key(&PKCS_ED25519));
    let (cert, key) = (&*leaf.certificate, &*leaf.key);
    let (intermediate, root) = (&*authority.intermediate, &*authority.root);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let headers = "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00";
    let encrypted_before = key.replacen("PRIVATE KEY-----", headers, 1);
    let expired = ServerKey::expired();
    let (expired, expired_key) = (expired.chain_pem(), expired.key_pem());
    let (twice, large) = (format!("{key}{key}"), "x".repeat(10 * 1024 * 1024));
    // Of RFC 7748, for key agreement: it signs nothing.
    let x25519 = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n\
        -----END PRIVATE KEY-----\n";
    for (parts, status, code, said) in [
        (
            [cert, key, stranger.root.as_str()],
            400,
            "pem_invalid",
            "not on the way",
        ),
        ([cert, key, root], 400, "pem_invalid", "not on the way"),
        (
            [cert, key, cert],
            400,
            "pem_invalid",
            "is certificate 0 again",
        ),
        (
            ["", key, intermediate],
            400,
            "pem_invalid",
            "BEGIN CERTIFICATE",
        ),
        ([key, key, ""], 400, "pem_invalid", "BEGIN CERTIFICATE"),
        (
            [cert, "", ""],
            400,
            "pem_invalid",
            "not one unencrypted PEM block",
        ),
        (
            [cert, cert, ""],
            400,
            "pem_invalid",
            "not one unencrypted PEM block",
        ),
        (
            [cert, &twice, ""],
            400,
            "pem_invalid",
            "not one unencrypted PEM block",
        ),
        ([cert, &encrypted, ""], 400, "pem_invalid", "is encrypted"),
        (
            [cert, &encrypted_before, ""],
            400,
            "pem_invalid",
            "is encrypted",
        ),
        (
            [cert, x25519, ""],
            422,
            "weak_key",
            "cannot use the private key",
        ),
        (
            [cert, &ed25519.key, ""],
            422,
            "cert_key_mismatch",
            "does not belong",
        ),
        (
            [intermediate, key, ""],
            422,
            "cert_key_mismatch",
            "does not belong",
        ),
        ([&expired, &expired_key, ""], 422, "cert_expired", "expired"),
        ([&large, key, ""], 413, "payload_too_large", "at most"),
        ([cert, &large, ""], 413, "payload_too_large", "at most"),
    ] {
        let [cert, key, chain] = parts;
        let parts = [("cert", cert), ("key", key), ("chain", chain)];
        refused(
            platform.admin.upload_parts(&parts).await,
            status,
            code,
            said,
        );
    }
    for (binary, text, other) in [("cert", "key", key), ("key", "cert", cert)] {
        let form = reqwest::multipart::Form::new()
            .part(binary, reqwest::multipart::Part::bytes(der(cert).to_vec()))
            .text(text, other.to_owned());
        let request = platform
            .admin
            .request(Method::PUT, "/v1/admin/ssl/server-cert");
        let reply = platform.admin.send(request.multipart(form)).await;
        refused(reply, 400, "pem_invalid", &format!("{binary} is binary"));
    }
    let after = platform.admin.get("/v1/admin/ssl/server-cert").await.json;
    assert_eq!(after, before);
    assert_eq!(platform.api().get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_key_of_a_ca_or_a_device_is_not_the_servers() {
    let platform = Platform::first_run().await;
    let acme = platform.tenant("acme").await;
    let authority = Authority::new();
    let ca = CaKey::generate();
    let (cert, key) = (ca.certificate_pem(), ca.key_pem());
    let parts = [("cert", &*cert), ("key", &*key)];
    let added = platform
        .admin
        .put_parts("/v1/admin/ssl/ca-cert", &parts)
        .await;
    assert_eq!(added.status, 200, "{}", added.text);
    let (device, _) = pair(&platform, &acme).await;
    let of_device = authority.leaf(KeyPair::from_pem(&device.pem()).expect("a key"));
    let of_ca = authority.leaf(KeyPair::from_pem(&key).expect("a key"));

    let before = platform.admin.get("/v1/admin/ssl/server-cert").await.json;
    let is_refused = async |cert: &str, key: &str, whose: &str| {
        let reply = platform
            .admin
            .upload_parts(&[("cert", cert), ("key", key)])
            .await;
        assert_eq!(reply.json["reason"], "key_in_use", "{}", reply.text);
        refused(reply, 422, "validation_failed", whose);
        let after = platform.admin.get("/v1/admin/ssl/server-cert").await.json;
        assert_eq!(after, before);
    };
    is_refused(&cert, &key, "which is active").await;
    is_refused(&of_ca.certificate, &of_ca.key, "which is active").await;
    is_refused(&of_device.certificate, &of_device.key, "is a device's").await;

    let confirm = json!({"confirm": added.json["fingerprint"]});
    let regenerate = "/v1/admin/ssl/ca-cert/regenerate";
    let regenerated = platform.admin.post(regenerate, confirm).await;
    assert_eq!(regenerated.status, 201, "{}", regenerated.text);
    is_refused(&of_ca.certificate, &of_ca.key, "which is tainted").await;
}

#[tokio::test]
async fn a_certificate_that_another_process_stored_is_served_from_a_hangup_on() {
    let platform = Platform::first_run().await;
    let acme = platform.tenant("acme").await;
    let (key, certificate) = pair(&platform, &acme).await;
    let kept = platform.device(&key, &certificate);
    assert_eq!(kept.get("/v1/devices/self").await.status, 200);
    let other = Process::start(platform.directory.path(), "127.0.0.1:0", &[]);

    let server_key = ServerKey::generate();
    let admin = platform.admin.at(other.address);
    let uploaded = admin.upload(&server_key).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text);
    let (earlier, later) = (platform.server_key.root_pem(), server_key.root_pem());
    // Processes that share a file do not hear of one another.
    let before = presented(&platform.process, &earlier).swap_remove(0);
    assert_eq!(before, der(&platform.server_key.chain_pem()));
    platform.process.signal("HUP");
    platform.process.log_line("certificates were reloaded");
    let after = presented(&platform.process, &later).swap_remove(0);
    assert_eq!(after, der(&server_key.chain_pem()));
    // It trusts the first certificate alone: it could not come again.
    assert_eq!(kept.get("/v1/devices/self").await.status, 200);
}

fn refused(reply: Reply, status: u16, code: &str, said: &str) {
    assert_eq!(
        (reply.status, reply.error()),
        (status, code),
        "{}",
        reply.text
    );
    let detail = reply.json["detail"].as_str().expect("a detail");
    assert!(detail.contains(said), "{said}: {detail}");
    assert!(!reply.text.contains("PRIVATE KEY"), "{}", reply.text);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_taken_with_a_warning() {
    let public = ("IDENTITY_PUBLIC_URL", "https://id.example.com");
    let platform = Platform::first_run_with(&[public]).await;
    let uploaded = platform.admin.upload(&ServerKey::generate()).await;
    assert!(
        warns(&uploaded, "does not name id.example.com"),
        "{}",
        uploaded.text
    );
    let fresh = Fresh::start(&[("IDENTITY_PUBLIC_URL", "https://localhost:8443")]);
    let admin = harness::sign_in_for_the_first_time(&fresh.api()).await;
    let uploaded = admin.upload(&ServerKey::generate()).await;
    assert!(!warns(&uploaded, "does not name"), "{}", uploaded.text);
}

#[tokio::test]
async fn of_two_uploads_at_once_the_later_one_is_served() {
    let fresh = Fresh::start(&[]);
    let admin = harness::sign_in_for_the_first_time(&fresh.api()).await;
    let keys = [ServerKey::generate(), ServerKey::generate()];
    let (one, other) = tokio::join!(try_upload(&admin, &keys[0]), try_upload(&admin, &keys[1]));
    // The one that comes after the answer to the other finds nobody.
    let uploaded: Vec<_> = [one, other].into_iter().flatten().collect();
    assert!(!uploaded.is_empty());
    for uploaded in &uploaded {
        assert_eq!(uploaded.status, 200, "{}", uploaded.text);
        assert_eq!(uploaded.json["restart_scheduled"], true);
    }
    let Fresh { directory, process } = fresh;
    let address = process.address.to_string();
    assert_eq!(process.exit(), Exit::success());
    let process = Process::start(directory.path(), &address, &[]);
    let mut admin = is_served(&process, &admin, &keys).await;
    for _ in 0..10 {
        let (one, other) = tokio::join!(admin.upload(&keys[0]), admin.upload(&keys[1]));
        assert_eq!(
            (one.status, other.status),
            (200, 200),
            "{} {}",
            one.text,
            other.text
        );
        admin = is_served(&process, &admin, &keys).await;
    }
}

async fn try_upload(admin: &Api, key: &ServerKey) -> reqwest::Result<Reply> {
    let form = reqwest::multipart::Form::new()
        .text("cert", key.chain_pem())
        .text("key", key.key_pem());
    let request = admin.request(Method::PUT, "/v1/admin/ssl/server-cert");
    admin.try_send(request.multipart(form)).await
}

/// Looks which of the keys is served, and whether it is the one that is stored.
async fn is_served(process: &Process, admin: &Api, keys: &[ServerKey]) -> Api {
    for key in keys {
        let api = admin.moved_to_https(process.address, key);
        if let Ok(status) = api.try_get("/healthz").await {
            assert_eq!(status, 200);
            let shown = api.get("/v1/admin/ssl/server-cert").await.json;
            let leaf = identity_pki::Fingerprint::of_certificate(&der(&key.chain_pem()));
            assert_eq!(shown["fingerprint"], leaf.to_string());
            return api;
        }
    }
    unreachable!("the server has a certificate of nobody's");
}

/// How often the certificate is replaced while devices poll.
const ROTATIONS: usize = 20;
/// How many requests each certificate sees.
const REQUESTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_replaced_under_load_and_no_request_fails() {
    let platform = Platform::first_run().await;
    let acme = platform.tenant("acme").await;
    let authority = Authority::new();
    let leaves = [(); 2].map(|()| authority.leaf(key(&PKCS_ECDSA_P256_SHA256)));
    let https = Api::trusting(platform.process.address, authority.root.clone());
    let (mut stay, mut return_anew) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        // It trusts the first certificate alone: if its connection ended it could not come again.
        let (key, certificate) = pair(&platform, &acme).await;
        let kept = platform.device(&key, &certificate);
        assert_eq!(kept.get("/v1/challenges/pending").await.status, 200);
        stay.push(kept);
        return_anew.push(pair(&platform, &acme).await);
    }
    upload(&platform.admin, &authority, &leaves[0]).await;
    let admin = https.with_bearer(platform.admin.token());

    let (answered, mut count) = watch::channel(0);
    let (answered, stop) = (Arc::new(answered), CancellationToken::new());
    let mut devices = JoinSet::new();
    for kept in stay {
        let (answered, stop) = (Arc::clone(&answered), stop.clone());
        devices.spawn(poll(move || kept.clone(), answered, stop));
    }
    for (key, certificate) in return_anew {
        let (answered, stop, https) = (Arc::clone(&answered), stop.clone(), https.clone());
        let connect = move || https.with_certificate(&key, &certificate);
        devices.spawn(poll(connect, answered, stop));
    }
    for rotation in 1..=ROTATIONS {
        if rotation % 3 == 0 {
            platform.process.signal("HUP");
            platform.process.log_line("certificates were reloaded");
        }
        let leaf = &leaves[rotation % 2];
        upload(&admin, &authority, leaf).await;
        let first = presented(&platform.process, &authority.root).swap_remove(0);
        assert_eq!(first, der(&leaf.certificate));
        let enough = *count.borrow() + REQUESTS;
        tokio::select! {
            count = count.wait_for(|count| *count >= enough) => drop(count.expect("devices")),
            ended = devices.join_next() => panic!("a device gave up: {ended:?}"),
        }
    }
    stop.cancel();
    while let Some(ended) = devices.join_next().await {
        ended.expect("no request failed");
    }
}

/// The key of a new device, and its certificate.
async fn pair(platform: &Platform, acme: &Api) -> (DeviceKey, String) {
    let made = acme
        .post("/v1/devices", json!({"device_name": "Desk"}))
        .await
        .json;
    let key = DeviceKey::generate();
    let pairing = json!({
        "pairing_code": made["pairing_code"], "csr": key.csr(), "device_info": {},
    });
    let paired = platform.api().post("/v1/devices/pair", pairing).await;
    assert_eq!(paired.status, 200, "{}", paired.text);
    let certificate = paired.json["certificate"].as_str().expect("PEM");
    (key, certificate.to_owned())
}

/// Asks for challenges until it is to stop, and counts the answers.
async fn poll(
    connect: impl Fn() -> Api,
    answered: Arc<watch::Sender<usize>>,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let reply = connect().get("/v1/challenges/pending").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        answered.send_modify(|count| *count += 1);
    }
}

async fn upload(admin: &Api, authority: &Authority, leaf: &Leaf) {
    let parts = [
        ("cert", &*leaf.certificate),
        ("key", &*leaf.key),
        ("chain", &*authority.intermediate),
    ];
    let uploaded = admin.upload_parts(&parts).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text);
}
