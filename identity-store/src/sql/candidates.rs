//! What pairing codes stand for: look-ups that come at once are one read.

use std::collections::HashMap;
use std::sync::Arc;

use identity_pki::PairingCodeHash;
use time::OffsetDateTime;

use super::column::{Columns, json};
use super::group::Grouped;
use super::query::{Sql, query};
use super::row::Row;
use super::{Shared, SqlStore, certificates, device_policy};
use crate::{PairingCandidate, Result};

macro_rules! candidates {
    ($listed:literal) => {
        concat!(
            "SELECT d.pairing_code_hash, d.pairing_expires_at, d.tenant_id, d.device_id,
                    t.status AS tenant_status, t.config,
                    p.validity_days, p.renewal_window_days, p.clock_skew_seconds,
                    c.serial, c.fingerprint, c.tbs_sha256, c.spki_sha256, c.ca_fingerprint,
                    c.not_before, c.not_after, c.pem
             FROM devices d JOIN tenants t ON t.tenant_id = d.tenant_id
             JOIN device_policy p ON p.one = 1
             LEFT JOIN issued_certificates c
             ON c.tenant_id = d.tenant_id AND c.device_id = d.device_id
                AND c.serial = d.active_serial
             WHERE d.pairing_code_hash IN (",
            $listed,
            ")"
        )
    };
}

const CANDIDATES: Sql = Sql {
    sqlite: candidates!("SELECT unhex(value) FROM json_each($1)"),
    postgres: candidates!(
        "SELECT decode(code, 'hex') FROM json_array_elements_text($1::json) AS listed(code)"
    ),
};

/// A code, and when it is looked up.
pub(super) type LookUp = (PairingCodeHash, OffsetDateTime);

/// The answer to a look-up.
pub(super) type Found = Option<PairingCandidate>;

impl Grouped for LookUp {
    /// Readers do not meet.
    fn keys(&self) -> impl Iterator<Item = [u8; 32]> {
        std::iter::empty()
    }
}

impl SqlStore {
    /// What a code stands for, looked up together with those that come at the same time.
    pub(super) async fn look_up_in_a_group(&self, look_up: LookUp) -> Result<Found> {
        match self.look_ups.join(look_up).await {
            Some(found) => Ok(found),
            None => Ok(look_up_all(&self.shared, &[look_up]).await?.pop().flatten()),
        }
    }
}

/// Looks a group up.
pub(super) async fn look_up_group(
    shared: Arc<Shared>,
    look_ups: Vec<LookUp>,
) -> Option<Vec<Found>> {
    let found = look_up_all(&shared, &look_ups).await;
    found
        .inspect_err(|error| tracing::debug!(%error, "pairing codes are looked up one by one"))
        .ok()
}

async fn look_up_all(shared: &Shared, look_ups: &[LookUp]) -> Result<Vec<Found>> {
    shared
        .read("pairing_candidate", async |conn| {
            let code = |(code, _): &LookUp| hex::encode(code.as_bytes());
            let codes: Vec<_> = look_ups.iter().map(code).collect();
            let rows = query(CANDIDATES)
                .bind(json(&codes)?)
                .fetch_all(conn)
                .await?;
            Ok(answers(&rows, look_ups)?)
        })
        .await
}

fn answers(rows: &[Row], look_ups: &[LookUp]) -> Result<Vec<Found>> {
    let mut by_code = HashMap::new();
    for row in rows {
        let code: [u8; 32] = Columns::of(row, "devices").bytes("pairing_code_hash")?;
        by_code.insert(code, row);
    }
    let answer = |(code, now): &LookUp| match by_code.get(code.as_bytes()) {
        Some(row) => read(row, *now),
        None => Ok(None),
    };
    look_ups.iter().map(answer).collect()
}

/// A code counts before the moment at which it expires, spent or not.
fn read(row: &Row, now: OffsetDateTime) -> Result<Found> {
    let columns = Columns::of(row, "devices");
    let expires_at = columns.time_option("pairing_expires_at")?;
    if expires_at.is_none_or(|expires_at| expires_at <= now) {
        return Ok(None);
    }
    let identity = columns.identity()?;
    let tenant = Columns::of(row, "tenants");
    Ok(Some(PairingCandidate {
        tenant_status: tenant.word("tenant_status")?,
        device_policy: device_policy::read_of_tenant(row)?,
        spent_on: certificates::read_joined(row, &identity)?,
        identity,
    }))
}
