//! Certificates that were superseded and may repeat their renewal.

use identity_pki::{DeviceIdentity, TbsSha256};
use time::{Duration, OffsetDateTime};

use super::certificates::deny;
use super::column::{Columns, ms};
use super::connection::Connection;
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::tx::ChangeTx;
use crate::{CertificateRecord, DenialReason, DeniedCertificate, RenewalGrace, Result};

const BEGIN: &str = "
    INSERT INTO renewal_graces (tenant_id, device_id, superseded_serial, superseded_tbs_sha256, ends_at)
    VALUES ($1, $2, $3, $4, $5)";
const END: &str = "
    DELETE FROM renewal_graces
    WHERE tenant_id = $1 AND device_id = $2 AND ($3 IS NULL OR superseded_tbs_sha256 = $3)
    RETURNING superseded_serial";
const OVERDUE: &str = "
    SELECT tenant_id, device_id, superseded_tbs_sha256 FROM renewal_graces
    WHERE ends_at <= $1 ORDER BY ends_at LIMIT $2";

/// The grace of a row that joins it to its device, if there is one.
pub(super) fn read_joined(row: &Row) -> Result<Option<RenewalGrace>> {
    let columns = Columns::of(row, "renewal_graces");
    let Some(ends_at) = columns.time_option("ends_at")? else {
        return Ok(None);
    };
    Ok(Some(RenewalGrace {
        superseded: TbsSha256::from_bytes(columns.bytes("superseded_tbs_sha256")?),
        ends_at,
    }))
}

/// Lets a superseded certificate repeat its renewal for so long. The device is locked, and none of its
/// certificates is in its grace.
pub(super) async fn begin(
    tx: &mut ChangeTx<'_>,
    superseded: &CertificateRecord,
    grace: Duration,
) -> Step<()> {
    let ends_at = tx.at() + grace;
    query(BEGIN)
        .bind(superseded.identity.tenant_id().as_str())
        .bind(superseded.identity.device_id().as_str())
        .bind(&superseded.serial.as_bytes()[..])
        .bind(&superseded.tbs_sha256.as_bytes()[..])
        .bind(ms(ends_at))
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Forgets that a certificate of a device is in its grace: that one, or whichever is; `None` when none
/// is. The device is locked.
async fn forget(
    tx: &mut ChangeTx<'_>,
    identity: &DeviceIdentity,
    superseded: Option<&TbsSha256>,
) -> Step<Option<Row>> {
    let row = query(END)
        .bind(identity.tenant_id().as_str())
        .bind(identity.device_id().as_str())
        .bind(superseded.map(|tbs_sha256| &tbs_sha256.as_bytes()[..]))
        .fetch_optional(tx.conn())
        .await?;
    Ok(row)
}

/// Ends the grace of that certificate, or of whichever is in its grace: it is denied.
pub(super) async fn end(
    tx: &mut ChangeTx<'_>,
    identity: &DeviceIdentity,
    superseded: Option<&TbsSha256>,
) -> Step<Option<DeniedCertificate>> {
    let Some(row) = forget(tx, identity, superseded).await? else {
        return Ok(None);
    };
    let serial = Columns::of(&row, "renewal_graces").serial("superseded_serial")?;
    Ok(Some(deny(tx, &serial, DenialReason::Renewed).await?))
}

/// Ends the grace of a device's certificates, all of which are denied otherwise.
pub(super) async fn end_with_all(tx: &mut ChangeTx<'_>, identity: &DeviceIdentity) -> Step<()> {
    forget(tx, identity, None).await?;
    Ok(())
}

pub(super) async fn overdue(
    conn: &mut Connection,
    now: OffsetDateTime,
    limit: u32,
) -> Step<Vec<(DeviceIdentity, TbsSha256)>> {
    let rows = query(OVERDUE)
        .bind(ms(now))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await?;
    let read = |row| -> Result<_> {
        let columns = Columns::of(row, "renewal_graces");
        let superseded = columns.bytes("superseded_tbs_sha256")?;
        Ok((columns.identity()?, TbsSha256::from_bytes(superseded)))
    };
    Ok(rows.iter().map(read).collect::<Result<_>>()?)
}
