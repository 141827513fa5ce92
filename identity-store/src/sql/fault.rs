//! What goes wrong inside a transaction or a read, before it knows the name of either.

use std::io::ErrorKind;

use sqlx::error::DatabaseError;

use crate::{Conflict, Entity, Error};

/// A refusal, or a failure of the database.
#[derive(Debug)]
pub(super) enum Fault {
    Refused(Error),
    Database(sqlx::Error),
    /// The database failed while it committed: nobody knows whether it did.
    InDoubt(sqlx::Error),
}

/// A part of a transaction or a read.
pub(super) type Step<T> = Result<T, Fault>;

impl Fault {
    /// A commit that failed. The database says so itself when it rolled back.
    pub(super) fn in_doubt(error: sqlx::Error) -> Self {
        match error {
            said @ sqlx::Error::Database(_) => Self::Database(said),
            silent => Self::InDoubt(silent),
        }
    }

    /// Whether nothing was changed, and the same transaction may well succeed a moment later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused(_) | Self::InDoubt(_) => false,
            Self::Database(error) => is_transient(error),
        }
    }

    /// Whether nothing was changed, and the same transaction may well succeed for one who has the time to
    /// wait on.
    #[cfg(feature = "postgres")]
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Refused(_) | Self::InDoubt(_) => false,
            Self::Database(error) => is_busy(error),
        }
    }

    /// The failure as callers see it, under the name of what failed.
    pub(super) fn named(self, operation: &'static str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Database(source) if is_busy(&source) => Error::Busy {
                transaction: operation,
                tries: 1,
            },
            Self::Database(source) | Self::InDoubt(source) => Error::Backend {
                operation,
                source: Box::new(source),
            },
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Entity> for Fault {
    fn from(missing: Entity) -> Self {
        Self::Refused(Error::NotFound(missing))
    }
}

impl From<Conflict> for Fault {
    fn from(conflict: Conflict) -> Self {
        Self::Refused(Error::Conflict(conflict))
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// What comes of the first connection to a database that is not there, or starts.
#[cfg(feature = "postgres")]
pub(super) fn unreachable(error: sqlx::Error) -> Fault {
    if is_busy(&error) {
        Fault::Refused(Error::Unreachable(Box::new(error)))
    } else {
        error.into()
    }
}

/// Whether the database had no time for it, however long that was waited for.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    is_transient(error) || was_waited_for(error)
}

/// Whether the database was busy, met another transaction, or lost the connection.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        // A connection that the database closed while it lay in the pool is known by its first use.
        sqlx::Error::Io(failed) => failed.kind() != ErrorKind::TimedOut,
        sqlx::Error::Database(said) => said_try_again(&**said),
        _ => false,
    }
}

/// Whether every connection is in use, the database is silent, or a lock is held: the wait was long
/// enough already.
fn was_waited_for(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Io(failed) => failed.kind() == ErrorKind::TimedOut,
        // PostgreSQL: lock not available.
        sqlx::Error::Database(said) => said.code().as_deref() == Some("55P03"),
        _ => false,
    }
}

fn said_try_again(said: &dyn DatabaseError) -> bool {
    let Some(code) = said.code() else {
        return false;
    };
    match &*code {
        // PostgreSQL, appendix A: serialization failure, deadlock; what races past a look-up meets the
        // unique index; the server shuts down, or starts.
        "40001" | "40P01" | "23505" | "57P01" | "57P02" | "57P03" => true,
        sqlite => is_sqlite_busy(sqlite),
    }
}

/// Whether another process holds SQLite's lock.
fn is_sqlite_busy(code: &str) -> bool {
    const SQLITE_BUSY: u32 = 5;
    // The low byte is the primary result code of SQLite's extended ones; a SQLSTATE has five digits.
    code.len() < 5
        && code
            .parse()
            .is_ok_and(|code: u32| code & 0xff == SQLITE_BUSY)
}

/// Names the conflict that a violated uniqueness is.
pub(super) fn taken(conflict: Conflict) -> impl FnOnce(sqlx::Error) -> Fault {
    move |error| match error.as_database_error() {
        Some(database) if database.is_unique_violation() => conflict.into(),
        Some(_) | None => error.into(),
    }
}
