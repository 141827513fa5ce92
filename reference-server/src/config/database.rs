use std::path::{Path, PathBuf};

use super::ConfigError;
use super::lookup::Variables;

/// Which database to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The embedded one.
    Sqlite(SqlitePath),
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
    pub(super) fn read(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        const NAME: &str = "DATABASE_URL";
        let Some(url) = vars.text(NAME)? else {
            // The variables of a PostgreSQL installation: never mistaken for an embedded one.
            for name in [
                "DB_HOST",
                "DB_PORT",
                "DB_USER",
                "DB_PASSWORD",
                "DB_NAME",
                "DB_SSLMODE",
            ] {
                if vars.text(name)?.is_some() {
                    let rule = "unset: this version has no PostgreSQL back end";
                    return Err(ConfigError::new(name, rule));
                }
            }
            return Ok(Self::Sqlite(SqlitePath("identity.db".into())));
        };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let rule = "sqlite://PATH: this version has no PostgreSQL back end";
            return Err(ConfigError::new(NAME, rule));
        }
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() && !path.contains(['?', '\0']) => {
                Ok(Self::Sqlite(SqlitePath(path.into())))
            }
            _ => Err(ConfigError::new(NAME, "sqlite://PATH")),
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
