use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use identity_store::{
    Chain, EventPattern, NewWebhook, Webhook, WebhookId, WebhookSecret, WebhookSettings,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::object::{WebhookObject, WebhookScope};
use super::{check_patterns, check_url, owner};
use crate::http::text::Line;
use crate::http::{
    Answer, Caller, JsonBody, List, PathId, Problem, ProblemDocument, Query, RequestContext, Right,
    idempotency, page_request,
};
use crate::{App, clock, webhooks};

/// How many patterns an endpoint has at most: there are not many more events.
const MAX_PATTERNS: usize = 64;

/// Which events, by patterns.
#[derive(Debug, Deserialize)]
#[serde(try_from = "BTreeSet<String>")]
struct Patterns(BTreeSet<EventPattern>);

impl TryFrom<BTreeSet<String>> for Patterns {
    type Error = String;

    fn try_from(names: BTreeSet<String>) -> Result<Self, String> {
        if names.is_empty() || names.len() > MAX_PATTERNS {
            return Err(format!("must be 1 to {MAX_PATTERNS} patterns"));
        }
        let patterns = names.iter().map(|name| name.parse());
        let patterns = patterns.collect::<Result<_, _>>();
        let rule = "must be patterns like `*`, `verification.*` or `verification.complete`";
        patterns.map(Self).map_err(|_| rule.to_owned())
    }
}

/// An endpoint to make.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewWebhook)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    /// `https://…`, to a host with a public address.
    #[schema(max_length = 2048, example = "https://hooks.example.com/identity")]
    url: String,
    /// `*` for all, `verification.*` for a family, `verification.complete` for one.
    #[schema(value_type = Vec<String>)]
    events: Patterns,
    /// The caller's own, unless told: the platform's for its administrators, the tenant's for everybody else.
    #[serde(default)]
    scope: Option<WebhookScope>,
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    description: Option<Line<200>>,
}

/// What an endpoint is to be from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = WebhookSettings)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// `https://…`, to a host with a public address.
    #[schema(max_length = 2048, example = "https://hooks.example.com/identity")]
    url: String,
    /// `*` for all, `verification.*` for a family, `verification.complete` for one.
    #[schema(value_type = Vec<String>)]
    events: Patterns,
    /// Left out, or `null`, it is removed.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    description: Option<Line<200>>,
}

/// An endpoint with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedWebhook {
    #[serde(flatten)]
    webhook: WebhookObject,
    /// `whsec_…`, as Standard Webhooks libraries take it.
    secret: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists webhooks, newest first.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", security(("bearer" = [])), params(ListQuery), responses(
    (status = 200, description = "A page of webhooks", body = List<WebhookObject>),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<WebhookObject>>, Problem> {
    let owner = owner(&caller, Right::WebhooksRead)?;
    let page = page_request(query.limit, query.cursor.as_deref())?;
    let webhooks = app.store.webhooks(&owner, page).await?;
    Ok(Json(List::of(webhooks, WebhookObject::from)))
}

/// Makes a webhook, whose receiver verifies what comes with the `secret` of the answer (Standard Webhooks 1.0).
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", security(("bearer" = [])), request_body = New,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "The webhook and its secret", body = CreatedWebhook),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    body: JsonBody<New>,
) -> Result<Response, Problem> {
    let owner = match body.value.scope {
        None => owner(&caller, Right::WebhooksWrite)?,
        Some(WebhookScope::Platform) => {
            caller.platform(Right::PlatformWebhooks)?;
            Chain::Platform
        }
        Some(WebhookScope::Tenant) => Chain::Tenant(caller.tenant(Right::WebhooksWrite)?),
    };
    let (actor, sha256, new) = (caller.actor(), body.sha256(), body.value);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        check_patterns(&owner, &new.events.0)?;
        check_url(&app, "url", &new.url).await?;
        let secret = webhooks::new_secret();
        let new = NewWebhook {
            webhook_id: WebhookId::generate(context.now, &mut clock::entropy()),
            owner,
            settings: WebhookSettings {
                url: new.url,
                events: new.events.0,
                description: new.description.map(Line::into_string),
            },
            secret,
        };
        let answer = Answer::created(&CreatedWebhook {
            secret: webhooks::shown(&new.secret).to_string(),
            webhook: as_made(&new, &context).into(),
        })?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        app.store.create_webhook(change, new).await?;
        Ok(answer)
    })
    .await
}

/// A webhook as it is once it is made.
fn as_made(new: &NewWebhook, context: &RequestContext) -> Webhook {
    let settings = new.settings.clone();
    Webhook {
        webhook_id: new.webhook_id.clone(),
        owner: new.owner.clone(),
        url: settings.url,
        events: settings.events,
        description: settings.description,
        secrets: vec![WebhookSecret {
            secret: new.secret.clone(),
            expires_at: None,
        }],
        disabled: None,
        failing_since: None,
        created_at: context.now,
    }
}

/// Reads a webhook, but for its secrets.
#[utoipa::path(get, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = String, Path)),
    responses(
        (status = 200, description = "The webhook", body = WebhookObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(webhook_id): PathId<WebhookId>,
) -> Result<Json<WebhookObject>, Problem> {
    let owner = owner(&caller, Right::WebhooksRead)?;
    let webhook = app.store.webhook(&owner, &webhook_id).await?;
    let webhook = webhook.ok_or_else(|| Problem::not_found("webhook"))?;
    Ok(Json(webhook.into()))
}

/// Replaces a webhook's settings. What is pending goes to the new URL.
#[utoipa::path(put, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = String, Path)), request_body = Settings,
    responses(
        (status = 200, description = "The webhook", body = WebhookObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn update(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    PathId(webhook_id): PathId<WebhookId>,
    body: JsonBody<Settings>,
) -> Result<Json<WebhookObject>, Problem> {
    let owner = owner(&caller, Right::WebhooksWrite)?;
    let settings = WebhookSettings {
        url: body.value.url,
        events: body.value.events.0,
        description: body.value.description.map(Line::into_string),
    };
    check_patterns(&owner, &settings.events)?;
    check_url(&app, "url", &settings.url).await?;
    let change = context.change(caller.actor());
    let updated = app
        .store
        .update_webhook(change, &owner, &webhook_id, settings)
        .await?;
    Ok(Json(updated.into()))
}

/// Deletes a webhook. What is pending is not delivered.
#[utoipa::path(delete, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = String, Path)),
    responses(
        (status = 204, description = "The webhook is gone"),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    PathId(webhook_id): PathId<WebhookId>,
) -> Result<StatusCode, Problem> {
    let owner = owner(&caller, Right::WebhooksWrite)?;
    let change = context.change(caller.actor());
    app.store
        .delete_webhook(change, &owner, &webhook_id)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enables a webhook that was disabled: what was pending goes on. What happened meanwhile is had by `recover`.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/enable", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = String, Path)),
    responses(
        (status = 200, description = "The webhook", body = WebhookObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn enable(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    PathId(webhook_id): PathId<WebhookId>,
) -> Result<Json<WebhookObject>, Problem> {
    let owner = owner(&caller, Right::WebhooksWrite)?;
    let change = context.change(caller.actor());
    let enabled = app
        .store
        .enable_webhook(change, &owner, &webhook_id)
        .await?;
    app.webhooks.due.notify_one();
    Ok(Json(enabled.into()))
}
