use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{
    Change, LoginFailures, LoginRefusal, NewOperator, NewPassword, NewSession, Operator,
    OperatorEdit, OperatorId, Page, PageRequest, PasswordHash, Result, Session, SessionId,
    SessionTokenHash,
};

/// Console users and their sessions. Their events go to the platform's audit chain.
///
/// Back ends that find addresses by a keyed digest answer [`Error::Decrypt`](crate::Error::Decrypt) to
/// what takes an address while that key is lost, and to nothing else.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// Makes the first console user, if there is none yet; `None` if there is.
    /// Event: `console_user_created`.
    async fn seed_operator(
        &self,
        change: Change,
        operator: NewOperator,
    ) -> Result<Option<Operator>>;

    /// Makes a console user who has to change their password. Event: `console_user_created`.
    ///
    /// # Errors
    ///
    /// [`Conflict::RoleScope`](crate::Conflict::RoleScope);
    /// [`Entity::Tenant`](crate::Entity::Tenant) is not found;
    /// [`Conflict::OperatorExists`](crate::Conflict::OperatorExists).
    async fn create_operator(&self, change: Change, operator: NewOperator) -> Result<Operator>;

    /// Reads a console user.
    async fn operator(&self, operator_id: &OperatorId) -> Result<Option<Operator>>;

    /// Finds a console user by their address in canonical form. A global look-up: a sign-in names
    /// no tenant.
    async fn operator_by_email(&self, email: &str) -> Result<Option<Operator>>;

    /// Lists console users, newest first.
    async fn operators(&self, page: PageRequest) -> Result<Page<Operator>>;

    /// The platform's administrators, the first that was made first.
    async fn platform_admins(&self) -> Result<Vec<Operator>>;

    /// Changes a console user, and ends their sessions and sign-ins when the role changes.
    /// Event: `console_user_updated`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Conflict::LastPlatformAdmin`](crate::Conflict::LastPlatformAdmin);
    /// [`Conflict::RoleScope`](crate::Conflict::RoleScope);
    /// [`Conflict::OperatorExists`](crate::Conflict::OperatorExists) for a taken address.
    async fn update_operator(
        &self,
        change: Change,
        operator_id: &OperatorId,
        edit: OperatorEdit,
    ) -> Result<Operator>;

    /// Deletes a console user with their sessions. Event: `console_user_deleted`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Conflict::LastPlatformAdmin`](crate::Conflict::LastPlatformAdmin).
    async fn delete_operator(&self, change: Change, operator_id: &OperatorId) -> Result<()>;

    /// Sets a password that need not be changed, and ends the user's sessions but the one that asks, and
    /// their sign-ins. Under a new token that session is not found by the one before.
    /// Event: `console_user_password_changed`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Conflict::PasswordChanged`](crate::Conflict::PasswordChanged).
    async fn set_password(&self, change: Change, new: NewPassword) -> Result<()>;

    /// Lets a platform administrator in again who lost their password, their one-time codes or both: sets a
    /// password that has to be changed, takes secret and recovery codes away, ends the user's sessions and
    /// sign-ins, and forgets the failed ones under their address. Event: `console_user_recovered`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Conflict::NotPlatformAdmin`](crate::Conflict::NotPlatformAdmin).
    async fn recover_platform_admin(
        &self,
        change: Change,
        operator_id: &OperatorId,
        password: PasswordHash,
    ) -> Result<()>;

    /// Notes a failed sign-in under an address in canonical form, known or not. A wrong code counts among
    /// the wrong ones in a row of the one-time codes that are in use, too.
    /// Events: `login_attempt` with the reason, and `operator_id` when the address is known;
    /// `console_user_totp_locked` with the last wrong code of
    /// [`MAX_WRONG_CODES`](crate::MAX_WRONG_CODES).
    async fn record_login_failure(
        &self,
        change: Change,
        email: &str,
        operator_id: Option<OperatorId>,
        refusal: LoginRefusal,
    ) -> Result<()>;

    /// The failed sign-ins under an address at or after `since`, that no success followed.
    async fn login_failures(&self, email: &str, since: OffsetDateTime) -> Result<LoginFailures>;

    /// Notes that a session showed something wrong where it was asked for its user's password or code
    /// again; with the last of [`MAX_REAUTHENTICATION_FAILURES`](crate::MAX_REAUTHENTICATION_FAILURES) it
    /// ends. A wrong code counts among the wrong ones in a row, too. Failed sign-ins do not count here, nor
    /// do these there.
    /// Events: `console_user_reauthentication_failed`; `console_user_session_ended` when it ends;
    /// `console_user_totp_locked` as at a sign-in.
    ///
    /// # Errors
    ///
    /// [`Entity::Session`](crate::Entity::Session) is not found, or another's.
    async fn record_reauthentication_failure(
        &self,
        change: Change,
        operator_id: &OperatorId,
        session_id: &SessionId,
        refusal: LoginRefusal,
    ) -> Result<()>;

    /// Opens a session after a sign-in, and forgets the failed ones before it. A sign-in with a password
    /// that is changed meanwhile opens none.
    /// Event: `login_attempt`.
    ///
    /// # Errors
    ///
    /// [`Entity::Operator`](crate::Entity::Operator) is not found;
    /// [`Conflict::PasswordChanged`](crate::Conflict::PasswordChanged);
    /// [`Conflict::CodeRequired`](crate::Conflict::CodeRequired).
    async fn create_session(&self, change: Change, session: NewSession) -> Result<Session>;

    /// Finds the session of a token that is in its life at `now` and was used at or after
    /// `idle_since`, and notes its use unless one of the last
    /// [`SESSION_USE_RESOLUTION`](crate::SESSION_USE_RESOLUTION) is noted: a session may seem idle that
    /// much too early. A global look-up: the token names no tenant.
    async fn use_session(
        &self,
        token: &SessionTokenHash,
        now: OffsetDateTime,
        idle_since: OffsetDateTime,
    ) -> Result<Option<Session>>;

    /// A console user's sessions that are in their life at `now`, newest first.
    async fn sessions(&self, operator_id: &OperatorId, now: OffsetDateTime)
    -> Result<Vec<Session>>;

    /// Ends a session of a console user. Event: `console_user_session_ended`.
    ///
    /// # Errors
    ///
    /// [`Entity::Session`](crate::Entity::Session) is not found, or another's.
    async fn end_session(
        &self,
        change: Change,
        operator_id: &OperatorId,
        session_id: &SessionId,
    ) -> Result<()>;

    /// Deletes sessions whose life is over at `now`, sign-ins that wait no longer, and failed ones before
    /// `failed_before`; returns how many of all.
    async fn purge_sign_ins(
        &self,
        now: OffsetDateTime,
        failed_before: OffsetDateTime,
    ) -> Result<u64>;
}
