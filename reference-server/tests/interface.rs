//! What every route has in common, told to the real binary.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod harness;
mod sources;

use std::process::{Output, Stdio};

use harness::{Exit, Fresh, Platform};
use reqwest::Method;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let login = |body: &'static str, media_type: &'static str| {
        let request = api.request(Method::POST, "/v1/auth/login");
        request.header("content-type", media_type).body(body)
    };
    let large = format!(r#"{{"email":"{}"}}"#, "x".repeat(70 * 1024));
    for (status, code, request) in [
        (404, "not_found", api.request(Method::GET, "/v1/nothing")),
        (
            405,
            "method_not_allowed",
            api.request(Method::DELETE, "/healthz"),
        ),
        (415, "unsupported_media_type", login("{}", "text/plain")),
        (400, "invalid_request", login("{", "application/json")),
        (422, "validation_failed", login("{}", "application/json")),
        (
            422,
            "validation_failed",
            login(
                r#"{"email":"a@b","password":"c","d":1}"#,
                "application/json",
            ),
        ),
        (
            413,
            "payload_too_large",
            login("", "application/json").body(large),
        ),
        (401, "unauthorized", api.request(Method::GET, "/v1/auth/me")),
        (
            401,
            "unauthorized",
            api.request(Method::GET, "/v1/auth/me").bearer_auth("a.b.c"),
        ),
    ] {
        let reply = api.send(request).await;
        assert_eq!(
            (reply.status, reply.error()),
            (status, code),
            "{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn a_harmless_request_id_is_kept_and_another_is_replaced() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let with = |id: &'static str| {
        api.request(Method::GET, "/healthz")
            .header("x-request-id", id)
    };
    let kept = api.send(with("my-id_1.2")).await;
    assert_eq!(kept.header("x-request-id"), Some("my-id_1.2"));
    let replaced = api.send(with("not allowed")).await;
    assert_ne!(replaced.header("x-request-id"), Some("not allowed"));
}

#[tokio::test]
async fn scanner_routes_wait_for_the_set_up() {
    let fresh = Fresh::start(&[]);
    let reply = fresh.api().get("/v1/devices/self").await;
    assert_eq!((reply.status, reply.error()), (503, "mtls_not_configured"));
    assert!(reply.header("retry-after").is_some());
}

#[tokio::test]
async fn a_scanner_route_asks_for_a_certificate() {
    let platform = Platform::first_run().await;
    let reply = platform.admin.get("/v1/devices/self").await;
    assert_eq!((reply.status, reply.error()), (401, "client_cert_required"));
}

#[tokio::test]
async fn sign_ins_are_limited_per_source() {
    let fresh = Fresh::start(&[("IDENTITY_RATE_LIMITS", "on")]);
    let api = fresh.api();
    for _ in 0..30 {
        let reply = api
            .post("/v1/auth/login", json!({"email": "a", "password": "b"}))
            .await;
        assert_eq!(reply.error(), "validation_failed");
    }
    let limited = api
        .post("/v1/auth/login", json!({"email": "a", "password": "b"}))
        .await;
    assert_eq!((limited.status, limited.error()), (429, "rate_limited"));
    assert!(limited.header("retry-after").is_some());
}

#[tokio::test]
async fn metrics_and_readiness_have_a_listener_of_their_own() {
    let fresh = Fresh::start(&[]);
    assert_eq!(fresh.api().get("/metrics").await.status, 404);
    assert_eq!(fresh.api().get("/healthz").await.status, 200);
    let operations = harness::Api::plain(fresh.process.metrics);
    let metrics = operations.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics
            .text
            .contains(r#"http_requests_total{method="GET",route="/healthz""#)
    );
    assert_eq!(operations.get("/readyz").await.status, 200);

    let mut healthcheck = harness::program();
    healthcheck.arg("healthcheck");
    healthcheck.env("IDENTITY_METRICS_LISTEN", fresh.process.metrics.to_string());
    assert!(healthcheck.status().expect("it runs").success());
    let metrics = fresh.process.metrics.to_string();
    let mut process = fresh.process;
    assert_eq!(process.terminate(), Exit::success());
    let mut healthcheck = harness::program();
    healthcheck
        .arg("healthcheck")
        .env("IDENTITY_METRICS_LISTEN", metrics)
        .stderr(Stdio::null());
    assert!(!healthcheck.status().expect("it runs").success());
}

#[tokio::test]
async fn metrics_tell_of_transactions_and_of_what_expires() {
    let platform = Platform::first_run().await;
    let metrics = harness::Api::plain(platform.process.metrics);
    let metrics = metrics.get("/metrics").await.text;
    let value = |name: &str| -> f64 {
        let mut lines = metrics.lines();
        let value = lines.find_map(|line| line.strip_prefix(name));
        value.expect(name).trim().parse().expect("a number")
    };
    assert_eq!(
        value(r#"transactions_total{name="add_ca",ended="committed"}"#),
        1.0
    );
    assert_eq!(value(r#"transaction_retries_total{name="add_ca"}"#), 0.0);
    assert_eq!(
        value(r#"transaction_duration_seconds_count{name="add_ca"}"#),
        1.0
    );
    assert!(value("audit_rows_unsealed") >= 0.0);
    for (certificate, path) in [("server", "server-cert"), ("platform_ca", "ca-cert")] {
        let path = format!("/v1/admin/ssl/{path}");
        let expires_at = platform.admin.get(&path).await.json["expires_at"].take();
        let expires_at = OffsetDateTime::parse(expires_at.as_str().expect("a time"), &Rfc3339);
        let name = format!("certificate_expiry_timestamp_seconds{{certificate=\"{certificate}\"}}");
        let ends = expires_at.expect("RFC 3339").unix_timestamp();
        assert_eq!(value(&name) as i64, ends, "{certificate}");
    }
}

#[test]
fn a_bad_variable_stops_the_start_with_one_line() {
    for (name, value) in [
        ("DATABASE_URL", "mysql://localhost/identity"),
        ("DATABASE_URL", "sqlite:///no/such/folder/identity.db"),
        ("DB_SSLMODE", "maybe"),
        ("IDENTITY_LISTEN", "everywhere"),
        ("IDENTITY_DATA_ENCRYPTION_KEYS", "k1:short"),
        ("IDENTITY_RATE_LIMITS", "maybe"),
        ("IDENTITY_PROXY_PROTOCOL", "balancer"),
        ("SMTP_URL", "smtp://user:short@relay?tls=none"),
        ("ALERT_EMAIL_FROM", "nobody"),
        ("IDENTITY_PRODUCT_NAME", "two\nlines"),
    ] {
        let output = harness::program()
            .env(name, value)
            .output()
            .expect("it runs");
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(name) && !said.contains("short"), "{said}");
    }
}

/// What comes of a command that ends by itself, with a variable.
fn run(command: &str, database_url: &str, (name, value): (&str, &str)) -> Output {
    let mut program = harness::program();
    program
        .arg(command)
        .env("DATABASE_URL", database_url)
        .env("IDENTITY_LISTEN", "127.0.0.1:0")
        .env("IDENTITY_METRICS_LISTEN", "127.0.0.1:0")
        .env(name, value);
    program.output().expect("it runs")
}

#[test]
fn migrate_is_idempotent_and_a_database_without_schema_stops_a_start_that_may_not_migrate() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}", directory.path().join("id.db").display());
    let run = |command, migrate| run(command, &url, ("IDENTITY_MIGRATE", migrate));
    let refused = run("serve", "off");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("run `migrate` first"));
    for _ in 0..2 {
        assert_eq!(run("migrate", "off").status.code(), Some(0));
    }
}

#[test]
fn a_database_that_is_not_there_is_said_to_be_so_at_migrate_and_at_the_start() {
    let nowhere = tempfile::tempdir().expect("a directory");
    let url = format!("postgres:///identity?host={}", nowhere.path().display());
    let key = format!("k:{}", "A".repeat(43));
    for command in ["migrate", "serve"] {
        let output = run(command, &url, ("IDENTITY_DATA_ENCRYPTION_KEYS", &key));
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        let what_to_do = "the database cannot be reached: start it, or correct";
        assert!(said.contains(what_to_do), "{command}: {said}");
    }
}

#[tokio::test]
async fn the_served_description_is_the_printed_one() {
    let fresh = Fresh::start(&[]);
    let served = fresh.api().get("/openapi.json").await.json;
    let printed = harness::program().arg("openapi").output().expect("it runs");
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!(served, printed);
}

/// Types of one name are one schema of the description, whichever it is: the others are described wrongly.
#[test]
fn no_two_types_of_the_description_have_one_name() {
    let sources = sources::sources(&sources::root().join("reference-server/src"));
    let mut names = std::collections::BTreeSet::new();
    for described in sources.split("ToSchema)]").skip(1) {
        let kinds = ["struct ", "enum "];
        let (_, kind) = { kinds.iter() }
            .filter_map(|kind| Some((described.find(kind)?, kind)))
            .min()
            .expect("a type");
        let (attributes, declaration) = described.split_once(kind).expect("a type");
        let alias = attributes
            .split_once("schema(as = ")
            .map(|(_, alias)| alias);
        let is_part = |letter: char| letter.is_ascii_alphanumeric();
        let name = alias.unwrap_or(declaration);
        let name = name
            .split(|letter| !is_part(letter))
            .next()
            .expect("a name");
        assert!(names.insert(name), "{name} is two types'");
    }
    assert!(names.contains("AuditVerification"), "{names:?}");
}
