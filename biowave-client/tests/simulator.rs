//! The client against the simulated palm server, over the wire, with everything that goes wrong.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use biowave_client::simulator::{Fault, PalmServer, THRESHOLD, blurred_palm_sample, palm_sample};
use biowave_client::{
    BioWaveClient, Error, MalformedAnswer, Operation, PalmType, PalmTypes, Refusal, Registration,
    Sample,
};
use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

const ADA: Registration<'_> = Registration {
    user_id: "bank:ada",
    palm_type: PalmType::Left,
    query_type: None,
};
const BOB: Registration<'_> = Registration {
    user_id: "bank:bob",
    ..ADA
};

/// A palm server and a client that waits long enough for a busy machine.
async fn start() -> (PalmServer, BioWaveClient) {
    let server = PalmServer::start().await.unwrap();
    let client = client(&server, Duration::from_secs(60));
    (server, client)
}

fn client(server: &PalmServer, timeout: Duration) -> BioWaveClient {
    BioWaveClient::builder(server.url())
        .timeout(timeout)
        .build()
        .unwrap()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

#[tokio::test]
async fn a_palm_is_learnt_recognised_and_forgotten() {
    let (server, client) = start().await;
    let added = client.add(id(1), &palm_sample(1, 0), &ADA).await.unwrap();
    assert_eq!((added.user_id.as_str(), added.id), ("bank:ada", 100_001));
    assert_eq!(added.query_type.as_deref(), Some("left"));

    let found = client
        .query(id(2), &palm_sample(1, 1), PalmType::Left)
        .await
        .unwrap();
    assert_eq!(found.thresholds, [THRESHOLD; 4]);
    assert_eq!(found.results.len(), 1);
    assert_eq!(
        (found.results[0].user_id.as_str(), found.results[0].id),
        ("bank:ada", 100_001)
    );
    assert_eq!(found.results[0].scores.len(), 4);
    assert!(found.results[0].scores.iter().all(|score| *score > 0.95));

    let other_palm = client
        .query(id(3), &palm_sample(2, 0), PalmType::Left)
        .await
        .unwrap();
    assert!(other_palm.results.is_empty());
    let other_type = client
        .query(id(4), &palm_sample(1, 2), PalmType::Right)
        .await
        .unwrap();
    assert!(other_type.results.is_empty());

    let blurred = client
        .query(id(5), &blurred_palm_sample(1, 3), PalmType::Left)
        .await
        .unwrap();
    assert_eq!(blurred.results[0].user_id, "bank:ada");
    assert!(
        blurred.results[0]
            .scores
            .iter()
            .any(|score| *score < THRESHOLD)
    );

    let right = client
        .delete(id(6), "bank:ada", PalmTypes::Right)
        .await
        .unwrap();
    assert_eq!((right.deleted, server.template_count()), (0, 1));
    let all = client
        .delete(id(7), "bank:ada", PalmTypes::All)
        .await
        .unwrap();
    assert_eq!((all.deleted, server.template_count()), (1, 0));
    let gone = client
        .query(id(8), &palm_sample(1, 4), PalmType::Left)
        .await
        .unwrap();
    assert!(gone.results.is_empty());
}

#[tokio::test]
async fn the_parts_are_the_specifications() {
    let (server, client) = start().await;
    let features = Bytes::from_static(b"features");
    let sample = palm_sample(1, 0).with_features(Some(features.clone()), Some(features));
    client
        .query(id(0xABC), &sample, PalmType::Right)
        .await
        .unwrap();
    let open = Registration {
        query_type: Some(PalmTypes::All),
        ..ADA
    };
    client.add(id(2), &palm_sample(1, 0), &open).await.unwrap();
    client
        .delete(id(3), "bank:ada", PalmTypes::Left)
        .await
        .unwrap();

    let calls = server.calls();
    assert_eq!(calls[0].operation, Operation::Query);
    assert_eq!(calls[0].request_id, "00000000-0000-0000-0000-000000000abc");
    assert_eq!(
        calls[0].parts,
        [
            "features_rgb",
            "features_ir",
            "image_rgb",
            "image_ir",
            "metadata"
        ]
    );
    assert_eq!(
        calls[0].metadata,
        json!({"type": "right", "is_encrypted": false})
    );
    assert_eq!(calls[1].parts, ["image_rgb", "image_ir", "metadata"]);
    assert_eq!(
        calls[1].metadata,
        json!({"user_id": "bank:ada", "type": "left", "is_encrypted": false, "query_type": "all"})
    );
    assert_eq!(calls[2].parts, ["metadata"]);
    assert_eq!(
        calls[2].metadata,
        json!({"user_id": "bank:ada", "type": "left"})
    );
}

#[tokio::test]
async fn what_the_palm_server_has_against_it_is_typed() {
    let (server, client) = start().await;
    client.add(id(1), &palm_sample(1, 0), &ADA).await.unwrap();
    let refusal = |error: Error| match error {
        Error::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };

    let again = client
        .add(id(2), &palm_sample(9, 0), &ADA)
        .await
        .unwrap_err();
    assert_eq!(refusal(again), Refusal::NameDuplicated);
    let duplicate = client
        .add(id(3), &palm_sample(1, 1), &BOB)
        .await
        .unwrap_err();
    assert_eq!(refusal(duplicate), Refusal::AlreadyRegistered);
    server.set_capacity(1);
    let full = client
        .add(id(4), &palm_sample(2, 0), &BOB)
        .await
        .unwrap_err();
    assert_eq!(refusal(full), Refusal::InsertFailed);
    server.restrict("bank:ada", PalmTypes::Right);
    let locked = client
        .query(id(5), &palm_sample(1, 2), PalmType::Left)
        .await
        .unwrap_err();
    assert_eq!(refusal(locked), Refusal::QueryTypeForbidden);
    assert_eq!(server.template_count(), 1);

    for code in [50_000, 12, -1] {
        server.inject(Operation::Query, Fault::Code(code));
        let sample = palm_sample(1, 3);
        let error = client
            .query(id(6), &sample, PalmType::Left)
            .await
            .unwrap_err();
        assert!(error.may_have_happened());
        assert_eq!(refusal(error).code(), code);
    }
}

#[tokio::test]
async fn one_palm_is_learnt_for_several_users_where_that_is_allowed() {
    let (server, client) = start().await;
    let learn = async |user_id| {
        let registration = Registration {
            user_id,
            palm_type: PalmType::Left,
            query_type: None,
        };
        client
            .add(Uuid::from_u128(1), &palm_sample(7, 0), &registration)
            .await
    };
    learn("t:ada").await.unwrap();
    let refused = learn("t:bob").await;
    assert!(matches!(
        refused,
        Err(Error::Refused(Refusal::AlreadyRegistered))
    ));
    server.take_duplicates();
    learn("t:bob").await.unwrap();
    let refused = learn("t:bob").await;
    assert!(matches!(
        refused,
        Err(Error::Refused(Refusal::NameDuplicated))
    ));
}

#[tokio::test]
async fn numbers_of_any_length_are_handed_on_for_the_caller_to_judge() {
    let (server, client) = start().await;
    client.add(id(1), &palm_sample(1, 0), &ADA).await.unwrap();
    let five = vec![0.9; 5];
    server.inject(Operation::Query, Fault::Scores(five.clone()));
    server.inject(Operation::Query, Fault::Thresholds(vec![]));
    server.inject(Operation::Query, Fault::User("bank:bob".to_owned()));
    let mut answers = Vec::new();
    for number in 2..5 {
        let sample = palm_sample(1, 1);
        answers.push(
            client
                .query(id(number), &sample, PalmType::Left)
                .await
                .unwrap(),
        );
    }
    assert_eq!(answers[0].results[0].scores, five);
    assert!(answers[1].thresholds.is_empty());
    assert_eq!(answers[2].results[0].user_id, "bank:bob");
}

#[tokio::test]
async fn an_add_that_is_answered_for_another_user_is_malformed() {
    let (server, client) = start().await;
    server.inject(Operation::Add, Fault::User("bank:bob".to_owned()));
    let error = client
        .add(id(1), &palm_sample(1, 0), &ADA)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        Error::Malformed(MalformedAnswer::OtherUser)
    ));
    assert!(error.may_have_happened());
}

#[tokio::test]
async fn garbage_is_malformed_and_is_not_repeated_in_the_error() {
    let (server, client) = start().await;
    for (body, expected) in [
        (
            "<html>bank:ada</html>",
            MalformedAnswer::Json { line: 1, column: 1 },
        ),
        ("", MalformedAnswer::Json { line: 1, column: 0 }),
        (
            r#"{"code": 0, "data": "bank:ada"}"#,
            MalformedAnswer::Json { line: 0, column: 0 },
        ),
    ] {
        let body = body.to_owned();
        server.inject(Operation::Query, Fault::Answer { status: 200, body });
        let sample = palm_sample(1, 0);
        match client.query(id(1), &sample, PalmType::Left).await {
            Err(Error::Malformed(malformed)) => {
                assert_eq!(malformed, expected);
                assert!(!malformed.to_string().contains("ada"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_http_error_is_an_error_whatever_its_body_says() {
    let (server, client) = start().await;
    for status in [302, 404, 500, 503] {
        let body = r#"{"code": 0, "data": {"results": [], "thresholds": []}}"#.to_owned();
        server.inject(Operation::Query, Fault::Answer { status, body });
        let sample = palm_sample(1, 0);
        let error = client
            .query(id(1), &sample, PalmType::Left)
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Status { status: found } if found == status),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_above_one_mebibyte_is_refused() {
    let (server, client) = start().await;
    for (length, fits) in [(1024 * 1024, true), (1024 * 1024 + 1, false)] {
        let json = r#"{"code": 0}"#;
        let body = json.to_owned() + &" ".repeat(length - json.len());
        server.inject(Operation::Query, Fault::Answer { status: 200, body });
        let sample = palm_sample(1, 0);
        let result = client.query(id(1), &sample, PalmType::Left).await;
        match result {
            Ok(_) => assert!(fits),
            Err(Error::TooLarge { limit }) => assert!(!fits && limit == 1024 * 1024),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_broken_connection_is_not_repeated_and_may_have_happened() {
    let (server, client) = start().await;
    for (number, fault, templates) in [
        (1, Fault::Close { carried_out: false }, 0),
        (2, Fault::Close { carried_out: true }, 1),
        (3, Fault::CutAnswer, 2),
    ] {
        let user_id = format!("bank:{number}");
        let registration = Registration {
            user_id: &user_id,
            ..ADA
        };
        server.inject(Operation::Add, fault);
        let sample = palm_sample(number, 0);
        let error = client.add(id(1), &sample, &registration).await.unwrap_err();
        assert!(matches!(error, Error::Broken(_)), "{error:?}");
        assert!(error.may_have_happened());
        assert_eq!(server.template_count(), templates);
    }
    assert_eq!(server.calls().len(), 3);
}

#[tokio::test]
async fn silence_ends_with_the_time_limit() {
    let (server, _) = start().await;
    let limit = Duration::from_millis(200);
    let hasty = client(&server, limit);
    server.inject(Operation::Query, Fault::Silence { carried_out: false });
    let sample = palm_sample(1, 0);
    let error = hasty
        .query(id(1), &sample, PalmType::Left)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { limit: found } if found == limit));
    assert!(error.may_have_happened());
}

#[tokio::test]
async fn an_answer_that_comes_late_but_in_time_is_an_answer() {
    let (server, client) = start().await;
    server.inject(Operation::Query, Fault::Late(Duration::from_millis(20)));
    let sample = palm_sample(1, 0);
    assert!(client.query(id(1), &sample, PalmType::Left).await.is_ok());
}

#[tokio::test]
async fn a_palm_server_that_does_not_listen_was_not_reached() {
    let silent = tokio::net::TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = silent.local_addr().unwrap();
    let base = format!("http://{address}");
    let client = BioWaveClient::builder(base.parse().unwrap())
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let error = client
        .add(id(1), &palm_sample(1, 0), &ADA)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
    assert!(!error.may_have_happened());
    assert!(!error.to_string().contains(&address.port().to_string()));
}

#[tokio::test]
async fn a_dropped_palm_server_closes_its_connections() {
    let (server, client) = start().await;
    let mut idle = tokio::net::TcpStream::connect(server.address())
        .await
        .unwrap();
    client.add(id(1), &palm_sample(1, 0), &ADA).await.unwrap();
    drop(server);
    let read = idle.read(&mut [0]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

#[tokio::test]
async fn a_sample_does_not_follow_a_redirect() {
    let elsewhere = PalmServer::start().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let location = elsewhere.url().join("KZ/query").unwrap();
    let redirecting = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0]).await.unwrap();
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let client = BioWaveClient::builder(base.parse().unwrap())
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let sample = palm_sample(1, 0);
    let error = client
        .query(id(1), &sample, PalmType::Left)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Status { status: 307 }), "{error:?}");
    assert!(elsewhere.calls().is_empty());
    redirecting.abort();
}

/// Names the palm server's address after it has failed to twice.
struct FailsTwice {
    address: SocketAddr,
    tries: Arc<AtomicU32>,
}

impl Resolve for FailsTwice {
    fn resolve(&self, _: Name) -> Resolving {
        let tries = self.tries.fetch_add(1, Ordering::SeqCst) + 1;
        let address = self.address;
        Box::pin(std::future::ready(if tries < 3 {
            Err("no such name yet".into())
        } else {
            Ok(Box::new(std::iter::once(address)) as Addrs)
        }))
    }
}

#[tokio::test]
async fn a_connection_that_fails_twice_is_made_at_the_third_try() {
    let (server, _) = start().await;
    let tries = Arc::new(AtomicU32::new(0));
    let resolver = FailsTwice {
        address: server.address(),
        tries: Arc::clone(&tries),
    };
    let http = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .dns_resolver(resolver)
        .build()
        .unwrap();
    let base = format!("http://palm.example:{}", server.address().port());
    let client = BioWaveClient::builder(base.parse().unwrap())
        .timeout(Duration::from_secs(60))
        .http_client(http)
        .build()
        .unwrap();
    client.add(id(1), &palm_sample(1, 0), &ADA).await.unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn the_simulator_refuses_what_the_specification_does_not_allow() {
    let (_server, client) = start().await;
    let not_png = Sample::new(b"GIF89a".as_slice(), b"GIF89a".as_slice());
    let error = client
        .query(id(1), &not_png, PalmType::Left)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Status { status: 400 }), "{error:?}");
}
