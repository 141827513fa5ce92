use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use crate::{
    AuthRequestAnswer, AuthRequestSha256, Change, ClientId, NewChallenge, Result, StoredChallenge,
};

/// Authentication requests of clients (CIBA Core 1.0). Each is answered by a challenge of its own,
/// and goes with it when its user is [erased](crate::ErasureStore::erase_challenges).
#[async_trait]
pub trait BackchannelStore: Send + Sync {
    /// Creates a challenge, as [`create_challenge`](crate::ChallengeStore::create_challenge) does, and the
    /// request of its client that it answers. Event: `challenge_created`.
    ///
    /// # Errors
    ///
    /// [`Error::Admission`](crate::Error::Admission) with the first gate that is shut.
    async fn create_auth_request(
        &self,
        change: Change,
        challenge: NewChallenge,
        request: AuthRequestSha256,
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

    /// Forgets the requests whose challenges' time was over at `before`; returns how many. The challenges
    /// stay.
    async fn purge_auth_requests(&self, before: OffsetDateTime) -> Result<u64>;
}
