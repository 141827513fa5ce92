use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::client_auth::METHODS;
use super::client_keys::ALGORITHMS;
use super::{CIBA_GRANT, id_token};
use crate::App;
use crate::http::Scope;

/// The authorization server's metadata (RFC 8414 §2; CIBA Core 1.0 §4): what this server does, and no
/// more.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Metadata {
    issuer: String,
    token_endpoint: String,
    jwks_uri: String,
    scopes_supported: Vec<&'static str>,
    response_types_supported: [&'static str; 0],
    grant_types_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 3],
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 5],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 5],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 5],
    backchannel_authentication_endpoint: String,
    backchannel_token_delivery_modes_supported: [&'static str; 2],
    backchannel_user_code_parameter_supported: bool,
    id_token_signing_alg_values_supported: [&'static str; 1],
    /// The users of one tenant have one set of subjects for all clients of the tenant.
    subject_types_supported: [&'static str; 1],
    claims_supported: [&'static str; 10],
}

/// Tells where tokens are given, and how.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", tag = "oauth", responses(
    (status = 200, description = "RFC 8414 metadata", body = Metadata),
))]
pub(super) async fn metadata(State(app): State<Arc<App>>) -> Json<Metadata> {
    let issuer = &app.issuer;
    Json(Metadata {
        token_endpoint: super::token_endpoint(issuer),
        revocation_endpoint: format!("{issuer}/v1/auth/revoke"),
        introspection_endpoint: format!("{issuer}/v1/auth/introspect"),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        issuer: issuer.clone(),
        scopes_supported: Scope::ALL.iter().map(|scope| scope.as_str()).collect(),
        response_types_supported: [],
        grant_types_supported: ["client_credentials", CIBA_GRANT],
        token_endpoint_auth_methods_supported: METHODS,
        token_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
        revocation_endpoint_auth_methods_supported: METHODS,
        revocation_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
        introspection_endpoint_auth_methods_supported: METHODS,
        introspection_endpoint_auth_signing_alg_values_supported: ALGORITHMS,
        backchannel_authentication_endpoint: format!("{issuer}/v1/bc-authorize"),
        backchannel_token_delivery_modes_supported: ["poll", "ping"],
        backchannel_user_code_parameter_supported: false,
        id_token_signing_alg_values_supported: ["ES256"],
        subject_types_supported: ["pairwise"],
        claims_supported: id_token::CLAIMS,
    })
}
