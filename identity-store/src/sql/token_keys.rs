//! The keys of tokens, one after the other: rows of `platform_secrets`.

use async_trait::async_trait;
use time::OffsetDateTime;

use super::column::{Columns, ms};
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::secrets::{self, NewRow};
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, named_secrets};
use crate::{
    Chain, Change, Crypter, Event, NamedSecret, NextTokenKey, Result, RetiredTokenKey, SecretBytes,
    TokenKeyStore, TokenKeys,
};

/// `created_at` is when the key was published, `not_after` when it is to sign.
const NEXT: &str = "token_key_next";
/// The public key, which nobody can put there who has no data key; `created_at` is when it retired.
const RETIRED: &str = "token_key_retired";

const ALL: &str = "
    SELECT kind, fingerprint, secret, not_after, created_at FROM platform_secrets
    WHERE kind IN ('token_signing_key', 'token_key_next', 'token_key_retired')
    ORDER BY created_at, position";
const DATE: &str = "
    UPDATE platform_secrets SET created_at = $1
    WHERE kind = 'token_signing_key' AND fingerprint = '' AND created_at IS NULL";

fn read_next(row: &Row, crypter: &Crypter) -> Result<NextTokenKey> {
    let columns = Columns::of(row, "platform_secrets");
    Ok(NextTokenKey {
        key_id: columns.get("fingerprint")?,
        secret: SecretBytes::new(secrets::secret(columns, crypter)?.as_slice()),
        published_at: columns.time("created_at")?,
        active_from: columns.time("not_after")?,
    })
}

fn read_retired(row: &Row, crypter: &Crypter) -> Result<RetiredTokenKey> {
    let columns = Columns::of(row, "platform_secrets");
    let public = secrets::secret(columns, crypter)?;
    let public = std::str::from_utf8(&public).map_err(|_| columns.corrupt("secret"))?;
    Ok(RetiredTokenKey {
        key_id: columns.get("fingerprint")?,
        public_jwk: public.to_owned(),
        retired_at: columns.time("created_at")?,
    })
}

fn read(rows: &[Row], crypter: &Crypter) -> Result<TokenKeys> {
    let mut keys = TokenKeys::default();
    for row in rows {
        let columns = Columns::of(row, "platform_secrets");
        match columns.get::<&str>("kind")? {
            NEXT => keys.next = Some(read_next(row, crypter)?),
            RETIRED => keys.retired.push(read_retired(row, crypter)?),
            _ => {
                let secret = secrets::secret(columns, crypter)?;
                keys.active = Some(SecretBytes::new(secret.as_slice()));
                keys.active_since = columns.time_option("created_at")?;
            }
        }
    }
    Ok(keys)
}

async fn publish(tx: &mut ChangeTx<'_>, key: &NextTokenKey) -> Step<()> {
    let (conn, sealer) = tx.tx.conn_and_sealer();
    secrets::delete(conn, NEXT).await?;
    let row = NewRow {
        kind: NEXT,
        fingerprint: key.key_id.clone(),
        secret: key.secret.expose(),
        not_after: Some(key.active_from),
        created_at: Some(key.published_at),
        ..NewRow::default()
    };
    secrets::insert(conn, sealer, row).await?;
    let key_id = key.key_id.clone();
    tx.post(&Chain::Platform, &Event::TokenKeyPublished { key_id })
        .await
}

async fn activate(tx: &mut ChangeTx<'_>, retired_key_id: String, retired: &str) -> Step<bool> {
    let at = tx.at();
    let (conn, sealer) = tx.tx.conn_and_sealer();
    let rows = secrets::of_kind(conn, NEXT).await?;
    let next = rows.first().map(|row| read_next(row, sealer.crypter));
    let Some(next) = next.transpose()?.filter(|next| next.active_from <= at) else {
        return Ok(false);
    };
    secrets::delete(conn, NEXT).await?;
    let row = NewRow {
        kind: RETIRED,
        fingerprint: retired_key_id,
        secret: retired.as_bytes(),
        created_at: Some(at),
        ..NewRow::default()
    };
    secrets::insert(conn, sealer, row).await?;
    let name = NamedSecret::TokenSigningKey;
    named_secrets::replace(conn, sealer, name, &next.secret).await?;
    query(DATE).bind(ms(at)).execute(conn).await?;
    let key_id = next.key_id;
    tx.post(&Chain::Platform, &Event::TokenKeyActivated { key_id })
        .await?;
    Ok(true)
}

#[async_trait]
impl TokenKeyStore for SqlStore {
    async fn token_keys(&self) -> Result<TokenKeys> {
        self.read("token_keys", async |conn| {
            let rows = query(ALL).fetch_all(conn).await?;
            Ok(read(&rows, &self.shared.crypter)?)
        })
        .await
    }

    async fn date_token_key(&self, since: OffsetDateTime) -> Result<()> {
        self.run_tx("date_token_key", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move {
                query(DATE).bind(ms(since)).execute(tx.conn()).await?;
                Ok(())
            })
        })
        .await
    }

    async fn publish_token_key(&self, change: Change, key: NextTokenKey) -> Result<()> {
        self.run_change(
            "publish_token_key",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { publish(tx, &key).await }),
        )
        .await
    }

    async fn activate_token_key(
        &self,
        change: Change,
        retired_key_id: String,
        retired: String,
    ) -> Result<bool> {
        self.run_change(
            "activate_token_key",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { activate(tx, retired_key_id, &retired).await }),
        )
        .await
    }
}
