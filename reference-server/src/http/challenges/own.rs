use identity_pki::DeviceIdentity;
use identity_store::{ChallengeId, StoredChallenge};

use crate::App;
use crate::http::Problem;

/// A challenge of the device: another's is not there.
///
/// # Errors
///
/// 404 `not_found`; what the store fails with.
pub async fn own_challenge(
    app: &App,
    device: &DeviceIdentity,
    challenge_id: &ChallengeId,
) -> Result<StoredChallenge, Problem> {
    let record = app
        .store
        .challenge(device.tenant_id(), challenge_id)
        .await?;
    let own = record.filter(|record| record.device_id == *device.device_id());
    own.ok_or_else(super::not_found)
}
