//! A device's standing and its open challenges, in one statement.

use identity_pki::DeviceIdentity;
use time::OffsetDateTime;

use super::challenge_rows::{challenge_columns, is_open, oldest_first};
use super::column::{Columns, ms};
use super::connection::Connection;
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::{challenge_rows, device_rows};
use crate::{DeviceWork, Result, StoredChallenge};

/// A row for each open challenge; for none, one without a challenge.
const WORK: &str = concat!(
    "SELECT ",
    device_rows::standing_columns!(),
    ", ",
    challenge_columns!(),
    device_rows::standing_tables!(),
    " LEFT JOIN challenges c
      ON c.tenant_id = d.tenant_id AND c.device_id = d.device_id AND ",
    is_open!(),
    " WHERE d.tenant_id = $1 AND d.device_id = $2",
    oldest_first!()
);

fn read_challenge(row: &Row) -> Result<Option<StoredChallenge>> {
    Columns::of(row, "challenges")
        .get::<Option<&str>>("challenge_id")?
        .map(|_| challenge_rows::read(row))
        .transpose()
}

pub(super) async fn find(
    conn: &mut Connection,
    identity: &DeviceIdentity,
    now: OffsetDateTime,
) -> Step<Option<DeviceWork>> {
    let rows = query(WORK)
        .bind(identity.tenant_id().as_str())
        .bind(identity.device_id().as_str())
        .bind(ms(now))
        .fetch_all(conn)
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let challenges = rows
        .iter()
        .map(read_challenge)
        .filter_map(Result::transpose);
    Ok(Some(DeviceWork {
        standing: device_rows::read_standing(first, now)?,
        open_challenges: challenges.collect::<Result<_>>()?,
    }))
}
