//! How PostgreSQL is connected to.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::sql::database::PoolOptions;
use crate::{Error, Result};

/// Longer than the store has statements, so that each is prepared once a connection.
const STATEMENTS: usize = 512;

/// A connection that rested this long is asked whether it is alive before it is used.
const RESTED: Duration = Duration::from_secs(1);

/// What the database ends by itself: a transaction that a dead process left open holds no lock for
/// ever, a lock is not waited for without end, and no statement runs away.
const LIMITS: [(&str, &str); 3] = [
    ("idle_in_transaction_session_timeout", "10s"),
    ("lock_timeout", "5s"),
    ("statement_timeout", "10s"),
];

/// No statement of the store reads so much that compiling it or another process would help. A plan for
/// any values overestimates, so that PostgreSQL thinks so: then a page of the audit trail that takes 10 ms
/// waits 300 ms for machine code.
const PLANS: [(&str, &str); 2] = [("jit", "off"), ("max_parallel_workers_per_gather", "0")];

/// Whether a database URL names PostgreSQL.
pub(in crate::sql) fn is_url(database_url: &str) -> bool {
    ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| database_url.starts_with(scheme))
}

/// The options in a database URL. What is wrong with it is not repeated: it may hold a password.
pub(super) fn options(database_url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(database_url)
        .map_err(|_| Error::Url("is not postgres://USER:PASSWORD@HOST:PORT/DATABASE"))?;
    Ok(options
        .application_name("identity-store")
        .options(LIMITS)
        .options(PLANS)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging())
}

/// The connections for reads and transactions. None is opened before it is needed.
pub(super) fn pool(options: PgConnectOptions, limits: &PoolOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(limits.max_connections)
        .acquire_timeout(limits.acquire_timeout)
        .max_lifetime(limits.max_lifetime)
        .idle_timeout(limits.idle_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for >= RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// One connection apart.
pub(super) fn single(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .connect_lazy_with(options)
}
