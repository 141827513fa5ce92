use identity_challenge::PalmType;
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::state::{ErasureRow, State};
use super::transaction::Transaction;
use crate::{Event, PalmErasure, Result, StoredChallenge, UserId};

impl State {
    pub(super) fn claim_erasure(
        &mut self,
        erasure: &PalmErasure,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> bool {
        if self.is_being_enrolled(erasure, now) {
            return false;
        }
        let mut due = self.erasures.iter_mut();
        let due = due.find(|row| row.erasure == *erasure && row.claim(now).is_none());
        match due {
            Some(row) => {
                row.claimed_until = Some(until);
                true
            }
            None => false,
        }
    }

    pub(super) fn release_erasure(&mut self, erasure: &PalmErasure, until: OffsetDateTime) {
        let mut due = self.erasures.iter_mut();
        let claimed = due.find(|row| row.erasure == *erasure && row.claimed_until == Some(until));
        if let Some(row) = claimed {
            row.claimed_until = None;
        }
    }

    /// Whether an attempt at the palm is under way, whatever became of its challenge or took its place.
    fn is_being_enrolled(&self, erasure: &PalmErasure, now: OffsetDateTime) -> bool {
        self.challenges.values().any(|row| {
            row.record.tenant_id == erasure.tenant_id
                && row.record.user_id == erasure.user_id
                && row.record.challenge.kind().palm_type() == Some(erasure.palm_type)
                && row.attempts.iter().any(|attempt| attempt.is_under_way(now))
        })
    }

    /// Until when the palm that a challenge is to enrol is being erased, if it is at `now`.
    pub(super) fn being_erased(
        &self,
        record: &StoredChallenge,
        now: OffsetDateTime,
    ) -> Option<OffsetDateTime> {
        let palm_type = record.challenge.kind().palm_type()?;
        let due = self
            .erasures
            .iter()
            .find(|row| is_of(&row.erasure, &record.tenant_id, &record.user_id, palm_type))?;
        due.claim(now)
    }

    pub(super) fn forget_erasure(
        &mut self,
        tenant_id: &TenantId,
        user_id: &UserId,
        palm_type: PalmType,
    ) {
        self.erasures
            .retain(|row| !is_of(&row.erasure, tenant_id, user_id, palm_type));
    }
}

impl Transaction<'_> {
    /// Makes a palm due for erasure, unless it is already.
    pub(super) fn request_erasure(
        &mut self,
        tenant_id: &TenantId,
        user_id: &UserId,
        palm_type: PalmType,
    ) {
        let erasure = PalmErasure {
            tenant_id: tenant_id.clone(),
            user_id: user_id.clone(),
            palm_type,
            requested_at: self.at(),
        };
        let mut due = self.state.erasures.iter();
        if !due.any(|row| is_of(&row.erasure, tenant_id, user_id, palm_type)) {
            self.state.erasures.push(ErasureRow {
                erasure,
                claimed_until: None,
            });
        }
    }

    pub(super) fn finish_palm_erasure(&mut self, erasure: &PalmErasure) -> Result<()> {
        let user = self
            .user_even_erased(&erasure.tenant_id, &erasure.user_id)?
            .subject();
        let due = self.state.erasures.len();
        self.state.erasures.retain(|row| row.erasure != *erasure);
        if self.state.erasures.len() < due {
            self.palm_server_answered(&erasure.tenant_id, &erasure.user_id);
            self.tell(&erasure.tenant_id, &Event::PalmErased { user });
        }
        Ok(())
    }
}

fn is_of(
    erasure: &PalmErasure,
    tenant_id: &TenantId,
    user_id: &UserId,
    palm_type: PalmType,
) -> bool {
    (&erasure.tenant_id, &erasure.user_id, erasure.palm_type) == (tenant_id, user_id, palm_type)
}
