//! Mail about certificates that expire, sent by the real binary to a real mail server. `IDENTITY_PYTHON`
//! names an interpreter that has aiosmtpd; without, these tests report themselves as ignored.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod sink;

use harness::{ADMIN, Api, Platform, Reply, ServerKey};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use sink::Sink;
use tempfile::TempDir;

const RUN: &str = "/v1/admin/jobs/cert-expiry/run";
const USER: &str = "platform@id.example";
const PASSWORD: &str = "canary/of+mail";

fn main() {
    let arguments = Arguments::from_args();
    let trial = |name, story: fn()| {
        let is_there = sink::python().is_some();
        let trial = Trial::test(name, move || {
            story();
            Ok(())
        });
        let kind = if is_there {
            ""
        } else {
            "IDENTITY_PYTHON is not set"
        };
        trial.with_ignored_flag(!is_there).with_kind(kind)
    };
    let trials = vec![
        trial("an_administrator_is_written_to_behind_starttls", || {
            story(written_to("STARTTLS", "smtp"));
        }),
        trial("an_administrator_is_written_to_over_tls", || {
            story(written_to("TLS", "smtps"));
        }),
        trial(
            "a_mail_server_that_nobody_vouches_for_gets_no_password",
            || {
                story(nobody_vouches());
            },
        ),
        trial("a_server_that_starts_looks_by_itself", || {
            story(looks_by_itself());
        }),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn story(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(story);
}

/// A mail server with an account and a certificate of its own.
struct Account {
    folder: TempDir,
    sink: Sink,
    url: String,
}

impl Account {
    fn open(mode: &str, scheme: &str) -> Self {
        let (folder, key) = (tempfile::tempdir().unwrap(), ServerKey::generate());
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        write("root.pem", key.root_pem());
        let chain = write("chain.pem", key.chain_pem());
        let key = write("key.pem", key.key_pem());
        let sink = Sink::start(&[mode, &chain, &key, USER, PASSWORD]);
        let account = "platform%40id.example:canary%2Fof+mail";
        let protected = if scheme == "smtp" {
            "?tls=required"
        } else {
            ""
        };
        let url = format!("{scheme}://{account}@127.0.0.1:{}{protected}", sink.port);
        Self { folder, sink, url }
    }

    /// A platform that sends its mail there, and whose certificate expires in ten days.
    async fn platform(&self, more: &[(&str, &str)]) -> (Platform, Api) {
        let root = self.folder.path().join("root.pem");
        let mut variables = vec![
            ("SMTP_URL", self.url.as_str()),
            ("ALERT_EMAIL_FROM", "Alerts <alerts@id.example>"),
            ("IDENTITY_PRODUCT_NAME", "Acme Palms"),
            ("IDENTITY_PUBLIC_URL", "https://id.example"),
            ("SSL_CERT_FILE", root.to_str().unwrap()),
        ];
        variables.extend(more);
        expiring(&variables).await
    }
}

async fn expiring(variables: &[(&str, &str)]) -> (Platform, Api) {
    let platform = Platform::first_run_with(variables).await;
    let ten_days = time::Duration::days(10) + time::Duration::HOUR;
    let key = ServerKey::expiring_in(ten_days);
    let uploaded = platform.admin.upload(&key).await;
    assert_eq!(uploaded.json["days_remaining"], 10, "{}", uploaded.text);
    let admin = platform
        .admin
        .moved_to_https(platform.process.address, &key);
    (platform, admin)
}

async fn run(admin: &Api) -> Value {
    let Reply {
        status, json, text, ..
    } = admin.post(RUN, json!({})).await;
    assert_eq!(status, 200, "{text}");
    json
}

async fn written_to(mode: &'static str, scheme: &'static str) {
    let mut account = Account::open(mode, scheme);
    let (platform, admin) = account.platform(&[("IDENTITY_LOG", "trace")]).await;
    let shown = admin.get("/v1/admin/ssl/server-cert").await.json;
    let crossed = json!({
        "kind": "server_cert", "threshold_days": 14, "fingerprint": shown["fingerprint"],
    });
    let busy = run(&admin).await;
    assert_eq!(busy["announced"], json!([crossed]));
    assert_eq!(busy["mailed"], json!([]));
    assert_eq!(busy["failed"][0]["threshold_days"], 14, "{busy}");
    let reason = busy["failed"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("451"), "{reason}");

    account.sink.take();
    let sent = run(&admin).await;
    let mut mailed = crossed;
    mailed["recipient_count"] = json!(1);
    assert_eq!(
        sent,
        json!({"announced": [], "mailed": [mailed], "failed": []})
    );
    let letter = account.sink.letter();
    let headers = &letter["headers"];
    assert_eq!(letter["envelope"]["to"], json!([ADMIN]));
    assert_eq!(letter["envelope"]["from"], "alerts@id.example");
    assert_eq!(
        (&letter["tls"], &letter["user"]),
        (&json!(true), &json!(USER))
    );
    assert_eq!(headers["to"], ADMIN);
    assert_eq!(headers["from"], "Alerts <alerts@id.example>");
    let subject = "[Acme Palms] Server TLS cert expires in 10 days";
    assert_eq!(headers["subject"], subject);
    let text = letter["text"].as_str().unwrap();
    for part in ["https://id.example", shown["fingerprint"].as_str().unwrap()] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let nothing = json!({"announced": [], "mailed": [], "failed": []});
    assert_eq!(run(&admin).await, nothing);

    let banners = admin.get("/v1/admin/banner").await.json;
    let [banner] = &banners["banners"].as_array().unwrap()[..] else {
        panic!("{banners}");
    };
    assert_eq!(banner["kind"], "server_cert");
    assert_eq!(banner["severity"], "warning");
    assert_eq!(banner["days_remaining"], 10);

    let log = platform.process.terminate_and_read();
    assert!(
        log.iter()
            .any(|line| line.contains("a certificate expires"))
    );
    for canary in ["canary", ADMIN] {
        let told = log.iter().find(|line| line.contains(canary));
        assert!(told.is_none(), "{canary}: {told:?}");
    }
}

async fn nobody_vouches() {
    let mut account = Account::open("STARTTLS", "smtp");
    account.sink.take();
    let other = ServerKey::generate();
    std::fs::write(account.folder.path().join("root.pem"), other.root_pem()).unwrap();
    let (_platform, admin) = account.platform(&[]).await;
    let refused = run(&admin).await;
    assert_eq!(refused["mailed"], json!([]));
    let reason = refused["failed"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("certificate"), "{reason}");
}

async fn looks_by_itself() {
    let mut sink = Sink::start(&["PLAIN"]);
    sink.take();
    let url = format!("smtp://127.0.0.1:{}", sink.port);
    let variables = [
        ("SMTP_URL", url.as_str()),
        ("ALERT_EMAIL_FROM", "alerts@id.example"),
    ];
    let (mut platform, _) = expiring(&variables).await;
    platform.restart();
    let letter = sink.letter();
    let subject = "[Link Identity] Server TLS cert expires in 10 days";
    assert_eq!(letter["headers"]["subject"], subject);
    assert_eq!(letter["envelope"]["to"], json!([ADMIN]));
}
