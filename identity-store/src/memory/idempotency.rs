use async_trait::async_trait;
use time::OffsetDateTime;

use super::MemoryStore;
use super::state::ReservedKey;
use super::transaction::as_u64;
use crate::{IdempotencyKey, IdempotencyStore, Reservation, Result, StoredAnswer};

#[async_trait]
impl IdempotencyStore for MemoryStore {
    async fn reserve(
        &self,
        key: IdempotencyKey,
        body_sha256: [u8; 32],
        now: OffsetDateTime,
        lease_until: OffsetDateTime,
        keep_until: OffsetDateTime,
    ) -> Result<Reservation> {
        let mut state = self.state();
        if let Some(reserved) = state.answers.get(&key).filter(|held| held.counts(now)) {
            return Ok(reserved.tell(&body_sha256));
        }
        let reserved = ReservedKey {
            body_sha256,
            lease_until,
            keep_until,
            answer: None,
        };
        state.answers.insert(key, reserved);
        Ok(Reservation::Fresh)
    }

    async fn keep_answer(&self, answer: StoredAnswer) -> Result<()> {
        let mut state = self.state();
        let reserved = state.answers.get_mut(&answer.key);
        if let Some(reserved) = reserved.filter(|reserved| reserved.waits(answer.lease_until)) {
            reserved.answer = Some(answer);
        }
        Ok(())
    }

    async fn release(&self, key: IdempotencyKey, lease_until: OffsetDateTime) -> Result<()> {
        let answers = &mut self.state().answers;
        answers.retain(|held, reserved| *held != key || !reserved.waits(lease_until));
        Ok(())
    }

    async fn release_all(&self) -> Result<u64> {
        let answers = &mut self.state().answers;
        let before = answers.len();
        answers.retain(|_, reserved| reserved.answer.is_some());
        Ok(as_u64(before - answers.len()))
    }

    async fn purge_answers(&self, now: OffsetDateTime) -> Result<u64> {
        let answers = &mut self.state().answers;
        let before = answers.len();
        answers.retain(|_, reserved| now < reserved.keep_until);
        Ok(as_u64(before - answers.len()))
    }
}

impl ReservedKey {
    /// Whether the run that reserved it until then waits for its answer.
    pub(super) fn waits(&self, lease_until: OffsetDateTime) -> bool {
        self.answer.is_none() && self.lease_until == lease_until
    }

    fn counts(&self, now: OffsetDateTime) -> bool {
        let until = match self.answer {
            Some(_) => self.keep_until,
            None => self.lease_until,
        };
        now < until
    }

    fn tell(&self, body_sha256: &[u8; 32]) -> Reservation {
        if self.body_sha256 != *body_sha256 {
            return Reservation::OtherBody;
        }
        match &self.answer {
            Some(answer) => Reservation::Answered(answer.clone()),
            None => Reservation::InProgress,
        }
    }
}
