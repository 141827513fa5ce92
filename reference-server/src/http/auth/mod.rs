//! Console sign-in (contract §3).

mod lock_out;
mod login;
mod mfa;
mod password;
mod session_token;
mod sessions;
mod totp;

use std::sync::Arc;

use identity_pki::TenantId;
use identity_store::{Operator, Role};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(login::logout))
        .routes(routes!(login::me))
        .routes(routes!(password::change_password))
        .routes(routes!(mfa::complete))
        .routes(routes!(totp::issue))
        .routes(routes!(totp::confirm))
        .routes(routes!(totp::remove))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end))
}

/// A console user, as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
struct UserBody {
    id: String,
    /// `null` if it cannot be read: an administrator has to set it anew.
    email: Option<String>,
    #[schema(value_type = String)]
    role: Role,
    #[schema(value_type = Option<String>)]
    tenant_id: Option<TenantId>,
    must_change_password: bool,
}

impl From<&Operator> for UserBody {
    fn from(operator: &Operator) -> Self {
        Self {
            id: operator.operator_id.to_string(),
            email: operator.email.clone(),
            role: operator.role,
            tenant_id: operator.tenant_id.clone(),
            must_change_password: operator.must_change_password,
        }
    }
}
