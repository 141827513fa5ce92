//! When devices were last seen: many at once, in one statement.

use std::collections::BTreeMap;

use identity_pki::DeviceIdentity;
use serde::Serialize;
use time::OffsetDateTime;

use super::column::{json, ms};
use super::connection::Connection;
use super::fault::Step;
use super::query::{Sql, query};

/// How many a transaction notes: it holds their rows until its end.
pub(super) const AT_ONCE: usize = 1000;

/// A later moment stays.
macro_rules! note {
    ($listed:literal) => {
        concat!(
            "UPDATE devices SET last_seen_at = seen.moment FROM ",
            $listed,
            " WHERE tenant_id = seen.tenant AND device_id = seen.device
                AND (last_seen_at IS NULL OR last_seen_at < seen.moment)"
        )
    };
}

const NOTE: Sql = Sql {
    sqlite: note!(
        "(SELECT value ->> 'tenant' AS tenant, value ->> 'device' AS device,
                 value ->> 'moment' AS moment FROM json_each($1)) AS seen"
    ),
    postgres: note!("json_to_recordset($1::json) AS seen(tenant text, device text, moment bigint)"),
};

/// A sight as the statement reads it.
#[derive(Serialize)]
struct Listed<'a> {
    tenant: &'a str,
    device: &'a str,
    moment: i64,
}

/// Notes when devices were seen; unknown ones are passed over. They are taken in one order, so that two
/// replicas that saw the same devices do not wait for each other.
pub(super) async fn note(
    conn: &mut Connection,
    seen: &[(DeviceIdentity, OffsetDateTime)],
) -> Step<()> {
    let mut latest = BTreeMap::new();
    for (identity, at) in seen {
        let key = (identity.tenant_id().as_str(), identity.device_id().as_str());
        let moment = latest.entry(key).or_insert(ms(*at));
        *moment = ms(*at).max(*moment);
    }
    let listed = latest.into_iter().map(|((tenant, device), moment)| Listed {
        tenant,
        device,
        moment,
    });
    let listed = json(&listed.collect::<Vec<_>>())?;
    query(NOTE).bind(listed).execute(conn).await?;
    Ok(())
}
