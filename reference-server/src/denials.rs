//! The denylist of handshakes, copied from the store.

use std::sync::Arc;

use identity_mtls::AgeLimit;
use identity_pki::TbsSha256;
use identity_store::{DenialCursor, DeniedCertificate, Error, Result, Store};
use time::Duration;
use tokio::runtime::Handle;

use crate::App;

/// How many are read at once.
const BATCH: u32 = 50_000;

/// Beyond a minute, which is sixty reads that failed, metrics call the list stale and handshakes go
/// on: each request of a device reads its status from the database, and is refused when that cannot
/// be read. Refusing handshakes would only tell the fleet that its certificates are bad.
pub const AGE_LIMIT: AgeLimit = AgeLimit::serve_beyond(Duration::MINUTE);

/// Reads the whole list, publishes it, and returns where it ends; `None` when another reload was
/// published meanwhile. The table of very many is made where no other task waits for its thread.
///
/// # Errors
///
/// As the store's; what was published before stays.
pub async fn reload(app: &App) -> Result<Option<DenialCursor>> {
    let (store, denylist) = (Arc::clone(&app.store), Arc::clone(&app.denylist));
    let (now, runtime) = (app.clock.now(), Handle::current());
    let reloaded = tokio::task::spawn_blocking(move || -> Result<_> {
        let reload = denylist.begin_reload(now);
        let (denied, end) = runtime.block_on(read_after(&*store, DenialCursor::default()))?;
        Ok(reload.publish(denied).then_some(end))
    });
    let end = reloaded.await.map_err(|ended| Error::Backend {
        operation: "denied",
        source: Box::new(ended),
    })??;
    re_decide(app);
    Ok(end)
}

/// Denies certificates at once that this process just had denied in the store, and closes the
/// connections that they made; returns how many were closed.
pub fn publish(app: &App, denied: &[DeniedCertificate]) -> usize {
    app.denylist.add(denied.iter().map(|row| row.tbs_sha256));
    let meant = |tbs| denied.iter().any(|row| row.tbs_sha256 == tbs);
    app.live.close_where(|device| meant(device.tbs_sha256()))
}

/// Closes the connections that a certificate made, once their answers are flushed.
pub fn close(app: &App, tbs_sha256: TbsSha256) {
    app.live
        .close_where(|device| device.tbs_sha256() == tbs_sha256);
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
    let (denied, end) = read_after(&*app.store, after).await?;
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
async fn read_after(
    store: &dyn Store,
    after: DenialCursor,
) -> Result<(Vec<TbsSha256>, DenialCursor)> {
    let (mut denied, mut end) = (Vec::new(), after);
    loop {
        let page = store.denied(end, BATCH).await?;
        end = page.next;
        denied.extend(page.digests);
        if page.is_last {
            return Ok((denied, end));
        }
    }
}
