use async_trait::async_trait;
use time::OffsetDateTime;

use super::MemoryStore;
use super::state::SignInRow;
use super::transaction::Transaction;
use crate::{
    Change, ConfirmTotp, Conflict, Entity, Error, Event, MAX_WRONG_CODES, NewSession, NewSignIn,
    NewTotp, Operator, OperatorId, RemoveTotp, Result, SecondFactor, SecondFactorStore,
    SecretBytes, Session, SignInTokenHash, Totp, TotpId,
};

/// A console user's one-time codes.
#[derive(Debug, Clone)]
pub(super) struct TotpRow {
    totp_id: TotpId,
    secret: SecretBytes,
    confirmed: bool,
    last_step: i64,
    /// Wrong codes since the last good one.
    wrong_codes: u32,
}

#[async_trait]
impl SecondFactorStore for MemoryStore {
    async fn issue_totp(&self, change: Change, new: NewTotp) -> Result<()> {
        self.commit(change, |tx| {
            tx.operator_mut(&new.operator_id)?;
            if tx.asks_for_codes(&new.operator_id) {
                return Err(Error::Conflict(Conflict::TotpConfirmed));
            }
            let row = TotpRow {
                totp_id: new.totp_id,
                secret: new.secret,
                confirmed: false,
                last_step: 0,
                wrong_codes: 0,
            };
            tx.state.totp.insert(new.operator_id.clone(), row);
            let operator_id = new.operator_id;
            tx.tell_platform(&Event::ConsoleUserTotpIssued { operator_id });
            Ok(())
        })
    }

    async fn totp(&self, operator_id: &OperatorId) -> Result<Option<Totp>> {
        let state = self.state();
        Ok(state.totp.get(operator_id).map(|row| Totp {
            totp_id: row.totp_id.clone(),
            secret: Some(row.secret.clone()),
            confirmed: row.confirmed,
            locked: row.wrong_codes >= MAX_WRONG_CODES,
        }))
    }

    async fn confirm_totp(&self, change: Change, confirm: ConfirmTotp) -> Result<()> {
        self.commit(change, |tx| {
            let operator_id = confirm.operator_id;
            tx.operator_mut(&operator_id)?;
            let row = tx.state.totp.get_mut(&operator_id);
            let row = row.filter(|row| row.totp_id == confirm.totp_id);
            let row = row.ok_or(Error::NotFound(Entity::Totp))?;
            if row.confirmed {
                return Err(Error::Conflict(Conflict::TotpConfirmed));
            }
            row.confirmed = true;
            row.last_step = confirm.step;
            let before = &mut tx.state.recovery_codes;
            before.retain(|(owner, _)| *owner != operator_id);
            let codes = confirm.recovery_codes.into_iter();
            let codes = codes.map(|code| (operator_id.clone(), code));
            tx.state.recovery_codes.extend(codes);
            tx.state.end_sessions(&operator_id, Some(&confirm.keep));
            tx.tell_platform(&Event::ConsoleUserTotpConfirmed { operator_id });
            Ok(())
        })
    }

    async fn remove_totp(&self, change: Change, remove: RemoveTotp) -> Result<()> {
        self.commit(change, |tx| {
            let operator_id = remove.operator_id;
            tx.operator_mut(&operator_id)?;
            if !tx.state.totp.contains_key(&operator_id) {
                return Err(Error::NotFound(Entity::Totp));
            }
            if let Some(shown) = &remove.shown {
                tx.use_up(&operator_id, shown)?;
            }
            tx.state.forget_second_factor(&operator_id);
            tx.state.end_sessions(&operator_id, remove.keep.as_ref());
            tx.tell_platform(&Event::ConsoleUserTotpRemoved { operator_id });
            Ok(())
        })
    }

    async fn begin_sign_in(&self, change: Change, new: NewSignIn) -> Result<()> {
        self.commit(change, |tx| {
            tx.still_has(&new.operator_id, &new.password)?;
            if tx.state.sign_ins.contains_key(&new.token_hash) {
                return Err(Error::Conflict(Conflict::IdTaken));
            }
            let row = SignInRow {
                operator_id: new.operator_id.clone(),
                expires_at: new.expires_at,
            };
            tx.state.sign_ins.insert(new.token_hash, row);
            tx.tell_platform(&Event::LoginAttempt {
                operator_id: Some(new.operator_id),
                reason: Some("mfa_required"),
            });
            Ok(())
        })
    }

    async fn sign_in(
        &self,
        token: &SignInTokenHash,
        now: OffsetDateTime,
    ) -> Result<Option<Operator>> {
        let state = self.state();
        let waiting = state.sign_ins.get(token);
        let waiting = waiting.filter(|row| now < row.expires_at);
        Ok(waiting.and_then(|row| state.operators.get(&row.operator_id).cloned()))
    }

    async fn complete_sign_in(
        &self,
        change: Change,
        token: &SignInTokenHash,
        shown: SecondFactor,
        session: NewSession,
    ) -> Result<Session> {
        self.commit(change, |tx| {
            tx.still_has(&session.operator_id, &session.password)?;
            let at = tx.at();
            let waiting = tx.state.sign_ins.remove(token);
            waiting
                .filter(|row| at < row.expires_at && row.operator_id == session.operator_id)
                .ok_or(Error::NotFound(Entity::SignIn))?;
            tx.use_up(&session.operator_id, &shown)?;
            tx.open_session(session)
        })
    }
}

impl Transaction<'_> {
    /// Whether a console user's sign-ins ask for a code.
    pub(super) fn asks_for_codes(&self, operator_id: &OperatorId) -> bool {
        let row = self.state.totp.get(operator_id);
        row.is_some_and(|row| row.confirmed)
    }

    /// Counts a wrong code among those in a row.
    pub(super) fn note_wrong_code(&mut self, operator_id: &OperatorId) {
        let row = self.state.totp.get_mut(operator_id);
        let counted = row.filter(|row| row.confirmed && row.wrong_codes < MAX_WRONG_CODES);
        let in_a_row = counted.map(|row| {
            row.wrong_codes += 1;
            row.wrong_codes
        });
        if in_a_row == Some(MAX_WRONG_CODES) {
            let operator_id = operator_id.clone();
            self.tell_platform(&Event::ConsoleUserTotpLocked { operator_id });
        }
    }

    /// Refuses what was used before, or is no code of the user's.
    fn use_up(&mut self, operator_id: &OperatorId, shown: &SecondFactor) -> Result<()> {
        let used = match shown {
            SecondFactor::Totp { totp_id, step } => {
                let row = self.state.totp.get_mut(operator_id);
                let good = row.filter(|row| {
                    row.totp_id == *totp_id
                        && row.confirmed
                        && row.last_step < *step
                        && row.wrong_codes < MAX_WRONG_CODES
                });
                good.map(|row| {
                    row.last_step = *step;
                    row.wrong_codes = 0;
                })
                .is_some()
            }
            SecondFactor::RecoveryCode(code) => {
                let used = self
                    .state
                    .recovery_codes
                    .remove(&(operator_id.clone(), *code));
                if used {
                    if let Some(row) = self.state.totp.get_mut(operator_id) {
                        row.wrong_codes = 0;
                    }
                    let operator_id = operator_id.clone();
                    self.tell_platform(&Event::ConsoleUserRecoveryCodeUsed { operator_id });
                }
                used
            }
        };
        match used {
            true => Ok(()),
            false => Err(Error::Conflict(Conflict::CodeRefused)),
        }
    }
}
