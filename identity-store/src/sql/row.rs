//! A row of either database.

use sqlx::Row as _;

/// What a statement found.
pub(super) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::sqlite::SqliteRow),
    #[cfg(feature = "postgres")]
    Postgres(sqlx::postgres::PgRow),
}

impl Row {
    /// The column of that name, as every database of this build gives it.
    pub(super) fn get<'r, T: Readable<'r>>(&'r self, column: &str) -> sqlx::Result<T> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(row) => row.try_get(column),
            #[cfg(feature = "postgres")]
            Self::Postgres(row) => row.try_get(column),
        }
    }
}

/// A type that each database of this build reads from a column.
pub(super) trait Readable<'r>: sqlite::Readable<'r> + postgres::Readable<'r> {}

impl<'r, T: sqlite::Readable<'r> + postgres::Readable<'r>> Readable<'r> for T {}

/// What one database reads; everything, where it is not part of the build.
macro_rules! readable {
    ($module:ident, $feature:literal, $database:ident) => {
        mod $module {
            #[cfg(feature = $feature)]
            use sqlx::{Decode, Type, $database};

            #[cfg(feature = $feature)]
            pub(in super::super) trait Readable<'r>:
                Decode<'r, $database> + Type<$database>
            {
            }
            #[cfg(feature = $feature)]
            impl<'r, T: Decode<'r, $database> + Type<$database>> Readable<'r> for T {}

            #[cfg(not(feature = $feature))]
            pub(in super::super) trait Readable<'r> {}
            #[cfg(not(feature = $feature))]
            impl<'r, T> Readable<'r> for T {}
        }
    };
}

readable!(sqlite, "sqlite", Sqlite);
readable!(postgres, "postgres", Postgres);
