use super::connection::Connection;
use async_trait::async_trait;
use time::OffsetDateTime;

use super::SqlStore;
use super::column::{Columns, ms};
use super::encrypted::{self, RowKey};
use super::fault::Step;
use super::query::query;
use super::tx::{Isolation, Tx};
use crate::posting::to_millisecond;
use crate::{Conflict, IdempotencyKey, IdempotencyStore, Reservation, Result, StoredAnswer};

const FIND: &str = "
    SELECT body_sha256, lease_until, status, body FROM idempotent_answers WHERE request_key = $1";
/// Takes a key that is free, or whose lease or time is over at $5.
const RESERVE: &str = "
    INSERT INTO idempotent_answers (request_key, body_sha256, lease_until, keep_until)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (request_key) DO UPDATE
    SET body_sha256 = $2, lease_until = $3, keep_until = $4, status = NULL, body = NULL
    WHERE CASE WHEN idempotent_answers.status IS NULL THEN idempotent_answers.lease_until
               ELSE idempotent_answers.keep_until END <= $5";
const ANSWER: &str = "
    UPDATE idempotent_answers SET status = $3, body = $4
    WHERE request_key = $1 AND status IS NULL AND lease_until = $2";
const RELEASE: &str = "
    DELETE FROM idempotent_answers
    WHERE request_key = $1 AND status IS NULL AND lease_until = $2";
const RELEASE_ALL: &str = "DELETE FROM idempotent_answers WHERE status IS NULL";
/// At most $2. One that was reserved anew meanwhile is not over any more.
const PURGE: &str = "
    DELETE FROM idempotent_answers
    WHERE keep_until <= $1 AND request_key IN (
        SELECT request_key FROM idempotent_answers WHERE keep_until <= $1
        ORDER BY keep_until LIMIT $2)";

/// A key that was reserved before.
struct Kept {
    body_sha256: [u8; 32],
    lease_until: OffsetDateTime,
    answer: Option<(u16, Vec<u8>)>,
}

async fn find(conn: &mut Connection, key: &IdempotencyKey) -> Step<Option<Kept>> {
    let row = query(FIND).bind(&key.0[..]).fetch_optional(conn).await?;
    let Some(row) = row else { return Ok(None) };
    let columns = Columns::of(&row, "idempotent_answers");
    let body: Option<Vec<u8>> = columns.get("body")?;
    let answer = match body {
        Some(body) => Some((columns.number("status")?, body)),
        None => None,
    };
    Ok(Some(Kept {
        body_sha256: columns.bytes("body_sha256")?,
        lease_until: columns.time("lease_until")?,
        answer,
    }))
}

fn row_key(key: &IdempotencyKey) -> RowKey {
    RowKey::Bytes(key.0.to_vec())
}

/// Writes `answer` where its run of the request waits for one; returns whether it did.
async fn answer(tx: &mut Tx, answer: &StoredAnswer) -> Step<bool> {
    let row = row_key(&answer.key);
    let body = encrypted::ANSWER_BODY.encrypt(tx.shared.sealer(), &row, &answer.body)?;
    let written = query(ANSWER)
        .bind(&answer.key.0[..])
        .bind(ms(answer.lease_until))
        .bind(i64::from(answer.status))
        .bind(body)
        .execute(tx.conn())
        .await?;
    Ok(written == 1)
}

/// Keeps the answer of the change that the transaction makes. Work whose run of the request is not waiting
/// any more must not be done a second time, nor under a key that another request has.
pub(super) async fn answer_with_work(tx: &mut Tx, kept: &StoredAnswer) -> Step<()> {
    if answer(tx, kept).await? {
        Ok(())
    } else {
        Err(Conflict::RequestAnswered.into())
    }
}

async fn reserve(
    tx: &mut Tx,
    key: IdempotencyKey,
    body_sha256: [u8; 32],
    now: OffsetDateTime,
    lease_until: OffsetDateTime,
    keep_until: OffsetDateTime,
) -> Step<Reservation> {
    let reserved = query(RESERVE)
        .bind(&key.0[..])
        .bind(&body_sha256[..])
        .bind(ms(lease_until))
        .bind(ms(keep_until))
        .bind(ms(now))
        .execute(tx.conn())
        .await?;
    if reserved == 1 {
        return Ok(Reservation::Fresh);
    }
    // Whose reservation it is may have given it back since.
    let Some(kept) = find(tx.conn(), &key).await? else {
        return Ok(Reservation::InProgress);
    };
    if kept.body_sha256 != body_sha256 {
        return Ok(Reservation::OtherBody);
    }
    let Some((status, body)) = kept.answer else {
        return Ok(Reservation::InProgress);
    };
    let body = encrypted::ANSWER_BODY.decrypt(&tx.shared.crypter, &row_key(&key), &body)?;
    let body = body.to_vec();
    Ok(Reservation::Answered(StoredAnswer {
        key,
        lease_until: kept.lease_until,
        status,
        body,
    }))
}

#[async_trait]
impl IdempotencyStore for SqlStore {
    async fn reserve(
        &self,
        key: IdempotencyKey,
        body_sha256: [u8; 32],
        now: OffsetDateTime,
        lease_until: OffsetDateTime,
        keep_until: OffsetDateTime,
    ) -> Result<Reservation> {
        let now = to_millisecond(now);
        self.run_tx("reserve", Isolation::ReadCommitted, move |tx| {
            Box::pin(reserve(tx, key, body_sha256, now, lease_until, keep_until))
        })
        .await
    }

    async fn keep_answer(&self, kept: StoredAnswer) -> Result<()> {
        self.run_tx("keep_answer", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move { answer(tx, &kept).await.map(|_first| ()) })
        })
        .await
    }

    async fn release(&self, key: IdempotencyKey, lease_until: OffsetDateTime) -> Result<()> {
        self.run_tx("release", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move {
                let query = query(RELEASE).bind(&key.0[..]).bind(ms(lease_until));
                query.execute(tx.conn()).await?;
                Ok(())
            })
        })
        .await
    }

    async fn release_all(&self) -> Result<u64> {
        self.run_tx("release_all", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move { Ok(query(RELEASE_ALL).execute(tx.conn()).await?) })
        })
        .await
    }

    async fn purge_answers(&self, now: OffsetDateTime) -> Result<u64> {
        self.purge("purge_answers", PURGE, now).await
    }
}
