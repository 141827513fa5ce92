//! OAuth 2.0 for integrators (contract §5): clients, tokens, and how to find them.

mod assertion;
mod backchannel;
mod client_auth;
mod client_keys;
mod clients;
mod discovery;
mod error;
mod form;
mod id_token;
mod introspect;
mod revoke;
mod signing_keys;
mod token;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(discovery::metadata))
        .routes(routes!(signing_keys::jwks))
        .routes(routes!(signing_keys::receipt_keys))
        .routes(routes!(signing_keys::list))
        .routes(routes!(signing_keys::rotate))
        .routes(routes!(token::token))
        .routes(routes!(backchannel::authorize))
        .routes(routes!(revoke::revoke))
        .routes(routes!(introspect::introspect))
        .routes(routes!(clients::list, clients::create))
        .routes(routes!(clients::add_secret))
        .routes(routes!(clients::replace_keys))
        .routes(routes!(clients::delete))
}

/// The grant by which a client polls for the answer to an authentication request (CIBA Core 1.0 §10.1).
const CIBA_GRANT: &str = "urn:openid:params:grant-type:ciba";

/// Where tokens are given.
fn token_endpoint(issuer: &str) -> String {
    format!("{issuer}/v1/auth/token")
}
