use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    Change, ConfirmTotp, NewSession, NewSignIn, NewTotp, Operator, OperatorId, RemoveTotp, Result,
    SecondFactor, Session, SignInTokenHash, Totp,
};

/// What console users show at a sign-in beside their password: one-time codes (RFC 6238), and recovery
/// codes that stand in for them. Their events go to the platform's audit chain.
#[async_trait]
pub trait SecondFactorStore: Send + Sync {
    /// Gives a console user a secret, in the place of one that was not confirmed. Sign-ins do not ask for
    /// its codes before it is. Event: `console_user_totp_issued`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Conflict::TotpConfirmed`](crate::Conflict::TotpConfirmed).
    async fn issue_totp(&self, change: Change, new: NewTotp) -> Result<()>;

    /// A console user's secret, if they have one.
    async fn totp(&self, operator_id: &OperatorId) -> Result<Option<Totp>>;

    /// Has sign-ins ask for codes from now on, gives the user recovery codes in the place of any, and ends
    /// their sessions but the one that asks, and their sign-ins. Event: `console_user_totp_confirmed`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Entity::Totp`](crate::Entity::Totp) is not found, or another by now;
    /// [`Conflict::TotpConfirmed`](crate::Conflict::TotpConfirmed).
    async fn confirm_totp(&self, change: Change, confirm: ConfirmTotp) -> Result<()>;

    /// Takes secret and recovery codes away, so that sign-ins ask for the password alone, and ends the
    /// user's sessions but the one that is kept, and their sign-ins. Event: `console_user_totp_removed`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Entity::Totp`](crate::Entity::Totp) is not found;
    /// [`Conflict::CodeRefused`](crate::Conflict::CodeRefused) for what was shown.
    async fn remove_totp(&self, change: Change, remove: RemoveTotp) -> Result<()>;

    /// Keeps a sign-in whose password was right and that waits for a code. Event: `login_attempt` with
    /// reason `mfa_required`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Conflict::PasswordChanged`](crate::Conflict::PasswordChanged).
    async fn begin_sign_in(&self, change: Change, sign_in: NewSignIn) -> Result<()>;

    /// Whose sign-in waits for a code at `now`. A global look-up: the token names no tenant. It waits no
    /// longer when it was completed, and when a new password, another role, or a change of one-time
    /// codes ended the user's sessions.
    async fn sign_in(
        &self,
        token: &SignInTokenHash,
        now: OffsetDateTime,
    ) -> Result<Option<Operator>>;

    /// Completes a sign-in that waits at the time of the change: opens its user's session, and forgets
    /// the failed ones before it. What was shown is used up: of any number of sign-ins at once with one
    /// code, one opens a session. A refused one waits on. What is good ends the count of wrong codes in a
    /// row; after [`MAX_WRONG_CODES`](crate::MAX_WRONG_CODES) of them a recovery code alone is.
    /// Events: `console_user_recovery_code_used` if it was one, `login_attempt`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Conflict::PasswordChanged`](crate::Conflict::PasswordChanged);
    /// [`Entity::SignIn`](crate::Entity::SignIn) is not found, or another's;
    /// [`Conflict::CodeRefused`](crate::Conflict::CodeRefused) for what was shown.
    async fn complete_sign_in(
        &self,
        change: Change,
        token: &SignInTokenHash,
        shown: SecondFactor,
        session: NewSession,
    ) -> Result<Session>;
}
