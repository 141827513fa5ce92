use time::OffsetDateTime;

use crate::{KeptSession, OperatorId, PasswordHash, SecretBytes, TotpId};

/// How many one-time codes may be wrong in a row (NIST SP 800-63B-4 §3.2.2). After so many no code of the
/// authenticator is good until the user shows a recovery code, or an administrator takes the codes away.
pub const MAX_WRONG_CODES: u32 = 100;

/// A secret of one-time codes to be shared with a console user's authenticator (RFC 6238).
#[derive(Debug, Clone)]
pub struct NewTotp {
    /// Its id: no two secrets of a console user have the same.
    pub totp_id: TotpId,
    /// Whose it is.
    pub operator_id: OperatorId,
    /// The secret.
    pub secret: SecretBytes,
}

/// A console user's one-time codes.
#[derive(Debug, Clone)]
pub struct Totp {
    /// The secret's id.
    pub totp_id: TotpId,
    /// The secret; `None` if it cannot be decrypted.
    pub secret: Option<SecretBytes>,
    /// Whether the user has shown a code of it. Only then sign-ins ask for one.
    pub confirmed: bool,
    /// Whether its codes are refused: [`MAX_WRONG_CODES`] in a row were wrong.
    pub locked: bool,
}

/// A code of a new secret was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmTotp {
    /// By whom.
    pub operator_id: OperatorId,
    /// Which secret the code was verified against. It must be theirs still.
    pub totp_id: TotpId,
    /// The code's time step, which no other code may be of from now on.
    pub step: i64,
    /// What stands in for a code, once each, hashed.
    pub recovery_codes: Vec<RecoveryCodeHash>,
    /// The session that asks.
    pub keep: KeptSession,
}

/// What a console user showed beside the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecondFactor {
    /// A one-time code of this secret, which is of this time step.
    Totp {
        /// Which secret it was verified against. It must be theirs still.
        totp_id: TotpId,
        /// Its time step. No code of this step or an earlier one was used before.
        step: i64,
    },
    /// What may be one of the recovery codes.
    RecoveryCode(RecoveryCodeHash),
}

/// SHA-256 of a recovery code in canonical form. They are drawn, so that nobody finds one by trying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecoveryCodeHash(pub [u8; 32]);

/// SHA-256 of the token of a sign-in that waits for a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignInTokenHash(pub [u8; 32]);

/// A sign-in whose password was right and that waits for a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSignIn {
    /// Whose it is.
    pub operator_id: OperatorId,
    /// The hash that the password was verified against. It must be theirs still.
    pub password: PasswordHash,
    /// Its token, hashed.
    pub token_hash: SignInTokenHash,
    /// Until when it waits.
    pub expires_at: OffsetDateTime,
}

/// A console user's one-time codes to be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveTotp {
    /// Whose they are.
    pub operator_id: OperatorId,
    /// What the user showed; `None` when an administrator takes them away.
    pub shown: Option<SecondFactor>,
    /// The session that asks, if it is the user's own.
    pub keep: Option<KeptSession>,
}
