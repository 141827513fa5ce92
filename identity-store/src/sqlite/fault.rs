//! What goes wrong inside a transaction or a read, before it knows the name of either.

use crate::{Conflict, Entity, Error};

/// A refusal, or a failure of the database.
#[derive(Debug)]
pub(super) enum Fault {
    Refused(Error),
    Database(sqlx::Error),
}

/// A part of a transaction or a read.
pub(super) type Step<T> = Result<T, Fault>;

impl Fault {
    /// The failure as callers see it, under the name of what failed.
    pub(super) fn named(self, operation: &'static str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Database(source) if is_busy(&source) => Error::Busy {
                transaction: operation,
                tries: 1,
            },
            Self::Database(source) => Error::Backend {
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

/// Whether another process holds the lock, or every connection is in use.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    match error {
        sqlx::Error::PoolTimedOut => true,
        other => other
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<u32>().ok())
            // The low byte is the primary result code of SQLite's extended ones.
            .is_some_and(|code| code & 0xff == SQLITE_BUSY),
    }
}

/// Names the conflict that a violated uniqueness is.
pub(super) fn taken(conflict: Conflict) -> impl FnOnce(sqlx::Error) -> Fault {
    move |error| match error.as_database_error() {
        Some(database) if database.is_unique_violation() => conflict.into(),
        Some(_) | None => error.into(),
    }
}
