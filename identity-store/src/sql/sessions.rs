//! Console sessions, and the sign-ins that failed before them.

use super::connection::Connection;
use super::row::Row;
use time::OffsetDateTime;

use super::Shared;
use super::column::{Columns, ms};
use super::fault::{Step, taken};
use super::operators::{self, AddressDigest};
use super::query::{Sql, query};
use super::tx::{ChangeTx, Tx};
use crate::{
    Chain, Conflict, Entity, Event, LoginFailures, NewSession, OperatorId, Result, Session,
    SessionId, SessionTokenHash,
};

/// A session with its console user, whose columns keep their names.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.session_id, s.created_at AS opened_at, s.last_used_at, s.expires_at,
                    u.operator_id, u.tenant_id, u.email, u.role, u.password_hash,
                    u.must_change_password, u.created_at
             FROM console_sessions s JOIN console_users u ON u.operator_id = s.operator_id ",
            $rest
        )
    };
}

const ONE: &str = select!("WHERE s.session_id = $1");
const LIVE: &str =
    select!("WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.last_used_at >= $3");
const LIST: &str = select!(
    "WHERE s.operator_id = $1 AND s.expires_at > $2
     ORDER BY s.created_at DESC, s.session_id DESC"
);
const INSERT: &str = "
    INSERT INTO console_sessions (session_id, operator_id, token_hash, created_at, last_used_at,
                                  expires_at)
    VALUES ($1, $2, $3, $4, $4, $5)";
const NOTE_USE: &str = "
    UPDATE console_sessions SET last_used_at = CASE WHEN last_used_at < $2 THEN $2 ELSE last_used_at END
    WHERE token_hash = $1 AND expires_at > $2 AND last_used_at >= $3
    RETURNING session_id";
const END: &str = "DELETE FROM console_sessions WHERE operator_id = $1 AND session_id = $2";
const END_ALL_BUT: &str = "
    DELETE FROM console_sessions WHERE operator_id = $1 AND session_id IS DISTINCT FROM $2";
const NOTE_FAILURE: &str = "
    INSERT INTO login_failures (email_digest, failed_at) VALUES ($1, $2)";
const FAILURES: &str = "
    SELECT count(*) AS count, min(failed_at) AS oldest FROM login_failures
    WHERE email_digest = $1 AND failed_at >= $2";
const FORGET_FAILURES: &str = "
    DELETE FROM login_failures
    WHERE email_digest = (SELECT email_digest FROM console_users WHERE operator_id = $1)";
/// At most $2 sessions that are over at $1.
pub(super) const PURGE: &str = "
    DELETE FROM console_sessions
    WHERE expires_at <= $1 AND session_id IN (
        SELECT session_id FROM console_sessions WHERE expires_at <= $1
        ORDER BY expires_at LIMIT $2)";
/// At most $2 failed sign-ins from before $1, which have no key of their own.
pub(super) const PURGE_FAILURES: Sql = Sql {
    sqlite: "
        DELETE FROM login_failures
        WHERE rowid IN (SELECT rowid FROM login_failures WHERE failed_at < $1
                        ORDER BY failed_at LIMIT $2)",
    postgres: "
        DELETE FROM login_failures
        WHERE ctid = ANY (ARRAY (SELECT ctid FROM login_failures WHERE failed_at < $1
                                 ORDER BY failed_at LIMIT $2))",
};

fn read(row: &Row, shared: &Shared) -> Result<Session> {
    let columns = Columns::of(row, "console_sessions");
    Ok(Session {
        session_id: columns.parse("session_id")?,
        operator: operators::read(row, shared)?,
        created_at: columns.time("opened_at")?,
        last_used_at: columns.time("last_used_at")?,
        expires_at: columns.time("expires_at")?,
    })
}

async fn must_find(tx: &mut Tx, session_id: &str) -> Step<Session> {
    let row = query(ONE).bind(session_id).fetch_optional(tx.conn());
    let row = row.await?.ok_or(Entity::Session)?;
    Ok(read(&row, &tx.shared)?)
}

pub(super) async fn create(tx: &mut ChangeTx<'_>, new: &NewSession) -> Step<Session> {
    let at = tx.at();
    operators::still_has(tx, &new.operator_id, &new.password).await?;
    query(INSERT)
        .bind(new.session_id.as_str())
        .bind(new.operator_id.as_str())
        .bind(&new.token_hash.0[..])
        .bind(ms(at))
        .bind(ms(new.expires_at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    query(FORGET_FAILURES)
        .bind(new.operator_id.as_str())
        .execute(tx.conn())
        .await?;
    let event = Event::LoginAttempt {
        operator_id: Some(new.operator_id.clone()),
        reason: None,
    };
    tx.post(&Chain::Platform, &event).await?;
    must_find(tx.tx, new.session_id.as_str()).await
}

/// The session of a token, in its life and not idle.
pub(super) async fn live(
    conn: &mut Connection,
    shared: &Shared,
    token: SessionTokenHash,
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Step<Option<Session>> {
    let row = query(LIVE)
        .bind(&token.0[..])
        .bind(ms(now))
        .bind(ms(idle_since))
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| read(&row, shared)).transpose()?)
}

/// Notes the use of a live session.
pub(super) async fn note_use(
    tx: &mut Tx,
    token: SessionTokenHash,
    now: OffsetDateTime,
    idle_since: OffsetDateTime,
) -> Step<Option<Session>> {
    let used = query(NOTE_USE)
        .bind(&token.0[..])
        .bind(ms(now))
        .bind(ms(idle_since))
        .fetch_optional(tx.conn())
        .await?;
    match used {
        Some(row) => must_find(tx, row.get("session_id")?).await.map(Some),
        None => Ok(None),
    }
}

/// A console user's sessions in their life, newest first.
pub(super) async fn list(
    conn: &mut Connection,
    shared: &Shared,
    operator_id: &OperatorId,
    now: OffsetDateTime,
) -> Step<Vec<Session>> {
    let rows = query(LIST)
        .bind(operator_id.as_str())
        .bind(ms(now))
        .fetch_all(conn)
        .await?;
    let sessions = rows.iter().map(|row| read(row, shared));
    Ok(sessions.collect::<Result<_>>()?)
}

pub(super) async fn end(
    tx: &mut ChangeTx<'_>,
    operator_id: &OperatorId,
    session_id: &SessionId,
) -> Step<()> {
    let ended = query(END)
        .bind(operator_id.as_str())
        .bind(session_id.as_str())
        .execute(tx.conn())
        .await?;
    match ended {
        1 => Ok(()),
        _ => Err(Entity::Session.into()),
    }
}

/// Ends a console user's sessions, all but `keep`.
pub(super) async fn end_all_but(
    tx: &mut ChangeTx<'_>,
    operator_id: &OperatorId,
    keep: Option<&SessionId>,
) -> Step<()> {
    query(END_ALL_BUT)
        .bind(operator_id.as_str())
        .bind(keep.map(SessionId::as_str))
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn record_failure(
    tx: &mut ChangeTx<'_>,
    address: &AddressDigest,
    operator_id: Option<OperatorId>,
) -> Step<()> {
    let at = tx.at();
    query(NOTE_FAILURE)
        .bind(&address[..])
        .bind(ms(at))
        .execute(tx.conn())
        .await?;
    let event = Event::LoginAttempt {
        operator_id,
        reason: Some("invalid_credentials"),
    };
    tx.post(&Chain::Platform, &event).await
}

/// The failed sign-ins under an address at or after `since`.
pub(super) async fn failures(
    conn: &mut Connection,
    address: &AddressDigest,
    since: OffsetDateTime,
) -> Step<LoginFailures> {
    let row = query(FAILURES)
        .bind(&address[..])
        .bind(ms(since))
        .fetch_one(conn)
        .await?;
    let columns = Columns::of(&row, "login_failures");
    Ok(LoginFailures {
        count: columns.number("count")?,
        oldest: columns.time_option("oldest")?,
    })
}
