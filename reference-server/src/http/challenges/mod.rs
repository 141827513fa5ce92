//! Challenges (contract §8): the integrator's side and the device's side.

mod capture_body;
mod capture_slots;
mod complete;
mod create;
mod device_side;
mod enroll;
mod limits;
mod list;
mod object;
mod own;
mod pace;
mod pending;
mod read;
mod stream;
mod stream_places;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use identity_store::{ChallengeId, Entity, Error};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::capture_slots::CaptureSlots;
pub(super) use self::create::{Wanted, settings};
pub(super) use self::limits::SmallObject;
pub(super) use self::object::ChallengeObject;
pub use self::own::own_challenge;
pub use self::pace::PollPace;
pub use self::stream_places::StreamPlaces;

use super::Problem;
use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(verify::create))
        .routes(routes!(enroll::create))
        .routes(routes!(list::list))
        .routes(routes!(pending::pending))
        .routes(routes!(stream::stream))
        .routes(routes!(read::read))
        .routes(routes!(read::cancel))
        .routes(routes!(device_side::claim))
        .routes(routes!(device_side::deny))
        .routes(routes!(complete::complete))
}

/// The longest wait of one request, in seconds.
const MAX_WAIT: u64 = 25;

/// How long to wait for a change.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wait {
    /// Seconds, 0 to 25.
    #[serde(default)]
    #[param(minimum = 0, maximum = 25)]
    wait: u64,
}

impl Wait {
    fn duration(&self) -> Result<Duration, Problem> {
        if self.wait > MAX_WAIT {
            return Err(Problem::invalid("wait", format!("must be 0 to {MAX_WAIT}")));
        }
        Ok(Duration::from_secs(self.wait))
    }
}

/// The challenge that the path names. What is no challenge id names no challenge.
fn challenge_id(text: &str) -> Result<ChallengeId, Problem> {
    text.parse().map_err(|_| not_found())
}

/// 404 `not_found`: the challenge is not there, or is another tenant's or another device's.
fn not_found() -> Problem {
    Error::NotFound(Entity::Challenge).into()
}
