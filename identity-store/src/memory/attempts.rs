use identity_challenge::{Event as Step, PalmType, Refusal, ThrottleDecision};
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::state::{Attempt, AttemptState, ChallengeRow};
use super::transaction::Transaction;
use super::users::set_throttle;
use crate::attempt::conclude;
use crate::{
    AttemptLease, AttemptStart, AttemptVerdict, ChallengeId, Conflict, Error, InternalUserId, Palm,
    Result, SampleDigest, StoredChallenge, StoredVerdict,
};

/// How an attempt stands once it has its verdict.
fn ended(verdict: &AttemptVerdict) -> AttemptState {
    if verdict.is_decided() {
        AttemptState::Decided
    } else if verdict.may_have_happened() {
        AttemptState::Unknown
    } else {
        AttemptState::Undecided
    }
}

impl ChallengeRow {
    pub(super) fn attempt_under_way(&self, now: OffsetDateTime) -> bool {
        self.attempts.iter().any(|attempt| match attempt.state {
            AttemptState::UnderWay { until } => now < until,
            AttemptState::Decided | AttemptState::Undecided | AttemptState::Unknown => false,
        })
    }

    /// The last attempt, if `lease` still is the right to decide it.
    fn leased_attempt(&mut self, lease: &AttemptLease) -> Result<&mut Attempt> {
        let is_last = usize::try_from(lease.number) == Ok(self.attempts.len());
        self.attempts
            .last_mut()
            .filter(|attempt| match attempt.state {
                AttemptState::UnderWay { .. } => is_last,
                AttemptState::Decided | AttemptState::Undecided | AttemptState::Unknown => false,
            })
            .ok_or(Error::Conflict(Conflict::AttemptEnded))
    }
}

impl Transaction<'_> {
    pub(super) fn begin_attempt(
        &mut self,
        tenant_id: &TenantId,
        challenge_id: &ChallengeId,
        sample: SampleDigest,
        lease_until: OffsetDateTime,
    ) -> Result<AttemptStart> {
        let at = self.at();
        let replayed = self.was_decided(tenant_id, sample);
        let row = self.challenge_row(tenant_id, challenge_id)?;
        let claimed = row.record.challenge.apply(Step::Claim, at);
        row.record.challenge = claimed.map_err(Error::Challenge)?;
        if row.attempt_under_way(at) {
            return Err(Error::Conflict(Conflict::AttemptInProgress));
        }
        let record = Box::new(row.record.clone());
        if replayed {
            if let Some(event) = record.replay_event() {
                self.tell(tenant_id, &event);
            }
            return Ok(AttemptStart::Replayed { record });
        }
        if let Some(until) = self.throttled(&record)? {
            return Ok(AttemptStart::Throttled { record, until });
        }
        if let Some(until) = self.state.being_erased(&record, at) {
            return Ok(AttemptStart::Erasing { record, until });
        }
        let row = self.challenge_row(tenant_id, challenge_id)?;
        let reconcile = row.is_in_doubt();
        row.attempts.push(Attempt {
            sample,
            state: AttemptState::UnderWay { until: lease_until },
        });
        let lease = AttemptLease {
            tenant_id: tenant_id.clone(),
            challenge_id: challenge_id.clone(),
            number: u32::try_from(row.attempts.len()).unwrap_or(u32::MAX),
            until: lease_until,
        };
        Ok(AttemptStart::Begun {
            lease,
            record,
            reconcile,
        })
    }

    fn was_decided(&self, tenant_id: &TenantId, sample: SampleDigest) -> bool {
        self.state
            .challenges
            .values()
            .filter(|row| row.record.tenant_id == *tenant_id)
            .flat_map(|row| &row.attempts)
            .any(|attempt| attempt.sample == sample && attempt.state == AttemptState::Decided)
    }

    /// Until when the user has to wait: `Some(None)` for one who is locked.
    fn throttled(&mut self, record: &StoredChallenge) -> Result<Option<Option<OffsetDateTime>>> {
        let at = self.at();
        let user = self.user_mut(&record.tenant_id, &record.user_id)?;
        let enrolls = record.challenge.kind().palm_type().is_some();
        Ok(match user.throttle.decide(at) {
            ThrottleDecision::Locked => Some(None),
            ThrottleDecision::Wait { until } if !enrolls => Some(Some(until)),
            ThrottleDecision::Wait { .. } | ThrottleDecision::Allowed => None,
        })
    }

    /// What is committed, and within it what is answered.
    pub(super) fn finish_attempt(
        &mut self,
        lease: &AttemptLease,
        verdict: &AttemptVerdict,
    ) -> Result<Result<StoredVerdict>> {
        let row = self.challenge_row(&lease.tenant_id, &lease.challenge_id)?;
        row.leased_attempt(lease)?.state = ended(verdict);
        let record = row.record.clone();
        let user = self.user_mut(&record.tenant_id, &record.user_id)?;
        let throttle = user.throttle;
        let matched_user = self.mismatched_user(&record.tenant_id, verdict);
        let conclusion = match conclude(&record, throttle, matched_user, verdict, self.at()) {
            Ok(conclusion) => conclusion,
            Err(refusal @ Refusal::OtherKind { .. }) => return Err(Error::Challenge(refusal)),
            Err(
                refusal @ (Refusal::Terminal { .. }
                | Refusal::Expired { .. }
                | Refusal::NotDue { .. }),
            ) => {
                self.change.answer = None;
                self.take_back(&record, verdict)?;
                return Ok(Err(Error::Challenge(refusal)));
            }
        };
        if lease.has_lapsed(&record, self.at()) {
            return Err(Error::Conflict(Conflict::AttemptEnded));
        }
        let user = self.user_mut(&record.tenant_id, &record.user_id)?;
        set_throttle(user, conclusion.throttle);
        if let Some(palm) = conclusion.palm {
            self.enroll(&record, palm)?;
        }
        if verdict.is_in_the_way() {
            self.take_back(&record, verdict)?;
        }
        self.put_challenge(&conclusion.record)?;
        for (chain, event) in &conclusion.events {
            self.post(chain, event);
        }
        Ok(Ok(StoredVerdict {
            record: conclusion.record,
            answer: conclusion.answer,
        }))
    }

    fn mismatched_user(
        &self,
        tenant_id: &TenantId,
        verdict: &AttemptVerdict,
    ) -> Option<InternalUserId> {
        let user_id = verdict.mismatched_user()?;
        let user = self.state.users.get(&(tenant_id.clone(), user_id))?;
        Some(user.internal_id.clone())
    }

    fn enroll(&mut self, record: &StoredChallenge, palm: Palm) -> Result<()> {
        self.state
            .forget_erasure(&record.tenant_id, &record.user_id, palm.palm_type);
        let palms = &mut self.user_mut(&record.tenant_id, &record.user_id)?.palms;
        palms.retain(|known| known.palm_type != palm.palm_type);
        palms.push(palm);
        palms.sort_by_key(|palm| palm.palm_type);
        Ok(())
    }

    /// A template that the palm server added for a challenge that ended meanwhile belongs to nobody, and
    /// so does one that a sample of the same palm does not match.
    fn take_back(&mut self, record: &StoredChallenge, verdict: &AttemptVerdict) -> Result<()> {
        let palm_type = record.challenge.kind().palm_type();
        let stray = verdict.added_palm().is_some() || verdict.may_have_happened();
        match palm_type.filter(|_| stray) {
            Some(palm_type) => self.erase_stray(record, palm_type),
            None => Ok(()),
        }
    }

    /// Makes a stray template due for erasure, unless the user has that palm enrolled.
    pub(super) fn erase_stray(
        &mut self,
        record: &StoredChallenge,
        palm_type: PalmType,
    ) -> Result<()> {
        let user = self.user_mut(&record.tenant_id, &record.user_id)?;
        if !user.palms.iter().any(|palm| palm.palm_type == palm_type) {
            self.request_erasure(&record.tenant_id, &record.user_id, palm_type);
        }
        Ok(())
    }
}
