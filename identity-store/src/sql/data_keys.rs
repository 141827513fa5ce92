//! Which data keys a database knows, so that a process with another is stopped before it writes what
//! nobody else can read.

use super::column::Columns;
use super::connection::Connection;
use super::encrypted::Sealer;
use super::fault::{Fault, Step};
use super::query::query;
use super::{named_secrets, schema};
use crate::crypter::{LookupKey, Place};
use crate::{Crypter, DataKey, Error, Result, Unreadable};

const KNOWN: &str = "SELECT key_id, key_check FROM data_keys ORDER BY key_id";
const REMEMBER: &str = "INSERT INTO data_keys (key_id, key_check) VALUES ($1, $2)";

fn place(key_id: &str) -> Place<'_> {
    Place {
        table: "data_keys",
        row: key_id,
        column: "key_check",
    }
}

/// Refuses keys that are not this database's; returns those that it does not know yet.
///
/// An empty database takes any key. Of others at least one has to be known, and none may go by the id
/// of another.
async fn recognise<'k>(conn: &mut Connection, crypter: &'k Crypter) -> Step<Vec<&'k DataKey>> {
    let rows = query(KNOWN).fetch_all(conn).await?;
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        let columns = Columns::of(row, "data_keys");
        let (id, check): (String, &[u8]) = (columns.get("key_id")?, columns.get("key_check")?);
        if let Some(key) = crypter.keys().find(|key| key.id() == id)
            && Crypter::alone(key).decrypt(place(&id), check).is_err()
        {
            return Err(Error::OtherDataKey { id }.into());
        }
        known.push(id);
    }
    let is_known = |key: &DataKey| known.iter().any(|id| id == key.id());
    let (ours, new): (Vec<_>, Vec<_>) = crypter.keys().partition(|key| is_known(key));
    if ours.is_empty() && !known.is_empty() {
        let known = known.join(", ");
        return Err(Error::ForeignDataKeys { known }.into());
    }
    Ok(new)
}

/// Refuses keys that are not this database's, before a migration: a database without the table of
/// those is known by its secrets.
pub(super) async fn refuse_foreign(conn: &mut Connection, crypter: &Crypter) -> Step<()> {
    if schema::has_table(conn, "data_keys").await? {
        recognise(conn, crypter).await?;
    }
    Ok(())
}

/// Refuses keys that are not this database's, and makes those known that are new to it. Returns the
/// key of address digests, the secret that the database has from its first start on, or why it is lost,
/// which fails nothing but what needs it.
pub(super) async fn admit(
    conn: &mut Connection,
    sealer: Sealer<'_>,
) -> Step<Result<LookupKey, Unreadable>> {
    let new = recognise(conn, sealer.crypter).await?;
    let addresses = match named_secrets::email_digest_key(conn, sealer).await {
        Ok(key) => Ok(key),
        Err(Fault::Refused(Error::Decrypt { why, .. })) => Err(why),
        Err(fault) => return Err(fault),
    };
    for key in new {
        let check = check_value(key, sealer)?;
        query(REMEMBER)
            .bind(key.id())
            .bind(check)
            .execute(conn)
            .await?;
        tracing::info!(
            key_id = key.id(),
            "the database knows this data key from now on"
        );
    }
    Ok(addresses)
}

/// Nothing, encrypted under `key`.
fn check_value(key: &DataKey, sealer: Sealer<'_>) -> Result<Vec<u8>> {
    let alone = Crypter::alone(key);
    sealer
        .entropy
        .with(|rng| alone.encrypt(place(key.id()), b"", rng))
}
