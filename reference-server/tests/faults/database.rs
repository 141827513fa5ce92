//! The database of a story, seen from outside the server: by the store's public interface, and by
//! statements where no server needs such a read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use identity_pki::SerialNumber;
use identity_store::{Crypter, Store};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::harness::store_at;

/// The data keys of a database on PostgreSQL, until a story changes them.
pub(crate) const DATA_KEYS: &str = "first:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";

pub(crate) enum Database {
    /// The file of an embedded one.
    Sqlite(PathBuf),
    Postgres {
        /// Leads past every proxy.
        url: String,
        keys: String,
    },
}

const SERIALS: &str = "SELECT serial FROM issued_certificates";

const TABLES: &str = "
    SELECT string_agg(tablename, ',' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";

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
    /// The embedded one that a server made in `directory`.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        Self::Sqlite(directory.join("identity.db"))
    }

    pub(crate) fn on_postgres(url: &str) -> Self {
        Self::Postgres {
            url: url.to_owned(),
            keys: DATA_KEYS.to_owned(),
        }
    }

    /// The file of an embedded one.
    pub(crate) fn file(&self) -> &Path {
        match self {
            Self::Sqlite(file) => file,
            Self::Postgres { .. } => panic!("PostgreSQL has more than one file"),
        }
    }

    /// The URL as servers take it.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite://{}", file.display()),
            Self::Postgres { url, .. } => url.clone(),
        }
    }

    /// The data keys that it is read with from now on.
    pub(crate) fn give_keys(&mut self, new: &str) {
        match self {
            Self::Sqlite(_) => std::fs::write(self.key_file(), new).expect("a file"),
            Self::Postgres { keys, .. } => new.clone_into(keys),
        }
    }

    /// The data keys that it is read with.
    pub(crate) fn keys(&self) -> String {
        match self {
            Self::Sqlite(_) => std::fs::read_to_string(self.key_file()).expect("a key"),
            Self::Postgres { keys, .. } => keys.clone(),
        }
    }

    /// All that it holds, while no server runs.
    pub(crate) fn content(&self) -> Vec<u8> {
        match self {
            Self::Sqlite(file) => {
                let log = file.with_extension("db-wal");
                let files = [std::fs::read(file).ok(), std::fs::read(log).ok()];
                files.into_iter().flatten().flatten().collect()
            }
            Self::Postgres { url, .. } => {
                let tables = postgres_cluster::ask(url, TABLES).expect("tables");
                let rows = |table| {
                    format!("SELECT string_agg(t::text, chr(10) ORDER BY t::text) FROM {table} t")
                };
                let content = tables
                    .split(',')
                    .map(|table| postgres_cluster::ask(url, &rows(table)));
                content.flatten().flat_map(String::into_bytes).collect()
            }
        }
    }

    /// The file of its data key.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.file().with_extension("db.key")
    }

    /// A handle of its own.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        let keys = Crypter::parse(self.keys().trim()).expect("keys");
        Arc::new(store_at(&self.url(), keys).await)
    }

    /// The serial numbers of the issuance ledger.
    pub(crate) async fn serials(&self) -> Vec<SerialNumber> {
        let serials = match self {
            Self::Sqlite(file) => column(&mut sqlite(file).await, SERIALS).await,
            Self::Postgres { url, .. } => column(&mut postgres(url).await, SERIALS).await,
        };
        serials.into_iter().map(serial).collect()
    }

    /// The challenges of which two attempts were under way at once.
    pub(crate) async fn overlapping_attempts(&self) -> Vec<String> {
        match self {
            Self::Sqlite(file) => column(&mut sqlite(file).await, OVERLAPPING_ATTEMPTS).await,
            Self::Postgres { url, .. } => {
                column(&mut postgres(url).await, OVERLAPPING_ATTEMPTS).await
            }
        }
    }

    /// Changes it behind the server's back.
    pub(crate) async fn tamper(&self, statement: &'static str) {
        match self {
            Self::Sqlite(file) => {
                let mut connection = sqlite(file).await;
                let changed = sqlx::raw_sql(statement).execute(&mut connection);
                changed.await.expect("it takes the change");
            }
            Self::Postgres { url, .. } => postgres_cluster::execute(url, statement),
        }
    }
}

/// The only column of what a query finds.
async fn column<C, T>(connection: &mut C, query: &'static str) -> Vec<T>
where
    C: sqlx::Connection,
    for<'c> &'c mut C: sqlx::Executor<'c, Database = C::Database>,
    for<'a> T: sqlx::Decode<'a, C::Database> + sqlx::Type<C::Database>,
    usize: sqlx::ColumnIndex<<C::Database as sqlx::Database>::Row>,
{
    use sqlx::Executor as _;
    let rows = connection.fetch_all(query).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn sqlite(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file);
    options.connect().await.expect("the database opens")
}

async fn postgres(url: &str) -> PgConnection {
    PgConnection::connect(url)
        .await
        .expect("the database opens")
}
