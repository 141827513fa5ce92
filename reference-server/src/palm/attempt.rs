use std::sync::Arc;
use std::time::Duration;

use identity_challenge::{
    Answer, Challenge, ChallengeKind, Outcome, PalmPolicy, PalmType, Refusal, Undecided,
    UserThrottle, VerifyOutcome,
};
use identity_mtls::VerifiedDevice;
use identity_store::{
    AttemptLease, AttemptStanding, AttemptStart, AttemptVerdict, ChallengeId, Change, Conflict,
    Entity, Error, PalmDuplicateAction, StoredChallenge, User,
};
use time::OffsetDateTime;

use super::palm_type::palm_of_sample;
use super::server::{self, Asked, Claim, EnrollRules};
use super::verdict::RETRY_AFTER;
use super::{Capture, CompletionBody, Palm};
use crate::App;
use crate::http::{Problem, own_challenge};
use crate::receipt::{RECEIPT_TYPE, ReceiptClaims};
use crate::waiters::{Topic, Waiter};

/// Decides on a sample of a device for one of its challenges. Samples of one challenge that race are
/// decided once, by the first, and all get its outcome; nobody's leaving stops the decision.
///
/// `asked` tells who sent the sample, and by which request.
///
/// # Errors
///
/// 404 `not_found` for what is no challenge of the device; 410 `challenge_expired`; 409
/// `challenge_terminal`, and `conflict` when another replica's decision is not waited for to its end; 422
/// `palm_type_mismatch` and `palm_type_required`; 403 `palm_type_restricted`; what the store fails with.
pub async fn complete(
    app: &Arc<App>,
    device: VerifiedDevice,
    asked: Change,
    challenge_id: ChallengeId,
    capture: Capture,
) -> Result<CompletionBody, Problem> {
    let key = (device.identity().clone(), challenge_id.clone());
    let attempt = Attempt {
        app: Arc::clone(app),
        device,
        asked,
        challenge_id,
        capture,
    };
    app.palm
        .decisions
        .join(key, attempt.run())
        .await
        .map_err(Problem::internal)?
}

/// A sample on its way to a decision.
struct Attempt {
    app: Arc<App>,
    device: VerifiedDevice,
    asked: Change,
    challenge_id: ChallengeId,
    capture: Capture,
}

/// What decisions are made by, as it was when the sample came.
struct Basis {
    user: User,
    palm_type: PalmType,
    policy: PalmPolicy,
    on_duplicate: PalmDuplicateAction,
}

impl Attempt {
    async fn run(self) -> Result<CompletionBody, Problem> {
        let record = own_challenge(&self.app, self.device.identity(), &self.challenge_id).await?;
        record
            .challenge
            .ensure_open(self.app.clock.now())
            .map_err(Error::Challenge)?;
        if record.challenge.kind() == ChallengeKind::Verify {
            // A match that cannot be given its receipt is not looked for.
            self.app.secrets.tokens.get()?;
        }
        let basis = self.basis(&record).await?;
        let body = match self.begin().await? {
            Begun::Ours(AttemptStart::Begun {
                lease,
                record,
                reconcile,
            }) => self.decide(lease, &record, reconcile, &basis).await?,
            Begun::Ours(AttemptStart::Replayed { record }) => {
                self.undecided(&record, Undecided::CaptureReplayed)?
            }
            Begun::Ours(AttemptStart::Throttled { record, until }) => {
                let retry_after = wait_until(until, self.app.clock.now());
                self.undecided(&record, Undecided::Throttled { retry_after })?
            }
            Begun::Ours(AttemptStart::Erasing { record, until }) => {
                let retry_after = wait_until(Some(until), self.app.clock.now());
                let retry_after = retry_after.min(RETRY_AFTER);
                self.undecided(&record, Undecided::ServiceUnavailable { retry_after })?
            }
            Begun::Elsewhere(body) => body,
        };
        metrics::counter!("palm_samples_total", "outcome" => body.label()).increment(1);
        Ok(body)
    }

    /// Reads what the decision is to be based on, and refuses a sample of the wrong palm.
    async fn basis(&self, record: &StoredChallenge) -> Result<Basis, Problem> {
        let tenant_id = &record.tenant_id;
        let user = self.app.store.user(tenant_id, &record.user_id).await?;
        let user = user.ok_or(Error::NotFound(Entity::User))?;
        let tenant = self.app.store.tenant(tenant_id).await?;
        let tenant = tenant.ok_or(Error::NotFound(Entity::Tenant))?;
        let palm_type = palm_of_sample(record.challenge.kind(), self.capture.palm_type(), &user)?;
        Ok(Basis {
            user,
            palm_type,
            policy: tenant.config.palm_policy,
            on_duplicate: tenant.config.palm_duplicate_action,
        })
    }

    /// Takes the right to decide. While another replica has it, this one waits for its outcome, and
    /// decides only if that replica died: the sample of one who waited is nobody's next try.
    async fn begin(&self) -> Result<Begun, Problem> {
        let key = self.app.secrets.sample_digest_key.get()?;
        let sample = self.capture.digest(key).map_err(Problem::internal)?;
        loop {
            let waiter = self.listen();
            let change = self.change();
            let until = change.at + self.app.palm.lease;
            let (tenant_id, id) = (self.device.identity().tenant_id(), &self.challenge_id);
            let start = self
                .app
                .store
                .begin_attempt(change, tenant_id, id, sample, until)
                .await;
            let number = match start {
                Ok(start) => return Ok(Begun::Ours(start)),
                Err(Error::Conflict(Conflict::AttemptInProgress { number })) => number,
                Err(error) => return Err(error.into()),
            };
            if let Some(body) = self.outcome_elsewhere(waiter, number).await? {
                return Ok(Begun::Elsewhere(body));
            }
        }
    }

    /// Hears of the challenge from now on, for as long as a lease runs.
    fn listen(&self) -> Waiter {
        let tenant_id = self.device.identity().tenant_id();
        let topic = Topic::Challenge(tenant_id.clone(), self.challenge_id.clone());
        let Palm { lease, .. } = self.app.palm;
        self.app.waiters.listen(topic, lease, &self.app.shutdown)
    }

    /// What another replica's attempt is answered with, or the one that took its place; `None` when it
    /// is worth trying to take it over.
    async fn outcome_elsewhere(
        &self,
        mut waiter: Waiter,
        number: u32,
    ) -> Result<Option<CompletionBody>, Problem> {
        let (device, id) = (self.device.identity(), &self.challenge_id);
        let read_challenge = async || own_challenge(&self.app, device, id).await;
        loop {
            let now = self.app.clock.now();
            let still_open = read_challenge().await?.challenge.ensure_open(now);
            let attempt = self.app.store.attempt(device.tenant_id(), id, number);
            match attempt.await? {
                Some(AttemptStanding::Finished {
                    reason_code,
                    decided,
                }) => {
                    // What the attempt did is in a challenge that is read after it.
                    let record = read_challenge().await?;
                    let body = CompletionBody::of_attempt(&record, reason_code, decided);
                    return body
                        .map(Some)
                        .ok_or_else(|| too_late(&record.challenge, now));
                }
                Some(AttemptStanding::Unfinished { until }) => {
                    // Had this attempt ended the challenge, it would read as finished.
                    still_open.map_err(Error::Challenge)?;
                    if until <= now {
                        return Ok(None);
                    }
                }
                None => return Ok(None),
            }
            if !waiter.again().await {
                break;
            }
        }
        if self.app.shutdown.is_cancelled() {
            return Err(still_decided(number));
        }
        Ok(None)
    }

    /// What a sample is answered whose lease passed on before its verdict came.
    async fn outcome_in_place_of(&self, number: u32) -> Result<CompletionBody, Problem> {
        let outcome = self.outcome_elsewhere(self.listen(), number).await?;
        outcome.ok_or_else(|| Error::Conflict(Conflict::AttemptEnded).into())
    }

    /// Asks the palm server, and commits what comes of it.
    async fn decide(
        &self,
        lease: AttemptLease,
        record: &StoredChallenge,
        reconcile: bool,
        basis: &Basis,
    ) -> Result<CompletionBody, Problem> {
        let asked = self.ask(record, reconcile, basis).await;
        let change = self.change();
        let (policy_version, receipt) = match &asked.verdict.outcome {
            Outcome::Verify(outcome) => {
                let version = basis.policy.version();
                let receipt = self.receipt(record, outcome, &version, change.at)?;
                (Some(version), receipt)
            }
            Outcome::Enroll(_) => {
                let judged = asked.verdict.duplicate_of.is_some();
                (judged.then(|| basis.policy.version()), None)
            }
            Outcome::Undecided(_) => (None, None),
        };
        let verdict = AttemptVerdict {
            outcome: asked.verdict.outcome,
            policy_version,
            receipt,
            duplicate_of: asked.verdict.duplicate_of,
            vendor_request_id: asked.request_id.map(|id| id.to_string()),
            vendor: asked.verdict.vendor,
        };
        let number = lease.number;
        let finished = self.app.store.finish_attempt(change, lease, verdict);
        match finished.await {
            Ok(finished) => Ok(CompletionBody::of(&finished.record, &finished.answer)),
            Err(Error::Conflict(Conflict::AttemptEnded)) => self.outcome_in_place_of(number).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn ask(&self, record: &StoredChallenge, reconcile: bool, basis: &Basis) -> Asked {
        let Some(palm_server) = &self.app.palm.server else {
            return Asked::nobody();
        };
        let sample = self.capture.sample();
        let claim = Claim {
            tenant_id: &record.tenant_id,
            user_id: &record.user_id,
            palm_type: basis.palm_type,
            policy: &basis.policy,
        };
        match record.challenge.kind() {
            ChallengeKind::Verify => server::verify(palm_server, &sample, claim).await,
            ChallengeKind::Enroll { .. } => {
                let rules = EnrollRules {
                    allowed: &basis.user.palm_policy.allowed_types,
                    on_duplicate: basis.on_duplicate,
                    reconcile,
                };
                server::enroll(palm_server, &sample, claim, rules).await
            }
        }
    }

    fn receipt(
        &self,
        record: &StoredChallenge,
        outcome: &VerifyOutcome,
        policy_version: &str,
        now: OffsetDateTime,
    ) -> Result<Option<String>, Problem> {
        let VerifyOutcome::Match { .. } = outcome else {
            return Ok(None);
        };
        let (tokens, certificate) = (self.app.secrets.tokens.get()?, self.device.fingerprint());
        let claims =
            ReceiptClaims::of_match(tokens.issuer(), record, &certificate, policy_version, now)
                .map_err(Problem::internal)?;
        tokens
            .sign(RECEIPT_TYPE, &claims)
            .map(Some)
            .map_err(Problem::internal)
    }

    /// The answer to a sample that the palm server was not asked about.
    fn undecided(
        &self,
        record: &StoredChallenge,
        undecided: Undecided,
    ) -> Result<CompletionBody, Problem> {
        let outcome = Outcome::Undecided(undecided);
        let completion = record.challenge.complete(&outcome, self.app.clock.now());
        let answer: Answer = completion.map_err(Error::Challenge)?.answer;
        Ok(CompletionBody::of(record, &answer))
    }

    /// A state change by this sample, now.
    fn change(&self) -> Change {
        Change {
            at: self.app.clock.now(),
            ..self.asked.clone()
        }
    }
}

/// What came of the wish to decide.
enum Begun {
    /// The store answered this replica.
    Ours(AttemptStart),
    /// Another replica decided.
    Elsewhere(CompletionBody),
}

fn still_decided(number: u32) -> Problem {
    Error::Conflict(Conflict::AttemptInProgress { number }).into()
}

/// The refusal of an attempt that came when its challenge was over, if only by another replica's clock.
fn too_late(challenge: &Challenge, now: OffsetDateTime) -> Problem {
    let expires_at = challenge.expires_at();
    let refusal = challenge.ensure_open(now).err();
    Error::Challenge(refusal.unwrap_or(Refusal::Expired { expires_at })).into()
}

/// How long a throttled user has to wait. A lock has no end of its own, so that the device comes
/// again after the usual pause.
fn wait_until(until: Option<OffsetDateTime>, now: OffsetDateTime) -> Duration {
    let pause = until.map_or(UserThrottle::DELAY, |until| until - now);
    pause.try_into().unwrap_or(Duration::ZERO)
}
