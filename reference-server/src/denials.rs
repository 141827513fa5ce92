//! The denylist of handshakes, copied from the store.

use identity_mtls::AgeLimit;
use identity_pki::TbsSha256;
use identity_store::{DenialCursor, DeniedCertificate, Result};
use time::Duration;

use crate::App;

/// How many are read at once.
const BATCH: u32 = 50_000;

/// Beyond a minute, which is sixty reads that failed, metrics call the list stale and handshakes go
/// on: each request of a device reads its status from the database, and is refused when that cannot
/// be read. Refusing handshakes would only tell the fleet that its certificates are bad.
pub const AGE_LIMIT: AgeLimit = AgeLimit::serve_beyond(Duration::MINUTE);

/// Reads the whole list, publishes it, and returns where it ends; `None` when another reload was
/// published meanwhile.
///
/// # Errors
///
/// As the store's; what was published before stays.
pub async fn reload(app: &App) -> Result<Option<DenialCursor>> {
    let reload = app.denylist.begin_reload(app.clock.now());
    let (denied, end) = read_after(app, DenialCursor::default()).await?;
    let is_published = reload.publish(denied);
    re_decide(app);
    Ok(is_published.then_some(end))
}

/// Denies certificates at once that this process just had denied in the store, and closes the
/// connections that they made; returns how many were closed.
pub fn publish(app: &App, denied: &[DeniedCertificate]) -> usize {
    app.denylist.add(denied.iter().map(|row| row.tbs_sha256));
    let meant = |tbs| denied.iter().any(|row| row.tbs_sha256 == tbs);
    app.live.close_where(|device| meant(device.tbs_sha256()))
}

/// Publishes what was denied beyond `after`, where the last published read ended, by any replica;
/// that renews the list's age. Returns where the list ends now.
///
/// # Errors
///
/// As the store's.
pub async fn catch_up(app: &App, after: DenialCursor) -> Result<Option<DenialCursor>> {
    let Some(catch_up) = app.denylist.begin_catch_up(app.clock.now()) else {
        return reload(app).await;
    };
    let (denied, end) = read_after(app, after).await?;
    let is_news = !denied.is_empty();
    catch_up.publish(denied);
    if is_news {
        re_decide(app);
    }
    Ok(Some(end))
}

/// Closes the connections of devices that are no longer accepted: denied, expired, or of a CA that
/// is no longer trusted.
pub fn re_decide(app: &App) -> usize {
    app.live.re_decide(app.clock.now(), &app.tls.trust())
}

/// What was denied beyond `after`, and where that ends.
async fn read_after(app: &App, after: DenialCursor) -> Result<(Vec<TbsSha256>, DenialCursor)> {
    let (mut denied, mut end) = (Vec::new(), after);
    loop {
        let page = app.store.denied(end, BATCH).await?;
        end = page.next;
        denied.extend(page.digests);
        if page.is_last {
            return Ok((denied, end));
        }
    }
}
