//! Attempts: which sample is being decided, and what came of it.

use identity_challenge::{Answer, ReasonCode, Refusal, ThrottleDecision};
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::column::{Columns, ms};
use super::connection::Connection;
use super::fault::Step;
use super::query::{Sql, query};
use super::tx::ChangeTx;
use super::{challenge_rows, erasures, user_rows};
use crate::attempt::conclude;
use crate::posting::to_millisecond;
use crate::{
    AttemptLease, AttemptStanding, AttemptStart, AttemptVerdict, Chain, ChallengeId, Conflict,
    Error, SampleDigest, StoredChallenge, StoredVerdict,
};

/// Whether the attempt `a` is its challenge's last one.
macro_rules! is_last {
    () => {
        "NOT EXISTS (SELECT 1 FROM challenge_attempts later
                     WHERE later.tenant_id = a.tenant_id AND later.challenge_id = a.challenge_id
                       AND later.number > a.number)"
    };
}

macro_rules! earlier {
    ($indexed_by:literal) => {
        concat!(
            "SELECT coalesce(max(number) FILTER (WHERE is_here), 0) AS last,
                    count(*) FILTER (WHERE is_here AND is_under_way) > 0 AS under_way,
                    count(*) FILTER (WHERE is_here AND (finished_at IS NULL OR may_have_happened)) > 0
                        AS in_doubt,
                    count(*) FILTER (WHERE is_under_way AND sample_digest = $5) > 0 AS same_sample,
                    count(*) FILTER (WHERE is_under_way AND kind = 'verify') AS verifications
             FROM (SELECT a.number, a.finished_at, a.may_have_happened, a.sample_digest, c.kind,
                          a.challenge_id = $2 AS is_here,
                          a.finished_at IS NULL AND a.lease_until > $4 AND ", is_last!(),
                              " AS is_under_way
                   FROM challenges c ", $indexed_by, " CROSS JOIN challenge_attempts a
                   WHERE c.tenant_id = $1 AND c.user_id = $3
                     AND c.status IN ('pending', 'in_progress')
                     AND a.tenant_id = c.tenant_id AND a.challenge_id = c.challenge_id) AS attempts"
        )
    };
}

/// Attempts at the open challenges of the user $3. Of those at $2: the last one's number, one under way at
/// $4, one in doubt. Of all: one under way with the sample $5, and how many verifications are.
const EARLIER: Sql = Sql {
    // It takes every tenant's attempts for few.
    sqlite: earlier!("INDEXED BY challenges_open_of_user"),
    postgres: earlier!(""),
};
/// In the words of the index over decided samples.
const DECIDED: Sql = Sql {
    sqlite: "SELECT 1 FROM challenge_attempts
             WHERE tenant_id = $1 AND sample_digest = $2 AND decided = 1",
    postgres: "SELECT 1 FROM challenge_attempts
               WHERE tenant_id = $1 AND sample_digest = $2 AND decided",
};
const BEGIN: &str = "
    INSERT INTO challenge_attempts (tenant_id, challenge_id, number, sample_digest, started_at,
                                    lease_until, decided, may_have_happened)
    VALUES ($1, $2, $3, $4, $5, $6, false, false)";
const FINISH: &str = concat!(
    "UPDATE challenge_attempts AS a
     SET finished_at = $4, decided = $5, may_have_happened = $6, vendor_request_id = $7,
         policy_version = $8, reason_code = $9
     WHERE tenant_id = $1 AND challenge_id = $2 AND number = $3 AND finished_at IS NULL AND ",
    is_last!()
);

/// The first from $3 on that is finished, or else the last: none that has a later one is finished still.
const STANDING: &str = concat!(
    "SELECT a.lease_until, a.finished_at, a.reason_code,
           (SELECT count(*) FROM challenge_attempts earlier
            WHERE earlier.tenant_id = $1 AND earlier.challenge_id = $2
              AND earlier.number <= a.number AND earlier.decided) AS decided
    FROM challenge_attempts a
    WHERE a.tenant_id = $1 AND a.challenge_id = $2 AND a.number >= $3
      AND (a.finished_at IS NOT NULL OR ",
    is_last!(),
    ") ORDER BY a.number LIMIT 1"
);

struct Earlier {
    last: u32,
    under_way: bool,
    in_doubt: bool,
    same_sample: bool,
    verifications: u32,
}

async fn earlier(
    tx: &mut ChangeTx<'_>,
    record: &StoredChallenge,
    sample: SampleDigest,
) -> Step<Earlier> {
    let at = tx.at();
    let row = query(EARLIER)
        .bind(record.tenant_id.as_str())
        .bind(record.challenge_id.as_str())
        .bind(record.user_id.as_str())
        .bind(ms(at))
        .bind(&sample.0[..])
        .fetch_one(tx.conn())
        .await?;
    let columns = Columns::of(&row, "challenge_attempts");
    Ok(Earlier {
        last: columns.number("last")?,
        under_way: columns.get("under_way")?,
        in_doubt: columns.get("in_doubt")?,
        same_sample: columns.get("same_sample")?,
        verifications: columns.number("verifications")?,
    })
}

async fn was_decided(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    sample: SampleDigest,
) -> Step<bool> {
    let row = query(DECIDED)
        .bind(tenant_id.as_str())
        .bind(&sample.0[..])
        .fetch_optional(tx.conn())
        .await?;
    Ok(row.is_some())
}

/// Starts deciding on a sample. A sample implies a claim, whatever comes of it.
pub(super) async fn begin(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    challenge_id: &ChallengeId,
    sample: SampleDigest,
    lease_until: OffsetDateTime,
) -> Step<AttemptStart> {
    let at = tx.at();
    tx.lock_challenge_and_user(tenant_id, challenge_id).await?;
    let stored = challenge_rows::must_find(tx.conn(), tenant_id, challenge_id).await?;
    let challenge = stored
        .challenge
        .apply(identity_challenge::Event::Claim, at)
        .map_err(Error::Challenge)?;
    let record = Box::new(StoredChallenge {
        challenge,
        ..stored
    });
    let earlier = earlier(tx, &record, sample).await?;
    if earlier.under_way {
        let number = earlier.last;
        return Err(Conflict::AttemptInProgress { number }.into());
    }
    challenge_rows::update(tx, &record).await?;
    if earlier.same_sample || was_decided(tx, tenant_id, sample).await? {
        if let Some(event) = record.replay_event() {
            tx.post(&Chain::Tenant(tenant_id.clone()), &event).await?;
        }
        return Ok(AttemptStart::Replayed { record });
    }
    let enrolls = record.challenge.kind().palm_type().is_some();
    let user = user_rows::must_find(tx.conn(), tenant_id, &record.user_id).await?;
    match user.throttle.decide_beside(earlier.verifications, at) {
        ThrottleDecision::Locked => {
            return Ok(AttemptStart::Throttled {
                record,
                until: None,
            });
        }
        ThrottleDecision::Wait { until } if !enrolls => {
            return Ok(AttemptStart::Throttled {
                record,
                until: Some(until),
            });
        }
        ThrottleDecision::Wait { .. } | ThrottleDecision::Allowed => {}
    }
    if let Some(until) = erasures::being_erased(tx, &record).await? {
        return Ok(AttemptStart::Erasing { record, until });
    }
    let lease = AttemptLease {
        tenant_id: tenant_id.clone(),
        challenge_id: challenge_id.clone(),
        number: earlier.last.saturating_add(1),
        sample,
        until: to_millisecond(lease_until),
    };
    insert(tx, &lease).await?;
    Ok(AttemptStart::Begun {
        lease,
        record,
        reconcile: enrolls && earlier.in_doubt,
    })
}

async fn insert(tx: &mut ChangeTx<'_>, lease: &AttemptLease) -> Step<()> {
    let at = tx.at();
    query(BEGIN)
        .bind(lease.tenant_id.as_str())
        .bind(lease.challenge_id.as_str())
        .bind(i64::from(lease.number))
        .bind(&lease.sample.0[..])
        .bind(ms(at))
        .bind(ms(lease.until))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Commits what came of an attempt. When the challenge ended meanwhile the refusal is the answer,
/// and what happened at the palm server is committed all the same.
pub(super) async fn finish(
    tx: &mut ChangeTx<'_>,
    lease: &AttemptLease,
    verdict: &AttemptVerdict,
) -> Step<Result<StoredVerdict, Refusal>> {
    let at = tx.at();
    tx.lock_challenge_and_user(&lease.tenant_id, &lease.challenge_id)
        .await?;
    let record =
        challenge_rows::must_find(tx.conn(), &lease.tenant_id, &lease.challenge_id).await?;
    let (tenant_id, user_id) = (&lease.tenant_id, &record.user_id);
    let user = user_rows::must_find_even_erased(tx.conn(), tenant_id, user_id).await?;
    let matched = match verdict.other_user() {
        Some(user_id) => user_rows::find(tx.conn(), &lease.tenant_id, &user_id).await?,
        None => None,
    };
    let matched = matched.map(|user| user.internal_id.clone());
    let conclusion = conclude(&record, user.throttle, matched, verdict, at);
    let answer = conclusion.as_ref().ok().map(|concluded| &concluded.answer);
    end(tx, lease, verdict, answer).await?;
    tx.notify(record.notice());
    let conclusion = match conclusion {
        Ok(conclusion) => conclusion,
        Err(refusal @ Refusal::OtherKind { .. }) => return Err(Error::Challenge(refusal).into()),
        Err(
            refusal @ (Refusal::Terminal { .. } | Refusal::Expired { .. } | Refusal::NotDue { .. }),
        ) => {
            tx.change.answer = None;
            take_back(tx, &record, verdict).await?;
            return Ok(Err(refusal));
        }
    };
    if lease.has_lapsed(&record, at) {
        return Err(Conflict::AttemptEnded.into());
    }
    user_rows::set_throttle(tx, &user, conclusion.throttle).await?;
    if let Some(palm) = &conclusion.palm {
        user_rows::enroll(tx, &user, palm).await?;
    }
    if verdict.is_in_the_way() {
        take_back(tx, &record, verdict).await?;
    }
    challenge_rows::update(tx, &conclusion.record).await?;
    for (chain, event) in &conclusion.events {
        tx.post(chain, event).await?;
    }
    Ok(Ok(StoredVerdict {
        record: conclusion.record,
        answer: conclusion.answer,
    }))
}

/// A template that the palm server may have added for a challenge that ended meanwhile is nobody's, and
/// so is one that a sample of the same palm does not match.
async fn take_back(
    tx: &mut ChangeTx<'_>,
    record: &StoredChallenge,
    verdict: &AttemptVerdict,
) -> Step<()> {
    let stray = verdict.added_palm().is_some() || verdict.may_have_happened();
    match record.challenge.kind().palm_type().filter(|_| stray) {
        Some(palm_type) => user_rows::erase_stray(tx, record, palm_type).await,
        None => Ok(()),
    }
}

/// Marks an attempt as finished; it may have been before, or have passed to another, and its sample too.
async fn end(
    tx: &mut ChangeTx<'_>,
    lease: &AttemptLease,
    verdict: &AttemptVerdict,
    answer: Option<&Answer>,
) -> Step<()> {
    let at = tx.at();
    let reason_code = answer.and_then(Answer::reason_code);
    if verdict.is_decided() && was_decided(tx, &lease.tenant_id, lease.sample).await? {
        return Err(Conflict::AttemptEnded.into());
    }
    let ended = query(FINISH)
        .bind(lease.tenant_id.as_str())
        .bind(lease.challenge_id.as_str())
        .bind(i64::from(lease.number))
        .bind(ms(at))
        .bind(verdict.is_decided())
        .bind(verdict.may_have_happened())
        .bind(verdict.vendor_request_id.as_deref())
        .bind(verdict.policy_version.as_deref())
        .bind(reason_code.map(ReasonCode::as_str))
        .execute(tx.conn())
        .await?;
    if ended == 1 {
        Ok(())
    } else {
        Err(Conflict::AttemptEnded.into())
    }
}

/// How attempt `number` at a challenge stands, or the one that took its place.
pub(super) async fn standing(
    conn: &mut Connection,
    tenant_id: &TenantId,
    challenge_id: &ChallengeId,
    number: u32,
) -> Step<Option<AttemptStanding>> {
    let row = query(STANDING)
        .bind(tenant_id.as_str())
        .bind(challenge_id.as_str())
        .bind(i64::from(number))
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let columns = Columns::of(&row, "challenge_attempts");
    Ok(Some(match columns.time_option("finished_at")? {
        Some(_) => AttemptStanding::Finished {
            reason_code: columns.parse_option("reason_code")?,
            decided: columns.number("decided")?,
        },
        None => AttemptStanding::Unfinished {
            until: columns.time("lease_until")?,
        },
    }))
}
