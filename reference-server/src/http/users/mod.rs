//! Users, their consent and their gates (contract §7).

mod consent;
mod contact;
mod create;
mod data;
mod edit;
mod erase;
mod kyc;
mod object;
mod palm_policy;
mod read;
mod status;

use std::sync::Arc;

use identity_store::{Entity, Error, UserId};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Problem;
use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(read::list, create::create))
        .routes(routes!(read::read, edit::edit, erase::erase))
        .routes(routes!(data::export))
        .routes(routes!(status::suspend))
        .routes(routes!(status::reactivate))
        .routes(routes!(status::clear_lock))
        .routes(routes!(kyc::set))
        .routes(routes!(palm_policy::set))
        .routes(routes!(consent::record))
        .routes(routes!(consent::list))
        .routes(routes!(consent::withdraw))
}

/// The user that the path names. What is no user id names no user.
fn user_id(text: &str) -> Result<UserId, Problem> {
    text.parse().map_err(|_| not_found())
}

/// 404 `not_found`: the user that the path names is not there, or is another tenant's.
fn not_found() -> Problem {
    Problem::not_found("user")
}

/// As [`Problem::from`], for operations on the user that the path names.
fn refused(error: Error) -> Problem {
    match error {
        Error::NotFound(Entity::User) => not_found(),
        other => other.into(),
    }
}
