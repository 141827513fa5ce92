//! The denylist of handshakes, copied from the store.

use identity_store::{DeniedCertificate, Result};

use crate::App;

/// How many rows are read at once.
const BATCH: u32 = 10_000;

/// Reads the whole list, publishes it, and returns where it ends.
///
/// # Errors
///
/// As the store's; what was published before stays.
pub async fn reload(app: &App) -> Result<i64> {
    let reload = app.denylist.begin_reload(app.clock.now());
    let rows = read_after(app, 0).await?;
    reload.publish(rows.iter().map(|row| row.tbs_sha256));
    re_decide(app);
    Ok(rows.last().map_or(0, |row| row.sequence))
}

/// Denies certificates at once that this process just had denied in the store, and closes the
/// connections that they made; returns how many were closed.
pub fn publish(app: &App, denied: &[DeniedCertificate]) -> usize {
    app.denylist.add(denied.iter().map(|row| row.tbs_sha256));
    let meant = |tbs| denied.iter().any(|row| row.tbs_sha256 == tbs);
    app.live.close_where(|device| meant(device.tbs_sha256()))
}

/// Publishes what was denied beyond `after`, by any replica, and returns where the list ends now.
///
/// # Errors
///
/// As the store's.
pub async fn catch_up(app: &App, after: i64) -> Result<i64> {
    let rows = read_after(app, after).await?;
    let Some(last) = rows.last() else {
        return Ok(after);
    };
    app.denylist.add(rows.iter().map(|row| row.tbs_sha256));
    re_decide(app);
    Ok(last.sequence)
}

/// Closes the connections of devices that are no longer accepted: denied, expired, or of a CA that
/// is no longer trusted.
pub fn re_decide(app: &App) -> usize {
    app.live.re_decide(app.clock.now(), &app.tls.trust())
}

async fn read_after(app: &App, mut after: i64) -> Result<Vec<DeniedCertificate>> {
    let mut all = Vec::new();
    loop {
        let rows = app.store.denials(after, BATCH).await?;
        let Some(last) = rows.last() else {
            return Ok(all);
        };
        after = last.sequence;
        all.extend(rows);
    }
}
