//! Challenges as rows.

use super::connection::Connection;
use super::row::Row;
use identity_challenge::{
    Challenge, ChallengeKind, ChallengeRecord, ChallengeStatus, PalmType, StatusReason,
};
use identity_pki::{DeviceId, DeviceIdentity, TenantId};
use time::OffsetDateTime;

use super::column::{Columns, Window, json, ms};
use super::fault::{Step, taken};
use super::query::{Sql, query};
use super::tx::ChangeTx;
use super::{backchannel, user_rows};
use crate::{
    ChallengeFilter, ChallengeId, ClientId, Conflict, Entity, Error, Result, StoredChallenge,
    UserId,
};

macro_rules! challenge_columns {
    () => {
        "c.tenant_id, c.challenge_id, c.kind, c.palm_type, c.status, c.status_reason,
         c.attempts_used, c.max_attempts, c.user_id, c.internal_user_id, c.device_id, c.client_id,
         c.context, c.metadata, c.display, c.binding_message, c.client_reference, c.nonce,
         c.scores, c.receipt, c.created_at, c.expires_at, c.completed_at"
    };
}
pub(super) use challenge_columns;

macro_rules! select {
    ($($rest:expr),+ $(,)?) => {
        concat!("SELECT ", challenge_columns!(), " FROM challenges c ", $($rest),+)
    };
}

/// Whether a challenge is open at $3.
macro_rules! is_open {
    () => {
        "c.status IN ('pending', 'in_progress') AND c.expires_at > $3"
    };
}
pub(super) use is_open;

macro_rules! oldest_first {
    () => {
        " ORDER BY c.created_at, c.challenge_id"
    };
}
pub(super) use oldest_first;

const ONE: &str = select!("WHERE tenant_id = $1 AND challenge_id = $2");
macro_rules! list {
    ($user:literal) => {
        select!(
            "WHERE tenant_id = $1
               AND (created_at, challenge_id) < ($2, $3)
               AND ",
            $user,
            " AND ($5 IS NULL OR device_id = $5)
               AND ($6 IS NULL OR status = $6)
               AND ($7 IS NULL OR client_reference = $7)
             ORDER BY created_at DESC, challenge_id DESC LIMIT $8"
        )
    };
}

const LIST: &str = list!("$4 IS NULL");
const LIST_OF_USER: &str = list!("user_id = $4");
const OPEN_AT_DEVICE: &str = select!(
    "WHERE c.tenant_id = $1 AND c.device_id = $2 AND ",
    is_open!(),
    oldest_first!(),
);
const OPEN_OF_USER: &str = select!(
    "WHERE c.tenant_id = $1 AND c.user_id = $2 AND ",
    is_open!(),
    oldest_first!(),
);
macro_rules! overdue {
    ($lock:literal) => {
        concat!(
            select!(
                "WHERE status IN ('pending', 'in_progress') AND expires_at <= $1
                 ORDER BY expires_at, challenge_id LIMIT $2"
            ),
            $lock
        )
    };
}

/// One statement reads and locks: what ends while it waits for a lock is not among its rows.
const OVERDUE: Sql = Sql {
    sqlite: overdue!(""),
    postgres: overdue!(" FOR NO KEY UPDATE"),
};

const INSERT: &str = "
    INSERT INTO challenges (tenant_id, challenge_id, kind, palm_type, status, attempts_used,
        max_attempts, user_id, internal_user_id, device_id, client_id, context, metadata, display,
        binding_message, client_reference, nonce, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

/// What is over stays as it is.
const UPDATE: &str = "
    UPDATE challenges
    SET status = $3, status_reason = $4, attempts_used = $5, completed_at = $6, scores = $7,
        receipt = $8
    WHERE tenant_id = $1 AND challenge_id = $2 AND status IN ('pending', 'in_progress')";

/// Whether an attempt may have enrolled a palm without our knowing.
const IN_DOUBT: &str = "
    SELECT 1 FROM challenge_attempts
    WHERE tenant_id = $1 AND challenge_id = $2 AND (finished_at IS NULL OR may_have_happened)";

/// Reads a row with [`challenge_columns`].
pub(super) fn read(row: &Row) -> Result<StoredChallenge> {
    let columns = Columns::of(row, "challenges");
    let kind = ChallengeKind::stored(columns.get("kind")?, columns.parse_option("palm_type")?)
        .map_err(|_| columns.corrupt("kind"))?;
    let challenge = ChallengeRecord {
        kind,
        status: columns.parse("status")?,
        status_reason: columns.parse_option("status_reason")?,
        attempts_used: columns.number("attempts_used")?,
        max_attempts: columns.number("max_attempts")?,
        created_at: columns.time("created_at")?,
        expires_at: columns.time("expires_at")?,
        completed_at: columns.time_option("completed_at")?,
    };
    Ok(StoredChallenge {
        tenant_id: columns.parse("tenant_id")?,
        challenge_id: columns.parse("challenge_id")?,
        challenge: Challenge::try_from(challenge).map_err(|_| columns.corrupt("status"))?,
        user_id: columns.parse("user_id")?,
        internal_user_id: columns.parse("internal_user_id")?,
        device_id: columns.parse("device_id")?,
        client_id: columns.parse_option("client_id")?,
        context: columns.get("context")?,
        metadata: columns.json("metadata")?,
        display: columns.json_option("display")?,
        binding_message: columns.get("binding_message")?,
        client_reference: columns.get("client_reference")?,
        nonce: columns.get("nonce")?,
        scores: columns.json_option("scores")?,
        receipt: columns.get("receipt")?,
    })
}

fn read_all(rows: &[Row]) -> Step<Vec<StoredChallenge>> {
    Ok(rows.iter().map(read).collect::<Result<_>>()?)
}

pub(super) async fn find(
    conn: &mut Connection,
    tenant_id: &TenantId,
    challenge_id: &ChallengeId,
) -> Step<Option<StoredChallenge>> {
    let row = query(ONE)
        .bind(tenant_id.as_str())
        .bind(challenge_id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.as_ref().map(read).transpose()?)
}

/// The challenge, or the refusal that it is not there.
pub(super) async fn must_find(
    conn: &mut Connection,
    tenant_id: &TenantId,
    challenge_id: &ChallengeId,
) -> Step<StoredChallenge> {
    let found = find(conn, tenant_id, challenge_id).await?;
    Ok(found.ok_or(Entity::Challenge)?)
}

pub(super) async fn list(
    conn: &mut Connection,
    tenant_id: &TenantId,
    filter: ChallengeFilter,
    window: Window,
) -> Step<Vec<StoredChallenge>> {
    let list = filter.user_id.as_ref().map_or(LIST, |_| LIST_OF_USER);
    let rows = query(list)
        .bind(tenant_id.as_str())
        .bind(window.at)
        .bind(window.id)
        .bind(filter.user_id.as_ref().map(UserId::as_str))
        .bind(filter.device_id.as_ref().map(DeviceId::as_str))
        .bind(filter.status.map(ChallengeStatus::as_str))
        .bind(filter.client_reference.as_deref())
        .bind(window.rows)
        .fetch_all(conn)
        .await?;
    read_all(&rows)
}

/// The challenges of a device that are open at `now`, oldest first.
pub(super) async fn open_at_device(
    conn: &mut Connection,
    device: &DeviceIdentity,
    now: OffsetDateTime,
) -> Step<Vec<StoredChallenge>> {
    let rows = query(OPEN_AT_DEVICE)
        .bind(device.tenant_id().as_str())
        .bind(device.device_id().as_str())
        .bind(ms(now))
        .fetch_all(conn)
        .await?;
    read_all(&rows)
}

/// The challenges of a user that are open at `now`, oldest first.
pub(super) async fn open_of_user(
    conn: &mut Connection,
    tenant_id: &TenantId,
    user_id: &UserId,
    now: OffsetDateTime,
) -> Step<Vec<StoredChallenge>> {
    let rows = query(OPEN_OF_USER)
        .bind(tenant_id.as_str())
        .bind(user_id.as_str())
        .bind(ms(now))
        .fetch_all(conn)
        .await?;
    read_all(&rows)
}

/// Open challenges that are overdue at `now`, those overdue longest first, which are held until the
/// transaction's end.
pub(super) async fn overdue(
    conn: &mut Connection,
    now: OffsetDateTime,
    limit: u32,
) -> Step<Vec<StoredChallenge>> {
    let rows = query(OVERDUE)
        .bind(ms(now))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    read_all(&rows)
}

pub(super) async fn insert(tx: &mut ChangeTx<'_>, new: &StoredChallenge) -> Step<()> {
    let record = new.challenge.record();
    query(INSERT)
        .bind(new.tenant_id.as_str())
        .bind(new.challenge_id.as_str())
        .bind(record.kind.as_str())
        .bind(record.kind.palm_type().map(PalmType::as_str))
        .bind(record.status.as_str())
        .bind(i64::from(record.attempts_used))
        .bind(i64::from(record.max_attempts))
        .bind(new.user_id.as_str())
        .bind(new.internal_user_id.as_str())
        .bind(new.device_id.as_str())
        .bind(new.client_id.as_ref().map(ClientId::as_str))
        .bind(&new.context)
        .bind(json(&new.metadata)?)
        .bind(new.display.as_ref().map(json).transpose()?)
        .bind(new.binding_message.as_deref())
        .bind(new.client_reference.as_deref())
        .bind(&new.nonce)
        .bind(ms(record.created_at))
        .bind(ms(record.expires_at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    tx.notify(new.notice());
    Ok(())
}

/// Writes the next state of a challenge that was open, and what it leaves at the palm server.
pub(super) async fn update(tx: &mut ChangeTx<'_>, next: &StoredChallenge) -> Step<()> {
    let record = next.challenge.record();
    let written = query(UPDATE)
        .bind(next.tenant_id.as_str())
        .bind(next.challenge_id.as_str())
        .bind(record.status.as_str())
        .bind(record.status_reason.map(StatusReason::as_str))
        .bind(i64::from(record.attempts_used))
        .bind(record.completed_at.map(ms))
        .bind(next.scores.as_ref().map(json).transpose()?)
        .bind(next.receipt.as_deref())
        .execute(tx.conn())
        .await?;
    if written != 1 {
        // Whoever calls read the row as open inside this transaction.
        return Err(Error::Corrupt {
            table: "challenges",
            column: "status",
        }
        .into());
    }
    tx.notify(next.notice());
    backchannel::make_notification_due(tx, next).await?;
    match next.stray_palm() {
        Some(palm_type) if is_in_doubt(tx, next).await? => {
            user_rows::erase_stray(tx, next, palm_type).await
        }
        Some(_) | None => Ok(()),
    }
}

async fn is_in_doubt(tx: &mut ChangeTx<'_>, record: &StoredChallenge) -> Step<bool> {
    let attempt = query(IN_DOUBT)
        .bind(record.tenant_id.as_str())
        .bind(record.challenge_id.as_str())
        .fetch_optional(tx.conn())
        .await?;
    Ok(attempt.is_some())
}
