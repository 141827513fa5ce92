//! Claims of erasures: a palm is erased by one, and not while it is enrolled.

use time::OffsetDateTime;

use super::column::{Columns, ms};
use super::fault::Step;
use super::query::{Sql, query};
use super::tx::{ChangeTx, Tx};
use crate::{PalmErasure, StoredChallenge};

macro_rules! under_way {
    ($indexed_by:literal) => {
        concat!(
            "SELECT 1 FROM challenge_attempts a ",
            $indexed_by,
            " CROSS JOIN challenges c
             WHERE a.tenant_id = $1 AND a.finished_at IS NULL AND a.lease_until > $4
               AND c.tenant_id = a.tenant_id AND c.challenge_id = a.challenge_id
               AND c.user_id = $2 AND c.palm_type = $3
             LIMIT 1"
        )
    };
}

const UNDER_WAY: Sql = Sql {
    // It takes every tenant's attempts for few.
    sqlite: under_way!("INDEXED BY challenge_attempts_under_way"),
    postgres: under_way!(""),
};
const CLAIM: &str = "
    UPDATE palm_erasures SET claimed_until = $6
    WHERE tenant_id = $1 AND user_id = $2 AND palm_type = $3 AND requested_at = $4
      AND (claimed_until IS NULL OR claimed_until <= $5)";
const RELEASE: &str = "
    UPDATE palm_erasures SET claimed_until = NULL
    WHERE tenant_id = $1 AND user_id = $2 AND palm_type = $3 AND requested_at = $4
      AND claimed_until = $5";
const CLAIMED: &str = "
    SELECT claimed_until FROM palm_erasures
    WHERE tenant_id = $1 AND user_id = $2 AND palm_type = $3 AND claimed_until > $4";

/// Takes an erasure up. An attempt at the palm begins under the same lock.
pub(super) async fn claim(
    tx: &mut Tx,
    erasure: &PalmErasure,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Step<bool> {
    tx.lock_user(&erasure.tenant_id, &erasure.user_id).await?;
    let under_way = query(UNDER_WAY)
        .bind(erasure.tenant_id.as_str())
        .bind(erasure.user_id.as_str())
        .bind(erasure.palm_type.as_str())
        .bind(ms(now))
        .fetch_optional(tx.conn())
        .await?;
    if under_way.is_some() {
        return Ok(false);
    }
    let claimed = query(CLAIM)
        .bind(erasure.tenant_id.as_str())
        .bind(erasure.user_id.as_str())
        .bind(erasure.palm_type.as_str())
        .bind(ms(erasure.requested_at))
        .bind(ms(now))
        .bind(ms(until))
        .execute(tx.conn())
        .await?;
    Ok(claimed == 1)
}

pub(super) async fn release(tx: &mut Tx, erasure: &PalmErasure, until: OffsetDateTime) -> Step<()> {
    query(RELEASE)
        .bind(erasure.tenant_id.as_str())
        .bind(erasure.user_id.as_str())
        .bind(erasure.palm_type.as_str())
        .bind(ms(erasure.requested_at))
        .bind(ms(until))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Until when the palm that a challenge is to enrol is being erased, if it is.
pub(super) async fn being_erased(
    tx: &mut ChangeTx<'_>,
    record: &StoredChallenge,
) -> Step<Option<OffsetDateTime>> {
    let Some(palm_type) = record.challenge.kind().palm_type() else {
        return Ok(None);
    };
    let at = tx.at();
    let row = query(CLAIMED)
        .bind(record.tenant_id.as_str())
        .bind(record.user_id.as_str())
        .bind(palm_type.as_str())
        .bind(ms(at))
        .fetch_optional(tx.conn())
        .await?;
    let until = |row| Columns::of(row, "palm_erasures").time("claimed_until");
    Ok(row.as_ref().map(until).transpose()?)
}
