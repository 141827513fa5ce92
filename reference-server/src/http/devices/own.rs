//! What a device asks about itself.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::object::DeviceObject;
use crate::App;
use crate::http::text::Line;
use crate::http::{DeviceCaller, JsonBody, Problem, ProblemDocument, RequestContext, Timestamp};

/// How long a device waits before it asks for work again.
const NEXT_POLL_MS: u32 = 2000;

/// The calling device, and when its certificate ends.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnDevice {
    #[serde(flatten)]
    device: DeviceObject,
    expires_at: Timestamp,
    renew_after: Timestamp,
    server_time: Timestamp,
}

/// Reads the calling device.
#[utoipa::path(get, path = "/v1/devices/self", tag = "scanner", security(("device" = [])), responses(
    (status = 200, description = "The device", body = OwnDevice),
    (status = "4XX", body = ProblemDocument),
    (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
))]
pub(super) async fn own(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: DeviceCaller,
) -> Result<Json<OwnDevice>, Problem> {
    let identity = caller.identity();
    let policy = super::policy(&app, identity.tenant_id()).await?;
    let mut device = app
        .store
        .device(identity, context.now)
        .await?
        .ok_or_else(super::not_found)?;
    // This request itself, which is written down later.
    device.last_seen_at = Some(context.now);
    let (not_before, expires_at) = (
        caller.certificate.not_before(),
        caller.certificate.not_after(),
    );
    Ok(Json(OwnDevice {
        device: DeviceObject::of(device, policy, context.now),
        expires_at: Timestamp(expires_at),
        renew_after: Timestamp(policy.renew_after(not_before, expires_at)),
        server_time: Timestamp(context.now),
    }))
}

/// What a device tells from time to time. It counts as a sign of life; the rest goes to the log.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Heartbeat {
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    firmware: Option<Line<64>>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    app_version: Option<Line<64>>,
    /// The device's own time, RFC 3339.
    #[serde(default, with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    client_time: Option<OffsetDateTime>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    status: Option<Line<64>>,
}

/// What a device should know from time to time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pulse {
    server_time: Timestamp,
    /// How far the device's clock is ahead of the server's; `null` when it told no time.
    clock_skew_ms: Option<i64>,
    renew_after: Timestamp,
    next_poll_ms: u32,
}

/// Takes a sign of life from the calling device.
#[utoipa::path(post, path = "/v1/device/heartbeat", tag = "scanner", security(("device" = [])), request_body = Heartbeat,
    responses(
        (status = 200, description = "The server's time and what is due", body = Pulse),
        (status = "4XX", body = ProblemDocument),
        (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
    )
)]
pub(super) async fn heartbeat(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: DeviceCaller,
    body: JsonBody<Heartbeat>,
) -> Result<Json<Pulse>, Problem> {
    let (beat, certificate) = (body.value, &caller.certificate);
    let policy = super::policy(&app, caller.identity().tenant_id()).await?;
    let clock_skew_ms = beat.client_time.map(|time| skew_ms(time, context.now));
    tracing::info!(
        device = %caller.identity(), clock_skew_ms,
        firmware = beat.firmware.map(Line::into_string),
        app_version = beat.app_version.map(Line::into_string),
        status = beat.status.map(Line::into_string),
        "heartbeat",
    );
    Ok(Json(Pulse {
        server_time: Timestamp(context.now),
        clock_skew_ms,
        renew_after: Timestamp(
            policy.renew_after(certificate.not_before(), certificate.not_after()),
        ),
        next_poll_ms: NEXT_POLL_MS,
    }))
}

fn skew_ms(client: OffsetDateTime, server: OffsetDateTime) -> i64 {
    let skew = (client - server).whole_milliseconds();
    i64::try_from(skew).unwrap_or(if skew < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_clock_that_is_ahead_has_a_positive_skew() {
        let server = datetime!(2026-11-22 12:00 UTC);
        assert_eq!(skew_ms(datetime!(2026-11-22 12:00:01.5 UTC), server), 1500);
        assert_eq!(skew_ms(datetime!(2026-11-22 13:59:59 +2), server), -1000);
        assert!(skew_ms(datetime!(-9999-01-01 0:00 UTC), server) < 0);
    }

    #[test]
    fn a_heartbeat_may_be_empty() {
        let beat: Heartbeat = serde_json::from_str("{}").expect("empty");
        assert!(beat.client_time.is_none());
        let beat = serde_json::from_str::<Heartbeat>(r#"{"client_time":"2026-11-22T12:00:00Z"}"#);
        assert!(beat.expect("a time").client_time.is_some());
    }
}
