//! Challenges that go with their user.

use identity_pki::TenantId;
use time::OffsetDateTime;

use super::column::{Columns, json, ms};
use super::fault::Step;
use super::query::{Sql, query};
use super::tx::Tx;
use crate::{Result, UserId};

const IDLE_CHALLENGES: &str = "
    SELECT c.challenge_id FROM challenges c
    WHERE c.tenant_id = $1 AND c.user_id = $2
      AND NOT EXISTS (SELECT 1 FROM challenge_attempts a
                      WHERE a.tenant_id = $1 AND a.challenge_id = c.challenge_id
                        AND a.finished_at IS NULL AND a.lease_until > $3)
    ORDER BY c.created_at LIMIT $4";

macro_rules! delete_listed {
    ($table:literal, $listed:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE tenant_id = $1 AND challenge_id IN (SELECT ",
            $listed,
            ")"
        )
    };
}

const FORGET_ATTEMPTS: Sql = Sql {
    sqlite: delete_listed!("challenge_attempts", "value FROM json_each($2)"),
    postgres: delete_listed!(
        "challenge_attempts",
        "challenge FROM json_array_elements_text($2::json) AS listed(challenge)"
    ),
};
const FORGET_AUTH_REQUESTS: Sql = Sql {
    sqlite: delete_listed!("backchannel_requests", "value FROM json_each($2)"),
    postgres: delete_listed!(
        "backchannel_requests",
        "challenge FROM json_array_elements_text($2::json) AS listed(challenge)"
    ),
};
const FORGET_CHALLENGES: Sql = Sql {
    sqlite: delete_listed!("challenges", "value FROM json_each($2)"),
    postgres: delete_listed!(
        "challenges",
        "challenge FROM json_array_elements_text($2::json) AS listed(challenge)"
    ),
};

/// Deletes challenges of a user who is being erased, but those with an attempt that is under way at `now`;
/// returns how many.
pub(super) async fn erase(
    tx: &mut Tx,
    tenant_id: &TenantId,
    user_id: &UserId,
    now: OffsetDateTime,
    limit: u32,
) -> Step<u64> {
    tx.lock_user(tenant_id, user_id).await?;
    let rows = query(IDLE_CHALLENGES)
        .bind(tenant_id.as_str())
        .bind(user_id.as_str())
        .bind(ms(now))
        .bind(i64::from(limit))
        .fetch_all(tx.conn())
        .await?;
    let id = |row| Columns::of(row, "challenges").get::<String>("challenge_id");
    let ids = json(&rows.iter().map(id).collect::<Result<Vec<_>>>()?)?;
    for forget in [FORGET_ATTEMPTS, FORGET_AUTH_REQUESTS, FORGET_CHALLENGES] {
        let forget = query(forget).bind(tenant_id.as_str()).bind(&ids);
        forget.execute(tx.conn()).await?;
    }
    Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
}
