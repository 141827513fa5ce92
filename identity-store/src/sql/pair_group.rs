//! Pairings that come at once are committed together: one transaction, a few statements, one flush to
//! the disk for all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use identity_pki::SerialNumber;
use serde::Serialize;

use super::column::{Columns, json, ms};
use super::device_rows;
use super::fault::Step;
use super::group::Grouped;
use super::query::{Sql, query};
use super::tx::{Isolation, Tx};
use super::{Shared, SqlStore, secrets};
use crate::posting::{Posting, posting, to_millisecond};
use crate::{Chain, Change, Device, Event, PairDevice, Paired, Result};

/// The list of pairings as rows.
macro_rules! pairings {
    (sqlite) => {
        "(SELECT value ->> 'tenant' AS tenant, value ->> 'device' AS device,
                 unhex(value ->> 'code_hash') AS code_hash, unhex(value ->> 'serial_number') AS serial_number,
                 unhex(value ->> 'der_sha256') AS der_sha256, unhex(value ->> 'tbs') AS tbs,
                 unhex(value ->> 'spki') AS spki, unhex(value ->> 'ca') AS ca,
                 value ->> 'valid_from' AS valid_from, value ->> 'valid_until' AS valid_until,
                 value ->> 'certificate' AS certificate, value ->> 'request' AS request,
                 value ->> 'moment' AS moment, value ->> 'device_info' AS device_info
          FROM jsonb_each($1)) AS p"
    };
    (postgres) => {
        "(SELECT tenant, device, decode(code_hash, 'hex') AS code_hash,
                 decode(serial_number, 'hex') AS serial_number, decode(der_sha256, 'hex') AS der_sha256,
                 decode(tbs, 'hex') AS tbs, decode(spki, 'hex') AS spki, decode(ca, 'hex') AS ca,
                 valid_from, valid_until, certificate, request, moment, device_info
          FROM json_to_recordset($1::json) AS listed(tenant text, device text, code_hash text,
              serial_number text, der_sha256 text, tbs text, spki text, ca text, valid_from bigint,
              valid_until bigint, certificate text, request text, moment bigint,
              device_info text)) AS p"
    };
}

/// Consumes the codes that are good, for keys that have had no certificate.
macro_rules! consume {
    ($database:ident) => {
        concat!(
            "UPDATE devices SET status = 'paired', active_serial = p.serial_number,
                                paired_at = p.moment, info = p.device_info
             FROM ", pairings!($database),
            " WHERE tenant_id = p.tenant AND device_id = p.device
                AND pairing_code_hash = p.code_hash AND status = 'pending_pairing'
                AND pairing_expires_at > p.moment
                AND NOT EXISTS (SELECT 1 FROM issued_certificates c WHERE c.spki_sha256 = p.spki)
              RETURNING active_serial, tenant_id, device_id, name, location, device_class, bound_product,
                        bound_action, tags, status, info, pairing_expires_at, paired_at, revoked_at,
                        revoked_by, last_seen_at, created_at"
        )
    };
}

/// Writes the certificates of the devices whose codes were consumed.
macro_rules! issue {
    ($database:ident, $consumed:literal) => {
        concat!(
            "INSERT INTO issued_certificates (tenant_id, device_id, serial, fingerprint, tbs_sha256,
                 spki_sha256, ca_fingerprint, profile, purpose, not_before, not_after, pem,
                 request_id, issued_at)
             SELECT p.tenant, p.device, p.serial_number, p.der_sha256, p.tbs, p.spki, p.ca, 'device',
                    'pairing', p.valid_from, p.valid_until, p.certificate, p.request, p.moment
             FROM ", pairings!($database), " JOIN ", $consumed, " d
             ON d.tenant_id = p.tenant AND d.device_id = p.device
                AND d.active_serial = p.serial_number"
        )
    };
}

/// Both in one way to the database. A serial number is in no row before.
const PAIR: Sql = Sql {
    sqlite: concat!(consume!(sqlite), "; ", issue!(sqlite, "devices")),
    postgres: concat!(
        "WITH consumed AS (",
        consume!(postgres),
        "),
              issued AS (",
        issue!(postgres, "consumed"),
        ")
         SELECT * FROM consumed"
    ),
};

/// A pairing as the statements read it.
#[derive(Serialize)]
struct Listed<'a> {
    tenant: &'a str,
    device: &'a str,
    code_hash: String,
    serial_number: String,
    der_sha256: String,
    tbs: String,
    spki: String,
    ca: String,
    valid_from: i64,
    valid_until: i64,
    certificate: &'a str,
    request: &'a str,
    moment: i64,
    device_info: String,
}

impl<'a> Listed<'a> {
    fn of(request: &'a Request) -> Result<Self> {
        let (change, pairing) = &**request;
        let certificate = &pairing.certificate;
        Ok(Self {
            tenant: certificate.identity.tenant_id().as_str(),
            device: certificate.identity.device_id().as_str(),
            code_hash: hex::encode(pairing.code_hash.as_bytes()),
            serial_number: hex::encode(certificate.serial.as_bytes()),
            der_sha256: hex::encode(certificate.fingerprint.as_bytes()),
            tbs: hex::encode(certificate.tbs_sha256.as_bytes()),
            spki: hex::encode(certificate.spki_sha256.as_bytes()),
            ca: hex::encode(certificate.ca_fingerprint.as_bytes()),
            valid_from: ms(certificate.not_before),
            valid_until: ms(certificate.not_after),
            certificate: &certificate.pem,
            request: &change.request_id,
            moment: ms(change.at),
            device_info: json(&pairing.info)?,
        })
    }
}

/// Who asks for what.
pub(super) type Request = Arc<(Change, PairDevice)>;

impl Grouped for Request {
    /// The code stands for its device.
    fn keys(&self) -> impl Iterator<Item = [u8; 32]> {
        let pairing = &self.1;
        let keys = [
            pairing.code_hash.as_bytes(),
            pairing.certificate.spki_sha256.as_bytes(),
        ];
        keys.into_iter().copied()
    }
}

impl SqlStore {
    /// Pairs a device together with those that come at the same time.
    pub(super) async fn pair_in_a_group(
        &self,
        mut change: Change,
        pairing: PairDevice,
    ) -> Result<Paired> {
        change.at = to_millisecond(change.at);
        let request = Arc::new((change, pairing));
        match self.pairings.join(Arc::clone(&request)).await.flatten() {
            Some(device) => Ok(Paired::Now(Box::new(device))),
            None => {
                let (change, pairing) = Arc::unwrap_or_clone(request);
                self.pair_alone(change, pairing).await
            }
        }
    }
}

/// Commits a group. Who cannot be told to be paired now is to find out alone why.
pub(super) async fn pair_group(
    shared: Arc<Shared>,
    requests: Vec<Request>,
) -> Option<Vec<Option<Device>>> {
    let requests: Arc<[Request]> = requests.into();
    let group = Arc::clone(&requests);
    let paired = shared
        .run_tx("pair_devices", Isolation::ReadCommitted, move |tx| {
            Box::pin(async move { pair(tx, &group).await })
        })
        .await;
    let mut paired = paired
        .inspect_err(|error| tracing::debug!(%error, "pairings are tried one by one"))
        .ok()?;
    let device = |request: &Request| paired.remove(&request.1.certificate.serial);
    Some(requests.iter().map(device).collect())
}

/// Pairs those whose codes are good; returns their devices by what each was paired with. Two requests
/// may be for one device, whose code was replaced between them: one of the codes is good.
async fn pair(tx: &mut Tx, requests: &[Request]) -> Step<HashMap<SerialNumber, Device>> {
    // Those of a CA that was withdrawn are to find it out alone.
    let cas = requests
        .iter()
        .map(|request| request.1.certificate.ca_fingerprint);
    for ca in cas.collect::<BTreeSet<_>>() {
        secrets::must_issue(tx.conn(), &ca).await?;
    }
    let listed = requests
        .iter()
        .map(Listed::of)
        .collect::<Result<Vec<_>>>()?;
    let consumed = query(PAIR)
        .bind(json(&listed)?)
        .fetch_all(tx.conn())
        .await?;
    let mut rows = HashMap::new();
    for row in &consumed {
        rows.insert(Columns::of(row, "devices").serial("active_serial")?, row);
    }
    let paired = || {
        let is_paired = |request: &&Request| rows.contains_key(&request.1.certificate.serial);
        requests.iter().filter(is_paired)
    };
    let postings: Vec<Posting> = paired()
        .map(|request| {
            let (change, certificate) = (&request.0, &request.1.certificate);
            let event = Event::DevicePaired {
                device_id: certificate.identity.device_id().clone(),
                fingerprint: certificate.fingerprint,
            };
            let chain = Chain::Tenant(certificate.identity.tenant_id().clone());
            posting(change, &chain, &event, &tx.shared.entropy)
        })
        .collect();
    tx.post_all(&postings).await?;
    let device = |request: &Request| {
        let certificate = request.1.certificate.clone();
        let serial = certificate.serial;
        let device = device_rows::read_alone(rows[&serial], Some(certificate), request.0.at)?;
        Ok((serial, device))
    };
    Ok(paired().map(device).collect::<Result<_>>()?)
}
