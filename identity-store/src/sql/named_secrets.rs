//! The platform's own secrets, each made once.

use super::column::Columns;
use super::connection::Connection;
use super::encrypted::{PLATFORM_SECRET, RowKey, Sealer};
use super::fault::Step;
use super::query::query;
use super::row::Row;
use super::secrets::{self, NewRow};
use crate::crypter::LookupKey;
use crate::{Crypter, NamedSecret, SecretBytes, Unreadable};

#[cfg(feature = "sqlite")]
const ALL: &str = "
    SELECT kind, fingerprint, secret FROM platform_secrets WHERE fingerprint = ''";
const WAS_MADE: &str = "SELECT 1 FROM named_secrets WHERE name = $1";
const MADE: &str = "INSERT INTO named_secrets (name) VALUES ($1) ON CONFLICT DO NOTHING";

/// That the secret of that name cannot be read.
pub(super) fn unreadable(name: NamedSecret, why: Unreadable) -> crate::Error {
    let row = RowKey::Texts(name.as_str().to_owned(), String::new());
    PLATFORM_SECRET.unreadable(&row, why)
}

/// The secret; `None` if it was never made.
pub(super) async fn find(
    conn: &mut Connection,
    crypter: &Crypter,
    name: NamedSecret,
) -> Step<Option<SecretBytes>> {
    // Both are written in one transaction: what was made before this read has its row in the next.
    let was_made = query(WAS_MADE).bind(name.as_str()).fetch_optional(conn);
    let was_made = was_made.await?.is_some();
    match stored(conn, crypter, name).await? {
        None if was_made => Err(unreadable(name, Unreadable::Gone).into()),
        secret => Ok(secret),
    }
}

/// The secret, if its row is there.
async fn stored(
    conn: &mut Connection,
    crypter: &Crypter,
    name: NamedSecret,
) -> Step<Option<SecretBytes>> {
    let rows = secrets::of_kind(conn, name.as_str()).await?;
    let opened = rows.first().map(|row| open(row, crypter));
    Ok(opened.transpose()?)
}

fn open(row: &Row, crypter: &Crypter) -> crate::Result<SecretBytes> {
    let bytes = secrets::secret(Columns::of(row, PLATFORM_SECRET.table), crypter)?;
    Ok(SecretBytes::new(bytes.as_slice()))
}

/// The secret that was made, or `fresh` from now on.
pub(super) async fn obtain(
    conn: &mut Connection,
    sealer: Sealer<'_>,
    name: NamedSecret,
    fresh: SecretBytes,
) -> Step<SecretBytes> {
    if let Some(secret) = find(conn, sealer.crypter, name).await? {
        // It may be there from before this was written down.
        note_as_made(conn, name).await?;
        return Ok(secret);
    }
    insert(conn, sealer, name, &fresh).await?;
    note_as_made(conn, name).await?;
    tracing::info!(secret = name.as_str(), "a secret of the platform was made");
    Ok(fresh)
}

async fn note_as_made(conn: &mut Connection, name: NamedSecret) -> Step<()> {
    query(MADE).bind(name.as_str()).execute(conn).await?;
    Ok(())
}

/// Puts `fresh` in the place of whatever is there.
pub(super) async fn replace(
    conn: &mut Connection,
    sealer: Sealer<'_>,
    name: NamedSecret,
    fresh: &SecretBytes,
) -> Step<()> {
    secrets::delete(conn, name.as_str()).await?;
    insert(conn, sealer, name, fresh).await?;
    note_as_made(conn, name).await
}

async fn insert(
    conn: &mut Connection,
    sealer: Sealer<'_>,
    name: NamedSecret,
    fresh: &SecretBytes,
) -> Step<()> {
    let row = NewRow {
        kind: name.as_str(),
        secret: fresh.expose(),
        ..NewRow::default()
    };
    secrets::insert(conn, sealer, row).await
}

/// What keys the digests of console users' addresses.
pub(super) async fn email_digest_key(conn: &mut Connection, sealer: Sealer<'_>) -> Step<LookupKey> {
    let name = NamedSecret::EmailDigestKey;
    let secret = obtain(conn, sealer, name, fresh_key(sealer)).await?;
    Ok(LookupKey::new(&secret)?)
}

/// The same, for a migration of a schema that does not know which secrets were made.
#[cfg(feature = "sqlite")]
pub(super) async fn first_email_digest_key(
    conn: &mut Connection,
    sealer: Sealer<'_>,
) -> Step<LookupKey> {
    let name = NamedSecret::EmailDigestKey;
    if let Some(secret) = stored(conn, sealer.crypter, name).await? {
        return Ok(LookupKey::new(&secret)?);
    }
    let fresh = fresh_key(sealer);
    insert(conn, sealer, name, &fresh).await?;
    Ok(LookupKey::new(&fresh)?)
}

fn fresh_key(sealer: Sealer<'_>) -> SecretBytes {
    let mut fresh = [0; 32];
    sealer.entropy.with(|rng| rng.fill_bytes(&mut fresh));
    SecretBytes::new(fresh)
}

/// Opens every secret that is there, or names the first that does not open.
#[cfg(feature = "sqlite")]
pub(super) async fn open_all(conn: &mut Connection, crypter: &Crypter) -> Step<()> {
    for row in query(ALL).fetch_all(conn).await? {
        open(&row, crypter)?;
    }
    Ok(())
}
