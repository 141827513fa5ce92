use async_trait::async_trait;
use time::OffsetDateTime;

use super::MemoryStore;
use super::listing::page;
use super::state::{SessionRow, State};
use super::transaction::{Transaction, as_u64};
use crate::{
    Change, Conflict, Entity, Error, Event, KeptSession, LoginFailures, LoginRefusal,
    MAX_REAUTHENTICATION_FAILURES, NewOperator, NewPassword, NewSession, Operator, OperatorEdit,
    OperatorId, OperatorStore, Page, PageRequest, PasswordHash, Result, Role,
    SESSION_USE_RESOLUTION, Session, SessionId, SessionTokenHash,
};

#[async_trait]
impl OperatorStore for MemoryStore {
    async fn seed_operator(
        &self,
        change: Change,
        operator: NewOperator,
    ) -> Result<Option<Operator>> {
        self.commit(change, |tx| {
            if tx.state.operators.is_empty() {
                tx.create_operator(operator).map(Some)
            } else {
                Ok(None)
            }
        })
    }

    async fn create_operator(&self, change: Change, operator: NewOperator) -> Result<Operator> {
        self.commit(change, |tx| tx.create_operator(operator))
    }

    async fn operator(&self, operator_id: &OperatorId) -> Result<Option<Operator>> {
        Ok(self.state().operators.get(operator_id).cloned())
    }

    async fn operator_by_email(&self, email: &str) -> Result<Option<Operator>> {
        let state = self.state();
        let mut operators = state.operators.values();
        Ok(operators.find(|operator| operator.is_at(email)).cloned())
    }

    async fn operators(&self, request: PageRequest) -> Result<Page<Operator>> {
        let operators = self.state().operators.values().cloned().collect();
        page(operators, &request, |operator: &Operator| {
            (operator.created_at, operator.operator_id.as_str())
        })
    }

    async fn platform_admins(&self) -> Result<Vec<Operator>> {
        let state = self.state();
        let admins = state.operators.values();
        let admins = admins.filter(|operator| operator.role == Role::PlatformAdmin);
        let mut admins: Vec<_> = admins.cloned().collect();
        admins.sort_by_key(|operator| operator.created_at);
        Ok(admins)
    }

    async fn update_operator(
        &self,
        change: Change,
        operator_id: &OperatorId,
        edit: OperatorEdit,
    ) -> Result<Operator> {
        self.commit(change, |tx| tx.update_operator(operator_id, edit))
    }

    async fn delete_operator(&self, change: Change, operator_id: &OperatorId) -> Result<()> {
        self.commit(change, |tx| {
            let role = tx.operator_mut(operator_id)?.role;
            if role == Role::PlatformAdmin && tx.state.platform_admins() == 1 {
                return Err(Error::Conflict(Conflict::LastPlatformAdmin));
            }
            tx.state.operators.remove(operator_id);
            tx.state.end_sessions(operator_id, None);
            tx.state.forget_second_factor(operator_id);
            let operator_id = operator_id.clone();
            tx.tell_platform(&Event::ConsoleUserDeleted { operator_id });
            Ok(())
        })
    }

    async fn set_password(&self, change: Change, new: NewPassword) -> Result<()> {
        self.commit(change, |tx| {
            let operator = tx.still_has(&new.operator_id, &new.verified)?;
            operator.password = new.password;
            operator.must_change_password = false;
            tx.state.end_sessions(&new.operator_id, Some(&new.keep));
            let operator_id = new.operator_id;
            tx.tell_platform(&Event::ConsoleUserPasswordChanged { operator_id });
            Ok(())
        })
    }

    async fn recover_platform_admin(
        &self,
        change: Change,
        operator_id: &OperatorId,
        password: PasswordHash,
    ) -> Result<()> {
        self.commit(change, |tx| {
            let operator = tx.operator_mut(operator_id)?;
            if operator.role != Role::PlatformAdmin {
                return Err(Error::Conflict(Conflict::NotPlatformAdmin));
            }
            operator.password = password;
            operator.must_change_password = true;
            let operator = operator.clone();
            tx.state.forget_second_factor(operator_id);
            tx.state.end_sessions(operator_id, None);
            tx.state.forget_login_failures(&operator);
            let operator_id = operator.operator_id;
            tx.tell_platform(&Event::ConsoleUserRecovered { operator_id });
            Ok(())
        })
    }

    async fn record_login_failure(
        &self,
        change: Change,
        email: &str,
        operator_id: Option<OperatorId>,
        refusal: LoginRefusal,
    ) -> Result<()> {
        self.commit(change, |tx| {
            let at = tx.at();
            tx.state.login_failures.push((email.to_owned(), at));
            tx.tell_platform(&Event::LoginAttempt {
                operator_id: operator_id.clone(),
                reason: Some(refusal.as_str()),
            });
            if let (LoginRefusal::Code, Some(operator_id)) = (refusal, &operator_id) {
                tx.note_wrong_code(operator_id);
            }
            Ok(())
        })
    }

    async fn record_reauthentication_failure(
        &self,
        change: Change,
        operator_id: &OperatorId,
        session_id: &SessionId,
        refusal: LoginRefusal,
    ) -> Result<()> {
        self.commit(change, |tx| {
            if refusal == LoginRefusal::Code {
                tx.note_wrong_code(operator_id);
            }
            let row = tx.state.sessions.get_mut(session_id);
            let row = row.filter(|row| row.operator_id == *operator_id);
            let row = row.ok_or(Error::NotFound(Entity::Session))?;
            row.failures += 1;
            let ends = row.failures >= MAX_REAUTHENTICATION_FAILURES;
            tx.tell_platform(&Event::ConsoleUserReauthenticationFailed {
                operator_id: operator_id.clone(),
                session_id: session_id.clone(),
                reason: refusal.as_str(),
            });
            match ends {
                true => tx.end_session(operator_id, session_id),
                false => Ok(()),
            }
        })
    }

    async fn login_failures(&self, email: &str, since: OffsetDateTime) -> Result<LoginFailures> {
        let state = self.state();
        let moments: Vec<OffsetDateTime> = state
            .login_failures
            .iter()
            .filter(|(address, at)| address == email && *at >= since)
            .map(|(_, at)| *at)
            .collect();
        Ok(LoginFailures {
            count: u32::try_from(moments.len()).unwrap_or(u32::MAX),
            oldest: moments.into_iter().min(),
        })
    }

    async fn create_session(&self, change: Change, new: NewSession) -> Result<Session> {
        self.commit(change, |tx| tx.create_session(new))
    }

    async fn use_session(
        &self,
        token: &SessionTokenHash,
        now: OffsetDateTime,
        idle_since: OffsetDateTime,
    ) -> Result<Option<Session>> {
        let mut state = self.state();
        let live = state.sessions.iter_mut().find(|(_, row)| {
            row.token_hash == *token && now < row.expires_at && row.last_used_at >= idle_since
        });
        let Some((session_id, row)) = live else {
            return Ok(None);
        };
        if now - row.last_used_at >= SESSION_USE_RESOLUTION {
            row.last_used_at = now;
        }
        let session_id = session_id.clone();
        Ok(state.session(&session_id))
    }

    async fn sessions(
        &self,
        operator_id: &OperatorId,
        now: OffsetDateTime,
    ) -> Result<Vec<Session>> {
        let state = self.state();
        let mut sessions: Vec<Session> = state
            .sessions
            .iter()
            .filter(|(_, row)| row.operator_id == *operator_id && now < row.expires_at)
            .filter_map(|(session_id, _)| state.session(session_id))
            .collect();
        sessions.sort_by(|left, right| {
            (right.created_at, &right.session_id).cmp(&(left.created_at, &left.session_id))
        });
        Ok(sessions)
    }

    async fn end_session(
        &self,
        change: Change,
        operator_id: &OperatorId,
        session_id: &SessionId,
    ) -> Result<()> {
        self.commit(change, |tx| tx.end_session(operator_id, session_id))
    }

    async fn purge_sign_ins(
        &self,
        now: OffsetDateTime,
        failed_before: OffsetDateTime,
    ) -> Result<u64> {
        let mut state = self.state();
        let rows = |state: &State| {
            state.sessions.len() + state.sign_ins.len() + state.login_failures.len()
        };
        let before = rows(&state);
        state.sessions.retain(|_, row| now < row.expires_at);
        state.sign_ins.retain(|_, row| now < row.expires_at);
        let failures = &mut state.login_failures;
        failures.retain(|(_, failed_at)| *failed_at >= failed_before);
        Ok(as_u64(before - rows(&state)))
    }
}

impl State {
    fn platform_admins(&self) -> usize {
        self.operators
            .values()
            .filter(|operator| operator.role == Role::PlatformAdmin)
            .count()
    }

    fn session(&self, session_id: &SessionId) -> Option<Session> {
        let row = self.sessions.get(session_id)?;
        Some(Session {
            session_id: session_id.clone(),
            operator: self.operators.get(&row.operator_id)?.clone(),
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
        })
    }

    /// Ends the sign-ins of a console user that wait for a code, and the sessions but `keep`.
    pub(super) fn end_sessions(&mut self, operator_id: &OperatorId, keep: Option<&KeptSession>) {
        let kept = keep.map(|keep| &keep.session_id);
        self.sessions
            .retain(|session_id, row| row.operator_id != *operator_id || Some(session_id) == kept);
        self.sign_ins
            .retain(|_, row| row.operator_id != *operator_id);
        let fresh = keep.and_then(|keep| Some((&keep.session_id, keep.token_hash?)));
        if let Some((session_id, token_hash)) = fresh
            && let Some(row) = self.sessions.get_mut(session_id)
            && row.operator_id == *operator_id
        {
            row.token_hash = token_hash;
        }
    }

    pub(super) fn forget_second_factor(&mut self, operator_id: &OperatorId) {
        self.totp.remove(operator_id);
        self.recovery_codes
            .retain(|(owner, _)| owner != operator_id);
    }

    fn forget_login_failures(&mut self, operator: &Operator) {
        self.login_failures
            .retain(|(email, _)| !operator.is_at(email));
    }

    fn email_is_taken(&self, email: &str) -> bool {
        self.operators
            .values()
            .any(|operator| operator.is_at(email))
    }
}

impl Transaction<'_> {
    pub(super) fn operator_mut(&mut self, operator_id: &OperatorId) -> Result<&mut Operator> {
        let operator = self.state.operators.get_mut(operator_id);
        operator.ok_or(Error::NotFound(Entity::Operator))
    }

    /// The console user, if `verified` is their password still.
    pub(super) fn still_has(
        &mut self,
        operator_id: &OperatorId,
        verified: &PasswordHash,
    ) -> Result<&mut Operator> {
        let operator = self.operator_mut(operator_id)?;
        if operator.password != *verified {
            return Err(Error::Conflict(Conflict::PasswordChanged));
        }
        Ok(operator)
    }

    fn create_operator(&mut self, new: NewOperator) -> Result<Operator> {
        if (new.role == Role::PlatformAdmin) != new.tenant_id.is_none() {
            return Err(Error::Conflict(Conflict::RoleScope));
        }
        if let Some(tenant_id) = &new.tenant_id {
            self.tenant_mut(tenant_id)?;
        }
        if self.state.email_is_taken(&new.email) {
            return Err(Error::Conflict(Conflict::OperatorExists));
        }
        if self.state.operators.contains_key(&new.operator_id) {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        let operator = Operator {
            operator_id: new.operator_id.clone(),
            email: Some(new.email),
            role: new.role,
            tenant_id: new.tenant_id,
            password: new.password,
            must_change_password: true,
            created_at: self.at(),
        };
        let operators = &mut self.state.operators;
        operators.insert(new.operator_id.clone(), operator.clone());
        self.tell_platform(&Event::ConsoleUserCreated {
            operator_id: new.operator_id,
            role: operator.role,
        });
        Ok(operator)
    }

    fn update_operator(
        &mut self,
        operator_id: &OperatorId,
        edit: OperatorEdit,
    ) -> Result<Operator> {
        let before = self.operator_mut(operator_id)?.clone();
        let role = edit.role.unwrap_or(before.role);
        let email = edit.email.or_else(|| before.email.clone());
        if before.role == Role::PlatformAdmin
            && role != Role::PlatformAdmin
            && self.state.platform_admins() == 1
        {
            return Err(Error::Conflict(Conflict::LastPlatformAdmin));
        }
        if (role == Role::PlatformAdmin) != (before.role == Role::PlatformAdmin) {
            return Err(Error::Conflict(Conflict::RoleScope));
        }
        let moves = email.as_ref().filter(|_| email != before.email);
        if moves.is_some_and(|email| self.state.email_is_taken(email)) {
            return Err(Error::Conflict(Conflict::OperatorExists));
        }
        let operator = Operator {
            email,
            role,
            ..before.clone()
        };
        *self.operator_mut(operator_id)? = operator.clone();
        if role != before.role {
            self.state.end_sessions(operator_id, None);
        }
        let operator_id = operator_id.clone();
        self.tell_platform(&Event::ConsoleUserUpdated { operator_id, role });
        Ok(operator)
    }

    fn end_session(&mut self, operator_id: &OperatorId, session_id: &SessionId) -> Result<()> {
        let row = self.state.sessions.get(session_id);
        if row.is_none_or(|row| row.operator_id != *operator_id) {
            return Err(Error::NotFound(Entity::Session));
        }
        self.state.sessions.remove(session_id);
        self.tell_platform(&Event::ConsoleUserSessionEnded {
            operator_id: operator_id.clone(),
            session_id: session_id.clone(),
        });
        Ok(())
    }

    fn create_session(&mut self, new: NewSession) -> Result<Session> {
        self.still_has(&new.operator_id, &new.password)?;
        if self.asks_for_codes(&new.operator_id) {
            return Err(Error::Conflict(Conflict::CodeRequired));
        }
        self.open_session(new)
    }

    /// Opens the session of a console user who showed everything that is asked for.
    pub(super) fn open_session(&mut self, new: NewSession) -> Result<Session> {
        let at = self.at();
        let operator = self.operator_mut(&new.operator_id)?.clone();
        let mut rows = self.state.sessions.values();
        if self.state.sessions.contains_key(&new.session_id)
            || rows.any(|row| row.token_hash == new.token_hash)
        {
            return Err(Error::Conflict(Conflict::IdTaken));
        }
        self.state.forget_login_failures(&operator);
        self.state.sessions.insert(
            new.session_id.clone(),
            SessionRow {
                operator_id: new.operator_id.clone(),
                token_hash: new.token_hash,
                created_at: at,
                last_used_at: at,
                expires_at: new.expires_at,
                failures: 0,
            },
        );
        self.tell_platform(&Event::LoginAttempt {
            operator_id: Some(new.operator_id),
            reason: None,
        });
        Ok(Session {
            session_id: new.session_id,
            operator,
            created_at: at,
            last_used_at: at,
            expires_at: new.expires_at,
        })
    }
}
