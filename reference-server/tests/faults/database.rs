//! The database of a story, seen from outside the server: by the store's public interface, and by
//! statements where no server needs such a read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use identity_pki::SerialNumber;
use identity_store::Store;
use sqlx::ConnectOptions as _;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::harness::{embedded_store, key_beside};

pub(crate) struct Database {
    file: PathBuf,
}

const SERIALS: &str = "SELECT serial FROM issued_certificates";

/// Attempts that began while the one before them was under way.
const OVERLAPPING_ATTEMPTS: &str = "
    SELECT next.challenge_id FROM challenge_attempts next
    JOIN challenge_attempts earlier
      ON earlier.tenant_id = next.tenant_id AND earlier.challenge_id = next.challenge_id
     AND earlier.number < next.number
    WHERE next.started_at < coalesce(earlier.finished_at, earlier.lease_until)";

/// A serial number as the database has it: 20 octets, the first of which may be zero.
fn serial(octets: Vec<u8>) -> SerialNumber {
    let significant = octets.iter().position(|octet| *octet != 0).unwrap_or(0);
    // In a certificate a number whose first bit is set has an octet before it.
    let start = significant - usize::from(octets[significant] >= 0x80);
    SerialNumber::from_der_contents(&octets[start..]).expect("a serial number")
}

impl Database {
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self {
            file: directory.join("identity.db"),
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The file of its data key.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.file.with_extension("db.key")
    }

    /// A handle of its own.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        Arc::new(embedded_store(&self.file, key_beside(&self.file)).await)
    }

    /// The serial numbers of the issuance ledger.
    pub(crate) async fn serials(&self) -> Vec<SerialNumber> {
        let mut connection = self.connect().await;
        let rows = sqlx::query(SERIALS).fetch_all(&mut connection).await;
        let rows = rows.expect("the ledger");
        rows.iter().map(|row| serial(row.get(0))).collect()
    }

    /// The challenges of which two attempts were under way at once.
    pub(crate) async fn overlapping_attempts(&self) -> Vec<String> {
        let mut connection = self.connect().await;
        let rows = sqlx::query(OVERLAPPING_ATTEMPTS).fetch_all(&mut connection);
        let rows = rows.await.expect("the attempts");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Changes the database behind the server's back.
    pub(crate) async fn tamper(&self, statement: &'static str) {
        let mut connection = self.connect().await;
        let changed = sqlx::raw_sql(statement).execute(&mut connection);
        changed.await.expect("it takes the change");
    }

    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(&self.file);
        options.connect().await.expect("the database opens")
    }
}
