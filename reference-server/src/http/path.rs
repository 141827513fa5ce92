use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::Problem;
use crate::App;

/// The id in a route's one path parameter. Text that is no such id names nothing: 404 `not_found`.
#[derive(Debug)]
pub struct PathId<T>(pub T);

impl<T: FromStr> FromRequestParts<Arc<App>> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| Problem::not_found("object"))?;
        text.parse()
            .map(Self)
            .map_err(|_| Problem::not_found("object"))
    }
}
