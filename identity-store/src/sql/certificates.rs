use std::collections::{BTreeMap, BTreeSet};

use super::connection::Connection;
use super::row::Row;
use async_trait::async_trait;
use identity_pki::{DeviceId, DeviceIdentity, Fingerprint, SerialNumber, SpkiSha256, TbsSha256};
use time::{Duration, OffsetDateTime};

use super::column::{Columns, ms, word};
use super::fault::{Fault, Step, taken};
use super::query::{Sql, query};
use super::tx::{ChangeTx, Isolation};
use super::{SqlStore, denied, ledger, renewal_graces, secrets};
use crate::model::DenialPurge;
use crate::{
    CertificateRecord, CertificateStore, Conflict, DenialCursor, DenialReason, DeniedCertificate,
    DeniedPage, Issuance, IssuancePurpose, Notice, Page, PageRequest, Result,
};

/// Rows of the ledger.
macro_rules! select_issuances {
    ($rest:expr) => {
        concat!(
            "SELECT tenant_id, device_id, serial, fingerprint, tbs_sha256, spki_sha256, ca_fingerprint,
                    profile, purpose, not_before, not_after, pem, request_id, issued_at
             FROM issued_certificates ",
            $rest
        )
    };
}
pub(super) use select_issuances;

const ISSUANCE: &str = select_issuances!("WHERE serial = $1");
const KEY: &str = "SELECT 1 FROM issued_certificates WHERE spki_sha256 = $1";
/// The devices behind one, each with the CA that it counts for, and the one that it counts for in its
/// renewal's grace.
const ACTIVE_DEVICES: &str = "
    SELECT page.tenant_id, page.device_id, c.ca_fingerprint, s.ca_fingerprint AS superseded_ca
    FROM (SELECT tenant_id, device_id, status, active_serial FROM devices
          WHERE (tenant_id, device_id) > ($1, $2) ORDER BY tenant_id, device_id LIMIT $3) page
    LEFT JOIN issued_certificates c
    ON c.tenant_id = page.tenant_id AND c.device_id = page.device_id AND c.serial = page.active_serial
       AND page.status = 'paired' AND c.not_after >= $4
    LEFT JOIN renewal_graces g
    ON g.tenant_id = page.tenant_id AND g.device_id = page.device_id AND g.ends_at > $4
    LEFT JOIN issued_certificates s
    ON s.tenant_id = g.tenant_id AND s.device_id = g.device_id AND s.serial = g.superseded_serial
       AND s.not_after >= $4
    ORDER BY page.tenant_id, page.device_id";
/// Those that act with a certificate of a CA, and those besides that have one in its grace.
const ACTIVE_DEVICES_OF: &str = "
    SELECT (
        SELECT count(*) FROM issued_certificates c
        JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id
                          AND d.active_serial = c.serial
        WHERE c.ca_fingerprint = $1 AND d.status = 'paired' AND c.not_after >= $2
    ) + (
        SELECT count(*) FROM renewal_graces g
        JOIN issued_certificates s ON s.tenant_id = g.tenant_id AND s.device_id = g.device_id
                                      AND s.serial = g.superseded_serial
        JOIN devices d ON d.tenant_id = g.tenant_id AND d.device_id = g.device_id
        LEFT JOIN issued_certificates c
        ON c.tenant_id = d.tenant_id AND c.device_id = d.device_id AND c.serial = d.active_serial
           AND c.ca_fingerprint = $1 AND c.not_after >= $2
        WHERE g.ends_at > $2 AND s.ca_fingerprint = $1 AND s.not_after >= $2 AND c.serial IS NULL
    ) AS devices";
/// How many devices are looked at by one statement.
const PAGE: i64 = 5000;
const ISSUE: &str = "
    INSERT INTO issued_certificates (tenant_id, device_id, serial, fingerprint, tbs_sha256,
        spki_sha256, ca_fingerprint, profile, purpose, not_before, not_after, pem, request_id,
        issued_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'device', $8, $9, $10, $11, $12, $13)";

/// One that has expired by this process's clock may not have by another's. Each is denied once.
const DENY: &str = "
    INSERT INTO revoked_cert_fingerprints (tenant_id, device_id, fingerprint, tbs_sha256, serial,
                                           ca_fingerprint, reason, revoked_at, revoked_by, not_after)
    SELECT tenant_id, device_id, fingerprint, tbs_sha256, serial, ca_fingerprint, $4, $3, $5,
           not_after
    FROM issued_certificates c
    WHERE tenant_id = $1 AND device_id = $2
      AND NOT EXISTS (SELECT 1 FROM revoked_cert_fingerprints r WHERE r.tbs_sha256 = c.tbs_sha256)
    ORDER BY issued_at, serial
    RETURNING sequence, tenant_id, device_id, fingerprint, tbs_sha256, serial, ca_fingerprint,
              reason, revoked_at, revoked_by, not_after";
const DENY_ONE: &str = "
    INSERT INTO revoked_cert_fingerprints (tenant_id, device_id, fingerprint, tbs_sha256, serial,
                                           ca_fingerprint, reason, revoked_at, revoked_by, not_after)
    SELECT tenant_id, device_id, fingerprint, tbs_sha256, serial, ca_fingerprint, $3, $2, $4,
           not_after
    FROM issued_certificates WHERE serial = $1
    RETURNING sequence, tenant_id, device_id, fingerprint, tbs_sha256, serial, ca_fingerprint,
              reason, revoked_at, revoked_by, not_after";
const DENIAL: &str = "
    SELECT sequence, tenant_id, device_id, fingerprint, tbs_sha256, serial, ca_fingerprint, reason,
           revoked_at, revoked_by, not_after
    FROM revoked_cert_fingerprints WHERE tbs_sha256 = $1";
const DENIALS: &str = "
    SELECT sequence, tenant_id, device_id, fingerprint, tbs_sha256, serial, ca_fingerprint, reason,
           revoked_at, revoked_by, not_after
    FROM revoked_cert_fingerprints WHERE sequence > $1 ORDER BY sequence LIMIT $2";
const PURGED: Sql = Sql {
    sqlite: "
        SELECT purged_to, (SELECT revoked_at FROM revoked_cert_fingerprints
                           ORDER BY sequence LIMIT 1) AS first_denied
        FROM denial_purge",
    postgres: "
        SELECT purged_to, (SELECT revoked_at FROM revoked_cert_fingerprints
                           ORDER BY sequence LIMIT 1) AS first_denied
        FROM denial_purge FOR UPDATE",
};
const PURGED_TO: &str = "UPDATE denial_purge SET purged_to = $1";
const PURGE: &str = "DELETE FROM revoked_cert_fingerprints WHERE not_after < $1";

fn read_certificate(columns: Columns<'_>, identity: DeviceIdentity) -> Result<CertificateRecord> {
    Ok(CertificateRecord {
        identity,
        serial: columns.serial("serial")?,
        fingerprint: Fingerprint::from_bytes(columns.bytes("fingerprint")?),
        tbs_sha256: TbsSha256::from_bytes(columns.bytes("tbs_sha256")?),
        spki_sha256: SpkiSha256::from_bytes(columns.bytes("spki_sha256")?),
        ca_fingerprint: Fingerprint::from_bytes(columns.bytes("ca_fingerprint")?),
        not_before: columns.time("not_before")?,
        not_after: columns.time("not_after")?,
        pem: columns.get("pem")?,
    })
}

/// The certificate of a row that joins it to its device, if there is one.
pub(super) fn read_joined(
    row: &Row,
    identity: &DeviceIdentity,
) -> Result<Option<CertificateRecord>> {
    let columns = Columns::of(row, "issued_certificates");
    columns
        .get::<Option<&[u8]>>("serial")?
        .map(|_| read_certificate(columns, identity.clone()))
        .transpose()
}

pub(super) fn read_issuance(row: &Row) -> Result<Issuance> {
    let columns = Columns::of(row, "issued_certificates");
    Ok(Issuance {
        certificate: read_certificate(columns, columns.identity()?)?,
        profile: columns.get("profile")?,
        purpose: columns.word("purpose")?,
        request_id: columns.get("request_id")?,
        issued_at: columns.time("issued_at")?,
    })
}

fn read_denial(row: &Row) -> Result<DeniedCertificate> {
    let columns = Columns::of(row, "revoked_cert_fingerprints");
    Ok(DeniedCertificate {
        sequence: columns.get("sequence")?,
        tbs_sha256: TbsSha256::from_bytes(columns.bytes("tbs_sha256")?),
        fingerprint: Fingerprint::from_bytes(columns.bytes("fingerprint")?),
        serial: columns.serial("serial")?,
        ca_fingerprint: Fingerprint::from_bytes(columns.bytes("ca_fingerprint")?),
        identity: columns.identity()?,
        reason: columns.word("reason")?,
        revoked_at: columns.time("revoked_at")?,
        revoked_by: columns.get("revoked_by")?,
        not_after: columns.time("not_after")?,
    })
}

/// Whether a key has had a certificate.
pub(super) async fn key_was_certified(
    conn: &mut Connection,
    spki_sha256: &SpkiSha256,
) -> Step<bool> {
    let row = query(KEY)
        .bind(&spki_sha256.as_bytes()[..])
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// How many devices still need a CA at `now`: as [`CertificateStore::active_devices`].
pub(super) async fn active_devices_of(
    conn: &mut Connection,
    ca: &Fingerprint,
    now: OffsetDateTime,
) -> Step<u64> {
    let row = query(ACTIVE_DEVICES_OF)
        .bind(&ca.as_bytes()[..])
        .bind(ms(now))
        .fetch_one(conn)
        .await?;
    Ok(Columns::of(&row, "devices").number("devices")?)
}

/// The CAs for which a device counts.
fn cas_of(row: &Row) -> Result<BTreeSet<Fingerprint>> {
    let columns = Columns::of(row, "issued_certificates");
    let mut cas = BTreeSet::new();
    for column in ["ca_fingerprint", "superseded_ca"] {
        if columns.get::<Option<&[u8]>>(column)?.is_some() {
            cas.insert(Fingerprint::from_bytes(columns.bytes(column)?));
        }
    }
    Ok(cas)
}

/// Enters a certificate, whose key is new, in the ledger.
pub(super) async fn issue(
    tx: &mut ChangeTx<'_>,
    certificate: &CertificateRecord,
    purpose: IssuancePurpose,
) -> Step<()> {
    secrets::must_issue(tx.conn(), &certificate.ca_fingerprint).await?;
    if key_was_certified(tx.conn(), &certificate.spki_sha256).await? {
        return Err(Conflict::KeyReused.into());
    }
    let (at, request_id) = (tx.at(), tx.change.request_id.clone());
    query(ISSUE)
        .bind(certificate.identity.tenant_id().as_str())
        .bind(certificate.identity.device_id().as_str())
        .bind(&certificate.serial.as_bytes()[..])
        .bind(&certificate.fingerprint.as_bytes()[..])
        .bind(&certificate.tbs_sha256.as_bytes()[..])
        .bind(&certificate.spki_sha256.as_bytes()[..])
        .bind(&certificate.ca_fingerprint.as_bytes()[..])
        .bind(word(&purpose)?)
        .bind(ms(certificate.not_before))
        .bind(ms(certificate.not_after))
        .bind(&certificate.pem)
        .bind(request_id)
        .bind(ms(at))
        .execute(tx.conn())
        .await
        .map_err(already_certified)?;
    Ok(())
}

/// On PostgreSQL another transaction may have certified the key after this one looked.
fn already_certified(error: sqlx::Error) -> Fault {
    let violated = error.as_database_error().and_then(|said| said.constraint());
    if violated == Some("issued_certificates_spki_sha256_key") {
        Conflict::KeyReused.into()
    } else {
        taken(Conflict::IdTaken)(error)
    }
}

/// Denies every certificate of a device that is not denied yet, one in its grace too.
pub(super) async fn deny_all(
    tx: &mut ChangeTx<'_>,
    identity: &DeviceIdentity,
    reason: DenialReason,
) -> Step<Vec<DeniedCertificate>> {
    renewal_graces::end_with_all(tx, identity).await?;
    let (at, by) = (tx.at(), tx.change.actor.id().to_owned());
    let rows = query(DENY)
        .bind(identity.tenant_id().as_str())
        .bind(identity.device_id().as_str())
        .bind(ms(at))
        .bind(word(&reason)?)
        .bind(by)
        .fetch_all(tx.conn())
        .await?;
    let mut denied = rows.iter().map(read_denial).collect::<Result<Vec<_>>>()?;
    denied.sort_by_key(|denial| denial.sequence);
    if !denied.is_empty() {
        tx.notify(Notice::Denied);
    }
    Ok(denied)
}

/// Denies one certificate, which is not denied yet.
pub(super) async fn deny(
    tx: &mut ChangeTx<'_>,
    serial: &SerialNumber,
    reason: DenialReason,
) -> Step<DeniedCertificate> {
    let (at, by) = (tx.at(), tx.change.actor.id().to_owned());
    let row = query(DENY_ONE)
        .bind(&serial.as_bytes()[..])
        .bind(ms(at))
        .bind(word(&reason)?)
        .bind(by)
        .fetch_one(tx.conn())
        .await?;
    tx.notify(Notice::Denied);
    Ok(read_denial(&row)?)
}

/// One turn of the purge; turns follow one another.
async fn purge(conn: &mut Connection, now: OffsetDateTime, step: Duration) -> Step<u64> {
    let row = query(PURGED).fetch_one(conn).await?;
    let columns = Columns::of(&row, "denial_purge");
    let (place, first_denied) = (
        columns.time_option("purged_to")?,
        columns.time_option("first_denied")?,
    );
    let turn = DenialPurge::turn(place, first_denied, now, step);
    query(PURGED_TO).bind(ms(turn.place)).execute(conn).await?;
    Ok(query(PURGE).bind(ms(turn.before)).execute(conn).await?)
}

#[async_trait]
impl CertificateStore for SqlStore {
    async fn issuance(&self, serial: &SerialNumber) -> Result<Option<Issuance>> {
        self.read("issuance", async move |conn| {
            let row = query(ISSUANCE)
                .bind(&serial.as_bytes()[..])
                .fetch_optional(conn)
                .await?;
            Ok(row.as_ref().map(read_issuance).transpose()?)
        })
        .await
    }

    async fn issuances(
        &self,
        device_id: Option<&DeviceId>,
        page: PageRequest,
    ) -> Result<Page<Issuance>> {
        ledger::page(self, device_id, &page).await
    }

    async fn key_was_certified(&self, spki_sha256: &SpkiSha256) -> Result<bool> {
        self.read("key_was_certified", async |conn| {
            key_was_certified(conn, spki_sha256).await
        })
        .await
    }

    async fn active_devices(&self, now: OffsetDateTime) -> Result<BTreeMap<Fingerprint, u64>> {
        let (mut behind, mut active) = ((String::new(), String::new()), BTreeMap::new());
        loop {
            let (tenant_id, device_id) = &behind;
            let page = self.read("active_devices", async move |conn| {
                let page = query(ACTIVE_DEVICES).bind(tenant_id).bind(device_id);
                Ok(page.bind(PAGE).bind(ms(now)).fetch_all(conn).await?)
            });
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(active);
            };
            for row in &page {
                for ca in cas_of(row)? {
                    *active.entry(ca).or_default() += 1;
                }
            }
            let last = Columns::of(last, "devices");
            behind = (last.get("tenant_id")?, last.get("device_id")?);
        }
    }

    async fn denial(&self, tbs_sha256: &TbsSha256) -> Result<Option<DeniedCertificate>> {
        self.read("denial", async |conn| {
            let row = query(DENIAL)
                .bind(&tbs_sha256.as_bytes()[..])
                .fetch_optional(conn)
                .await?;
            Ok(row.as_ref().map(read_denial).transpose()?)
        })
        .await
    }

    async fn denials(&self, after: i64, limit: u32) -> Result<Vec<DeniedCertificate>> {
        self.read("denials", async move |conn| {
            let rows = query(DENIALS)
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(conn)
                .await?;
            Ok(rows.iter().map(read_denial).collect::<Result<_>>()?)
        })
        .await
    }

    async fn denied(&self, after: DenialCursor, limit: u32) -> Result<DeniedPage> {
        self.read("denied", async move |conn| {
            denied::page(conn, after, limit).await
        })
        .await
    }

    async fn purge_denials(&self, now: OffsetDateTime, step: Duration) -> Result<u64> {
        self.run_tx("purge_denials", Isolation::ReadCommitted, move |tx| {
            Box::pin(purge(tx.conn(), now, step))
        })
        .await
    }
}
