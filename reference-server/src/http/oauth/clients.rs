use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use identity_store::{ClientCredential, ClientId, NewClient, OAuthClient};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::Duration;
use utoipa::{IntoParams, ToSchema};
use zeroize::Zeroizing;

use super::client_auth::secret_hash;
use super::client_keys::ClientKeys;
use crate::http::text::Line;
use crate::http::webhooks::check_url;
use crate::http::{
    Answer, Caller, JsonBody, List, Problem, ProblemDocument, Query, RequestContext, Right, Scope,
    Timestamp, idempotency, page_request,
};
use crate::{App, clock};

/// How long the secrets before a new one can stay good.
const MAX_OVERLAP_SECONDS: u32 = 30 * 86_400;

/// An OAuth client.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClientObject {
    #[schema(value_type = String)]
    client_id: ClientId,
    name: String,
    scopes: BTreeSet<String>,
    /// None for one that has keys.
    secrets: Vec<SecretObject>,
    /// The public keys by which it proves itself in place of a secret; `null` for one that has secrets.
    #[schema(value_type = Option<ClientKeys>)]
    jwks: Option<Value>,
    /// Where it is told that a user has answered; `null` for one that only polls.
    backchannel_client_notification_endpoint: Option<String>,
    created_at: Timestamp,
}

/// A client's secret, of which only a hash is kept.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecretObject {
    /// Until when it is good; `null` if nothing ends it.
    expires_at: Option<Timestamp>,
}

impl From<OAuthClient> for ClientObject {
    fn from(client: OAuthClient) -> Self {
        let secret = |expires_at: Option<_>| SecretObject { expires_at };
        Self {
            client_id: client.client_id,
            name: client.name,
            scopes: client.scopes,
            secrets: client
                .secrets
                .iter()
                .map(|s| secret(s.expires_at.map(Timestamp)))
                .collect(),
            jwks: client
                .jwks
                .and_then(|jwks| serde_json::from_str(&jwks).ok()),
            backchannel_client_notification_endpoint: client.notification_endpoint,
            created_at: Timestamp(client.created_at),
        }
    }
}

/// A client to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ClientRegistration)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    name: Line<128>,
    /// At least one.
    #[schema(value_type = Vec<String>)]
    scopes: Scopes,
    /// Public keys, for a client that signs assertions (`private_key_jwt`): it gets no secret then.
    jwks: Option<ClientKeys>,
    /// `https://…`, to a host with a public address: where the client is told that a user has answered an
    /// authentication request (CIBA Core 1.0 §4, ping mode). Without, it polls.
    #[schema(max_length = 2048, example = "https://shop.example.com/told")]
    backchannel_client_notification_endpoint: Option<String>,
}

/// Some scopes, each of them known.
#[derive(Debug, Deserialize)]
#[serde(try_from = "BTreeSet<String>")]
struct Scopes(BTreeSet<String>);

impl TryFrom<BTreeSet<String>> for Scopes {
    type Error = &'static str;

    fn try_from(names: BTreeSet<String>) -> Result<Self, &'static str> {
        if names.is_empty() {
            return Err("must name a scope");
        }
        let is_of_clients = |name: &String| name.parse().is_ok_and(Scope::is_of_clients);
        if !names.iter().all(is_of_clients) {
            return Err("must name scopes that scopes_supported lists, but openid");
        }
        Ok(Self(names))
    }
}

/// A client's credentials. The secret is shown this once; a client with keys has none.
#[derive(Serialize, ToSchema)]
pub(super) struct Credentials {
    #[schema(value_type = String)]
    client_id: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
}

/// A secret to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSecret {
    /// How long the secrets before stay good: a day, unless told otherwise, 30 at most.
    #[serde(default = "one_day")]
    #[schema(maximum = 2_592_000, default = 86_400)]
    overlap_seconds: u32,
}

fn one_day() -> u32 {
    86_400
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// 1 to 200.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the tenant's clients, newest first.
#[utoipa::path(get, path = "/v1/oauth-clients", tag = "oauth", security(("bearer" = [])), params(ListQuery), responses(
    (status = 200, description = "A page of clients", body = List<ClientObject>),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<ClientObject>>, Problem> {
    let tenant_id = caller.tenant(Right::ClientsRead)?;
    let page = page_request(query.limit, query.cursor.as_deref())?;
    Ok(Json(List::of(
        app.store.clients(&tenant_id, page).await?,
        ClientObject::from,
    )))
}

/// Makes a client.
#[utoipa::path(post, path = "/v1/oauth-clients", tag = "oauth", security(("bearer" = [])), request_body = Registration,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "Its id and secret", body = Credentials),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    body: JsonBody<Registration>,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::ClientsWrite)?;
    let (actor, sha256, new) = (caller.actor(), body.sha256(), body.value);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        let notification_endpoint = new.backchannel_client_notification_endpoint;
        if let Some(url) = &notification_endpoint {
            check_url(&app, "backchannel_client_notification_endpoint", url).await?;
        }
        let client_id = ClientId::generate(context.now, &mut clock::entropy());
        let (credential, secret) = match &new.jwks {
            Some(keys) => {
                let jwks = keys.to_json().map_err(Problem::internal)?;
                (ClientCredential::Jwks(jwks), None)
            }
            None => {
                let secret = new_secret();
                (ClientCredential::Secret(secret_hash(&secret)), Some(secret))
            }
        };
        let client = NewClient {
            client_id: client_id.clone(),
            tenant_id,
            name: new.name.into_string(),
            scopes: new.scopes.0,
            credential,
            notification_endpoint,
        };
        let secret = secret.as_ref().map(|secret| secret.as_str());
        let answer = show_once(client_id, secret)?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        app.store.create_client(change, client).await?;
        Ok(answer)
    })
    .await
}

/// Adds a secret to a client. The ones before stay good for a while, so that they can be replaced
/// without a pause. A client with keys takes none: 409 `conflict`.
#[utoipa::path(post, path = "/v1/oauth-clients/{client_id}/secrets", tag = "oauth", security(("bearer" = [])),
    params(("client_id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = NewSecret,
    responses(
        (status = 201, description = "The new secret", body = Credentials),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn add_secret(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(client_id): Path<String>,
    body: JsonBody<NewSecret>,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::ClientsWrite)?;
    let client_id = parse_id(&client_id)?;
    let (actor, sha256, overlap) = (caller.actor(), body.sha256(), body.value.overlap_seconds);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        if overlap > MAX_OVERLAP_SECONDS {
            let reason = format!("must be at most {MAX_OVERLAP_SECONDS}");
            return Err(Problem::invalid("overlap_seconds", reason));
        }
        let others_until = context.now + Duration::seconds(i64::from(overlap));
        let secret = new_secret();
        let answer = show_once(client_id.clone(), Some(&secret))?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        let hash = secret_hash(&secret);
        app.store
            .add_client_secret(change, &tenant_id, &client_id, hash, others_until)
            .await?;
        Ok(answer)
    })
    .await
}

/// Puts public keys in the place of a client's keys, or of its secrets, which end at once. To replace a key
/// without a pause, send both, sign with the new one, and send that one alone.
#[utoipa::path(put, path = "/v1/oauth-clients/{client_id}/jwks", tag = "oauth", security(("bearer" = [])),
    params(("client_id" = String, Path)), request_body = ClientKeys,
    responses(
        (status = 200, description = "The client", body = ClientObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn replace_keys(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(client_id): Path<String>,
    body: JsonBody<ClientKeys>,
) -> Result<Json<ClientObject>, Problem> {
    let tenant_id = caller.tenant(Right::ClientsWrite)?;
    let client_id = parse_id(&client_id)?;
    let change = context.change(caller.actor());
    let jwks = body.value.to_json().map_err(Problem::internal)?;
    let client = app
        .store
        .replace_client_keys(change, &tenant_id, &client_id, jwks)
        .await?;
    Ok(Json(client.into()))
}

/// Deletes a client. Its tokens are refused from then on.
#[utoipa::path(delete, path = "/v1/oauth-clients/{client_id}", tag = "oauth", security(("bearer" = [])),
    params(("client_id" = String, Path)),
    responses(
        (status = 204, description = "The client is gone"),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(client_id): Path<String>,
) -> Result<StatusCode, Problem> {
    let tenant_id = caller.tenant(Right::ClientsWrite)?;
    let client_id = parse_id(&client_id)?;
    app.store
        .delete_client(context.change(caller.actor()), &tenant_id, &client_id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is no client id names no client.
fn parse_id(client_id: &str) -> Result<ClientId, Problem> {
    client_id
        .parse()
        .map_err(|_| Problem::not_found("OAuth client"))
}

/// 256 random bits, base64url.
fn new_secret() -> Zeroizing<String> {
    let bytes = Zeroizing::new(clock::random_bytes::<32>());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes))
}

fn show_once(client_id: ClientId, secret: Option<&str>) -> Result<Answer, Problem> {
    Answer::created(&Credentials {
        client_id,
        client_secret: secret.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_known_and_not_none() {
        let scopes = |json| serde_json::from_str::<Scopes>(json);
        assert!(scopes(r#"["devices.read","users.write"]"#).is_ok());
        for bad in [
            "[]",
            r#"["devices"]"#,
            r#"["devices.read","*"]"#,
            r#""devices.read""#,
        ] {
            assert!(scopes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (new_secret(), new_secret());
        assert_eq!(one.len(), 43);
        assert_ne!(*one, *other);
    }
}
