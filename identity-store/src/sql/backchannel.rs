//! Authentication requests of clients, each answered by its challenge.

use async_trait::async_trait;
use identity_pki::TenantId;
use time::{Duration, OffsetDateTime};

use super::column::{Columns, ms};
use super::encrypted::{self, RowKey};
use super::fault::{Step, taken};
use super::query::{Sql, query};
use super::row::Row;
use super::tx::{ChangeTx, Isolation, Tx};
use super::{Shared, SqlStore, challenge_rows, challenges, user_rows};
use crate::backchannel::AuthRequest;
use crate::{
    AuthRequestAnswer, AuthRequestSha256, BackchannelStore, Chain, ChallengeId, Change,
    ClaimedNotification, ClientId, Conflict, NewChallenge, Result, SecretBytes, StoredChallenge,
};

const INSERT: &str = "
    INSERT INTO backchannel_requests (tenant_id, challenge_id, request_sha256, interval_seconds,
        expires_at, notification)
    VALUES ($1, $2, $3, $4, $5, $6)";

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
const MAKE_DUE: &str = "
    UPDATE backchannel_requests SET notify_at = $3
    WHERE tenant_id = $1 AND challenge_id = $2 AND notification IS NOT NULL";
const IS_DUE: &str = "SELECT 1 FROM backchannel_requests WHERE notify_at <= $1 LIMIT 1";

macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "UPDATE backchannel_requests SET notify_at = $2, notify_tries = notify_tries + 1
             WHERE (tenant_id, challenge_id) IN (
                SELECT tenant_id, challenge_id FROM backchannel_requests WHERE notify_at <= $1
                ORDER BY notify_at LIMIT $3",
            $lock,
            ") RETURNING tenant_id, challenge_id, notification, notify_tries"
        )
    };
}

const CLAIM: Sql = Sql {
    sqlite: claim!(""),
    postgres: claim!(" FOR UPDATE SKIP LOCKED"),
};
const FINISH: &str = "
    UPDATE backchannel_requests SET notify_at = $4,
        notification = CASE WHEN $5 THEN notification END
    WHERE tenant_id = $1 AND challenge_id = $2 AND notify_tries = $3";
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
    notification: Option<SecretBytes>,
) -> Step<StoredChallenge> {
    let record = challenges::create(tx, new).await?;
    let row = row_key(&record.tenant_id, &record.challenge_id);
    let sealed = notification.map(|notification| {
        let sealer = tx.tx.shared.sealer();
        encrypted::AUTH_NOTIFICATION.encrypt(sealer, &row, notification.expose())
    });
    query(INSERT)
        .bind(record.tenant_id.as_str())
        .bind(record.challenge_id.as_str())
        .bind(&request.0[..])
        .bind(AuthRequest::NEW.interval.whole_seconds())
        .bind(ms(record.challenge.expires_at()))
        .bind(sealed.transpose()?.as_deref())
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    Ok(record)
}

fn row_key(tenant_id: &TenantId, challenge_id: &ChallengeId) -> RowKey {
    RowKey::Texts(tenant_id.to_string(), challenge_id.to_string())
}

fn read_claimed(row: &Row, shared: &Shared) -> Result<ClaimedNotification> {
    let columns = Columns::of(row, "backchannel_requests");
    let (tenant_id, challenge_id) = (columns.parse("tenant_id")?, columns.parse("challenge_id")?);
    let row = row_key(&tenant_id, &challenge_id);
    let sealed = columns.get("notification")?;
    Ok(ClaimedNotification {
        notification: shared.secret(&encrypted::AUTH_NOTIFICATION, &row, sealed),
        tries: columns.number("notify_tries")?,
        tenant_id,
        challenge_id,
    })
}

async fn claim(
    tx: &mut Tx,
    now: OffsetDateTime,
    until: OffsetDateTime,
    limit: u32,
) -> Step<Vec<ClaimedNotification>> {
    let rows = query(CLAIM)
        .bind(ms(now))
        .bind(ms(until))
        .bind(i64::from(limit))
        .fetch_all(tx.conn())
        .await?;
    let claimed = rows.iter().map(|row| read_claimed(row, &tx.shared));
    Ok(claimed.collect::<Result<_>>()?)
}

async fn finish(
    tx: &mut Tx,
    claimed: &ClaimedNotification,
    again: Option<OffsetDateTime>,
) -> Step<()> {
    query(FINISH)
        .bind(claimed.tenant_id.as_str())
        .bind(claimed.challenge_id.as_str())
        .bind(i64::from(claimed.tries))
        .bind(again.map(ms))
        .bind(again.is_some())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Makes the notification due of a request whose challenge has ended.
pub(super) async fn make_notification_due(
    tx: &mut ChangeTx<'_>,
    record: &StoredChallenge,
) -> Step<()> {
    if !record.challenge.status().is_terminal() || record.client_id.is_none() {
        return Ok(());
    }
    let at = tx.at();
    query(MAKE_DUE)
        .bind(record.tenant_id.as_str())
        .bind(record.challenge_id.as_str())
        .bind(ms(at))
        .execute(tx.conn())
        .await?;
    Ok(())
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
        notification: Option<SecretBytes>,
    ) -> Result<StoredChallenge> {
        self.run_change(
            "create_auth_request",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(create(tx, challenge, request, notification)),
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

    async fn claim_auth_notifications(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<ClaimedNotification>> {
        // Mostly nothing is: a look costs no write.
        let is_due = self.read("auth_notification_is_due", async |conn| {
            let due = query(IS_DUE).bind(ms(now)).fetch_optional(conn).await?;
            Ok(due.is_some())
        });
        if !is_due.await? {
            return Ok(Vec::new());
        }
        self.run_tx(
            "claim_auth_notifications",
            Isolation::ReadCommitted,
            move |tx| Box::pin(claim(tx, now, until, limit)),
        )
        .await
    }

    async fn finish_auth_notification(
        &self,
        claimed: ClaimedNotification,
        again: Option<OffsetDateTime>,
    ) -> Result<()> {
        self.run_tx(
            "finish_auth_notification",
            Isolation::ReadCommitted,
            move |tx| Box::pin(async move { finish(tx, &claimed, again).await }),
        )
        .await
    }

    async fn purge_auth_requests(&self, before: OffsetDateTime) -> Result<u64> {
        self.purge("purge_auth_requests", PURGE, before).await
    }
}
