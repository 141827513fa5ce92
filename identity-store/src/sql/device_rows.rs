//! Devices as rows.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::row::Row;
use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::{DeviceIdentity, TbsSha256, TenantId};
use time::OffsetDateTime;

use super::column::{Columns, Window, json, ms, word};
use super::fault::{Step, taken};
use super::query::{Query, Sql, query};
use super::tx::ChangeTx;
use super::{certificates, renewal_graces};
use crate::{
    CertificateRecord, Conflict, Device, DeviceFilter, DeviceStanding, DeviceStatus, Entity, JobId,
    NewDevice, Result, TenantStatus,
};

/// A device with its active certificate.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.tenant_id, d.device_id, d.name, d.location, d.device_class, d.bound_product,
                    d.bound_action, d.tags, d.status, d.info, d.pairing_expires_at, d.paired_at,
                    d.revoked_at, d.revoked_by, d.last_seen_at, d.created_at,
                    c.serial, c.fingerprint, c.tbs_sha256, c.spki_sha256, c.ca_fingerprint,
                    c.not_before, c.not_after, c.pem
             FROM devices d LEFT JOIN issued_certificates c
             ON c.tenant_id = d.tenant_id AND c.device_id = d.device_id
                AND c.serial = d.active_serial ",
            $rest
        )
    };
}
pub(super) use select;

const ONE: &str = select!("WHERE d.tenant_id = $1 AND d.device_id = $2");

/// A pending device whose code has run out counts as expired at $4. The text is sought in ASCII
/// lower case, as SQLite's `lower` makes it.
macro_rules! matching {
    ($of:expr, $has_tag:literal, $has_text:literal, $rest:literal) => {
        concat!(
            $of,
            "WHERE d.tenant_id = $1
                   AND (d.created_at, d.device_id) < ($2, $3)
                   AND ($5 IS NULL OR $5 = CASE
                        WHEN d.status = 'pending_pairing' AND d.pairing_expires_at <= $4 THEN 'expired'
                        ELSE d.status END)
                   AND ($6 IS NULL OR d.device_class = $6)
                   AND ($9 IS NULL OR d.last_seen_at >= $9)
                   AND ($10 IS NULL OR d.last_seen_at IS NULL OR d.last_seen_at < $10)
                   AND ($12 IS NULL OR (c.serial IS NOT NULL) = $12)
                   AND ($13 IS NULL OR c.not_after > $13)
                   AND ($14 IS NULL OR c.not_after <= $14)
                   AND ($7 IS NULL OR ", $has_tag, ") AND ($11 IS NULL OR ", $has_text, ") ", $rest
        )
    };
}

/// A statement about the devices that match, on either back end.
macro_rules! of_matching {
    ($of:expr, $rest:literal) => {
        Sql {
            sqlite: matching!(
                $of,
                "EXISTS (SELECT 1 FROM json_each(d.tags) AS tag WHERE tag.key = $7 AND tag.value = $8)",
                "instr(lower(d.name), $11) > 0 OR instr(lower(coalesce(d.location, '')), $11) > 0
                 OR instr(d.device_id, $11) > 0",
                $rest
            ),
            postgres: matching!(
                $of,
                "d.tags::jsonb ->> $7 = $8",
                "strpos(lower(d.name COLLATE \"C\"), $11) > 0
                 OR strpos(lower(d.location COLLATE \"C\"), $11) > 0 OR strpos(d.device_id, $11) > 0",
                $rest
            ),
        }
    };
}

/// The devices with their active certificates.
macro_rules! with_certificates {
    ($columns:literal) => {
        concat!(
            $columns,
            " FROM devices d LEFT JOIN issued_certificates c
             ON c.tenant_id = d.tenant_id AND c.device_id = d.device_id
                AND c.serial = d.active_serial "
        )
    };
}

const LIST: Sql = of_matching!(
    select!(""),
    "ORDER BY d.created_at DESC, d.device_id DESC LIMIT $15"
);
const COUNT: Sql = of_matching!(with_certificates!("SELECT count(*) AS devices"), "");
const CHOOSE: Sql = of_matching!(
    with_certificates!(
        "INSERT INTO job_devices (tenant_id, job_id, device_id) SELECT d.tenant_id, $15, d.device_id"
    ),
    ""
);

const INSERT: &str = "
    INSERT INTO devices (tenant_id, device_id, name, location, device_class, bound_product,
                         bound_action, tags, status, info, pairing_code_hash, pairing_expires_at,
                         created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'pending_pairing', '{}', $9, $10, $11)";

const UPDATE: &str = "
    UPDATE devices
    SET name = $3, location = $4, bound_product = $5, bound_action = $6, tags = $7
    WHERE tenant_id = $1 AND device_id = $2";

/// For a join PostgreSQL would read all certificates that the device ever had, and keep the active one.
macro_rules! standing_columns {
    () => {
        "d.status AS device_status, d.pairing_expires_at, d.device_class, t.status AS tenant_status,
         (SELECT active.tbs_sha256 FROM issued_certificates active
          WHERE active.tenant_id = d.tenant_id AND active.device_id = d.device_id
            AND active.serial = d.active_serial) AS active_tbs_sha256,
         g.superseded_tbs_sha256, g.ends_at"
    };
}
pub(super) use standing_columns;

/// What [`standing_columns`] are of.
macro_rules! standing_tables {
    () => {
        " FROM devices d JOIN tenants t ON t.tenant_id = d.tenant_id
          LEFT JOIN renewal_graces g ON g.tenant_id = d.tenant_id AND g.device_id = d.device_id"
    };
}
pub(super) use standing_tables;

const STANDING: &str = concat!(
    "SELECT ",
    standing_columns!(),
    standing_tables!(),
    " WHERE d.tenant_id = $1 AND d.device_id = $2"
);

fn status(columns: Columns<'_>, column: &'static str, now: OffsetDateTime) -> Result<DeviceStatus> {
    let stored: DeviceStatus = columns.word(column)?;
    Ok(match (stored, columns.time_option("pairing_expires_at")?) {
        (DeviceStatus::PendingPairing, Some(expires_at)) if expires_at <= now => {
            DeviceStatus::Expired
        }
        (status, _) => status,
    })
}

/// Reads a row of [`select`].
pub(super) fn read(row: &Row, now: OffsetDateTime) -> Result<Device> {
    let identity = Columns::of(row, "devices").identity()?;
    let certificate = certificates::read_joined(row, &identity)?;
    read_alone(row, certificate, now)
}

/// Reads a row of `devices`, whose active certificate is known.
pub(super) fn read_alone(
    row: &Row,
    certificate: Option<CertificateRecord>,
    now: OffsetDateTime,
) -> Result<Device> {
    let columns = Columns::of(row, "devices");
    let class: DeviceClass = columns.parse("device_class")?;
    let product: Option<&str> = columns.get("bound_product")?;
    let action: Option<&str> = columns.get("bound_action")?;
    let status = status(columns, "status", now)?;
    let waits = matches!(status, DeviceStatus::PendingPairing | DeviceStatus::Expired);
    let tags: BTreeMap<String, String> = columns.json("tags")?;
    Ok(Device {
        name: columns.get("name")?,
        location: columns.get("location")?,
        binding: DeviceBinding::new(class, product, action)
            .map_err(|_| columns.corrupt("bound_product"))?,
        tags,
        status,
        info: columns.json("info")?,
        certificate,
        pairing_expires_at: columns.time_option("pairing_expires_at")?.filter(|_| waits),
        paired_at: columns.time_option("paired_at")?,
        revoked_at: columns.time_option("revoked_at")?,
        revoked_by: columns.get("revoked_by")?,
        last_seen_at: columns.time_option("last_seen_at")?,
        created_at: columns.time("created_at")?,
        identity: columns.identity()?,
    })
}

pub(super) async fn find(
    conn: &mut Connection,
    identity: &DeviceIdentity,
    now: OffsetDateTime,
) -> Step<Option<Device>> {
    let row = query(ONE)
        .bind(identity.tenant_id().as_str())
        .bind(identity.device_id().as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| read(&row, now)).transpose()?)
}

/// The device, or the refusal that it is not there.
pub(super) async fn must_find(
    conn: &mut Connection,
    identity: &DeviceIdentity,
    now: OffsetDateTime,
) -> Step<Device> {
    Ok(find(conn, identity, now).await?.ok_or(Entity::Device)?)
}

/// Binds which devices of a tenant are meant, behind a place.
fn bind_matching<'q>(
    query: Query<'q>,
    tenant_id: &'q TenantId,
    filter: DeviceFilter,
    (at, id): (i64, String),
) -> Result<Query<'q>> {
    let (tag_key, tag_value) = filter.tag.unzip();
    Ok(query
        .bind(tenant_id.as_str())
        .bind(at)
        .bind(id)
        .bind(ms(filter.now))
        .bind(filter.status.map(|s| word(&s)).transpose()?)
        .bind(filter.class.map(DeviceClass::as_str))
        .bind(tag_key)
        .bind(tag_value)
        .bind(filter.seen_since.map(ms))
        .bind(filter.unseen_since.map(ms))
        .bind(filter.text.map(|text| text.to_ascii_lowercase()))
        .bind(filter.has_certificate)
        .bind(filter.expires_after.map(ms))
        .bind(filter.expires_until.map(ms)))
}

pub(super) async fn list(
    conn: &mut Connection,
    tenant_id: &TenantId,
    filter: DeviceFilter,
    window: Window,
) -> Step<Vec<Device>> {
    let now = filter.now;
    let place = (window.at, window.id);
    let rows = bind_matching(query(LIST), tenant_id, filter, place)?
        .bind(window.rows)
        .fetch_all(conn)
        .await?;
    let devices = rows.iter().map(|row| read(row, now));
    Ok(devices.collect::<Result<_>>()?)
}

/// Before the newest device.
fn everywhere() -> (i64, String) {
    (i64::MAX, String::new())
}

pub(super) async fn count(
    conn: &mut Connection,
    tenant_id: &TenantId,
    filter: DeviceFilter,
) -> Step<u64> {
    let counted = bind_matching(query(COUNT), tenant_id, filter, everywhere())?;
    let row = counted.fetch_one(conn).await?;
    Ok(Columns::of(&row, "devices").number("devices")?)
}

/// Chooses devices for a job; returns how many they are.
pub(super) async fn choose(
    conn: &mut Connection,
    tenant_id: &TenantId,
    filter: DeviceFilter,
    job_id: &JobId,
) -> Step<u64> {
    let chosen = bind_matching(query(CHOOSE), tenant_id, filter, everywhere())?;
    Ok(chosen.bind(job_id.as_str()).execute(conn).await?)
}

pub(super) async fn insert(tx: &mut ChangeTx<'_>, device: &NewDevice) -> Step<()> {
    let at = tx.at();
    query(INSERT)
        .bind(device.identity.tenant_id().as_str())
        .bind(device.identity.device_id().as_str())
        .bind(&device.name)
        .bind(&device.location)
        .bind(device.binding.class().as_str())
        .bind(device.binding.product())
        .bind(device.binding.action())
        .bind(json(&device.tags)?)
        .bind(&device.pairing.code_hash.as_bytes()[..])
        .bind(ms(device.pairing.expires_at))
        .bind(ms(at))
        .execute(tx.conn())
        .await
        .map_err(taken(Conflict::IdTaken))?;
    Ok(())
}

pub(super) async fn update(tx: &mut ChangeTx<'_>, device: &Device) -> Step<()> {
    query(UPDATE)
        .bind(device.identity.tenant_id().as_str())
        .bind(device.identity.device_id().as_str())
        .bind(&device.name)
        .bind(&device.location)
        .bind(device.binding.product())
        .bind(device.binding.action())
        .bind(json(&device.tags)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn standing(
    conn: &mut Connection,
    identity: &DeviceIdentity,
    now: OffsetDateTime,
) -> Step<Option<DeviceStanding>> {
    let row = query(STANDING)
        .bind(identity.tenant_id().as_str())
        .bind(identity.device_id().as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| read_standing(&row, now)).transpose()?)
}

/// Reads a row with the columns of [`standing_columns`].
pub(super) fn read_standing(row: &Row, now: OffsetDateTime) -> Result<DeviceStanding> {
    let columns = Columns::of(row, "devices");
    let tenant_status: TenantStatus = columns.word("tenant_status")?;
    Ok(DeviceStanding {
        status: status(columns, "device_status", now)?,
        active_tbs_sha256: columns
            .get::<Option<&[u8]>>("active_tbs_sha256")?
            .map(|_| columns.bytes("active_tbs_sha256"))
            .transpose()?
            .map(TbsSha256::from_bytes),
        class: columns.parse("device_class")?,
        tenant_status,
        renewal_grace: renewal_graces::read_joined(row)?,
    })
}
