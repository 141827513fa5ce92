//! The first run, sign-in and TLS administration, told to the real binary.

#![allow(clippy::expect_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;
mod supervised;

use harness::{
    ADMIN, Api, Exit, FIRST_PASSWORD, Fresh, PASSWORD, Platform, Process, ServerKey,
    sign_in_for_the_first_time,
};
use reqwest::Method;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

#[test]
fn a_platform_without_an_administrator_says_how_to_make_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut command = harness::command(directory.path(), "127.0.0.1:0", &[]);
    for variable in ["PLATFORM_ADMIN_EMAIL", "PLATFORM_ADMIN_INITIAL_PASSWORD"] {
        command.env_remove(variable);
    }
    let logged = Process::run(command).logged().lines();
    let told = logged
        .iter()
        .find(|line| line.contains("no platform administrator"));
    assert!(
        told.is_some_and(|line| line.contains("PLATFORM_ADMIN_EMAIL")),
        "{logged:?}"
    );
}

#[tokio::test]
async fn an_operator_sets_the_platform_up() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let ready = api.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json["server_cert_configured"]),
        (200, &json!(false))
    );

    let seeded = api.sign_in(ADMIN, FIRST_PASSWORD).await;
    assert_eq!(
        seeded.get("/v1/auth/me").await.json["must_change_password"],
        true
    );
    let barred = seeded.get("/v1/admin/ssl/status").await;
    assert_eq!(
        (barred.status, barred.error()),
        (403, "password_change_required")
    );

    let admin = sign_in_for_the_first_time(&api).await;
    let status = admin.get("/v1/admin/ssl/status").await;
    let nothing = json!({
        "server_cert_configured": false, "platform_ca_configured": false, "setup_complete": false,
    });
    assert_eq!(status.json, nothing);

    let server_key = ServerKey::generate();
    let uploaded = admin.upload(&server_key).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text);
    assert_eq!(uploaded.json["restart_scheduled"], true);
    let harness::Fresh { directory, process } = fresh;
    let address = process.address.to_string();
    assert_eq!(process.exit(), Exit::success());

    let process = harness::Process::start(directory.path(), &address, &[]);
    let admin = admin.moved_to_https(process.address, &server_key);
    let shown = admin.get("/v1/admin/ssl/server-cert").await;
    assert_eq!(shown.json["fingerprint"], uploaded.json["fingerprint"]);
    assert_eq!(shown.json["san"], json!(["localhost", "127.0.0.1"]));

    let none = admin.get("/v1/admin/ssl/ca-cert").await;
    assert_eq!((none.status, none.error()), (404, "not_found"));
    let made = admin
        .post("/v1/admin/ssl/ca-cert/generate", json!({}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let ca = admin.get("/v1/admin/ssl/ca-cert").await;
    assert_eq!(ca.json["fingerprint"], made.json["fingerprint"]);
    assert_eq!(ca.json["public_cert_pem"], made.json["public_cert_pem"]);
    assert_eq!(ca.json["days_remaining"], 3649);
    assert_eq!(
        admin.get("/v1/admin/ssl/status").await.json["setup_complete"],
        true
    );
}

#[tokio::test]
async fn a_rotation_keeps_the_earlier_ca() {
    let platform = Platform::first_run().await;
    let first = platform.admin.get("/v1/admin/ssl/ca-cert").await.json;
    let second = platform
        .admin
        .post("/v1/admin/ssl/ca-cert/generate", json!({}))
        .await;
    assert_eq!(second.status, 201, "{}", second.text);
    let ca = platform.admin.get("/v1/admin/ssl/ca-cert").await.json;
    assert_eq!(ca["fingerprint"], second.json["fingerprint"]);
    assert_eq!(ca["previous"][0]["fingerprint"], first["fingerprint"]);
    assert_eq!(ca["previous"][0]["state"], "retiring");
    assert_ne!(
        ca["subject"], first["subject"],
        "each generation has a subject of its own"
    );

    let prepared = platform
        .admin
        .post("/v1/admin/ssl/ca-cert/generate", json!({"activate": false}))
        .await;
    let after = platform.admin.get("/v1/admin/ssl/ca-cert").await.json;
    assert_eq!(
        after["fingerprint"], ca["fingerprint"],
        "the prepared one does not issue"
    );
    assert_eq!(
        after["previous"][0]["fingerprint"],
        prepared.json["fingerprint"]
    );
    assert_eq!(after["previous"][0]["state"], "prepared");
}

#[tokio::test]
async fn a_later_server_certificate_is_used_in_place() {
    let platform = Platform::first_run().await;
    let other = ServerKey::generate();
    let uploaded = platform.admin.upload(&other).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text);
    assert!(uploaded.json.get("restart_scheduled").is_none());
    let still = platform.admin.get("/readyz").await;
    assert_eq!(still.status, 200, "the open connection stays");
    let new = platform
        .admin
        .moved_to_https(platform.process.address, &other);
    assert_eq!(new.get("/v1/admin/ssl/status").await.status, 200);
    let old = platform.api().try_get("/readyz").await;
    assert!(
        old.is_err(),
        "a new connection gets the new certificate: {old:?}"
    );
}

/// RFC 6797 §7.2: never over plain HTTP. Nor for a host that nobody named: it counts for all of its ports.
#[tokio::test]
async fn browsers_are_told_to_come_over_https_alone_where_the_host_is_named() {
    let header = "strict-transport-security";
    let named = [("IDENTITY_PUBLIC_URL", "https://identity.example")];
    let fresh = Fresh::start(&named);
    assert_eq!(fresh.api().get("/healthz").await.header(header), None);
    let platform = Platform::first_run_with(&named).await;
    let year = Some("max-age=31536000");
    for path in ["/healthz", "/v1/devices", "/nowhere"] {
        assert_eq!(
            platform.api().get(path).await.header(header),
            year,
            "{path}"
        );
    }
    let metrics = Api::plain(platform.process.metrics).get("/readyz").await;
    assert_eq!((metrics.status, metrics.header(header)), (200, None));
    let unnamed = Platform::first_run().await;
    assert_eq!(unnamed.api().get("/healthz").await.header(header), None);
}

#[tokio::test]
async fn a_hangup_reloads_without_a_restart() {
    let platform = Platform::first_run().await;
    platform.process.signal("HUP");
    platform.process.log_line("certificates were reloaded");
    assert_eq!(
        platform.admin.get("/v1/admin/ssl/status").await.json["setup_complete"],
        true
    );
}

#[tokio::test]
async fn replicas_follow_the_one_that_took_the_first_certificate() {
    let fresh = Fresh::start(&[]);
    let other = harness::Process::start(fresh.directory.path(), "127.0.0.1:0", &[]);
    let admin = sign_in_for_the_first_time(&fresh.api()).await;
    assert_eq!(admin.upload(&ServerKey::generate()).await.status, 200);
    assert_eq!(fresh.process.exit(), Exit::success());
    assert_eq!(other.exit(), Exit::success());
}

#[tokio::test]
async fn a_bad_upload_is_refused_and_leaves_everything_as_it_was() {
    let platform = Platform::first_run().await;
    let before = platform.admin.get("/v1/admin/ssl/server-cert").await.json;
    let (good, other, expired) = (
        ServerKey::generate(),
        ServerKey::generate(),
        ServerKey::expired(),
    );
    let (cert, key) = (good.chain_pem(), good.key_pem());
    let large = "x".repeat(300 * 1024);
    for (status, code, parts) in [
        (400, "pem_invalid", vec![("cert", "no PEM"), ("key", &key)]),
        (400, "pem_invalid", vec![("cert", &cert), ("key", "no PEM")]),
        (
            422,
            "cert_key_mismatch",
            vec![("cert", &cert), ("key", &other.key_pem())],
        ),
        (
            422,
            "cert_expired",
            vec![("cert", &expired.chain_pem()), ("key", &expired.key_pem())],
        ),
        (422, "validation_failed", vec![("cert", &cert)]),
        (
            422,
            "validation_failed",
            vec![("cert", &cert), ("key", &key), ("more", "x")],
        ),
        (
            422,
            "validation_failed",
            vec![("cert", &cert), ("cert", &cert), ("key", &key)],
        ),
        (
            413,
            "payload_too_large",
            vec![("cert", &large), ("key", &key)],
        ),
    ] {
        let reply = platform.admin.upload_parts(&parts).await;
        assert_eq!(
            (reply.status, reply.error()),
            (status, code),
            "{}",
            reply.text
        );
        assert!(!reply.text.contains("PRIVATE KEY"));
    }
    let json = platform
        .admin
        .put("/v1/admin/ssl/server-cert", json!({"cert": cert}))
        .await;
    assert_eq!((json.status, json.error()), (415, "unsupported_media_type"));
    assert_eq!(
        platform.admin.get("/v1/admin/ssl/server-cert").await.json,
        before
    );
}

#[tokio::test]
async fn ten_wrong_passwords_lock_an_address_known_or_not() {
    let api = Fresh::start(&[]);
    let api = (api.api(), api);
    let mut answers = Vec::new();
    for email in [ADMIN, "nobody@example.com"] {
        for turn in 0..10 {
            let spelling = if turn % 2 == 0 {
                email.to_uppercase()
            } else {
                format!(" {email}")
            };
            let wrong = json!({"email": spelling, "password": "wrong"});
            let mut reply = api.0.post("/v1/auth/login", wrong).await;
            assert_eq!((reply.status, reply.error()), (401, "invalid_credentials"));
            reply.json["request_id"].take();
            answers.push(reply.json);
        }
        let right = json!({"email": email, "password": FIRST_PASSWORD});
        let locked = api.0.post("/v1/auth/login", right).await;
        assert_eq!((locked.status, locked.error()), (423, "account_locked"));
        let wait: u64 = locked
            .header("retry-after")
            .expect("a time")
            .parse()
            .expect("seconds");
        assert!((1..=900).contains(&wait), "{wait}");
    }
    answers.dedup();
    assert_eq!(
        answers.len(),
        1,
        "known and unknown addresses get one body: {answers:?}"
    );
}

#[tokio::test]
async fn a_session_ends_with_its_sign_out_and_with_a_new_password() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let second = api.sign_in(ADMIN, PASSWORD).await;
    let third = api.sign_in(ADMIN, PASSWORD).await;
    let listed = admin.get("/v1/auth/sessions").await.json;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(3));

    assert_eq!(third.post("/v1/auth/logout", json!({})).await.status, 204);
    let ended = third.get("/v1/auth/me").await;
    assert_eq!((ended.status, ended.error()), (401, "unauthorized"));
    assert_eq!(
        ended.header("www-authenticate"),
        Some("Bearer error=\"invalid_token\"")
    );

    let change = json!({"current_password": PASSWORD, "new_password": "another good password"});
    assert_eq!(admin.post("/v1/auth/password", change).await.status, 204);
    assert_eq!(
        second.get("/v1/auth/me").await.status,
        401,
        "the other sessions end"
    );
    assert_eq!(admin.get("/v1/auth/me").await.status, 200, "this one stays");
    let old = json!({"email": ADMIN, "password": PASSWORD});
    assert_eq!(
        api.post("/v1/auth/login", old).await.error(),
        "invalid_credentials"
    );
}

#[tokio::test]
async fn the_cookie_of_a_sign_in_is_a_credential() {
    let platform = Platform::first_run().await;
    let right = json!({"email": ADMIN, "password": PASSWORD});
    let reply = platform.api().post("/v1/auth/login", right).await;
    let cookie = reply.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    for attribute in ["Path=/", "HttpOnly", "Secure", "SameSite=Strict"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let (pair, _) = cookie.split_once(';').expect("attributes");
    let api = platform.api();
    let me = api
        .send(
            api.request(Method::GET, "/v1/auth/me")
                .header("cookie", pair),
        )
        .await;
    assert_eq!((me.status, &me.json["email"]), (200, &json!(ADMIN)));
}

#[tokio::test]
async fn console_users_are_kept_by_platform_administrators() {
    let platform = Platform::first_run().await;
    let users = "/v1/admin/console-users";
    let new = json!({"email": "Second@Example.com", "role": "platform_admin"});
    let made = platform.admin.post_once(users, "key-1", new.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let password = made.json["initial_password"].as_str().expect("shown once");

    let again = platform.admin.post_once(users, "key-1", new.clone()).await;
    assert_eq!(
        again.json, made.json,
        "a repeated request gets the same answer"
    );
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let other = json!({"email": "third@example.com", "role": "platform_admin"});
    let reused = platform.admin.post_once(users, "key-1", other).await;
    assert_eq!(
        (reused.status, reused.error()),
        (422, "idempotency_key_reused")
    );
    let taken = platform.admin.post(users, new).await;
    assert_eq!((taken.status, taken.error()), (409, "conflict"));

    let second = platform.api().sign_in("second@example.com", password).await;
    assert_eq!(second.get(users).await.error(), "password_change_required");
    let id = made.json["id"].as_str().expect("an id");
    let path = format!("{users}/{id}");
    let shown = platform.admin.get(&path).await.json;
    assert_eq!(shown["email"], "second@example.com");
    assert!(shown.get("initial_password").is_none());
    assert_eq!(platform.admin.delete(&path).await.status, 204);
    assert_eq!(platform.admin.get(&path).await.error(), "not_found");
    assert_eq!(
        second.get("/v1/auth/me").await.status,
        401,
        "the sessions went with the user"
    );

    let own = platform.admin.get("/v1/auth/me").await.json["id"].clone();
    let last = platform
        .admin
        .delete(&format!("{users}/{}", own.as_str().expect("an id")))
        .await;
    assert_eq!((last.status, last.error()), (409, "last_platform_admin"));
    for id in ["adm_1", "nonsense", "usr_01arz3ndektsv4rrffq69g5fav"] {
        assert_eq!(
            platform.admin.get(&format!("{users}/{id}")).await.status,
            404,
            "{id}"
        );
    }
}

#[tokio::test]
async fn a_request_that_died_with_the_server_is_carried_out_when_it_is_back() {
    let mut platform = Platform::first_run().await;
    let admin = platform.tenant("acme").await;
    let register = || admin.post_once("/v1/devices", "key-1", json!({"device_name": "desk"}));
    let died = register().await;
    assert_eq!(died.status, 201, "{}", died.text);
    platform.process.kill();
    // As if it had been killed before it committed the answer, a moment ago.
    let database = platform.directory.path().join("identity.db");
    let options = SqliteConnectOptions::new().filename(database);
    let mut connection = options.connect().await.expect("the database opens");
    let unanswered = "UPDATE idempotent_answers SET status = NULL, body = NULL";
    let changed = sqlx::query(unanswered).execute(&mut connection).await;
    assert_eq!(changed.expect("it takes the change").rows_affected(), 1);
    connection.close().await.expect("it closes");
    let address = platform.process.address.to_string();
    platform.process = Process::start(platform.directory.path(), &address, &[]);
    let made = register().await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_ne!(made.json["device_id"], died.json["device_id"]);
    let again = register().await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json, made.json);
}
