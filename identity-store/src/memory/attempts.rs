use identity_challenge::{Event as Step, PalmType, Refusal, ThrottleDecision};
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::state::{Attempt, AttemptState, ChallengeRow};
use super::transaction::Transaction;
use super::users::set_throttle;
use crate::attempt::conclude;
use crate::{
    AttemptLease, AttemptStanding, AttemptStart, AttemptVerdict, ChallengeId, Conflict, Error,
    InternalUserId, Palm, Result, SampleDigest, StoredChallenge, StoredVerdict,
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

impl Attempt {
    pub(super) fn is_under_way(&self, now: OffsetDateTime) -> bool {
        match self.state {
            AttemptState::UnderWay { until } => now < until,
            AttemptState::Decided | AttemptState::Undecided | AttemptState::Unknown => false,
        }
    }
}

impl ChallengeRow {
    /// How attempt `number` stands, or the one that took its place.
    pub(super) fn attempt(&self, number: usize) -> Option<AttemptStanding> {
        let mut from = (1..).zip(&self.attempts).skip(number.saturating_sub(1));
        let (number, attempt) = from.find(|(number, attempt)| {
            !matches!(attempt.state, AttemptState::UnderWay { .. })
                || *number == self.attempts.len()
        })?;
        Some(match attempt.state {
            AttemptState::UnderWay { until } => AttemptStanding::Unfinished { until },
            AttemptState::Decided | AttemptState::Undecided | AttemptState::Unknown => {
                let until_then = self.attempts.iter().take(number);
                let decided = until_then.filter(|it| it.state == AttemptState::Decided);
                AttemptStanding::Finished {
                    reason_code: attempt.reason_code,
                    decided: u8::try_from(decided.count()).unwrap_or(u8::MAX),
                }
            }
        })
    }

    /// The attempt that is under way: the last one, since no other can be finished.
    fn under_way(&self, now: OffsetDateTime) -> Option<&Attempt> {
        self.attempts
            .last()
            .filter(|attempt| attempt.is_under_way(now))
    }

    /// The number of the last attempt.
    fn last_number(&self) -> u32 {
        u32::try_from(self.attempts.len()).unwrap_or(u32::MAX)
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
        if row.under_way(at).is_some() {
            let number = row.last_number();
            return Err(Error::Conflict(Conflict::AttemptInProgress { number }));
        }
        let record = Box::new(row.record.clone());
        if replayed || self.is_being_decided(&record, sample) {
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
            reason_code: None,
        });
        let lease = AttemptLease {
            tenant_id: tenant_id.clone(),
            challenge_id: challenge_id.clone(),
            number: row.last_number(),
            sample,
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

    /// Attempts under way at the open challenges of the user of `record`, each with its challenge.
    fn under_way(
        &self,
        record: &StoredChallenge,
    ) -> impl Iterator<Item = (&StoredChallenge, &Attempt)> {
        let at = self.at();
        self.state
            .challenges
            .values()
            .filter(move |row| {
                row.record.tenant_id == record.tenant_id
                    && row.record.user_id == record.user_id
                    && !row.record.challenge.status().is_terminal()
            })
            .filter_map(move |row| Some((&row.record, row.under_way(at)?)))
    }

    fn is_being_decided(&self, record: &StoredChallenge, sample: SampleDigest) -> bool {
        let mut under_way = self.under_way(record);
        under_way.any(|(_, attempt)| attempt.sample == sample)
    }

    fn verifications_under_way(&self, record: &StoredChallenge) -> u32 {
        let verifications = self
            .under_way(record)
            .filter(|(at, _)| at.challenge.kind().palm_type().is_none());
        u32::try_from(verifications.count()).unwrap_or(u32::MAX)
    }

    /// Until when the user has to wait: `Some(None)` for one who is locked.
    fn throttled(&mut self, record: &StoredChallenge) -> Result<Option<Option<OffsetDateTime>>> {
        let at = self.at();
        let under_way = self.verifications_under_way(record);
        let user = self.user_mut(&record.tenant_id, &record.user_id)?;
        let enrolls = record.challenge.kind().palm_type().is_some();
        Ok(match user.throttle.decide_beside(under_way, at) {
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
        let was_decided = self.was_decided(&lease.tenant_id, lease.sample);
        let row = self.challenge_row(&lease.tenant_id, &lease.challenge_id)?;
        let attempt = row.leased_attempt(lease)?;
        if verdict.is_decided() && was_decided {
            return Err(Error::Conflict(Conflict::AttemptEnded));
        }
        attempt.state = ended(verdict);
        let record = row.record.clone();
        let user = self.user_even_erased(&record.tenant_id, &record.user_id)?;
        let throttle = user.throttle;
        let matched_user = self.other_user(&record.tenant_id, verdict);
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
        let row = self.challenge_row(&lease.tenant_id, &lease.challenge_id)?;
        if let Some(attempt) = row.attempts.last_mut() {
            attempt.reason_code = conclusion.answer.reason_code();
        }
        for (chain, event) in &conclusion.events {
            self.post(chain, event);
        }
        Ok(Ok(StoredVerdict {
            record: conclusion.record,
            answer: conclusion.answer,
        }))
    }

    fn other_user(&self, tenant_id: &TenantId, verdict: &AttemptVerdict) -> Option<InternalUserId> {
        let user_id = verdict.other_user()?;
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
        let user = self.user_even_erased(&record.tenant_id, &record.user_id)?;
        if !user.palms.iter().any(|palm| palm.palm_type == palm_type) {
            self.request_erasure(&record.tenant_id, &record.user_id, palm_type);
        }
        Ok(())
    }
}
