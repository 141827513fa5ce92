use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{
    AuthRequestAnswer, AuthRequestSha256, Change, ClaimedNotification, ClientId, NewChallenge,
    Result, SecretBytes, StoredChallenge,
};

/// Authentication requests of clients (CIBA Core 1.0). Each is answered by a challenge of its own,
/// and goes with it when its user is [erased](crate::ErasureStore::erase_challenges).
#[async_trait]
pub trait BackchannelStore: Send + Sync {
    /// Creates a challenge, as [`create_challenge`](crate::ChallengeStore::create_challenge) does, and the
    /// request of its client that it answers. `notification` is what its client can be told with that it was
    /// answered, for whoever [claims](Self::claim_auth_notifications) it then. Event: `challenge_created`.
    ///
    /// # Errors
    ///
    /// [`Error::Admission`](crate::Error::Admission) with the first gate that is shut.
    async fn create_auth_request(
        &self,
        change: Change,
        challenge: NewChallenge,
        request: AuthRequestSha256,
        notification: Option<SecretBytes>,
    ) -> Result<StoredChallenge>;

    /// What a client is told that polls for the answer to a request of its own.
    ///
    /// While the challenge is open, a poll within the request's interval of the one before is too soon, and
    /// makes the interval five seconds longer than it was, which is five to begin with. A match is granted
    /// to an active user's request: of any number of calls, at once or one after the other, to one. It can
    /// be fetched until the challenge's time is over, and for a minute after the match in any case.
    ///
    /// Event: `token_issued` with scope `openid` and the challenge, of a request that is granted.
    async fn poll_auth_request(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        request: AuthRequestSha256,
    ) -> Result<AuthRequestAnswer>;

    /// Claims notifications that are due at `now`, those due longest first, at most `limit`: a challenge's end,
    /// whatever it is, makes that of its request due. Nobody else gets them before `until`, and whoever claims
    /// them then makes this claim void. No event, no audit row.
    async fn claim_auth_notifications(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<ClaimedNotification>>;

    /// Makes a notification whose claim stands due again at `again`; without, it is over and forgotten. No
    /// event, no audit row.
    async fn finish_auth_notification(
        &self,
        claimed: ClaimedNotification,
        again: Option<OffsetDateTime>,
    ) -> Result<()>;

    /// Forgets the requests whose challenges' time was over at `before`; returns how many. The challenges
    /// stay.
    async fn purge_auth_requests(&self, before: OffsetDateTime) -> Result<u64>;
}
