use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::ConfigError;
use super::lookup::Variables;
use super::postgres::PostgresUrl;

/// Which database to use.
#[derive(Debug, Clone)]
pub enum Database {
    /// The embedded one.
    Sqlite(SqlitePath),
    /// A PostgreSQL server's.
    Postgres(PostgresUrl),
}

/// The file of an embedded database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlitePath(PathBuf);

impl SqlitePath {
    /// The file.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    /// The file as the store takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("sqlite://{}", self.0.display())
    }

    /// Where the data key is kept when none is configured: beside the database.
    #[must_use]
    pub fn data_key_file(&self) -> PathBuf {
        let mut name = self.0.as_os_str().to_owned();
        name.push(".key");
        name.into()
    }
}

impl Database {
    /// The URL as the store takes it, which may hold a password.
    #[must_use]
    pub fn url(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Self::Sqlite(path) => path.url(),
            Self::Postgres(url) => url.expose().to_owned(),
        })
    }

    pub(super) fn read(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        const NAME: &str = "DATABASE_URL";
        let Some(url) = vars.text(NAME)? else {
            let embedded = || Self::Sqlite(SqlitePath("identity.db".into()));
            return Ok(PostgresUrl::from_parts(vars)?.map_or_else(embedded, Self::Postgres));
        };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return PostgresUrl::parse(url).map(Self::Postgres);
        }
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() && !path.contains(['?', '\0']) => {
                Ok(Self::Sqlite(SqlitePath(path.into())))
            }
            _ => Err(ConfigError::new(NAME, super::postgres::URL_RULE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_key_lies_beside_the_database() {
        let path = SqlitePath("/var/lib/id.db".into());
        assert_eq!(path.data_key_file().to_str(), Some("/var/lib/id.db.key"));
    }
}
