//! Streams of challenges, read as WHATWG HTML §9.2.6 says.

use http::Method;
use reqwest::Response;
use serde_json::{Value, json};

use crate::calls::{Answer, Caller, answer, capture};
use crate::polls::first;
use crate::world::{world, world_with_rate_limits};

const PATH: &str = "/v1/challenges/stream";

/// What a line of a stream may be, or the blank one after them.
#[derive(Debug, Default, PartialEq)]
struct Block {
    event: String,
    id: Option<String>,
    data: Option<Value>,
    retry: Option<u64>,
    comments: usize,
}

/// A client's end of a stream.
struct Events {
    response: Response,
    unread: String,
}

impl Events {
    async fn open(caller: &Caller, last_id: Option<&str>) -> Self {
        let request = caller.request(Method::GET, PATH);
        let request = match last_id {
            Some(id) => request.header("last-event-id", id),
            None => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self {
            response,
            unread: String::new(),
        }
    }

    /// The lines up to the next blank one; `None` at a clean end.
    async fn block(&mut self) -> Option<Block> {
        let end = loop {
            if let Some(end) = self.unread.find("\n\n") {
                break end;
            }
            let Some(piece) = self.response.chunk().await.unwrap() else {
                assert_eq!(self.unread, "", "it ends within an event");
                return None;
            };
            self.unread.push_str(std::str::from_utf8(&piece).unwrap());
        };
        let lines: String = self.unread.drain(..end + 2).collect();
        let mut block = Block::default();
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap();
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => block.comments += 1,
                "event" => value.clone_into(&mut block.event),
                "id" => block.id = Some(value.to_owned()),
                "data" => block.data = Some(serde_json::from_str(value).unwrap()),
                "retry" => block.retry = Some(value.parse().unwrap()),
                other => unreachable!("a field {other}"),
            }
        }
        Some(block)
    }

    /// The next event's id and data. Comments and times are no events.
    async fn event(&mut self) -> (String, Value) {
        loop {
            let block = self.block().await.unwrap();
            if let Some(data) = block.data {
                assert_eq!(block.event, "challenges");
                return (block.id.unwrap(), data);
            }
        }
    }

    /// Reads what there is until the stream ends; returns how many events there were.
    async fn read_to_end(mut self) -> usize {
        let mut events = 0;
        while let Some(block) = self.block().await {
            events += usize::from(block.data.is_some());
        }
        events
    }
}

async fn opened(caller: &Caller) -> Answer {
    answer(caller.request(Method::GET, PATH)).await
}

#[tokio::test]
async fn a_stream_tells_what_a_poll_would_at_each_change() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let idle = world.poll_that_nothing_wakes().await;
    let mut events = Events::open(&scanner.caller, None).await;
    let opening = events.block().await.unwrap();
    assert_eq!(opening.retry, Some(2000));
    let (nothing, data) = events.event().await;
    assert_eq!(
        data,
        json!({
            "challenges": [], "next_poll_ms": 2000, "server_time": "2026-11-22T12:00:00.000Z",
        })
    );
    let story = tokio::spawn(async move {
        let challenge = world.verify("ada", &scanner).await;
        let (created, data) = events.event().await;
        assert_eq!(data["challenges"], json!(scanner.pending(0).await));
        assert_eq!(data["challenges"][0]["challenge_id"], challenge.as_str());
        let path = format!("/v1/challenges/{challenge}/claim");
        scanner.caller.post(&path, json!({})).await.expect(200);
        let (claimed, data) = events.event().await;
        assert_eq!(data["challenges"][0]["status"], "in_progress");
        scanner
            .complete(&challenge, capture(99, 1))
            .await
            .expect(200);
        let (tried, data) = events.event().await;
        assert_eq!(data["challenges"][0]["attempts_remaining"], 2);
        scanner
            .complete(&challenge, capture(7, 1))
            .await
            .expect(200);
        let (completed, data) = events.event().await;
        assert_eq!(data["challenges"], json!([]));
        assert_eq!(completed, nothing, "the same challenges are the same event");
        let mut ids = vec![nothing, created, claimed, tried];
        ids.dedup();
        assert_eq!(ids.len(), 4);
    });
    first(story, idle).await;
}

#[tokio::test]
async fn who_comes_again_is_told_what_is_new() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let (nothing, _) = Events::open(&scanner.caller, None).await.event().await;
    let mut again = Events::open(&scanner.caller, Some(&nothing)).await;
    assert_eq!(again.block().await.unwrap().retry, Some(2000));
    let unchanged = again.block().await.unwrap();
    let comment = Block {
        comments: 1,
        ..Block::default()
    };
    assert_eq!(unchanged, comment, "no event");
    world.verify("ada", &scanner).await;
    let (one, data) = again.event().await;
    assert_eq!(data["challenges"].as_array().unwrap().len(), 1);
    let mut late = Events::open(&scanner.caller, Some(&nothing)).await;
    assert_eq!(late.event().await.0, one);
}

#[tokio::test]
async fn a_stream_on_which_nothing_happens_has_a_comment_now_and_then() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    let mut events = Events::open(&scanner.caller, None).await;
    events.event().await;
    let beat = events.block().await.unwrap();
    assert_eq!((beat.comments, beat.data), (1, None));
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_act() {
    let world = world().await;
    let idle = world.poll_that_nothing_wakes().await;
    let revoked = world.scanner("dev_1").await;
    let renewed = world.scanner("dev_2").await;
    let story = tokio::spawn(async move {
        let stream = Events::open(&revoked.caller, None).await;
        let path = format!("/v1/devices/{}", revoked.id());
        world.integrator().delete(&path).await.expect(200);
        assert_eq!(stream.read_to_end().await, 1);

        let stream = Events::open(&renewed.caller, None).await;
        let renewal = crate::certificates::renewal();
        let connection = renewed.on_a_new_connection();
        connection
            .post("/v1/devices/renew", renewal)
            .await
            .expect(200);
        assert_eq!(stream.read_to_end().await, 1);
        world
    });
    let world = first(story, idle).await;
    while !world.app.streams.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn streams_and_polls_of_a_tenant_that_is_suspended_end() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    let stream = Events::open(&scanner.caller, None).await;
    let caller = scanner.caller.clone();
    let poll = tokio::spawn(async move { caller.get("/v1/challenges/pending?wait=25").await });
    let status = identity_store::TenantStatus::Suspended;
    let store = &world.app.store;
    let suspend = store.set_tenant_status(world.change(), &world.tenant, status);
    suspend.await.unwrap();
    assert_eq!(stream.read_to_end().await, 1);
    poll.await.unwrap().refused(403, "tenant_suspended");
    opened(&scanner.caller)
        .await
        .refused(403, "tenant_suspended");
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    let mut stream = Events::open(&scanner.caller, None).await;
    stream.event().await;
    world.app.shutdown.cancel();
    assert_eq!(stream.read_to_end().await, 0);
}

#[tokio::test]
async fn a_fifth_stream_of_a_device_ends_its_first() {
    let world = world().await;
    let (scanner, other) = (world.scanner("dev_1").await, world.scanner("dev_2").await);
    let mut beside = Events::open(&other.caller, None).await;
    beside.event().await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = Events::open(&scanner.caller, None).await;
        stream.event().await;
        streams.push(stream);
    }
    assert_eq!(streams.remove(0).read_to_end().await, 0);
    world.enrolled("ada", &scanner, 7).await;
    world.verify("ada", &scanner).await;
    for mut stream in streams {
        loop {
            let (_, data) = stream.event().await;
            if data["challenges"][0]["type"] == "verify" {
                break;
            }
        }
    }
}

#[tokio::test]
async fn streams_are_paced_as_polls_are() {
    let world = world_with_rate_limits().await;
    let scanner = world.scanner("dev_1").await;
    Events::open(&scanner.caller, None).await;
    let early = opened(&scanner.caller).await;
    assert_eq!(early.headers["retry-after"], "1");
    early.refused(429, "rate_limited");
}
