//! What operators see of a server: its log, its metrics and its traces, while the real binary goes through
//! a whole story.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod anywhere;
#[path = "../harness/mod.rs"]
mod harness;
mod mail_server;
mod metrics;
mod secrets;
#[path = "../sources/mod.rs"]
mod sources;
mod story;

use serde_json::Value;
use story::Story;

#[tokio::test]
async fn no_secret_is_told_by_log_metrics_or_database() {
    let story = Story::tell("trace").await;
    anywhere::send_everywhere(&story).await;
    let metrics = story.metrics().await;
    let told = story.end();
    for message in ["request", "transaction", "palm server"] {
        assert!(
            told.log.iter().any(|line| line.contains(message)),
            "{message}"
        );
    }
    let log = told.log.join("\n");
    told.secrets.assert_absent("the log", &log);
    told.business.assert_absent("the log", &log);
    for line in told
        .log
        .iter()
        .filter(|line| line.contains(anywhere::CANARY))
    {
        // What a heartbeat tells is logged on purpose.
        let on_purpose = line.contains(r#""message":"heartbeat""#);
        assert!(on_purpose, "what a caller sends is logged: {line}");
    }
    told.secrets.assert_absent("the metrics", &metrics);
    told.business.assert_absent("the metrics", &metrics);
    assert!(!metrics.contains(anywhere::CANARY), "{metrics}");
    for (file, content) in told.files() {
        told.secrets.assert_absent(&file, &content);
    }
}

#[tokio::test]
async fn every_line_of_a_request_carries_its_id() {
    let story = Story::tell("info").await;
    let id = "an-id-of-the-callers";
    let scanner = story
        .scanner
        .request(reqwest::Method::GET, "/v1/devices/self");
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = scanner
        .header("x-request-id", id)
        .header("traceparent", traceparent);
    assert_eq!(story.scanner.send(request).await.status, 200);
    let answered = story.answered.clone();
    let told = story.end();

    let lines: Vec<Value> = told
        .log
        .iter()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    for line in &lines {
        for member in ["timestamp", "level", "target"] {
            assert!(line[member].is_string(), "{member}: {line}");
        }
    }
    let of = |id: &str| {
        let lines = lines.iter().filter(|line| line["span"]["request_id"] == id);
        lines.cloned().collect::<Vec<_>>()
    };
    let ended = |lines: &[Value]| {
        lines
            .iter()
            .filter(|line| line["message"] == "request")
            .count()
    };
    assert!(answered.len() > 20, "{answered:?}");
    for id in &answered {
        assert_eq!(ended(&of(id)), 1, "{id}: {:?}", of(id));
    }
    let own = of(id);
    assert_eq!(ended(&own), 1, "{own:?}");
    let line = own.last().expect("a line");
    assert_eq!(
        (&line["status"], line["span"]["method"].as_str()),
        (&200.into(), Some("GET"))
    );
    assert_eq!(line["span"]["route"], "/v1/devices/self");
    assert_eq!(line["span"]["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(line["latency_ms"].is_u64(), "{line}");
}
