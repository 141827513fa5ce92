use super::connection::Connection;
use super::row::Row;
use async_trait::async_trait;
use identity_pki::TenantId;
use time::OffsetDateTime;

use super::column::{Columns, ms, place, word};
use super::encrypted::{self, RowKey};
use super::fault::{Step, taken};
use super::query::query;
use super::tx::{ChangeTx, Isolation};
use super::{Shared, SqlStore, operator_recovery, sessions, tenants};
use crate::{
    Chain, Change, Conflict, Entity, Event, LoginFailures, LoginRefusal, NewOperator, NewPassword,
    NewSession, Operator, OperatorEdit, OperatorId, OperatorStore, Page, PageRequest, PasswordHash,
    Result, Role, SESSION_USE_RESOLUTION, Session, SessionId, SessionTokenHash,
};

/// The keyed digest of an address in canonical form.
pub(super) type AddressDigest = [u8; 32];

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT operator_id, tenant_id, email, role, password_hash, must_change_password,
                    created_at
             FROM console_users ",
            $rest
        )
    };
}

const ONE: &str = select!("WHERE operator_id = $1");
const BY_EMAIL: &str = select!("WHERE email_digest = $1");
const LIST: &str = select!(
    "WHERE (created_at, operator_id) < ($1, $2)
     ORDER BY created_at DESC, operator_id DESC LIMIT $3"
);
const ADMINS: &str = select!("WHERE role = 'platform_admin' ORDER BY created_at, operator_id");
const COUNT: &str = "SELECT count(*) AS count FROM console_users";
const COUNT_ADMINS: &str =
    "SELECT count(*) AS count FROM console_users WHERE role = 'platform_admin'";
const INSERT: &str = "
    INSERT INTO console_users (operator_id, tenant_id, email, email_digest, role, password_hash,
                               must_change_password, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, true, $7)";
const SET_ROLE: &str = "UPDATE console_users SET role = $2 WHERE operator_id = $1";
const SET_EMAIL: &str = "
    UPDATE console_users SET email = $2, email_digest = $3 WHERE operator_id = $1";
/// It writes the row: of two transactions that do, the second reads what the first one left, or is run
/// again.
const IS_PASSWORD_OF: &str = "
    UPDATE console_users SET password_hash = $2 WHERE operator_id = $1 AND password_hash = $2";
const SET_PASSWORD: &str = "
    UPDATE console_users SET password_hash = $2, must_change_password = false
    WHERE operator_id = $1";
const DELETE: &str = "DELETE FROM console_users WHERE operator_id = $1";

pub(super) fn read(row: &Row, shared: &Shared) -> Result<Operator> {
    let columns = Columns::of(row, "console_users");
    let operator_id: OperatorId = columns.parse("operator_id")?;
    let email: &[u8] = columns.get("email")?;
    Ok(Operator {
        email: shared.text(&encrypted::OPERATOR_EMAIL, &key(&operator_id), Some(email)),
        operator_id,
        role: columns.word("role")?,
        tenant_id: columns.parse_option("tenant_id")?,
        password: PasswordHash(columns.get("password_hash")?),
        must_change_password: columns.get("must_change_password")?,
        created_at: columns.time("created_at")?,
    })
}

fn key(operator_id: &OperatorId) -> RowKey {
    RowKey::Text(operator_id.as_str().to_owned())
}

async fn is_taken(conn: &mut Connection, address: &AddressDigest) -> Step<bool> {
    let row = query(BY_EMAIL).bind(&address[..]).fetch_optional(conn);
    Ok(row.await?.is_some())
}

/// Holds a console user's row until the end, or refuses that there is none.
pub(super) async fn lock(tx: &mut ChangeTx<'_>, operator_id: &OperatorId) -> Step<()> {
    tx.tx.lock_operator(operator_id).await?;
    must_find(tx, operator_id).await.map(drop)
}

/// The console user, or the refusal that they are not there.
pub(super) async fn must_find(tx: &mut ChangeTx<'_>, operator_id: &OperatorId) -> Step<Operator> {
    let row = query(ONE).bind(operator_id.as_str());
    let row = row.fetch_optional(tx.conn()).await?;
    Ok(read(&row.ok_or(Entity::Operator)?, &tx.tx.shared)?)
}

async fn count(conn: &mut Connection, statement: &'static str) -> Step<i64> {
    let row = query(statement).fetch_one(conn).await?;
    Ok(row.get("count")?)
}

/// Refuses to take the right of a platform administrator from the last one.
async fn keep_one_admin(tx: &mut ChangeTx<'_>, before: &Operator) -> Step<()> {
    if before.role == Role::PlatformAdmin && count(tx.conn(), COUNT_ADMINS).await? == 1 {
        return Err(Conflict::LastPlatformAdmin.into());
    }
    Ok(())
}

async fn create(
    tx: &mut ChangeTx<'_>,
    new: &NewOperator,
    address: AddressDigest,
) -> Step<Operator> {
    let at = tx.at();
    if (new.role == Role::PlatformAdmin) != new.tenant_id.is_none() {
        return Err(Conflict::RoleScope.into());
    }
    if let Some(tenant_id) = &new.tenant_id {
        tenants::must_find(tx.conn(), tenant_id).await?;
    }
    if is_taken(tx.conn(), &address).await? {
        return Err(Conflict::OperatorExists.into());
    }
    let (column, key) = (&encrypted::OPERATOR_EMAIL, key(&new.operator_id));
    let email = column.encrypt(tx.tx.shared.sealer(), &key, &new.email)?;
    query(INSERT)
        .bind(new.operator_id.as_str())
        .bind(new.tenant_id.as_ref().map(TenantId::as_str))
        .bind(email)
        .bind(&address[..])
        .bind(word(&new.role)?)
        .bind(&new.password.0)
        .bind(ms(at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    let event = Event::ConsoleUserCreated {
        operator_id: new.operator_id.clone(),
        role: new.role,
    };
    tx.post(&Chain::Platform, &event).await?;
    must_find(tx, &new.operator_id).await
}

/// Writes the address of a console user, if nobody else has it.
async fn set_email(
    tx: &mut ChangeTx<'_>,
    operator_id: &OperatorId,
    email: &str,
    address: AddressDigest,
) -> Step<()> {
    let column = &encrypted::OPERATOR_EMAIL;
    let sealed = column.encrypt(tx.tx.shared.sealer(), &key(operator_id), email)?;
    query(SET_EMAIL)
        .bind(operator_id.as_str())
        .bind(sealed)
        .bind(&address[..])
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::OperatorExists))?;
    Ok(())
}

async fn update(
    tx: &mut ChangeTx<'_>,
    operator_id: &OperatorId,
    edit: OperatorEdit,
    address: Option<AddressDigest>,
) -> Step<Operator> {
    let before = must_find(tx, operator_id).await?;
    let role = edit.role.unwrap_or(before.role);
    if (role == Role::PlatformAdmin) != (before.role == Role::PlatformAdmin) {
        keep_one_admin(tx, &before).await?;
        return Err(Conflict::RoleScope.into());
    }
    if let (Some(email), Some(address)) = (&edit.email, address) {
        set_email(tx, operator_id, email, address).await?;
    }
    query(SET_ROLE)
        .bind(operator_id.as_str())
        .bind(word(&role)?)
        .execute(tx.conn())
        .await?;
    if role != before.role {
        sessions::end_all_but(tx, operator_id, None).await?;
    }
    let event = Event::ConsoleUserUpdated {
        operator_id: operator_id.clone(),
        role,
    };
    tx.post(&Chain::Platform, &event).await?;
    must_find(tx, operator_id).await
}

/// Sessions go with their user, by the schema.
async fn delete(tx: &mut ChangeTx<'_>, operator_id: &OperatorId) -> Step<()> {
    let before = must_find(tx, operator_id).await?;
    keep_one_admin(tx, &before).await?;
    query(DELETE)
        .bind(operator_id.as_str())
        .execute(tx.conn())
        .await?;
    let event = Event::ConsoleUserDeleted {
        operator_id: operator_id.clone(),
    };
    tx.post(&Chain::Platform, &event).await
}

/// Refuses what rests on a password that is no longer the user's, and keeps it theirs until the end.
pub(super) async fn still_has(
    tx: &mut ChangeTx<'_>,
    operator_id: &OperatorId,
    verified: &PasswordHash,
) -> Step<()> {
    let has = query(IS_PASSWORD_OF)
        .bind(operator_id.as_str())
        .bind(&verified.0)
        .execute(tx.conn())
        .await?;
    if has == 0 {
        must_find(tx, operator_id).await?;
        return Err(Conflict::PasswordChanged.into());
    }
    Ok(())
}

async fn set_password(tx: &mut ChangeTx<'_>, new: NewPassword) -> Step<()> {
    still_has(tx, &new.operator_id, &new.verified).await?;
    query(SET_PASSWORD)
        .bind(new.operator_id.as_str())
        .bind(&new.password.0)
        .execute(tx.conn())
        .await?;
    sessions::end_all_but(tx, &new.operator_id, Some(&new.keep)).await?;
    let event = Event::ConsoleUserPasswordChanged {
        operator_id: new.operator_id,
    };
    tx.post(&Chain::Platform, &event).await
}

#[async_trait]
impl OperatorStore for SqlStore {
    async fn seed_operator(
        &self,
        change: Change,
        operator: NewOperator,
    ) -> Result<Option<Operator>> {
        let address = self.addresses()?.email(&operator.email);
        self.run_change(
            "seed_operator",
            Isolation::Serializable,
            change,
            move |tx| {
                Box::pin(async move {
                    if count(tx.conn(), COUNT).await? > 0 {
                        return Ok(None);
                    }
                    create(tx, &operator, address).await.map(Some)
                })
            },
        )
        .await
    }

    async fn create_operator(&self, change: Change, operator: NewOperator) -> Result<Operator> {
        let address = self.addresses()?.email(&operator.email);
        self.run_change(
            "create_operator",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { create(tx, &operator, address).await }),
        )
        .await
    }

    async fn operator(&self, operator_id: &OperatorId) -> Result<Option<Operator>> {
        self.read("operator", async |conn| {
            let row = query(ONE).bind(operator_id.as_str());
            let row = row.fetch_optional(conn).await?;
            Ok(row.map(|row| read(&row, &self.shared)).transpose()?)
        })
        .await
    }

    async fn operator_by_email(&self, email: &str) -> Result<Option<Operator>> {
        let address = self.addresses()?.email(email);
        self.read("operator_by_email", async |conn| {
            let row = query(BY_EMAIL).bind(&address[..]);
            let row = row.fetch_optional(conn).await?;
            Ok(row.map(|row| read(&row, &self.shared)).transpose()?)
        })
        .await
    }

    async fn operators(&self, page: PageRequest) -> Result<Page<Operator>> {
        let read = |row: &Row| read(row, &self.shared);
        self.page("operators", query(LIST), &page, read, |operator| {
            place(operator.created_at, operator.operator_id.as_str())
        })
        .await
    }

    async fn platform_admins(&self) -> Result<Vec<Operator>> {
        self.read("platform_admins", async |conn| {
            let rows = query(ADMINS).fetch_all(conn).await?;
            let admins = rows.iter().map(|row| read(row, &self.shared));
            Ok(admins.collect::<Result<_>>()?)
        })
        .await
    }

    async fn update_operator(
        &self,
        change: Change,
        operator_id: &OperatorId,
        edit: OperatorEdit,
    ) -> Result<Operator> {
        let operator_id = operator_id.clone();
        let address = match &edit.email {
            Some(email) => Some(self.addresses()?.email(email)),
            None => None,
        };
        self.run_change(
            "update_operator",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { update(tx, &operator_id, edit, address).await }),
        )
        .await
    }

    async fn delete_operator(&self, change: Change, operator_id: &OperatorId) -> Result<()> {
        let operator_id = operator_id.clone();
        self.run_change(
            "delete_operator",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { delete(tx, &operator_id).await }),
        )
        .await
    }

    async fn set_password(&self, change: Change, new: NewPassword) -> Result<()> {
        self.run_change("set_password", Isolation::Serializable, change, move |tx| {
            Box::pin(set_password(tx, new))
        })
        .await
    }

    async fn recover_platform_admin(
        &self,
        change: Change,
        operator_id: &OperatorId,
        password: PasswordHash,
    ) -> Result<()> {
        let operator_id = operator_id.clone();
        self.run_change(
            "recover_platform_admin",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(
                    async move { operator_recovery::recover(tx, operator_id, &password).await },
                )
            },
        )
        .await
    }

    async fn record_login_failure(
        &self,
        change: Change,
        email: &str,
        operator_id: Option<OperatorId>,
        refusal: LoginRefusal,
    ) -> Result<()> {
        let address = self.addresses()?.email(email);
        self.run_change(
            "record_login_failure",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move {
                    sessions::record_failure(tx, &address, operator_id, refusal).await
                })
            },
        )
        .await
    }

    async fn login_failures(&self, email: &str, since: OffsetDateTime) -> Result<LoginFailures> {
        let address = self.addresses()?.email(email);
        self.read("login_failures", async |conn| {
            sessions::failures(conn, &address, since).await
        })
        .await
    }

    async fn record_reauthentication_failure(
        &self,
        change: Change,
        operator_id: &OperatorId,
        session_id: &SessionId,
        refusal: LoginRefusal,
    ) -> Result<()> {
        let (operator_id, session_id) = (operator_id.clone(), session_id.clone());
        self.run_change(
            "record_reauthentication_failure",
            Isolation::ReadCommitted,
            change,
            move |tx| {
                Box::pin(async move {
                    sessions::record_reauthentication_failure(
                        tx,
                        &operator_id,
                        &session_id,
                        refusal,
                    )
                    .await
                })
            },
        )
        .await
    }

    async fn create_session(&self, change: Change, session: NewSession) -> Result<Session> {
        self.run_change(
            "create_session",
            Isolation::ReadCommitted,
            change,
            move |tx| Box::pin(async move { sessions::create(tx, &session).await }),
        )
        .await
    }

    async fn use_session(
        &self,
        token: &SessionTokenHash,
        now: OffsetDateTime,
        idle_since: OffsetDateTime,
    ) -> Result<Option<Session>> {
        let token = *token;
        let live = self
            .read("use_session", async |conn| {
                sessions::live(conn, &self.shared, token, now, idle_since).await
            })
            .await?;
        match live {
            Some(session) if now - session.last_used_at >= SESSION_USE_RESOLUTION => {}
            noted => return Ok(noted),
        }
        self.run_tx("note_session_use", Isolation::ReadCommitted, move |tx| {
            Box::pin(sessions::note_use(tx, token, now, idle_since))
        })
        .await
    }

    async fn sessions(
        &self,
        operator_id: &OperatorId,
        now: OffsetDateTime,
    ) -> Result<Vec<Session>> {
        self.read("sessions", async |conn| {
            sessions::list(conn, &self.shared, operator_id, now).await
        })
        .await
    }

    async fn end_session(
        &self,
        change: Change,
        operator_id: &OperatorId,
        session_id: &SessionId,
    ) -> Result<()> {
        let (operator_id, session_id) = (operator_id.clone(), session_id.clone());
        self.run_change("end_session", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(async move { sessions::end(tx, &operator_id, &session_id).await })
        })
        .await
    }

    async fn purge_sign_ins(
        &self,
        now: OffsetDateTime,
        failed_before: OffsetDateTime,
    ) -> Result<u64> {
        let purge = async |statement, at| self.purge("purge_sign_ins", statement, at).await;
        let ended = purge(sessions::PURGE.into(), now).await?;
        let ended = ended + purge(sessions::PURGE_SIGN_INS.into(), now).await?;
        Ok(ended + purge(sessions::PURGE_FAILURES, failed_before).await?)
    }
}
