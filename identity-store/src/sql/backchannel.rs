//! Authentication requests of clients, each answered by its challenge.

use async_trait::async_trait;
use identity_pki::TenantId;
use time::{Duration, OffsetDateTime};

use super::column::{Columns, ms};
use super::fault::{Step, taken};
use super::query::{Sql, query};
use super::row::Row;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, challenge_rows, challenges, user_rows};
use crate::backchannel::AuthRequest;
use crate::{
    AuthRequestAnswer, AuthRequestSha256, BackchannelStore, Chain, ChallengeId, Change, ClientId,
    Conflict, NewChallenge, Result, StoredChallenge,
};

const INSERT: &str = "
    INSERT INTO backchannel_requests (tenant_id, challenge_id, request_sha256, interval_seconds,
        expires_at)
    VALUES ($1, $2, $3, $4, $5)";

macro_rules! one {
    ($lock:literal) => {
        concat!(
            "SELECT challenge_id, interval_seconds, polled_at, granted_at FROM backchannel_requests
             WHERE tenant_id = $1 AND request_sha256 = $2",
            $lock
        )
    };
}

/// One statement reads and locks: whoever polls at the same time reads what this one leaves.
const ONE: Sql = Sql {
    sqlite: one!(""),
    postgres: one!(" FOR NO KEY UPDATE"),
};
const UPDATE: &str = "
    UPDATE backchannel_requests SET interval_seconds = $3, polled_at = $4, granted_at = $5
    WHERE tenant_id = $1 AND challenge_id = $2";
/// At most $2.
const PURGE: &str = "
    DELETE FROM backchannel_requests WHERE (tenant_id, challenge_id) IN (
        SELECT tenant_id, challenge_id FROM backchannel_requests WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2)";

fn read(row: &Row) -> Result<(ChallengeId, AuthRequest)> {
    let columns = Columns::of(row, "backchannel_requests");
    let request = AuthRequest {
        interval: Duration::seconds(columns.get("interval_seconds")?),
        polled_at: columns.time_option("polled_at")?,
        granted_at: columns.time_option("granted_at")?,
    };
    Ok((columns.parse("challenge_id")?, request))
}

async fn create(
    tx: &mut ChangeTx<'_>,
    new: NewChallenge,
    request: AuthRequestSha256,
) -> Step<StoredChallenge> {
    let record = challenges::create(tx, new).await?;
    query(INSERT)
        .bind(record.tenant_id.as_str())
        .bind(record.challenge_id.as_str())
        .bind(&request.0[..])
        .bind(AuthRequest::NEW.interval.whole_seconds())
        .bind(ms(record.challenge.expires_at()))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    Ok(record)
}

async fn poll(
    tx: &mut ChangeTx<'_>,
    tenant_id: &TenantId,
    client_id: &ClientId,
    request: AuthRequestSha256,
) -> Step<AuthRequestAnswer> {
    let row = query(ONE)
        .bind(tenant_id.as_str())
        .bind(&request.0[..])
        .fetch_optional(tx.conn())
        .await?;
    let Some((challenge_id, before)) = row.as_ref().map(read).transpose()? else {
        return Ok(AuthRequestAnswer::Unknown);
    };
    let record = challenge_rows::must_find(tx.conn(), tenant_id, &challenge_id).await?;
    let user = user_rows::find(tx.conn(), tenant_id, &record.user_id).await?;
    let (answer, after) = before.poll(client_id, record, user.as_deref(), tx.at());
    if after != before {
        query(UPDATE)
            .bind(tenant_id.as_str())
            .bind(challenge_id.as_str())
            .bind(after.interval.whole_seconds())
            .bind(after.polled_at.map(ms))
            .bind(after.granted_at.map(ms))
            .execute(tx.conn())
            .await?;
    }
    if let Some(event) = answer.event(client_id) {
        tx.post(&Chain::Tenant(tenant_id.clone()), &event).await?;
    }
    Ok(answer)
}

#[async_trait]
impl BackchannelStore for SqlStore {
    async fn create_auth_request(
        &self,
        change: Change,
        challenge: NewChallenge,
        request: AuthRequestSha256,
    ) -> Result<StoredChallenge> {
        self.run_change(
            "create_auth_request",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(create(tx, challenge, request)),
        )
        .await
    }

    async fn poll_auth_request(
        &self,
        change: Change,
        tenant_id: &TenantId,
        client_id: &ClientId,
        request: AuthRequestSha256,
    ) -> Result<AuthRequestAnswer> {
        let (tenant_id, client_id) = (tenant_id.clone(), client_id.clone());
        self.run_change(
            "poll_auth_request",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { poll(tx, &tenant_id, &client_id, request).await }),
        )
        .await
    }

    async fn purge_auth_requests(&self, before: OffsetDateTime) -> Result<u64> {
        self.purge("purge_auth_requests", PURGE, before).await
    }
}
