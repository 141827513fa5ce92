use async_trait::async_trait;
use time::OffsetDateTime;

use super::column::Columns;
use super::connection::Connection;
use super::encrypted::{self, RowKey};
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::tx::{ChangeTx, Isolation, Tx};
use super::{Shared, SqlStore, operators, sessions};
use crate::{
    Chain, Change, ConfirmTotp, Conflict, Entity, Event, MAX_WRONG_CODES, NewSession, NewSignIn,
    NewTotp, Operator, OperatorId, RemoveTotp, Result, SecondFactor, SecondFactorStore, Session,
    SignInTokenHash, Totp,
};

const ONE: &str = "
    SELECT operator_id, totp_id, secret, confirmed, wrong_codes FROM console_totp WHERE operator_id = $1";
const ISSUE: &str = "
    INSERT INTO console_totp (operator_id, totp_id, secret, confirmed, last_step)
    VALUES ($1, $2, $3, false, 0)
    ON CONFLICT (operator_id) DO UPDATE
    SET totp_id = excluded.totp_id, secret = excluded.secret";
const CONFIRM: &str = "
    UPDATE console_totp SET confirmed = true, last_step = $2 WHERE operator_id = $1";
const REMOVE: &str = "DELETE FROM console_totp WHERE operator_id = $1";
const USE_STEP: &str = "
    UPDATE console_totp SET last_step = $3, wrong_codes = 0
    WHERE operator_id = $1 AND totp_id = $2 AND confirmed AND last_step < $3 AND wrong_codes < $4";
const NOTE_WRONG_CODE: &str = "
    UPDATE console_totp SET wrong_codes = wrong_codes + 1
    WHERE operator_id = $1 AND confirmed AND wrong_codes < $2
    RETURNING wrong_codes";
const FORGET_WRONG_CODES: &str = "UPDATE console_totp SET wrong_codes = 0 WHERE operator_id = $1";
const ADD_RECOVERY_CODE: &str = "
    INSERT INTO console_recovery_codes (operator_id, code_hash) VALUES ($1, $2)
    ON CONFLICT DO NOTHING";
const USE_RECOVERY_CODE: &str = "
    DELETE FROM console_recovery_codes WHERE operator_id = $1 AND code_hash = $2";
const DROP_RECOVERY_CODES: &str = "DELETE FROM console_recovery_codes WHERE operator_id = $1";

fn read(row: &Row, shared: &Shared) -> Result<Totp> {
    let columns = Columns::of(row, "console_totp");
    let operator_id: OperatorId = columns.parse("operator_id")?;
    let secret: &[u8] = columns.get("secret")?;
    Ok(Totp {
        totp_id: columns.parse("totp_id")?,
        secret: shared.secret(&encrypted::TOTP_SECRET, &key(&operator_id), secret),
        confirmed: columns.get("confirmed")?,
        locked: columns.number::<u32>("wrong_codes")? >= MAX_WRONG_CODES,
    })
}

fn key(operator_id: &OperatorId) -> RowKey {
    RowKey::Text(operator_id.as_str().to_owned())
}

async fn find(
    conn: &mut Connection,
    shared: &Shared,
    operator_id: &OperatorId,
) -> Step<Option<Totp>> {
    let row = query(ONE).bind(operator_id.as_str()).fetch_optional(conn);
    Ok(row.await?.map(|row| read(&row, shared)).transpose()?)
}

/// A console user's secret, which nobody else writes until the end.
async fn locked(tx: &mut ChangeTx<'_>, operator_id: &OperatorId) -> Step<Option<Totp>> {
    operators::lock(tx, operator_id).await?;
    let Tx {
        connection, shared, ..
    } = &mut *tx.tx;
    find(connection, shared, operator_id).await
}

/// Whether a console user's sign-ins ask for a code.
pub(super) async fn is_asked_for(conn: &mut Connection, operator_id: &OperatorId) -> Step<bool> {
    let row = query(ONE).bind(operator_id.as_str()).fetch_optional(conn);
    match row.await? {
        Some(row) => Ok(row.get("confirmed")?),
        None => Ok(false),
    }
}

async fn issue(tx: &mut ChangeTx<'_>, new: &NewTotp) -> Step<()> {
    let before = locked(tx, &new.operator_id).await?;
    if before.is_some_and(|totp| totp.confirmed) {
        return Err(Conflict::TotpConfirmed.into());
    }
    let (column, row) = (&encrypted::TOTP_SECRET, key(&new.operator_id));
    let secret = column.encrypt(tx.tx.shared.sealer(), &row, new.secret.expose())?;
    query(ISSUE)
        .bind(new.operator_id.as_str())
        .bind(new.totp_id.as_str())
        .bind(secret)
        .execute(tx.conn())
        .await?;
    let event = Event::ConsoleUserTotpIssued {
        operator_id: new.operator_id.clone(),
    };
    tx.post(&Chain::Platform, &event).await
}

async fn confirm(tx: &mut ChangeTx<'_>, confirm: ConfirmTotp) -> Step<()> {
    let operator_id = confirm.operator_id;
    let totp = locked(tx, &operator_id).await?;
    let totp = totp.filter(|totp| totp.totp_id == confirm.totp_id);
    if totp.ok_or(Entity::Totp)?.confirmed {
        return Err(Conflict::TotpConfirmed.into());
    }
    query(CONFIRM)
        .bind(operator_id.as_str())
        .bind(confirm.step)
        .execute(tx.conn())
        .await?;
    query(DROP_RECOVERY_CODES)
        .bind(operator_id.as_str())
        .execute(tx.conn())
        .await?;
    for code in &confirm.recovery_codes {
        query(ADD_RECOVERY_CODE)
            .bind(operator_id.as_str())
            .bind(&code.0[..])
            .execute(tx.conn())
            .await?;
    }
    sessions::end_all_but(tx, &operator_id, Some(&confirm.keep)).await?;
    let event = Event::ConsoleUserTotpConfirmed { operator_id };
    tx.post(&Chain::Platform, &event).await
}

async fn remove(tx: &mut ChangeTx<'_>, remove: RemoveTotp) -> Step<()> {
    let operator_id = remove.operator_id;
    if locked(tx, &operator_id).await?.is_none() {
        return Err(Entity::Totp.into());
    }
    if let Some(shown) = &remove.shown {
        use_up(tx, &operator_id, shown).await?;
    }
    forget(tx, &operator_id).await?;
    sessions::end_all_but(tx, &operator_id, remove.keep.as_ref()).await?;
    let event = Event::ConsoleUserTotpRemoved { operator_id };
    tx.post(&Chain::Platform, &event).await
}

/// Takes a console user's secret and recovery codes away, if there are any.
pub(super) async fn forget(tx: &mut ChangeTx<'_>, operator_id: &OperatorId) -> Step<()> {
    for statement in [REMOVE, DROP_RECOVERY_CODES] {
        query(statement)
            .bind(operator_id.as_str())
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

/// Refuses what was used before, or is no code of the user's: one conditional statement.
async fn use_up(tx: &mut ChangeTx<'_>, operator_id: &OperatorId, shown: &SecondFactor) -> Step<()> {
    let used = match shown {
        SecondFactor::Totp { totp_id, step } => query(USE_STEP)
            .bind(operator_id.as_str())
            .bind(totp_id.as_str())
            .bind(*step)
            .bind(i64::from(MAX_WRONG_CODES)),
        SecondFactor::RecoveryCode(code) => query(USE_RECOVERY_CODE)
            .bind(operator_id.as_str())
            .bind(&code.0[..]),
    };
    if used.execute(tx.conn()).await? == 0 {
        return Err(Conflict::CodeRefused.into());
    }
    match shown {
        SecondFactor::Totp { .. } => Ok(()),
        SecondFactor::RecoveryCode(_) => {
            query(FORGET_WRONG_CODES)
                .bind(operator_id.as_str())
                .execute(tx.conn())
                .await?;
            let event = Event::ConsoleUserRecoveryCodeUsed {
                operator_id: operator_id.clone(),
            };
            tx.post(&Chain::Platform, &event).await
        }
    }
}

/// Counts a wrong code among those in a row.
pub(super) async fn note_wrong_code(tx: &mut ChangeTx<'_>, operator_id: &OperatorId) -> Step<()> {
    let limit = i64::from(MAX_WRONG_CODES);
    let counted = query(NOTE_WRONG_CODE)
        .bind(operator_id.as_str())
        .bind(limit)
        .fetch_optional(tx.conn())
        .await?;
    let in_a_row: Option<i64> = counted.map(|row| row.get("wrong_codes")).transpose()?;
    if in_a_row != Some(limit) {
        return Ok(());
    }
    let event = Event::ConsoleUserTotpLocked {
        operator_id: operator_id.clone(),
    };
    tx.post(&Chain::Platform, &event).await
}

async fn complete(
    tx: &mut ChangeTx<'_>,
    token: SignInTokenHash,
    shown: &SecondFactor,
    session: &NewSession,
) -> Step<Session> {
    operators::still_has(tx, &session.operator_id, &session.password).await?;
    sessions::take_sign_in(tx, token, &session.operator_id).await?;
    use_up(tx, &session.operator_id, shown).await?;
    sessions::open(tx, session).await
}

#[async_trait]
impl SecondFactorStore for SqlStore {
    async fn issue_totp(&self, change: Change, new: NewTotp) -> Result<()> {
        self.run_change("issue_totp", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move { issue(tx, &new).await })
        })
        .await
    }

    async fn totp(&self, operator_id: &OperatorId) -> Result<Option<Totp>> {
        self.read("totp", async |conn| {
            find(conn, &self.shared, operator_id).await
        })
        .await
    }

    async fn confirm_totp(&self, change: Change, new: ConfirmTotp) -> Result<()> {
        self.run_change(
            "confirm_totp",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(confirm(tx, new)),
        )
        .await
    }

    async fn remove_totp(&self, change: Change, old: RemoveTotp) -> Result<()> {
        self.run_change("remove_totp", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(remove(tx, old))
        })
        .await
    }

    async fn begin_sign_in(&self, change: Change, sign_in: NewSignIn) -> Result<()> {
        self.run_change(
            "begin_sign_in",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { sessions::begin_sign_in(tx, &sign_in).await }),
        )
        .await
    }

    async fn sign_in(
        &self,
        token: &SignInTokenHash,
        now: OffsetDateTime,
    ) -> Result<Option<Operator>> {
        self.read("sign_in", async |conn| {
            sessions::sign_in(conn, &self.shared, token, now).await
        })
        .await
    }

    async fn complete_sign_in(
        &self,
        change: Change,
        token: &SignInTokenHash,
        shown: SecondFactor,
        session: NewSession,
    ) -> Result<Session> {
        let token = *token;
        self.run_change(
            "complete_sign_in",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { complete(tx, token, &shown, &session).await }),
        )
        .await
    }
}
