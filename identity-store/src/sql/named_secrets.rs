//! The platform's own secrets, each made once.

use super::column::Columns;
use super::connection::Connection;
use super::encrypted::{RowKey, Sealer};
use super::fault::Step;
use super::secrets::{self, NewRow};
use crate::crypter::LookupKey;
use crate::{Crypter, NamedSecret, SecretBytes};

#[cfg(feature = "sqlite")]
const ALL: &str = "
    SELECT kind, fingerprint, secret FROM platform_secrets WHERE fingerprint = ''";

/// Its row in `platform_secrets`.
pub(super) fn row(name: NamedSecret) -> RowKey {
    RowKey::Texts(name.as_str().to_owned(), String::new())
}

/// The secret, if it is there.
pub(super) async fn find(
    conn: &mut Connection,
    crypter: &Crypter,
    name: NamedSecret,
) -> Step<Option<SecretBytes>> {
    let rows = secrets::of_kind(conn, name.as_str()).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let bytes = secrets::secret(Columns::of(row, "platform_secrets"), crypter)?;
    Ok(Some(SecretBytes::new(bytes.as_slice())))
}

/// The secret that is there, or `fresh` from now on.
pub(super) async fn obtain(
    conn: &mut Connection,
    sealer: Sealer<'_>,
    name: NamedSecret,
    fresh: SecretBytes,
) -> Step<SecretBytes> {
    if let Some(secret) = find(conn, sealer.crypter, name).await? {
        return Ok(secret);
    }
    let row = NewRow {
        kind: name.as_str(),
        secret: fresh.expose(),
        ..NewRow::default()
    };
    secrets::insert(conn, sealer, row).await?;
    tracing::info!(
        secret = name.as_str(),
        "a secret of the platform was made: there was none, as is right at a first start alone"
    );
    Ok(fresh)
}

/// What keys the digests of console users' addresses.
pub(super) async fn email_digest_key(conn: &mut Connection, sealer: Sealer<'_>) -> Step<LookupKey> {
    let mut fresh = [0; 32];
    sealer.entropy.with(|rng| rng.fill_bytes(&mut fresh));
    let name = NamedSecret::EmailDigestKey;
    let secret = obtain(conn, sealer, name, SecretBytes::new(fresh)).await?;
    Ok(LookupKey::new(&secret)?)
}

/// Opens every secret that is there, or names the first that does not open.
#[cfg(feature = "sqlite")]
pub(super) async fn open_all(conn: &mut Connection, crypter: &Crypter) -> Step<()> {
    for row in super::query::query(ALL).fetch_all(conn).await? {
        secrets::secret(Columns::of(&row, "platform_secrets"), crypter)?;
    }
    Ok(())
}
