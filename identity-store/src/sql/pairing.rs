//! The life of a device's certificate: paired, renewed, revoked, paired anew.

use super::connection::Connection;
use identity_challenge::CancelReason;
use identity_pki::{DeviceIdentity, PairingCodeHash};
use time::{Duration, OffsetDateTime};

use super::cancel::{Whose, cancel_open};
use super::certificates::{deny, deny_all, issue};
use super::column::{json, ms};
use super::device_rows::{self, must_find, select};
use super::fault::{Step, taken};
use super::query::query;
use super::tx::ChangeTx;
use super::{renewal_graces, tenants};
use crate::{
    Chain, Conflict, DenialReason, Device, DeviceStatus, Event, IssuancePurpose, PairDevice,
    Paired, PairingOffer, RenewDevice, Renewed, Revocation,
};

/// A code counts before the moment at which it expires, spent or not.
const BY_CODE: &str = select!("WHERE d.pairing_code_hash = $1 AND d.pairing_expires_at > $2");

const CONSUME: &str = "
    UPDATE devices SET status = 'paired', active_serial = $5, paired_at = $2, info = $6
    WHERE pairing_code_hash = $1 AND status = 'pending_pairing' AND pairing_expires_at > $2
      AND tenant_id = $3 AND device_id = $4
    RETURNING device_id";

const OFFER: &str = "
    UPDATE devices SET status = 'pending_pairing', active_serial = NULL, pairing_code_hash = $3,
                       pairing_expires_at = $4
    WHERE tenant_id = $1 AND device_id = $2";

/// The code is forgotten: its certificate is no longer the active one.
const RENEW: &str = "
    UPDATE devices SET active_serial = $4, pairing_code_hash = NULL, pairing_expires_at = NULL
    WHERE tenant_id = $1 AND device_id = $2 AND status = 'paired' AND active_serial = $3";

const REVOKE: &str = "
    UPDATE devices SET status = 'revoked', active_serial = NULL, pairing_code_hash = NULL,
                       pairing_expires_at = NULL, revoked_at = $3, revoked_by = $4
    WHERE tenant_id = $1 AND device_id = $2 AND status <> 'revoked'";

fn chain(identity: &DeviceIdentity) -> Chain {
    Chain::Tenant(identity.tenant_id().clone())
}

async fn by_code(
    conn: &mut Connection,
    code_hash: &PairingCodeHash,
    now: OffsetDateTime,
) -> Step<Option<Device>> {
    let row = query(BY_CODE)
        .bind(&code_hash.as_bytes()[..])
        .bind(ms(now))
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| device_rows::read(&row, now)).transpose()?)
}

pub(super) async fn pair(tx: &mut ChangeTx<'_>, pairing: &PairDevice) -> Step<Paired> {
    let (at, certificate) = (tx.at(), &pairing.certificate);
    let consumed = query(CONSUME)
        .bind(&pairing.code_hash.as_bytes()[..])
        .bind(ms(at))
        .bind(certificate.identity.tenant_id().as_str())
        .bind(certificate.identity.device_id().as_str())
        .bind(&certificate.serial.as_bytes()[..])
        .bind(json(&pairing.info)?)
        .fetch_optional(tx.conn())
        .await?;
    if consumed.is_none() {
        return paired_before(tx, pairing).await;
    }
    issue(tx, certificate, IssuancePurpose::Pairing).await?;
    let event = Event::DevicePaired {
        device_id: certificate.identity.device_id().clone(),
        fingerprint: certificate.fingerprint,
    };
    tx.post(&chain(&certificate.identity), &event).await?;
    let device = must_find(tx.conn(), &certificate.identity, at).await?;
    Ok(Paired::Now(Box::new(device)))
}

/// The key that spent the code may fetch its certificate again; nobody else learns anything.
async fn paired_before(tx: &mut ChangeTx<'_>, pairing: &PairDevice) -> Step<Paired> {
    let at = tx.at();
    let device = by_code(tx.conn(), &pairing.code_hash, at).await?;
    device
        .filter(|device| {
            let key = device.certificate.as_ref().map(|active| active.spki_sha256);
            device.identity == pairing.certificate.identity
                && key == Some(pairing.certificate.spki_sha256)
        })
        .map(|device| Paired::Before(Box::new(device)))
        .ok_or_else(|| Conflict::PairingCodeInvalid.into())
}

pub(super) async fn renew(tx: &mut ChangeTx<'_>, renewal: &RenewDevice) -> Step<Renewed> {
    let (at, new) = (tx.at(), &renewal.certificate);
    tx.lock_device(&new.identity).await?;
    let device = must_find(tx.conn(), &new.identity, at).await?;
    let Some(old) = device
        .certificate
        .filter(|_| device.status == DeviceStatus::Paired)
    else {
        return Err(Conflict::DeviceNotPaired.into());
    };
    if old.tbs_sha256 != renewal.presented {
        return Err(Conflict::RenewalConflict.into());
    }
    issue(tx, new, IssuancePurpose::Renewal).await?;
    let replaced = query(RENEW)
        .bind(new.identity.tenant_id().as_str())
        .bind(new.identity.device_id().as_str())
        .bind(&old.serial.as_bytes()[..])
        .bind(&new.serial.as_bytes()[..])
        .execute(tx.conn())
        .await?;
    if replaced != 1 {
        return Err(Conflict::RenewalConflict.into());
    }
    let mut denied = Vec::from_iter(renewal_graces::end(tx, &new.identity, None).await?);
    let tenant = tenants::must_find(tx.conn(), new.identity.tenant_id()).await?;
    match tenant.config.renewal_grace_seconds {
        0 => denied.push(deny(tx, &old.serial, DenialReason::Renewed).await?),
        grace => renewal_graces::begin(tx, &old, Duration::seconds(grace.into())).await?,
    }
    let event = Event::CertRenewed {
        device_id: new.identity.device_id().clone(),
        old_fingerprint: old.fingerprint,
        new_fingerprint: new.fingerprint,
    };
    tx.post(&chain(&new.identity), &event).await?;
    let device = must_find(tx.conn(), &new.identity, at).await?;
    Ok(Renewed { device, denied })
}

pub(super) async fn issue_code(
    tx: &mut ChangeTx<'_>,
    identity: &DeviceIdentity,
    offer: &PairingOffer,
    replace: bool,
) -> Step<Revocation> {
    let at = tx.at();
    tx.lock_device(identity).await?;
    let device = must_find(tx.conn(), identity, at).await?;
    if device.status == DeviceStatus::Paired && !replace {
        return Err(Conflict::DeviceAlreadyPaired.into());
    }
    let denied = deny_all(tx, identity, DenialReason::Replaced).await?;
    query(OFFER)
        .bind(identity.tenant_id().as_str())
        .bind(identity.device_id().as_str())
        .bind(&offer.code_hash.as_bytes()[..])
        .bind(ms(offer.expires_at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    let device = must_find(tx.conn(), identity, at).await?;
    let event = Event::PairingCodeIssued {
        device_id: identity.device_id().clone(),
        status: device.status,
    };
    tx.post(&chain(identity), &event).await?;
    cancel_open(tx, Whose::Device(identity), CancelReason::DeviceRevoked).await?;
    Ok(Revocation { device, denied })
}

pub(super) async fn revoke(tx: &mut ChangeTx<'_>, identity: &DeviceIdentity) -> Step<Revocation> {
    let at = tx.at();
    tx.lock_device(identity).await?;
    let before = must_find(tx.conn(), identity, at).await?;
    let by = tx.change.actor.id().to_owned();
    let revoked = query(REVOKE)
        .bind(identity.tenant_id().as_str())
        .bind(identity.device_id().as_str())
        .bind(ms(at))
        .bind(&by)
        .execute(tx.conn())
        .await?;
    if revoked == 0 {
        return Ok(Revocation {
            device: before,
            denied: Vec::new(),
        });
    }
    let denied = deny_all(tx, identity, DenialReason::Revoked).await?;
    let event = Event::DeviceRevoked {
        device_id: identity.device_id().clone(),
        revoked_by: by,
        fingerprint: before.certificate.map(|active| active.fingerprint),
    };
    tx.post(&chain(identity), &event).await?;
    cancel_open(tx, Whose::Device(identity), CancelReason::DeviceRevoked).await?;
    let device = must_find(tx.conn(), identity, at).await?;
    Ok(Revocation { device, denied })
}
