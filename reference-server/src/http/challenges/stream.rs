use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderMap;
use identity_store::StoredChallenge;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::device_side::require_scanner;
use super::object::DeviceChallenge;
use super::pending::{NEXT_POLL_MS, Pending, too_early};
use super::stream_places::StreamPlace;
use crate::App;
use crate::http::event_stream::{HEARTBEAT, event, retry};
use crate::http::{EventStream, PollingDevice, Problem, ProblemDocument, RequestContext};
use crate::waiters::{Topic, Waiter};

/// How long one stream lasts at most: devices find their way to replicas that were started later.
const LONGEST: Duration = Duration::from_secs(3600);

/// The open challenges of the calling device as server-sent events: what `pending` answers, as `data`
/// of an event `challenges`, at once and whenever they change. Whoever comes again with `Last-Event-ID` is
/// told when they are others than then.
///
/// A comment comes when nothing else did for ten seconds. The stream ends when the device may no
/// longer act, when the server stops, after an hour, and when the device opens a fifth one.
#[utoipa::path(get, path = "/v1/challenges/stream", tag = "scanner", security(("device" = [])),
    params(("Last-Event-ID" = Option<String>, Header, description = "The id of the last event")),
    responses(
        (status = 200, description = "Events whose `data` is what `GET /v1/challenges/pending` answers",
            body = String, content_type = "text/event-stream"),
        (status = 429, description = "`rate_limited`: polls and streams come too fast", body = ProblemDocument),
        (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    context: RequestContext,
    device: PollingDevice,
    headers: HeaderMap,
) -> Result<EventStream, Problem> {
    let identity = device.certificate().identity().clone();
    let waiter = app
        .waiters
        .listen(Topic::Device(identity.clone()), LONGEST, &app.shutdown);
    let certificate = device.certificate().tbs_sha256();
    app.poll_pace.take(certificate).map_err(too_early)?;
    let (caller, challenges) = device.work(&app, &context).await?;
    require_scanner(&caller)?;
    app.seen.note(identity, app.clock.now());
    let last_id = headers.get("last-event-id");
    let mut feed = Feed {
        place: app.streams.open(certificate),
        last_id: last_id.and_then(|id| id.to_str().ok()).map(str::to_owned),
        waiter,
        device,
        context,
        app,
    };
    let news = feed.news(challenges);
    let pause = retry(Duration::from_millis(NEXT_POLL_MS.into()));
    let first = [pause.as_bytes(), news.as_ref()].concat().into();
    Ok(EventStream::new(async { Some((first, feed.stream())) }))
}

/// What one device is told.
struct Feed {
    app: Arc<App>,
    context: RequestContext,
    device: PollingDevice,
    waiter: Waiter,
    place: StreamPlace,
    /// The id of the event that the device was sent last.
    last_id: Option<String>,
}

impl Feed {
    fn stream(mut self) -> EventStream {
        EventStream::new(async {
            let piece = self.next().await?;
            Some((piece, self.stream()))
        })
    }

    /// The next piece, `None` when the stream is to end: the device comes again, and learns why.
    async fn next(&mut self) -> Option<Bytes> {
        let goes_on = tokio::select! {
            () = self.place.taken() => false,
            goes_on = self.waiter.again() => goes_on,
        };
        if !goes_on {
            return None;
        }
        self.context.now = self.app.clock.now();
        match self.device.work(&self.app, &self.context).await {
            Ok((caller, challenges)) => {
                self.app
                    .seen
                    .note(caller.identity().clone(), self.context.now);
                Some(self.news(challenges))
            }
            // The database is away: many who came again at once would do it no good.
            Err(problem) if problem.code().status().is_server_error() => Some(HEARTBEAT),
            Err(_) => None,
        }
    }

    /// An event if these are other challenges than the device was told of last.
    fn news(&mut self, challenges: Vec<StoredChallenge>) -> Bytes {
        let challenges: Vec<_> = challenges.into_iter().map(DeviceChallenge::from).collect();
        let id = fingerprint(&challenges);
        if self.last_id.as_ref() == Some(&id) {
            return HEARTBEAT;
        }
        let pending = Pending::of(challenges, self.app.clock.now());
        let event = event("challenges", &id, &json!(pending));
        self.last_id = Some(id);
        event.into()
    }
}

/// An id that is another one for other challenges, at whichever replica.
fn fingerprint(challenges: &[DeviceChallenge]) -> String {
    let digest = Sha256::digest(json!(challenges).to_string());
    URL_SAFE_NO_PAD.encode(&digest[..12])
}
