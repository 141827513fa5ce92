//! `Idempotency-Key` (contract §1): a repeated request gets the answer of the first.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use identity_store::{Actor, Change, IdempotencyKey, Reservation, StoredAnswer};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

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

/// An answer in JSON.
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
/// refuses is kept as well, except 429; a failure gives the key back.
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
    let reserved = reserve(app, context, own, body_sha256).await;
    if let Err(problem) = &reserved
        && problem.code().status().is_server_error()
    {
        give_back(app, own);
    }
    if let Some(replay) = reserved? {
        return Ok(replay);
    }
    match work(Keep(Some(own))).await {
        Ok(answer) => Ok(answer.into_response()),
        // The lease ran out, and another run took the key.
        Err(problem) if problem.code() == ErrorCode::IdempotencyInProgress => {
            reserve(app, context, own, body_sha256)
                .await?
                .ok_or(problem)
        }
        Err(problem) => {
            settle_refusal(app, context, own, &problem).await?;
            Err(problem)
        }
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

/// Whether the key was taken nobody knows: whoever repeats the request is not to wait for that long. Nor is
/// the answer to wait for a database that does not answer.
fn give_back(app: &App, own: Reserved) {
    let store = Arc::clone(&app.store);
    tokio::spawn(async move {
        if let Err(error) = store.release(own.key, own.until).await {
            tracing::debug!(%error, "a key counts until its lease is over");
        }
    });
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
    use super::*;

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
