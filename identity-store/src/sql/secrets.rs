use super::connection::Connection;
use super::row::Row;
use async_trait::async_trait;
use identity_pki::{CaRotation, Fingerprint, RotationRule};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::column::{Columns, ms, word};
use super::encrypted::{self, RowKey, Sealer};
use super::fault::{Fault, Step};
use super::query::{Sql, query};
use super::tx::{ChangeTx, Isolation, Tx};
use super::{SqlStore, certificates, named_secrets};
use crate::ca_rotation::rotation;
use crate::{
    CaOrigin, CaRecord, CaState, Chain, Change, ComparedKey, Conflict, Crypter, Error, Event,
    NamedSecret, Notice, PrivateKeyPem, Result, SecretBytes, SecretStore, ServerCertRecord,
};

const SERVER_CERT: &str = "server_cert";
const PLATFORM_CA: &str = "platform_ca";

const OF_KIND: &str = "
    SELECT kind, fingerprint, state, cert_pem, secret, not_after, created_at FROM platform_secrets
    WHERE kind = $1 ORDER BY created_at DESC, position DESC";
const KEY: &str = "
    SELECT kind, fingerprint, secret FROM platform_secrets
    WHERE fingerprint = $1 AND secret IS NOT NULL LIMIT 1";
const INSERT: &str = "
    INSERT INTO platform_secrets (position, kind, fingerprint, state, cert_pem, secret, not_after,
                                  uploaded_by, created_at)
    SELECT coalesce(max(position), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8 FROM platform_secrets";
/// Pairings and renewals hold the row of their certificate's CA until they have ended, so that what they
/// enter is seen by whoever withdraws it.
const ISSUER: Sql = Sql {
    sqlite: "SELECT state FROM platform_secrets WHERE kind = $1 AND fingerprint = $2",
    postgres: "SELECT state FROM platform_secrets WHERE kind = $1 AND fingerprint = $2 FOR SHARE",
};
const LOCK: &str = "
    SELECT 1 FROM platform_secrets WHERE kind = $1 ORDER BY fingerprint FOR NO KEY UPDATE";
const ONE: &str = "
    SELECT fingerprint, state, cert_pem, not_after, created_at FROM platform_secrets
    WHERE kind = $1 AND fingerprint = $2";
const DELETE_KEY: &str = "
    UPDATE platform_secrets SET secret = NULL WHERE kind = $1 AND fingerprint = $2";
const DELETE: &str = "DELETE FROM platform_secrets WHERE kind = $1";
const SET_STATE: &str = "
    UPDATE platform_secrets SET state = $3 WHERE kind = $1 AND fingerprint = $2";

/// A row of `platform_secrets` to write.
#[derive(Default)]
pub(super) struct NewRow<'a> {
    pub(super) kind: &'static str,
    /// Empty for a secret that is no certificate's.
    pub(super) fingerprint: String,
    pub(super) state: Option<String>,
    pub(super) cert_pem: Option<&'a str>,
    pub(super) secret: &'a [u8],
    pub(super) not_after: Option<OffsetDateTime>,
    pub(super) uploaded_by: &'a str,
    pub(super) created_at: Option<OffsetDateTime>,
}

pub(super) async fn insert(conn: &mut Connection, sealer: Sealer<'_>, new: NewRow<'_>) -> Step<()> {
    let row = RowKey::Texts(new.kind.to_owned(), new.fingerprint.clone());
    let secret = encrypted::PLATFORM_SECRET.encrypt(sealer, &row, new.secret)?;
    query(INSERT)
        .bind(new.kind)
        .bind(new.fingerprint)
        .bind(new.state)
        .bind(new.cert_pem)
        .bind(secret)
        .bind(new.not_after.map(ms))
        .bind(new.uploaded_by)
        .bind(new.created_at.map(ms))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes what is of that kind; returns how many rows were.
pub(super) async fn delete(conn: &mut Connection, kind: &'static str) -> Step<u64> {
    Ok(query(DELETE).bind(kind).execute(conn).await?)
}

/// The decrypted secret of a row of [`OF_KIND`] or [`KEY`].
pub(super) fn secret(columns: Columns<'_>, crypter: &Crypter) -> Result<Zeroizing<Vec<u8>>> {
    let row = RowKey::Texts(columns.get("kind")?, columns.get("fingerprint")?);
    encrypted::PLATFORM_SECRET.decrypt(crypter, &row, columns.get("secret")?)
}

fn private_key(row: &Row, crypter: &Crypter) -> Result<PrivateKeyPem> {
    let columns = Columns::of(row, "platform_secrets");
    let bytes = secret(columns, crypter)?;
    let pem = std::str::from_utf8(&bytes).map_err(|_| columns.corrupt("secret"))?;
    Ok(PrivateKeyPem::new(pem))
}

fn read_ca(row: &Row) -> Result<CaRecord> {
    let columns = Columns::of(row, "platform_secrets");
    Ok(CaRecord {
        fingerprint: columns.parse("fingerprint")?,
        certificate_pem: columns.get("cert_pem")?,
        state: columns.word("state")?,
        not_after: columns.time("not_after")?,
        created_at: columns.time("created_at")?,
    })
}

fn read_server_cert(row: &Row) -> Result<ServerCertRecord> {
    let columns = Columns::of(row, "platform_secrets");
    Ok(ServerCertRecord {
        fingerprint: columns.parse("fingerprint")?,
        chain_pem: columns.get("cert_pem")?,
        not_after: columns.time("not_after")?,
    })
}

async fn insert_in(tx: &mut Tx, new: NewRow<'_>) -> Step<()> {
    let (conn, sealer) = tx.conn_and_sealer();
    insert(conn, sealer, new).await
}

pub(super) async fn of_kind(conn: &mut Connection, kind: &'static str) -> Step<Vec<Row>> {
    Ok(query(OF_KIND).bind(kind).fetch_all(conn).await?)
}

async fn put_server_cert(
    tx: &mut ChangeTx<'_>,
    cert: &ServerCertRecord,
    compared: &ComparedKey,
    key: &PrivateKeyPem,
) -> Step<bool> {
    must_be_new(tx, compared, &[PLATFORM_CA]).await?;
    let (at, by) = (tx.at(), tx.change.actor.id().to_owned());
    let is_first = delete(tx.conn(), SERVER_CERT).await? == 0;
    let row = NewRow {
        kind: SERVER_CERT,
        fingerprint: cert.fingerprint.to_string(),
        state: None,
        cert_pem: Some(&cert.chain_pem),
        secret: key.expose().as_bytes(),
        not_after: Some(cert.not_after),
        uploaded_by: &by,
        created_at: Some(at),
    };
    insert_in(tx.tx, row).await?;
    let event = Event::ServerCertUploaded {
        fingerprint: cert.fingerprint,
        expires_at: cert.not_after,
    };
    tx.post(&Chain::Platform, &event).await?;
    tx.notify(Notice::Certificates);
    Ok(is_first)
}

/// Refuses a key that may be that of a certificate of these kinds, or is a device's.
async fn must_be_new(tx: &mut ChangeTx<'_>, key: &ComparedKey, kinds: &[&'static str]) -> Step<()> {
    for kind in kinds {
        let rows = of_kind(tx.conn(), kind).await?;
        let known = rows
            .iter()
            .map(|row| Columns::of(row, "platform_secrets").parse("fingerprint"));
        key.check(known.collect::<Result<Vec<_>>>()?)?;
    }
    if certificates::key_was_certified(tx.conn(), &key.spki_sha256).await? {
        return Err(Conflict::KeyReused.into());
    }
    Ok(())
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

/// Changes the states of CAs, and deletes the keys of those that issue nothing any more. A new CA has no row
/// yet, and is inserted in its state.
async fn rotate(
    tx: &mut ChangeTx<'_>,
    decide: impl FnOnce(&CaRotation) -> Result<CaRotation, RotationRule>,
) -> Step<()> {
    let before = ca_states(tx).await?;
    let after = decide(&before).map_err(Error::from)?;
    for (fingerprint, state) in after.changes_since(&before) {
        set_state(tx, fingerprint, state).await?;
        if !state.takes_certificates() {
            query(DELETE_KEY)
                .bind(PLATFORM_CA)
                .bind(fingerprint.to_string())
                .execute(tx.conn())
                .await?;
        }
    }
    tx.notify(Notice::Certificates);
    Ok(())
}

async fn insert_ca(tx: &mut ChangeTx<'_>, ca: &CaRecord, key: &PrivateKeyPem) -> Step<()> {
    let by = tx.change.actor.id().to_owned();
    let row = NewRow {
        kind: PLATFORM_CA,
        fingerprint: ca.fingerprint.to_string(),
        state: Some(word(&ca.state)?),
        cert_pem: Some(&ca.certificate_pem),
        secret: key.expose().as_bytes(),
        not_after: Some(ca.not_after),
        uploaded_by: &by,
        created_at: Some(ca.created_at),
    };
    insert_in(tx.tx, row).await
}

async fn find_ca(tx: &mut ChangeTx<'_>, fingerprint: Fingerprint) -> Step<CaRecord> {
    let row = query(ONE)
        .bind(PLATFORM_CA)
        .bind(fingerprint.to_string())
        .fetch_optional(tx.conn())
        .await?;
    let row = row.ok_or_else(|| Error::from(RotationRule::Unknown { fingerprint }))?;
    Ok(read_ca(&row)?)
}

/// Refuses a certificate of a CA that was tainted or retired.
pub(super) async fn must_issue(conn: &mut Connection, ca: &Fingerprint) -> Step<()> {
    let row = query(ISSUER)
        .bind(PLATFORM_CA)
        .bind(ca.to_string())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else {
        return Ok(());
    };
    let state: CaState = Columns::of(&row, "platform_secrets").word("state")?;
    if state.takes_certificates() {
        Ok(())
    } else {
        Err(Conflict::CaWithdrawn.into())
    }
}

async fn add_ca(
    tx: &mut ChangeTx<'_>,
    ca: &CaRecord,
    key: &PrivateKeyPem,
    origin: &CaOrigin,
) -> Step<CaState> {
    rotate(tx, |cas| cas.add(ca.fingerprint, ca.state)).await?;
    if let CaOrigin::Uploaded(compared) = origin {
        must_be_new(tx, compared, &[PLATFORM_CA, SERVER_CERT]).await?;
    }
    insert_ca(tx, ca, key).await?;
    tx.post(&Chain::Platform, &ca.added(origin)).await?;
    Ok(ca.state)
}

async fn activate_ca(tx: &mut ChangeTx<'_>, ca: Fingerprint) -> Step<CaRecord> {
    lock_cas(tx).await?;
    rotate(tx, |cas| cas.activate(ca)).await?;
    let activated = find_ca(tx, ca).await?;
    tx.post(&Chain::Platform, &activated.activated()).await?;
    Ok(activated)
}

async fn retire_ca(tx: &mut ChangeTx<'_>, ca: Fingerprint, force: bool) -> Step<CaRecord> {
    lock_cas(tx).await?;
    let at = tx.at();
    let devices = certificates::active_devices_of(tx.conn(), &ca, at).await?;
    rotate(tx, |cas| cas.retire(ca, devices, force)).await?;
    let retired = find_ca(tx, ca).await?;
    tx.post(&Chain::Platform, &retired.retired()).await?;
    Ok(retired)
}

/// Retires a CA whose devices were revoked, unless somebody did so before.
pub(super) async fn retire_after_revocation(tx: &mut ChangeTx<'_>, ca: Fingerprint) -> Step<()> {
    lock_cas(tx).await?;
    if find_ca(tx, ca).await?.state == CaState::Retired {
        return Ok(());
    }
    rotate(tx, |cas| cas.retire(ca, 0, true)).await?;
    let retired = find_ca(tx, ca).await?;
    tx.post(&Chain::Platform, &retired.retired()).await
}

/// Refuses the revocation of the devices of a CA that is not tainted.
pub(super) async fn must_be_tainted(tx: &mut ChangeTx<'_>, ca: Fingerprint) -> Step<()> {
    let cas = ca_states(tx).await?;
    Ok(cas.revoke_devices(ca).map_err(Error::from)?)
}

async fn regenerate_ca(
    tx: &mut ChangeTx<'_>,
    confirmed: Fingerprint,
    ca: &CaRecord,
    key: &PrivateKeyPem,
) -> Step<()> {
    rotate(tx, |cas| cas.regenerate(confirmed, ca.fingerprint)).await?;
    insert_ca(tx, ca, key).await?;
    tx.post(&Chain::Platform, &ca.regenerated(confirmed)).await
}

/// Waits for pairings and renewals that hold a CA, and has those that come later wait.
async fn lock_cas(tx: &mut ChangeTx<'_>) -> Step<()> {
    if tx.tx.is_shared() {
        let cas = query(LOCK).bind(PLATFORM_CA);
        cas.fetch_all(tx.conn()).await?;
    }
    Ok(())
}

#[async_trait]
impl SecretStore for SqlStore {
    async fn server_cert(&self) -> Result<Option<ServerCertRecord>> {
        self.read("server_cert", async move |conn| {
            let rows = of_kind(conn, SERVER_CERT).await?;
            Ok(rows.first().map(read_server_cert).transpose()?)
        })
        .await
    }

    async fn put_server_cert(
        &self,
        change: Change,
        cert: ServerCertRecord,
        compared: ComparedKey,
        key: PrivateKeyPem,
    ) -> Result<bool> {
        self.run_change(
            "put_server_cert",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { put_server_cert(tx, &cert, &compared, &key).await }),
        )
        .await
    }

    async fn cas(&self) -> Result<Vec<CaRecord>> {
        self.read("cas", async move |conn| {
            let rows = of_kind(conn, PLATFORM_CA).await?;
            let cas = rows.iter().map(read_ca);
            cas.collect::<Result<_>>().map_err(Fault::from)
        })
        .await
    }

    async fn add_ca(
        &self,
        change: Change,
        ca: CaRecord,
        key: PrivateKeyPem,
        origin: CaOrigin,
    ) -> Result<CaState> {
        self.run_change("add_ca", Isolation::Serializable, change, move |tx| {
            Box::pin(async move { add_ca(tx, &ca, &key, &origin).await })
        })
        .await
    }

    async fn activate_ca(&self, change: Change, ca: &Fingerprint) -> Result<CaRecord> {
        let ca = *ca;
        self.run_change("activate_ca", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(activate_ca(tx, ca))
        })
        .await
    }

    async fn retire_ca(&self, change: Change, ca: &Fingerprint, force: bool) -> Result<CaRecord> {
        let ca = *ca;
        self.run_change("retire_ca", Isolation::ReadCommitted, change, move |tx| {
            Box::pin(retire_ca(tx, ca, force))
        })
        .await
    }

    async fn regenerate_ca(
        &self,
        change: Change,
        confirmed: &Fingerprint,
        mut ca: CaRecord,
        key: PrivateKeyPem,
    ) -> Result<()> {
        let confirmed = *confirmed;
        ca.state = CaState::Active;
        self.run_change(
            "regenerate_ca",
            Isolation::Serializable,
            change,
            move |tx| Box::pin(async move { regenerate_ca(tx, confirmed, &ca, &key).await }),
        )
        .await
    }

    async fn private_key(&self, certificate: &Fingerprint) -> Result<Option<PrivateKeyPem>> {
        self.read("private_key", async |conn| {
            let row = query(KEY).bind(certificate.to_string());
            let row = row.fetch_optional(conn).await?;
            let key = row.map(|row| private_key(&row, &self.shared.crypter));
            Ok(key.transpose()?)
        })
        .await
    }

    async fn named_secret(&self, name: NamedSecret, fresh: SecretBytes) -> Result<SecretBytes> {
        self.run_tx("named_secret", Isolation::Serializable, move |tx| {
            Box::pin(async move {
                let (conn, sealer) = tx.conn_and_sealer();
                named_secrets::obtain(conn, sealer, name, fresh).await
            })
        })
        .await
    }

    async fn known_secret(&self, name: NamedSecret) -> Result<Option<SecretBytes>> {
        self.read("known_secret", async |conn| {
            named_secrets::find(conn, &self.shared.crypter, name).await
        })
        .await
    }
}
