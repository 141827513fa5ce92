use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use identity_store::{DeliveryId, DeliveryStatus, Event, WebhookId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};

use super::object::DeliveryObject;
use super::owner;
use crate::App;
use crate::http::{
    Caller, JsonBody, List, PathId, Problem, ProblemDocument, Query, RequestContext, Right,
    page_request,
};

/// How many events one request makes due again: a change is not to be long.
const RECOVERED_AT_ONCE: u32 = 10_000;

/// Which deliveries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// `pending`, `delivered` or `failed`.
    #[param(value_type = Option<String>)]
    status: Option<DeliveryStatus>,
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the deliveries of a webhook, newest first. They are kept for 30 days.
#[utoipa::path(get, path = "/v1/webhooks/{webhook_id}/deliveries", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = String, Path), ListQuery),
    responses(
        (status = 200, description = "A page of deliveries", body = List<DeliveryObject>),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(webhook_id): PathId<WebhookId>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List<DeliveryObject>>, Problem> {
    let owner = owner(&caller, Right::WebhooksRead)?;
    let page = page_request(query.limit, query.cursor.as_deref())?;
    let webhook = app.store.webhook(&owner, &webhook_id).await?;
    webhook.ok_or_else(|| Problem::not_found("webhook"))?;
    let deliveries = app
        .store
        .deliveries(&owner, &webhook_id, query.status, page)
        .await?;
    Ok(Json(List::of(deliveries, DeliveryObject::from)))
}

/// What is on its way to an endpoint that is tried out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SentTest {
    #[schema(value_type = String)]
    webhook_id: WebhookId,
    /// `webhook.test`; its subject is the webhook.
    event_type: &'static str,
}

/// Sends an event `webhook.test` to this webhook alone, on the way that every event goes. What came of it is in
/// the list of deliveries.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/test", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = String, Path)),
    responses(
        (status = 202, description = "It is on its way", body = SentTest),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn test(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    PathId(webhook_id): PathId<WebhookId>,
) -> Result<(StatusCode, Json<SentTest>), Problem> {
    let owner = owner(&caller, Right::WebhooksWrite)?;
    let change = context.change(caller.actor());
    app.store.test_webhook(change, &owner, &webhook_id).await?;
    let event_type = Event::WEBHOOK_TEST;
    let sent = SentTest {
        webhook_id,
        event_type,
    };
    Ok((StatusCode::ACCEPTED, Json(sent)))
}

/// Sends a delivery again, at once and with all its tries, whatever came of it before. The receiver knows the
/// event by its `webhook-id`.
#[utoipa::path(post, path = "/v1/webhook-deliveries/{delivery_id}/resend", tag = "webhooks", security(("bearer" = [])),
    params(("delivery_id" = String, Path)),
    responses(
        (status = 200, description = "The delivery", body = DeliveryObject),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn resend(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    PathId(delivery_id): PathId<DeliveryId>,
) -> Result<Json<DeliveryObject>, Problem> {
    let owner = owner(&caller, Right::WebhooksWrite)?;
    let change = context.change(caller.actor());
    let delivery = app
        .store
        .resend_delivery(change, &owner, &delivery_id)
        .await?;
    app.webhooks.due.notify_one();
    Ok(Json(delivery.into()))
}

/// From when on a webhook is to have everything.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Recovery)]
#[serde(deny_unknown_fields)]
pub(super) struct RecoverSince {
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime, example = "2026-11-22T10:00:00.000Z")]
    since: Moment,
}

/// A time of day, RFC 3339.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Moment(OffsetDateTime);

impl TryFrom<String> for Moment {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let read = OffsetDateTime::parse(&text, &Rfc3339);
        let read = read.map_err(|_| "must be a time like 2026-11-22T10:00:00Z")?;
        Ok(Self(read))
    }
}

/// What is sent again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecoveredEvents {
    /// How many events.
    recovered: u64,
    /// Whether there are more: ask again.
    more: bool,
}

/// Sends what the webhook subscribes to and did not get since a moment: deliveries that failed, and events of a
/// time in which it was disabled. At most 10,000 of them, the oldest first; events are kept for 30 days.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/recover", tag = "webhooks", security(("bearer" = [])),
    params(("webhook_id" = String, Path)), request_body = RecoverSince,
    responses(
        (status = 200, description = "How many are sent", body = RecoveredEvents),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn recover(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    PathId(webhook_id): PathId<WebhookId>,
    body: JsonBody<RecoverSince>,
) -> Result<Json<RecoveredEvents>, Problem> {
    let owner = owner(&caller, Right::WebhooksWrite)?;
    let (change, since) = (context.change(caller.actor()), body.value.since.0);
    let recovered = app
        .store
        .recover_deliveries(change, &owner, &webhook_id, since, RECOVERED_AT_ONCE)
        .await?;
    app.webhooks.due.notify_one();
    Ok(Json(RecoveredEvents {
        recovered: recovered.events,
        more: recovered.more,
    }))
}
