//! What happens to a palm sample: the thin service between the challenge's rules, the palm server
//! and the store.
//!
//! A sample is decided on in three steps: the store begins an attempt, the palm server is asked
//! outside of any transaction, and the store commits what came of it.

mod attempt;
mod capture;
mod flights;
mod image;
mod outcome;
mod palm_type;
mod server;
mod verdict;

pub use attempt::complete;
pub use capture::{Capture, CaptureParts, CaptureRule};
pub use image::ImageRule;
pub use outcome::CompletionBody;
pub use palm_type::PalmTypeRule;

use std::sync::Arc;
use std::time::Duration;

use biowave_client::BioWaveClient;
use identity_challenge::PalmType;
use identity_pki::{DeviceIdentity, TenantId};
use identity_store::{ChallengeId, UserId};

use crate::config::PalmServer;
use crate::http::Problem;
use crate::start::StartError;
use flights::Flights;

/// The most calls that one attempt leads to: an enrolment that is reconciled looks its palm up, and
/// adds it.
const MOST_CALLS: u32 = 2;
/// What an attempt, or an erasure, may take beside its calls.
const MARGIN: Duration = Duration::from_secs(5);

type Decisions = Flights<(DeviceIdentity, ChallengeId), Result<CompletionBody, Problem>>;

/// What decides on palm samples.
#[derive(Debug)]
pub struct Palm {
    server: Option<BioWaveClient>,
    lease: Duration,
    erasure_time: Duration,
    decisions: Arc<Decisions>,
}

impl Palm {
    /// Decides with a palm server; without one, every sample is answered `service_unavailable`.
    ///
    /// # Errors
    ///
    /// [`StartError::PalmClient`] when no client can be made for its address.
    pub fn new(config: Option<&PalmServer>) -> Result<Self, StartError> {
        let client = |config: &PalmServer| {
            BioWaveClient::builder(config.url.clone())
                .timeout(config.timeout)
                .build()
        };
        let call = config.map_or(Duration::ZERO, |config| config.timeout);
        Ok(Self {
            server: config
                .map(client)
                .transpose()
                .map_err(StartError::PalmClient)?,
            lease: call.saturating_mul(MOST_CALLS).saturating_add(MARGIN),
            erasure_time: call.saturating_add(MARGIN),
            decisions: Arc::default(),
        })
    }

    /// How long an erasure whose answer does not come may still be carried out: the time of its call,
    /// and a margin.
    #[must_use]
    pub fn erasure_time(&self) -> Duration {
        self.erasure_time
    }

    /// Makes the palm server forget a template; that there is none is as good.
    ///
    /// # Errors
    ///
    /// What the call failed with: it is safe to repeat. `None` when there is no palm server.
    pub async fn erase(
        &self,
        tenant_id: &TenantId,
        user_id: &UserId,
        palm_type: PalmType,
    ) -> Option<Result<(), biowave_client::Error>> {
        let server = self.server.as_ref()?;
        Some(server::erase(server, tenant_id, user_id, palm_type).await)
    }
}
