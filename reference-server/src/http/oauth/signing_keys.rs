//! The keys that sign tokens and receipts: what verifies them, and the next one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use identity_store::TokenKeys;
use jsonwebtoken::jwk::Jwk;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::http::{Caller, Problem, ProblemDocument, RequestContext, Right, Timestamp};
use crate::token_keys::asked_for;
use crate::tokens::Tokens;

/// How long keys may be cached: a new one is published for longer before it is used.
const CACHE_KEYS: &str = "max-age=300";

/// A public key, with the moment from which it signs nothing.
#[derive(Debug, Serialize)]
struct DatedKey {
    #[serde(flatten)]
    key: Jwk,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

/// The keys of tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenKeyList {
    /// The one that signs, the next one if it is published, and those before, the latest first.
    data: Vec<TokenKey>,
}

/// A key of tokens.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(super) enum TokenKey {
    /// It signs.
    Active {
        key_id: String,
        /// `null` until a minute after the first start.
        active_since: Option<Timestamp>,
    },
    /// It signs next.
    Next {
        key_id: String,
        published_at: Timestamp,
        active_from: Timestamp,
    },
    /// It signs nothing any more.
    Retired {
        key_id: String,
        retired_at: Timestamp,
    },
}

fn listed(keys: &TokenKeys) -> Result<Vec<TokenKey>, Problem> {
    let mut data = Vec::new();
    if let Some(active) = &keys.active {
        data.push(TokenKey::Active {
            key_id: Tokens::key_id_of(active).map_err(Problem::internal)?,
            active_since: keys.active_since.map(Timestamp),
        });
    }
    data.extend(keys.next.iter().map(|next| TokenKey::Next {
        key_id: next.key_id.clone(),
        published_at: Timestamp(next.published_at),
        active_from: Timestamp(next.active_from),
    }));
    let retired = keys.retired.iter().rev();
    data.extend(retired.map(|key| TokenKey::Retired {
        key_id: key.key_id.clone(),
        retired_at: Timestamp(key.retired_at),
    }));
    Ok(data)
}

/// The keys that verify tokens and new receipts (RFC 7517 §5): the one that signs, the next, and the one
/// before for as long as tokens live. Receipts from before: `/.well-known/receipt-keys.json`.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "oauth", responses(
    (status = 200, description = "A JWK set", body = Object),
))]
pub(super) async fn jwks(
    State(app): State<Arc<App>>,
    context: RequestContext,
) -> Result<Response, Problem> {
    let jwks = app.secrets.tokens.get()?.jwks(context.now);
    Ok(([(CACHE_CONTROL, CACHE_KEYS)], Json(jwks)).into_response())
}

/// Every key that receipts were signed with: a JWK set in which `exp` tells of a key from before
/// since when it signs nothing, in seconds since 1970. A receipt whose `iat` is not before its key's `exp` is
/// none of the platform's.
#[utoipa::path(get, path = "/.well-known/receipt-keys.json", tag = "oauth", responses(
    (status = 200, description = "A JWK set", body = Object),
))]
pub(super) async fn receipt_keys(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let keys = app.secrets.tokens.get()?.all_keys().into_iter();
    let keys = keys.map(|(key, retired_at)| DatedKey {
        key,
        // A receipt of that second may be signed by it still.
        exp: retired_at.map(|at| at.unix_timestamp() + 1),
    });
    let set = serde_json::json!({"keys": keys.collect::<Vec<_>>()});
    Ok(([(CACHE_CONTROL, CACHE_KEYS)], Json(set)).into_response())
}

/// Lists the keys that sign tokens and receipts.
#[utoipa::path(get, path = "/v1/admin/token-keys", tag = "oauth", security(("bearer" = [])), responses(
    (status = 200, description = "The keys", body = TokenKeyList),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<TokenKeyList>, Problem> {
    caller.platform(Right::TokenKeys)?;
    let data = listed(&app.store.token_keys().await?)?;
    Ok(Json(TokenKeyList { data }))
}

/// Replaces the key that signs tokens and receipts, which happens by itself every 90 days: the next one is
/// published at once, and signs an hour later, when everybody's copy of the key set has it. Asked again
/// meanwhile it changes nothing.
#[utoipa::path(post, path = "/v1/admin/token-keys/rotate", tag = "oauth", security(("bearer" = [])), responses(
    (status = 200, description = "The keys", body = TokenKeyList),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
) -> Result<Json<TokenKeyList>, Problem> {
    caller.platform(Right::TokenKeys)?;
    let tokens = app.secrets.tokens.get()?;
    let keys = app.store.token_keys().await?;
    let next = asked_for(&keys, context.now).map_err(Problem::internal)?;
    let planned = keys.next.as_ref().map(|known| known.active_from);
    if planned != Some(next.active_from) {
        let change = context.change(caller.actor());
        app.store.publish_token_key(change, next).await?;
    }
    let keys = app.store.token_keys().await?;
    tokens.follow(&keys).map_err(Problem::internal)?;
    Ok(Json(TokenKeyList {
        data: listed(&keys)?,
    }))
}
