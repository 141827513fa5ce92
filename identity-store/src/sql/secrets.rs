use super::connection::Connection;
use super::row::Row;
use async_trait::async_trait;
use identity_pki::{CaRotation, Fingerprint};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::column::{Columns, ms, word};
use super::fault::{Fault, Step};
use super::query::query;
use super::tx::{ChangeTx, Isolation, Tx};
use super::{Shared, SqlStore};
use crate::ca_rotation::rotation;
use crate::crypter::Place;
use crate::{
    CaRecord, CaState, Chain, Change, Error, Event, NamedSecret, Notice, PrivateKeyPem, Result,
    SecretBytes, SecretStore, ServerCertRecord,
};

const SERVER_CERT: &str = "server_cert";
const PLATFORM_CA: &str = "platform_ca";

const OF_KIND: &str = "
    SELECT kind, fingerprint, state, cert_pem, secret, not_after, created_at FROM platform_secrets
    WHERE kind = $1 ORDER BY created_at DESC, position DESC";
const INSERT: &str = "
    INSERT INTO platform_secrets (position, kind, fingerprint, state, cert_pem, secret, not_after,
                                  uploaded_by, created_at)
    SELECT coalesce(max(position), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8 FROM platform_secrets";
const DELETE: &str = "DELETE FROM platform_secrets WHERE kind = $1";
const SET_STATE: &str = "
    UPDATE platform_secrets SET state = $3 WHERE kind = $1 AND fingerprint = $2";

/// A row of `platform_secrets` to write.
struct NewRow<'a> {
    kind: &'static str,
    /// Empty for a secret that is no certificate's.
    fingerprint: String,
    state: Option<String>,
    cert_pem: Option<&'a str>,
    secret: &'a [u8],
    not_after: Option<OffsetDateTime>,
    uploaded_by: &'a str,
    created_at: Option<OffsetDateTime>,
}

fn row_name(kind: &str, fingerprint: &str) -> String {
    format!("{kind}/{fingerprint}")
}

fn place(row: &str) -> Place<'_> {
    Place {
        table: "platform_secrets",
        row,
        column: "secret",
    }
}

async fn insert(tx: &mut Tx, new: NewRow<'_>) -> Step<()> {
    let row = row_name(new.kind, &new.fingerprint);
    let shared = &tx.shared;
    let secret = shared
        .entropy
        .with(|rng| shared.crypter.encrypt(place(&row), new.secret, rng))?;
    query(INSERT)
        .bind(new.kind)
        .bind(new.fingerprint)
        .bind(new.state)
        .bind(new.cert_pem)
        .bind(secret)
        .bind(new.not_after.map(ms))
        .bind(new.uploaded_by)
        .bind(new.created_at.map(ms))
        .execute(tx.conn())
        .await?;
    Ok(())
}

fn secret(columns: Columns<'_>, shared: &Shared) -> Result<Zeroizing<Vec<u8>>> {
    let row = row_name(columns.get("kind")?, columns.get("fingerprint")?);
    shared.crypter.decrypt(place(&row), columns.get("secret")?)
}

fn private_key(columns: Columns<'_>, shared: &Shared) -> Result<PrivateKeyPem> {
    let bytes = secret(columns, shared)?;
    let pem = std::str::from_utf8(&bytes).map_err(|_| columns.corrupt("secret"))?;
    Ok(PrivateKeyPem::new(pem))
}

fn read_ca(row: &Row, shared: &Shared) -> Result<CaRecord> {
    let columns = Columns::of(row, "platform_secrets");
    Ok(CaRecord {
        fingerprint: columns.parse("fingerprint")?,
        certificate_pem: columns.get("cert_pem")?,
        private_key: private_key(columns, shared)?,
        state: columns.word("state")?,
        not_after: columns.time("not_after")?,
        created_at: columns.time("created_at")?,
    })
}

fn read_server_cert(row: &Row, shared: &Shared) -> Result<ServerCertRecord> {
    let columns = Columns::of(row, "platform_secrets");
    Ok(ServerCertRecord {
        fingerprint: columns.parse("fingerprint")?,
        chain_pem: columns.get("cert_pem")?,
        private_key: private_key(columns, shared)?,
        not_after: columns.time("not_after")?,
    })
}

async fn of_kind(conn: &mut Connection, kind: &'static str) -> Step<Vec<Row>> {
    Ok(query(OF_KIND).bind(kind).fetch_all(conn).await?)
}

async fn put_server_cert(tx: &mut ChangeTx<'_>, cert: &ServerCertRecord) -> Step<bool> {
    let (at, by) = (tx.at(), tx.change.actor.id().to_owned());
    let deleted = query(DELETE).bind(SERVER_CERT).execute(tx.conn());
    let is_first = deleted.await? == 0;
    let row = NewRow {
        kind: SERVER_CERT,
        fingerprint: cert.fingerprint.to_string(),
        state: None,
        cert_pem: Some(&cert.chain_pem),
        secret: cert.private_key.expose().as_bytes(),
        not_after: Some(cert.not_after),
        uploaded_by: &by,
        created_at: Some(at),
    };
    insert(tx.tx, row).await?;
    let event = Event::ServerCertUploaded {
        fingerprint: cert.fingerprint,
        expires_at: cert.not_after,
    };
    tx.post(&Chain::Platform, &event).await?;
    tx.notify(Notice::Certificates);
    Ok(is_first)
}

async fn ca_states(tx: &mut ChangeTx<'_>) -> Step<CaRotation> {
    let rows = of_kind(tx.conn(), PLATFORM_CA).await?;
    let states = rows.iter().map(|row| {
        let columns = Columns::of(row, "platform_secrets");
        Ok((columns.parse("fingerprint")?, columns.word("state")?))
    });
    Ok(rotation(states.collect::<Result<Vec<_>>>()?)?)
}

async fn set_state(tx: &mut ChangeTx<'_>, ca: Fingerprint, state: CaState) -> Step<()> {
    query(SET_STATE)
        .bind(PLATFORM_CA)
        .bind(ca.to_string())
        .bind(word(&state)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn add_ca(tx: &mut ChangeTx<'_>, ca: &CaRecord) -> Step<CaState> {
    let before = ca_states(tx).await?;
    let after = before.add(ca.fingerprint, ca.state).map_err(Error::from)?;
    for (fingerprint, state) in after.changes_since(&before) {
        // The new CA has no row yet, and is inserted in its state.
        set_state(tx, fingerprint, state).await?;
    }
    let by = tx.change.actor.id().to_owned();
    let row = NewRow {
        kind: PLATFORM_CA,
        fingerprint: ca.fingerprint.to_string(),
        state: Some(word(&ca.state)?),
        cert_pem: Some(&ca.certificate_pem),
        secret: ca.private_key.expose().as_bytes(),
        not_after: Some(ca.not_after),
        uploaded_by: &by,
        created_at: Some(ca.created_at),
    };
    insert(tx.tx, row).await?;
    let event = Event::PlatformCaGenerated {
        fingerprint: ca.fingerprint,
        expires_at: ca.not_after,
    };
    tx.post(&Chain::Platform, &event).await?;
    tx.notify(Notice::Certificates);
    Ok(ca.state)
}

/// The secret that is there, or `fresh` from now on.
async fn named(tx: &mut Tx, name: NamedSecret, fresh: SecretBytes) -> Step<SecretBytes> {
    let rows = of_kind(tx.conn(), name.as_str()).await?;
    if let Some(row) = rows.first() {
        let bytes = secret(Columns::of(row, "platform_secrets"), &tx.shared)?;
        return Ok(SecretBytes::new(bytes.as_slice()));
    }
    let row = NewRow {
        kind: name.as_str(),
        fingerprint: String::new(),
        state: None,
        cert_pem: None,
        secret: fresh.expose(),
        not_after: None,
        uploaded_by: "",
        created_at: None,
    };
    insert(tx, row).await?;
    Ok(fresh)
}

#[async_trait]
impl SecretStore for SqlStore {
    async fn server_cert(&self) -> Result<Option<ServerCertRecord>> {
        self.read("server_cert", async move |conn| {
            let rows = of_kind(conn, SERVER_CERT).await?;
            let record = rows.first().map(|row| read_server_cert(row, &self.shared));
            Ok(record.transpose()?)
        })
        .await
    }

    async fn put_server_cert(&self, change: Change, cert: ServerCertRecord) -> Result<bool> {
        self.run_change(
            "put_server_cert",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { put_server_cert(tx, &cert).await }),
        )
        .await
    }

    async fn cas(&self) -> Result<Vec<CaRecord>> {
        self.read("cas", async move |conn| {
            let rows = of_kind(conn, PLATFORM_CA).await?;
            let cas = rows.iter().map(|row| read_ca(row, &self.shared));
            cas.collect::<Result<_>>().map_err(Fault::from)
        })
        .await
    }

    async fn add_ca(&self, change: Change, ca: CaRecord) -> Result<CaState> {
        self.run_change("add_ca", Isolation::Serializable, change, move |tx| {
            Box::pin(async move { add_ca(tx, &ca).await })
        })
        .await
    }

    async fn named_secret(&self, name: NamedSecret, fresh: SecretBytes) -> Result<SecretBytes> {
        self.run_tx("named_secret", Isolation::Serializable, move |tx| {
            Box::pin(named(tx, name, fresh))
        })
        .await
    }
}
