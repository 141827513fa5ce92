//! TLS administration (contract §11): the server certificate and the platform CA.

mod ca;
mod public_name;
mod server_cert;
mod upload;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, Problem, Right};
use crate::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(status))
        .merge(ca::routes())
        .merge(server_cert::routes())
}

#[derive(Debug, Serialize, ToSchema)]
struct SetUp {
    server_cert_configured: bool,
    platform_ca_configured: bool,
    setup_complete: bool,
}

/// What is left to set up.
#[utoipa::path(
    get, path = "/v1/admin/ssl/status", tag = "TLS", security(("bearer" = [])),
    responses((status = 200, description = "The state of the set-up.", body = SetUp)),
)]
async fn status(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<SetUp>, Problem> {
    caller.platform(Right::Tls)?;
    let server_cert_configured = app.store.server_cert().await?.is_some();
    let platform_ca_configured = app.ca.load().is_some();
    Ok(Json(SetUp {
        server_cert_configured,
        platform_ca_configured,
        setup_complete: server_cert_configured && platform_ca_configured,
    }))
}

/// Whole days from `now` until `at`; negative once it is over.
fn days_remaining(at: OffsetDateTime, now: OffsetDateTime) -> i64 {
    (at - now).whole_seconds().div_euclid(24 * 60 * 60)
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn days_are_whole_and_negative_after_the_end() {
        let now = OffsetDateTime::UNIX_EPOCH;
        for (left, days) in [
            (Duration::days(14), 14),
            (Duration::hours(25), 1),
            (Duration::hours(23), 0),
            (Duration::hours(-1), -1),
            (Duration::hours(-25), -2),
        ] {
            assert_eq!(days_remaining(now + left, now), days, "{left}");
        }
    }
}
