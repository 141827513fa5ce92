//! New secrets in the place of those that are lost for good.

use super::column::{Columns, ms};
use super::database::Database;
use super::encrypted::{OPERATOR_EMAIL, RowKey};
use super::fault::{Fault, Step};
use super::query::query;
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, named_secrets};
use crate::crypter::LookupKey;
use crate::{Chain, Change, Conflict, Error, Event, NamedSecret, Result, SecretBytes, Unreadable};

/// A server on a database that others may share has leases.
const SERVED: &str = "SELECT 1 FROM leases WHERE lease_until > $1 LIMIT 1";
const FORGET_SIGNATURES: &str = "
    UPDATE audit_chains SET signed_length = 0, signed_hash = NULL, signed_head = NULL";
const OPERATORS: &str = "SELECT operator_id, email FROM console_users";
const SET_DIGEST: &str = "UPDATE console_users SET email_digest = $2 WHERE operator_id = $1";
const FORGET_FAILURES: &str = "DELETE FROM login_failures";

impl SqlStore {
    /// Refuses a SQLite file that another process has open. A PostgreSQL database it leaves alone, where
    /// servers are seen by their leases.
    ///
    /// # Errors
    ///
    /// [`Conflict::Served`]; [`Error::Backend`] when there is no such file.
    pub async fn refuse_open_elsewhere(database_url: &str) -> Result<()> {
        Database::refuse_open_elsewhere(database_url).await
    }

    /// Puts `fresh` in the place of a secret that no data key opens or whose row is gone, or, if
    /// `altered_too`, that was altered, and mends what hangs on it: under a new digest key console users
    /// are found again whose addresses can be read, and with a new signing key the signatures of audit
    /// heads are forgotten, which nobody can verify any more. Returns the ids of those who are not found
    /// until their address is set anew.
    ///
    /// Processes that have the database open go on without the secret, or with the one from before, until
    /// they open it anew: see [`refuse_open_elsewhere`](Self::refuse_open_elsewhere). Event:
    /// `platform_secret_replaced`.
    ///
    /// # Errors
    ///
    /// [`Conflict::SecretNotLost`]; [`Conflict::SecretAltered`]; [`Conflict::Served`]; [`Error::Corrupt`]
    /// for a digest key that is not 32 bytes long.
    pub async fn replace_lost_secret(
        &self,
        change: Change,
        name: NamedSecret,
        fresh: SecretBytes,
        altered_too: bool,
    ) -> Result<Vec<String>> {
        self.run_change(
            "replace_lost_secret",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(replace(tx, name, fresh, altered_too)),
        )
        .await
    }
}

async fn replace(
    tx: &mut ChangeTx<'_>,
    name: NamedSecret,
    fresh: SecretBytes,
    altered_too: bool,
) -> Step<Vec<String>> {
    let (conn, sealer) = tx.tx.conn_and_sealer();
    let why = match named_secrets::find(conn, sealer.crypter, name).await {
        Ok(_) => return Err(Conflict::SecretNotLost.into()),
        Err(Fault::Refused(Error::Decrypt { why, .. })) => why,
        Err(fault) => return Err(fault),
    };
    if why == Unreadable::Altered && !altered_too {
        return Err(Conflict::SecretAltered.into());
    }
    let at = ms(tx.at());
    let served = query(SERVED).bind(at).fetch_optional(tx.conn()).await?;
    if served.is_some() {
        return Err(Conflict::Served.into());
    }
    let (conn, sealer) = tx.tx.conn_and_sealer();
    named_secrets::replace(conn, sealer, name, &fresh).await?;
    let event = Event::PlatformSecretReplaced { name };
    tx.post(&Chain::Platform, &event).await?;
    match name {
        NamedSecret::EmailDigestKey => find_again(tx, &LookupKey::new(&fresh)?).await,
        NamedSecret::TokenSigningKey => {
            query(FORGET_SIGNATURES).execute(tx.conn()).await?;
            Ok(Vec::new())
        }
        NamedSecret::PairingPepper | NamedSecret::SampleDigestKey => Ok(Vec::new()),
    }
}

/// Digests console users' addresses under a new key; returns those whose address cannot be read.
async fn find_again(tx: &mut ChangeTx<'_>, addresses: &LookupKey) -> Step<Vec<String>> {
    let mut unreadable = Vec::new();
    for row in query(OPERATORS).fetch_all(tx.conn()).await? {
        let columns = Columns::of(&row, OPERATOR_EMAIL.table);
        let operator_id: String = columns.get("operator_id")?;
        let key = RowKey::Text(operator_id.clone());
        let stored = columns.get(OPERATOR_EMAIL.column)?;
        let Ok(email) = OPERATOR_EMAIL.decrypt(&tx.tx.shared.crypter, &key, stored) else {
            unreadable.push(operator_id);
            continue;
        };
        let corrupt = |_| columns.corrupt(OPERATOR_EMAIL.column);
        let digest = addresses.email(std::str::from_utf8(&email).map_err(corrupt)?);
        query(SET_DIGEST)
            .bind(operator_id)
            .bind(&digest[..])
            .execute(tx.conn())
            .await?;
    }
    query(FORGET_FAILURES).execute(tx.conn()).await?;
    Ok(unreadable)
}
