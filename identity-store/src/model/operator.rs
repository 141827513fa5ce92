use identity_pki::TenantId;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::{OperatorId, SessionId};

/// A console user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Their id.
    pub operator_id: OperatorId,
    /// Their e-mail address, in canonical form: trimmed and lower-case. `None` if it cannot be
    /// decrypted; they are found by it all the same.
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Their tenant; `None` for a platform administrator.
    pub tenant_id: Option<TenantId>,
    /// Their password, hashed.
    pub password: PasswordHash,
    /// Whether they have to choose another password before anything else.
    pub must_change_password: bool,
    /// When they were made.
    pub created_at: OffsetDateTime,
}

impl Operator {
    /// Whether `email`, in canonical form, is known to be their address.
    pub(crate) fn is_at(&self, email: &str) -> bool {
        self.email.as_deref() == Some(email)
    }
}

/// What a console user may do (contract §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Tenants, TLS, CA and policies.
    PlatformAdmin,
    /// All of their tenant.
    TenantAdmin,
    /// The daily work of their tenant.
    TenantOperator,
}

/// A password's hash in PHC string format.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A console user to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperator {
    /// Their id.
    pub operator_id: OperatorId,
    /// Their e-mail address, in canonical form.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// Their tenant; `None` for a platform administrator, and for nobody else.
    pub tenant_id: Option<TenantId>,
    /// Their first password, which they have to change.
    pub password: PasswordHash,
}

/// A change of what a console user may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorEdit {
    /// A new address, in canonical form.
    pub email: Option<String>,
    /// A new role within the same scope: platform, or the same tenant.
    pub role: Option<Role>,
}

/// How often the use of a session is noted, at most: a look at the console makes many requests, and
/// each note is a write.
pub const SESSION_USE_RESOLUTION: Duration = Duration::MINUTE;

/// SHA-256 of a session's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTokenHash(pub [u8; 32]);

/// How often a session may show a wrong password or code where it is asked for one again: with the last
/// of them it ends. Whoever holds a stolen session guesses no further, and nobody's failures outside of it
/// keep its user from the account.
pub const MAX_REAUTHENTICATION_FAILURES: u32 = 10;

/// A session to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its id.
    pub session_id: SessionId,
    /// Whose it is.
    pub operator_id: OperatorId,
    /// The hash that the password was verified against. It must be theirs still.
    pub password: PasswordHash,
    /// Its token, hashed.
    pub token_hash: SessionTokenHash,
    /// When it ends, whatever happens.
    pub expires_at: OffsetDateTime,
}

/// A password to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPassword {
    /// Whose it is.
    pub operator_id: OperatorId,
    /// The hash that the password before was verified against. It must be theirs still.
    pub verified: PasswordHash,
    /// The new one, hashed.
    pub password: PasswordHash,
    /// The session that asks.
    pub keep: KeptSession,
}

/// The session that asks for what ends a console user's sessions: it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSession {
    /// Its id.
    pub session_id: SessionId,
    /// The token that is its only one from now on, hashed; `None` leaves it the one that it has.
    pub token_hash: Option<SessionTokenHash>,
}

/// Why a sign-in, or what a session showed of it again, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRefusal {
    /// The address is unknown, or the password was wrong.
    Credentials,
    /// The password was right, and the code was not.
    Code,
}

impl LoginRefusal {
    /// Its name in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Credentials => "invalid_credentials",
            Self::Code => "invalid_code",
        }
    }
}

/// A console session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub session_id: SessionId,
    /// Whose it is.
    pub operator: Operator,
    /// When it was opened.
    pub created_at: OffsetDateTime,
    /// When it was last used.
    pub last_used_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// The failed sign-ins of an address, known or unknown, within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginFailures {
    /// How many.
    pub count: u32,
    /// When the first of them was, if there are any.
    pub oldest: Option<OffsetDateTime>,
}
