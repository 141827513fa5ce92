//! OAuth 2.0 for integrators (contract §5): clients, tokens, and how to find them.

mod client_auth;
mod clients;
mod discovery;
mod error;
mod form;
mod token;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(discovery::metadata))
        .routes(routes!(discovery::jwks))
        .routes(routes!(token::token))
        .routes(routes!(clients::list, clients::create))
        .routes(routes!(clients::add_secret))
        .routes(routes!(clients::delete))
}
