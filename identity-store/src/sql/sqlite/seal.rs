//! Encrypts what earlier versions stored in the open. It runs within the migration's transaction,
//! between two migrations: either all of it is encrypted, or nothing has happened.

use sqlx::sqlite::SqlitePool;

use crate::Error;
use crate::crypter::LookupKey;
use crate::sql::column::Columns;
use crate::sql::connection::Connection;
use crate::sql::encrypted::{self, EncryptedColumn, RowKey, Sealer};
use crate::sql::fault::Step;
use crate::sql::named_secrets;
use crate::sql::query::query;

/// How many rows are held at once.
const PAGE: i64 = 1000;

const ANYTHING: &str = "
    SELECT 1 FROM users
    UNION ALL SELECT 1 FROM open_console_users
    UNION ALL SELECT 1 FROM open_login_failures LIMIT 1";
const USERS: &str = "
    SELECT tenant_id, user_id, open_display_name, open_email, open_mobile FROM users
    WHERE (tenant_id, user_id) > ($1, $2) ORDER BY tenant_id, user_id LIMIT $3";
const SEAL_USER: &str = "
    UPDATE users SET display_name = $3, email = $4, mobile = $5
    WHERE tenant_id = $1 AND user_id = $2";
const OPERATORS: &str = "SELECT operator_id, email FROM open_console_users";
const SEAL_OPERATOR: &str = "
    INSERT INTO console_users (operator_id, tenant_id, email, email_digest, role, password_hash,
                               must_change_password, created_at)
    SELECT operator_id, tenant_id, $2, $3, role, password_hash, must_change_password, created_at
    FROM open_console_users WHERE operator_id = $1";
const ADDRESSES: &str = "SELECT DISTINCT email FROM open_login_failures";
const SEAL_FAILURES: &str = "
    INSERT INTO login_failures (email_digest, failed_at)
    SELECT $2, failed_at FROM open_login_failures WHERE email = $1";

/// Encrypts what the open columns hold, and forgets the keyless use of addresses. `None` will do where
/// there is nothing to encrypt.
pub(in crate::sql) async fn seal(conn: &mut Connection, sealer: Option<Sealer<'_>>) -> Step<()> {
    if query(ANYTHING).fetch_optional(conn).await?.is_none() {
        return Ok(());
    }
    let needed = Error::Key("one is needed: this migration encrypts names and addresses");
    let sealer = sealer.ok_or(needed)?;
    // What was encrypted before says whether the keys are this database's.
    named_secrets::open_all(conn, sealer.crypter).await?;
    let addresses = named_secrets::first_email_digest_key(conn, sealer).await?;
    users(conn, sealer).await?;
    operators(conn, sealer, &addresses).await?;
    failures(conn, &addresses).await?;
    query(SCRUB_DUE).execute(conn).await?;
    Ok(())
}

async fn users(conn: &mut Connection, sealer: Sealer<'_>) -> Step<()> {
    let (mut tenant_id, mut user_id) = (String::new(), String::new());
    loop {
        let page = query(USERS).bind(&tenant_id).bind(&user_id).bind(PAGE);
        let page = page.fetch_all(conn).await?;
        for row in &page {
            let columns = Columns::of(row, "users");
            let ids = (columns.get("tenant_id")?, columns.get("user_id")?);
            (tenant_id, user_id) = ids;
            let key = RowKey::Texts(tenant_id.clone(), user_id.clone());
            let sealed = |column: &EncryptedColumn, open| {
                let text: Option<&str> = columns.get(open)?;
                text.map(|text| column.encrypt(sealer, &key, text))
                    .transpose()
            };
            let display_name = sealed(&encrypted::USER_DISPLAY_NAME, "open_display_name")?;
            let email = sealed(&encrypted::USER_EMAIL, "open_email")?;
            let mobile = sealed(&encrypted::USER_MOBILE, "open_mobile")?;
            query(SEAL_USER)
                .bind(&tenant_id)
                .bind(&user_id)
                .bind(display_name.as_deref())
                .bind(email.as_deref())
                .bind(mobile.as_deref())
                .execute(conn)
                .await?;
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

async fn operators(conn: &mut Connection, sealer: Sealer<'_>, addresses: &LookupKey) -> Step<()> {
    for row in query(OPERATORS).fetch_all(conn).await? {
        let columns = Columns::of(&row, "open_console_users");
        let (operator_id, email): (String, &str) =
            (columns.get("operator_id")?, columns.get("email")?);
        let key = RowKey::Text(operator_id);
        let sealed = encrypted::OPERATOR_EMAIL.encrypt(sealer, &key, email)?;
        let digest = addresses.email(email);
        key.bind(query(SEAL_OPERATOR))
            .bind(sealed)
            .bind(&digest[..])
            .execute(conn)
            .await?;
    }
    Ok(())
}

async fn failures(conn: &mut Connection, addresses: &LookupKey) -> Step<()> {
    for row in query(ADDRESSES).fetch_all(conn).await? {
        let email: &str = Columns::of(&row, "open_login_failures").get("email")?;
        let digest = addresses.email(email);
        query(SEAL_FAILURES)
            .bind(email)
            .bind(&digest[..])
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Whether what was in the open may still lie in the file's free pages and in its log.
const IS_SCRUB_DUE: &str = "PRAGMA user_version";
const SCRUB_DUE: &str = "PRAGMA user_version = 1";
const SCRUBBED: &str = "PRAGMA user_version = 0";
const REBUILD: &str = "VACUUM";
const EMPTY_LOG: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// Rebuilds the file after its text was encrypted, and empties its log, so that neither holds the
/// text any more. Ended before its end, it is due again at the next start.
pub(super) async fn scrub(writer: &SqlitePool) -> sqlx::Result<()> {
    let due: i64 = sqlx::query_scalar(IS_SCRUB_DUE).fetch_one(writer).await?;
    if due == 0 {
        return Ok(());
    }
    tracing::info!("the database is rebuilt without the text that was encrypted");
    sqlx::query(REBUILD).execute(writer).await?;
    let readers_left: i64 = sqlx::query_scalar(EMPTY_LOG).fetch_one(writer).await?;
    if readers_left == 0 {
        sqlx::query(SCRUBBED).execute(writer).await?;
    } else {
        tracing::warn!("another process reads the database: its log is emptied at the next start");
    }
    Ok(())
}
