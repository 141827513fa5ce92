use identity_pki::TenantId;
use time::Duration;

use crate::{ChallengeId, SecretBytes, StoredChallenge};

/// How long a client is to wait between polls, to begin with: what CIBA presumes (CIBA Core 1.0 §7.3).
pub const AUTH_POLL_INTERVAL: Duration = Duration::seconds(5);

/// SHA-256 of the `auth_req_id` of an authentication request (CIBA Core 1.0 §7.3): ids are drawn with
/// full entropy, so a fast hash is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuthRequestSha256(pub [u8; 32]);

/// What a client is told that polls for the answer to its authentication request (CIBA Core 1.0 §11).
#[derive(Debug, Clone, PartialEq)]
pub enum AuthRequestAnswer {
    /// It has no such request, or had its token.
    Unknown,
    /// The challenge is open.
    Pending,
    /// The challenge is open, and the client polled too soon: from now on it has to wait for longer.
    SlowDown,
    /// The challenge's time ran out, or the time for fetching the token did.
    Expired,
    /// The challenge ended without a match, or its user is not active any more.
    Denied,
    /// The palm matched: the one token is to be given.
    Granted(Box<StoredChallenge>),
}

/// The right to tell a client that its authentication request was answered.
#[derive(Debug, Clone)]
pub struct ClaimedNotification {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The request's challenge.
    pub challenge_id: ChallengeId,
    /// What the request was made with; `None` if no data key opens it.
    pub notification: Option<SecretBytes>,
    /// Which try this is, counted from 1.
    pub tries: u32,
}
