//! Console sessions, and the sign-ins that failed before them.

use super::connection::Connection;
use super::row::Row;
use time::OffsetDateTime;

use super::Shared;
use super::column::{Columns, ms};
use super::fault::{Step, taken};
use super::operators::{self, AddressDigest};
use super::query::{Sql, query};
use super::second_factor;
use super::tx::{ChangeTx, Tx};
use crate::{
    Chain, Conflict, Entity, Event, KeptSession, LoginFailures, LoginRefusal,
    MAX_REAUTHENTICATION_FAILURES, NewSession, NewSignIn, Operator, OperatorId, Result, Session,
    SessionId, SessionTokenHash, SignInTokenHash,
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
const NOTE_REAUTHENTICATION_FAILURE: &str = "
    UPDATE console_sessions SET failures = failures + 1 WHERE operator_id = $1 AND session_id = $2
    RETURNING failures";
const END_ALL_BUT: &str = "
    DELETE FROM console_sessions WHERE operator_id = $1 AND session_id IS DISTINCT FROM $2";
/// Under another token it is not found by the one before.
const RENAME: &str = "
    UPDATE console_sessions SET token_hash = $3 WHERE operator_id = $1 AND session_id = $2";
const BEGIN_SIGN_IN: &str = "
    INSERT INTO console_sign_ins (token_hash, operator_id, expires_at) VALUES ($1, $2, $3)";
const SIGN_IN: &str = "
    SELECT operator_id, u.tenant_id, u.email, u.role, u.password_hash, u.must_change_password,
           u.created_at
    FROM console_sign_ins s JOIN console_users u USING (operator_id)
    WHERE s.token_hash = $1 AND s.expires_at > $2";
const TAKE_SIGN_IN: &str = "
    DELETE FROM console_sign_ins WHERE token_hash = $1 AND operator_id = $2 AND expires_at > $3";
const END_SIGN_INS: &str = "DELETE FROM console_sign_ins WHERE operator_id = $1";
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
/// At most $2 sign-ins that wait no longer at $1.
pub(super) const PURGE_SIGN_INS: &str = "
    DELETE FROM console_sign_ins
    WHERE expires_at <= $1 AND token_hash IN (
        SELECT token_hash FROM console_sign_ins WHERE expires_at <= $1
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
    operators::still_has(tx, &new.operator_id, &new.password).await?;
    if second_factor::is_asked_for(tx.conn(), &new.operator_id).await? {
        return Err(Conflict::CodeRequired.into());
    }
    open(tx, new).await
}

/// Opens the session of a console user who showed everything that is asked for.
pub(super) async fn open(tx: &mut ChangeTx<'_>, new: &NewSession) -> Step<Session> {
    let at = tx.at();
    query(INSERT)
        .bind(new.session_id.as_str())
        .bind(new.operator_id.as_str())
        .bind(&new.token_hash.0[..])
        .bind(ms(at))
        .bind(ms(new.expires_at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    forget_failures(tx, &new.operator_id).await?;
    let event = Event::LoginAttempt {
        operator_id: Some(new.operator_id.clone()),
        reason: None,
    };
    tx.post(&Chain::Platform, &event).await?;
    must_find(tx.tx, new.session_id.as_str()).await
}

/// Forgets the failed sign-ins under a console user's address.
pub(super) async fn forget_failures(tx: &mut ChangeTx<'_>, operator_id: &OperatorId) -> Step<()> {
    query(FORGET_FAILURES)
        .bind(operator_id.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
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
    if ended == 0 {
        return Err(Entity::Session.into());
    }
    let event = Event::ConsoleUserSessionEnded {
        operator_id: operator_id.clone(),
        session_id: session_id.clone(),
    };
    tx.post(&Chain::Platform, &event).await
}

/// Ends a console user's sign-ins that wait for a code, and the sessions but `keep`.
pub(super) async fn end_all_but(
    tx: &mut ChangeTx<'_>,
    operator_id: &OperatorId,
    keep: Option<&KeptSession>,
) -> Step<()> {
    query(END_SIGN_INS)
        .bind(operator_id.as_str())
        .execute(tx.conn())
        .await?;
    query(END_ALL_BUT)
        .bind(operator_id.as_str())
        .bind(keep.map(|keep| keep.session_id.as_str()))
        .execute(tx.conn())
        .await?;
    if let Some((session_id, token)) = keep.and_then(|k| Some((&k.session_id, k.token_hash?))) {
        query(RENAME)
            .bind(operator_id.as_str())
            .bind(session_id.as_str())
            .bind(&token.0[..])
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

pub(super) async fn begin_sign_in(tx: &mut ChangeTx<'_>, new: &NewSignIn) -> Step<()> {
    operators::still_has(tx, &new.operator_id, &new.password).await?;
    query(BEGIN_SIGN_IN)
        .bind(&new.token_hash.0[..])
        .bind(new.operator_id.as_str())
        .bind(ms(new.expires_at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    let event = Event::LoginAttempt {
        operator_id: Some(new.operator_id.clone()),
        reason: Some("mfa_required"),
    };
    tx.post(&Chain::Platform, &event).await
}

/// Whose sign-in waits for a code.
pub(super) async fn sign_in(
    conn: &mut Connection,
    shared: &Shared,
    token: &SignInTokenHash,
    now: OffsetDateTime,
) -> Step<Option<Operator>> {
    let row = query(SIGN_IN)
        .bind(&token.0[..])
        .bind(ms(now))
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| operators::read(&row, shared)).transpose()?)
}

/// Ends a sign-in that waits for its user's code, or refuses that it does not.
pub(super) async fn take_sign_in(
    tx: &mut ChangeTx<'_>,
    token: SignInTokenHash,
    operator_id: &OperatorId,
) -> Step<()> {
    let at = ms(tx.at());
    let taken = query(TAKE_SIGN_IN)
        .bind(&token.0[..])
        .bind(operator_id.as_str())
        .bind(at)
        .execute(tx.conn())
        .await?;
    match taken {
        0 => Err(Entity::SignIn.into()),
        _ => Ok(()),
    }
}

pub(super) async fn record_failure(
    tx: &mut ChangeTx<'_>,
    address: &AddressDigest,
    operator_id: Option<OperatorId>,
    refusal: LoginRefusal,
) -> Step<()> {
    let at = tx.at();
    query(NOTE_FAILURE)
        .bind(&address[..])
        .bind(ms(at))
        .execute(tx.conn())
        .await?;
    let event = Event::LoginAttempt {
        operator_id: operator_id.clone(),
        reason: Some(refusal.as_str()),
    };
    tx.post(&Chain::Platform, &event).await?;
    match (refusal, &operator_id) {
        (LoginRefusal::Code, Some(id)) => second_factor::note_wrong_code(tx, id).await,
        (LoginRefusal::Code | LoginRefusal::Credentials, _) => Ok(()),
    }
}

pub(super) async fn record_reauthentication_failure(
    tx: &mut ChangeTx<'_>,
    operator_id: &OperatorId,
    session_id: &SessionId,
    refusal: LoginRefusal,
) -> Step<()> {
    // Before the session, as whatever writes both does.
    if refusal == LoginRefusal::Code {
        second_factor::note_wrong_code(tx, operator_id).await?;
    }
    let counted = query(NOTE_REAUTHENTICATION_FAILURE)
        .bind(operator_id.as_str())
        .bind(session_id.as_str())
        .fetch_optional(tx.conn())
        .await?;
    let failures: i64 = counted.ok_or(Entity::Session)?.get("failures")?;
    let event = Event::ConsoleUserReauthenticationFailed {
        operator_id: operator_id.clone(),
        session_id: session_id.clone(),
        reason: refusal.as_str(),
    };
    tx.post(&Chain::Platform, &event).await?;
    match failures < i64::from(MAX_REAUTHENTICATION_FAILURES) {
        true => Ok(()),
        false => end(tx, operator_id, session_id).await,
    }
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
