//! Devices that abuse HTTP/2 (RFC 9113 §10.5): frames that are cheap to send and dear to receive, or to
//! keep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncWriteExt as _, split};

use crate::calls::Caller;
use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY, HEADERS, PING,
    REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, get_fields, hello, read,
};
use crate::platform::{Platform, Scanner};

/// What a few connections may have the server's memory grow by, in KiB. What any of these would cost
/// without a limit is more.
const MEMORY: u64 = 48 * 1024;
/// Requests at once that the server takes of a connection.
const STREAMS: u32 = 64;

/// The odd numbers of a client's streams (§5.1.1).
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

/// A platform that is attacked by one of its scanners, and serves the other one.
struct Scene {
    platform: Platform,
    attacker: Scanner,
    bystander: Caller,
    memory: u64,
}

impl Scene {
    async fn set() -> Self {
        let platform = Platform::start().await;
        let attacker = platform.scanner().await;
        let bystander = platform.connect(&platform.scanner().await, None);
        let scene = Self {
            memory: platform.memory(),
            platform,
            attacker,
            bystander,
        };
        scene.serves().await;
        scene
    }

    async fn serves(&self) {
        self.bystander.get("/v1/devices/self").await.expect(200);
    }

    /// Sends `frames`, and gives what the server says until it closes the connection.
    async fn until_closed(&self, frames: Vec<u8>) -> Vec<Frame> {
        let (mut reader, mut writer) = split(self.platform.connect_raw(&self.attacker).await);
        let sent = tokio::spawn(async move {
            // The server may close before it has read everything.
            let _ = writer.write_all(&[hello(0), frames].concat()).await;
            writer
        });
        let mut said = Vec::new();
        while let Some(frame) = read(&mut reader).await {
            said.push(frame);
        }
        drop(sent.await.unwrap());
        said
    }

    async fn is_unharmed(&self) {
        self.serves().await;
        let grown = self.platform.memory().saturating_sub(self.memory);
        assert!(grown < MEMORY, "{grown} KiB");
    }
}

#[tokio::test]
async fn floods_over_http_2_end_their_own_connection_and_no_other() {
    let scene = Scene::set().await;
    // Requests that are taken back at once: CVE-2023-44487.
    let reset = |stream| [get(stream, "/"), frame(RST_STREAM, 0, stream, &[0; 4])].concat();
    let rapid_reset = streams(10_000).flat_map(reset).collect();
    // Headers without an end: CERT VU#421644.
    let more = |_| frame(CONTINUATION, 0, 1, &[]);
    let open = frame(HEADERS, END_STREAM, 1, &get_fields("/"));
    let continuation = open.into_iter().chain((0..10_000).flat_map(more)).collect();
    // A field of 4 KiB that goes into the dynamic table, and 10,000 bytes that each mean it again.
    let field = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4000]].concat();
    let fields = [get_fields("/"), field, vec![0xbe; 10_000]].concat();
    let bomb = frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields);
    // Requests at once whose bodies do not come, without an end to them.
    let begin = |stream| frame(HEADERS, END_HEADERS, stream, &get_fields("/v1/auth/login"));
    let too_many = streams(10_000).flat_map(begin).collect();
    // Requests that the server has to reset, since their window overflows: CVE-2025-8671.
    let widened = |stream| frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
    let spoiled = |stream| [begin(stream), widened(stream), widened(stream)].concat();
    let made_to_reset = streams(10_000).flat_map(spoiled).collect();
    // Bodies of nothing.
    let nothing = (0..10_000).flat_map(|_| frame(DATA, 0, 1, &[]));
    let empty_data = begin(1).into_iter().chain(nothing).collect();

    for (flood, frames) in [
        ("rapid reset", rapid_reset),
        ("CONTINUATION", continuation),
        ("HPACK bomb", bomb),
        ("streams", too_many),
        ("resets by the server", made_to_reset),
        ("empty DATA", empty_data),
    ] {
        let said = scene.until_closed(frames).await;
        let last = said.iter().rfind(|frame| frame.kind == GOAWAY);
        let code = last.map(Frame::error_code);
        assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{flood}");
        scene.is_unharmed().await;
    }
}

#[tokio::test]
async fn who_reads_no_acknowledgement_is_read_no_further() {
    /// More than two kernels' buffers take.
    const MOST: u64 = 256 * 1024 * 1024;
    /// So often in a row nothing may be taken while another device is answered.
    const STANDSTILL: u32 = 10;
    let scene = Scene::set().await;
    for flood in [frame(SETTINGS, 0, 0, &[]), frame(PING, 0, 0, &[7; 8])] {
        let mut client = scene.platform.connect_raw(&scene.attacker).await;
        client.write_all(&hello(0)).await.unwrap();
        let taken = Arc::new(AtomicU64::new(0));
        let flooding = tokio::spawn({
            let (flood, taken) = (flood.repeat(1000), Arc::clone(&taken));
            async move {
                while client.write_all(&flood).await.is_ok() {
                    taken.fetch_add(flood.len().try_into().unwrap(), Ordering::Relaxed);
                }
            }
        });
        let (mut before, mut still) = (0, 0);
        while still < STANDSTILL {
            scene.serves().await;
            let now = taken.load(Ordering::Relaxed);
            assert!(now < MOST, "what nobody reads piles up");
            still = if now == before { still + 1 } else { 0 };
            before = now;
        }
        scene.is_unharmed().await;
        flooding.abort();
    }
}

#[tokio::test]
async fn answers_that_may_not_be_sent_are_few_and_cost_nobody_else_theirs() {
    let scene = Scene::set().await;
    let asked = streams(STREAMS + 1).flat_map(|stream| get(stream, "/openapi.json"));
    let frames: Vec<_> = hello(0).into_iter().chain(asked).collect();
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut client = scene.platform.connect_raw(&scene.attacker).await;
        client.write_all(&frames).await.unwrap();
        let (mut begun, mut refused) = (0, 0);
        while begun < STREAMS || refused == 0 {
            let said = read(&mut client).await.expect("the connection stays");
            match said.kind {
                HEADERS => begun += 1,
                RST_STREAM => {
                    assert_eq!(said.error_code(), REFUSED_STREAM);
                    refused += 1;
                }
                kind => assert_ne!(kind, DATA),
            }
        }
        connections.push(client);
        scene.is_unharmed().await;
    }
}
