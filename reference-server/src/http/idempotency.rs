//! `Idempotency-Key` (contract §1): a repeated request gets the answer of the first.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use identity_store::{Actor, Change, IdempotencyKey, Reservation, StoredAnswer};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use tokio::runtime::Handle;

use super::problem::PROBLEM_JSON;
use super::{ErrorCode, Problem, RequestContext};
use crate::App;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// How long a request that neither answered nor gave its key back holds the key: longer than any takes.
/// That of a process that died cannot be told from one that is slow, but by the next process on a
/// database that it has for itself.
const LEASE: Duration = Duration::seconds(60);
const KEEP: Duration = Duration::hours(24);

/// An `Idempotency-Key` header: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone)]
pub struct HeaderKey(HeaderValue);

impl HeaderKey {
    /// # Errors
    ///
    /// 400 `invalid_request` for a key of another form, and for two of them.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
        if values.next().is_some() || !visible || !(1..=255).contains(&value.len()) {
            return Err(Problem::new(
                ErrorCode::InvalidRequest,
                "Idempotency-Key takes 1 to 255 visible characters, once.",
            ));
        }
        Ok(Some(Self(value.clone())))
    }
}

/// An answer in JSON, or a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// 200 with `body`.
    ///
    /// # Errors
    ///
    /// 500 when `body` has no JSON form.
    pub fn ok(body: &impl Serialize) -> Result<Self, Problem> {
        Self::with_status(StatusCode::OK, body)
    }

    /// 201 with `body`.
    ///
    /// # Errors
    ///
    /// 500 when `body` has no JSON form.
    pub fn created(body: &impl Serialize) -> Result<Self, Problem> {
        Self::with_status(StatusCode::CREATED, body)
    }

    /// 202 with `body`.
    ///
    /// # Errors
    ///
    /// 500 when `body` has no JSON form.
    pub fn accepted(body: &impl Serialize) -> Result<Self, Problem> {
        Self::with_status(StatusCode::ACCEPTED, body)
    }

    /// 200 with a table, whose media type the route says.
    #[must_use]
    pub fn table(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            body: body.into_bytes(),
        }
    }

    fn with_status(status: StatusCode, body: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(Problem::internal)?;
        Ok(Self { status, body })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let refused = self.status.is_client_error();
        let media_type = if refused {
            PROBLEM_JSON
        } else {
            "application/json"
        };
        (
            self.status,
            [(CONTENT_TYPE, HeaderValue::from_static(media_type))],
            self.body,
        )
            .into_response()
    }
}

/// Ties an answer to the change that it answers, so that both are committed or neither is.
#[derive(Debug)]
pub struct Keep(Option<Reserved>);

/// A key that a request has to itself.
#[derive(Debug, Clone, Copy)]
struct Reserved {
    key: IdempotencyKey,
    /// Until when the reservation counts, which tells it from another's.
    until: OffsetDateTime,
}

impl Reserved {
    fn stored(self, answer: &Answer) -> StoredAnswer {
        StoredAnswer {
            key: self.key,
            lease_until: self.until,
            status: answer.status.as_u16(),
            body: answer.body.clone(),
        }
    }
}

impl Keep {
    /// `change`, with the answer to repeat if the request is repeated.
    #[must_use]
    pub fn answer(&self, change: Change, answer: &Answer) -> Change {
        match self.0 {
            Some(reserved) => change.answering(reserved.stored(answer)),
            None => change,
        }
    }
}

/// Does the work of a request once per `Idempotency-Key`; of each request that has none.
///
/// `work` commits its change with the answer ([`Keep::answer`]) and returns that answer. What it
/// refuses is kept as well, except 429; a failure gives the key back, and so does a panic.
///
/// # Errors
///
/// 422 `idempotency_key_reused`, 409 `idempotency_in_progress`, and what `work` refuses.
pub async fn run<F, W>(
    app: &App,
    context: &RequestContext,
    actor: &Actor,
    body_sha256: [u8; 32],
    work: F,
) -> Result<Response, Problem>
where
    F: FnOnce(Keep) -> W,
    W: Future<Output = Result<Answer, Problem>>,
{
    let Some(header) = &context.idempotency_key else {
        return work(Keep(None)).await.map(Answer::into_response);
    };
    let own = Reserved {
        key: scoped(actor, &context.route, header),
        until: context.now + LEASE,
    };
    let held = Held {
        app,
        own: Some(own),
    };
    match reserve(app, context, own, body_sha256).await {
        Ok(None) => {}
        Ok(Some(replay)) => {
            held.settled();
            return Ok(replay);
        }
        Err(problem) => {
            // When the database fails nobody knows whether the key was taken.
            if problem.code().status().is_client_error() {
                held.settled();
            }
            return Err(problem);
        }
    }
    match work(Keep(Some(own))).await {
        Ok(answer) => {
            held.settled();
            Ok(answer.into_response())
        }
        // The lease ran out, and another run took the key.
        Err(problem) if problem.code() == ErrorCode::IdempotencyInProgress => {
            held.settled();
            reserve(app, context, own, body_sha256)
                .await?
                .ok_or(problem)
        }
        Err(problem) => {
            settle_refusal(app, context, own, &problem).await?;
            held.settled();
            Err(problem)
        }
    }
}

/// Gives the key of a request back that ends unsettled: it failed, it panicked, or its client went away.
/// Whoever repeats it is not to wait for the lease to end.
///
/// A change that goes on without its request commits with its answer or not at all: before this the
/// repetition gets that answer, and behind it the change finds its key gone.
struct Held<'a> {
    app: &'a App,
    own: Option<Reserved>,
}

impl Held<'_> {
    /// The key is answered, given back, or another's.
    fn settled(mut self) {
        self.own = None;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let (Some(own), Ok(runtime)) = (self.own, Handle::try_current()) else {
            return;
        };
        let store = Arc::clone(&self.app.store);
        // No answer waits for a database that does not answer.
        runtime.spawn(async move {
            if let Err(error) = store.release(own.key, own.until).await {
                tracing::debug!(%error, "a key counts until its lease is over");
            }
        });
    }
}

/// Takes the key for this request, or gives the answer that the first one got.
async fn reserve(
    app: &App,
    context: &RequestContext,
    own: Reserved,
    body_sha256: [u8; 32],
) -> Result<Option<Response>, Problem> {
    let keep = context.now + KEEP;
    match app
        .store
        .reserve(own.key, body_sha256, context.now, own.until, keep)
        .await?
    {
        Reservation::Fresh => Ok(None),
        Reservation::Answered(answer) => replayed(answer).map(Some),
        Reservation::InProgress => Err(Problem::new(
            ErrorCode::IdempotencyInProgress,
            "Repeat the request when the first one is over.",
        )),
        Reservation::OtherBody => Err(Problem::new(
            ErrorCode::IdempotencyKeyReused,
            "Another request needs another Idempotency-Key.",
        )),
    }
}

async fn settle_refusal(
    app: &App,
    context: &RequestContext,
    own: Reserved,
    problem: &Problem,
) -> Result<(), Problem> {
    let status = problem.code().status();
    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        let body = problem.to_json(context.request_id.as_str());
        app.store
            .keep_answer(own.stored(&Answer { status, body }))
            .await?;
    } else {
        app.store.release(own.key, own.until).await?;
    }
    Ok(())
}

fn replayed(answer: StoredAnswer) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(answer.status).map_err(Problem::internal)?;
    let mut response = Answer {
        status,
        body: answer.body,
    }
    .into_response();
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

/// The key within its scope: who asks, and for what. Each part is preceded by its length, so that no
/// two scopes run into one.
fn scoped(actor: &Actor, route: &str, header: &HeaderKey) -> IdempotencyKey {
    let parts = [actor.kind(), actor.id(), route];
    let parts = parts
        .iter()
        .map(|part| part.as_bytes())
        .chain([header.0.as_bytes()]);
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    IdempotencyKey(digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use identity_store::{Chain, Conflict, Error, Event, MemoryStore};
    use tokio::time::timeout;

    use super::*;
    use crate::clock::{SystemClock, entropy};
    use crate::config::Config;
    use crate::http::request::RequestId;
    use crate::panics::caught;

    const ACTOR: Actor = Actor::System("test");

    async fn app() -> Arc<App> {
        let config = Config::from_lookup(|_| None, false).expect("a configuration");
        let store = Arc::new(MemoryStore::new(entropy()));
        let clock = Arc::new(SystemClock);
        let app = App::load(config, ([127, 0, 0, 1], 1).into(), store, clock, None).await;
        app.expect("a server")
    }

    /// A request that a client repeats.
    fn context(app: &App) -> RequestContext {
        let now = app.clock.now();
        RequestContext {
            request_id: RequestId::generate(now),
            source: None,
            now,
            route: "POST /v1/users".to_owned(),
            idempotency_key: Some(key("k")),
        }
    }

    fn answer() -> Answer {
        Answer::created(&serde_json::json!({"id": 1})).expect("JSON")
    }

    /// A change that has this answer.
    async fn commit(app: &App, change: Change) -> identity_store::Result<()> {
        let refused = vec![Event::PairingRefused];
        app.store.record(change, Chain::Platform, refused).await
    }

    /// What a repetition is answered, and whether that is an earlier answer, once what was spawned is over.
    async fn repeated(app: &App) -> (StatusCode, bool) {
        tokio::task::yield_now().await;
        let context = context(app);
        let work = async |keep: Keep| {
            let change = keep.answer(context.change(ACTOR), &answer());
            commit(app, change).await?;
            Ok(answer())
        };
        let response = run(app, &context, &ACTOR, [0; 32], work).await;
        let response = response.expect("an answer");
        (response.status(), response.headers().contains_key(REPLAYED))
    }

    #[tokio::test]
    async fn a_request_that_panics_gives_its_key_back() {
        let app = app().await;
        let context = context(&app);
        let work = async |_| panic!("of a test");
        let request = run(&app, &context, &ACTOR, [0; 32], work);
        assert!(caught(Box::pin(request)).await.is_err());
        assert_eq!(repeated(&app).await, (StatusCode::CREATED, false));
    }

    #[tokio::test]
    async fn what_goes_on_without_its_client_is_done_with_its_answer_or_not_at_all() {
        for commits_first in [true, false] {
            let app = app().await;
            let context = context(&app);
            let mut late = None;
            let work = async |keep: Keep| {
                let change = keep.answer(context.change(ACTOR), &answer());
                if commits_first {
                    commit(&app, change).await?;
                } else {
                    late = Some(change);
                }
                pending().await
            };
            let request = run(&app, &context, &ACTOR, [0; 32], work);
            assert!(timeout(std::time::Duration::ZERO, request).await.is_err());
            assert_eq!(repeated(&app).await, (StatusCode::CREATED, commits_first));
            if let Some(change) = late {
                let refused = commit(&app, change).await;
                assert!(matches!(
                    refused,
                    Err(Error::Conflict(Conflict::RequestAnswered))
                ));
            }
        }
    }

    fn key(text: &str) -> HeaderKey {
        HeaderKey(text.parse().expect("header value"))
    }

    #[test]
    fn a_key_belongs_to_one_credential_and_one_route() {
        let base = scoped(&Actor::System("a"), "POST /v1/users", &key("k"));
        assert_eq!(
            base,
            scoped(&Actor::System("a"), "POST /v1/users", &key("k"))
        );
        assert_ne!(
            base,
            scoped(&Actor::System("b"), "POST /v1/users", &key("k"))
        );
        assert_ne!(
            base,
            scoped(&Actor::System("a"), "POST /v1/devices", &key("k"))
        );
        assert_ne!(
            base,
            scoped(&Actor::System("a"), "POST /v1/users", &key("l"))
        );
        assert_ne!(
            base,
            scoped(&Actor::System("aP"), "OST /v1/users", &key("k"))
        );
    }

    #[test]
    fn keys_are_1_to_255_visible_characters() {
        let header = |value: &str| {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("header value");
            HeaderKey::of(&HeaderMap::from_iter([(IDEMPOTENCY_KEY, value)]))
        };
        for good in [
            "k",
            "8e03978e-40d5-43e8-bc93-6894a57f9324",
            &"x".repeat(255),
        ] {
            assert!(matches!(header(good), Ok(Some(_))), "{good}");
        }
        for bad in ["", "a b", "ä", &"x".repeat(256)] {
            assert!(header(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_is_committed_only_for_a_request_with_a_key() {
        let change = || Change::new(OffsetDateTime::UNIX_EPOCH, Actor::Anonymous, "r");
        let answer = Answer::created(&serde_json::json!({"id": 1})).expect("JSON");
        assert!(Keep(None).answer(change(), &answer).answer.is_none());
        let own = Reserved {
            key: IdempotencyKey([1; 32]),
            until: OffsetDateTime::UNIX_EPOCH + LEASE,
        };
        let kept = Keep(Some(own)).answer(change(), &answer).answer;
        assert_eq!(kept, Some(own.stored(&answer)));
    }
}
