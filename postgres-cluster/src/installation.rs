use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that lists folders with PostgreSQL's programs.
const LIST: &str = "IDENTITY_POSTGRES";
/// Where Debian keeps each version's folder.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs of one version of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    folder: PathBuf,
    major: u32,
}

impl Installation {
    /// Those to test with: the ones that `IDENTITY_POSTGRES` lists, in its order, or else the newest
    /// of Debian's, or the one on `PATH`. None if `TEST_DATABASE_URL` names a server instead.
    ///
    /// # Panics
    ///
    /// When a folder that the variable lists has no PostgreSQL: a slip in it must not pass for a
    /// version that was tested.
    #[must_use]
    pub fn all() -> Vec<Self> {
        if crate::server::external().is_some() {
            return Vec::new();
        }
        match std::env::var_os(LIST).filter(|list| !list.is_empty()) {
            Some(list) => std::env::split_paths(&list).map(listed).collect(),
            None => debian().or_else(on_path).into_iter().collect(),
        }
    }

    /// The first of [`all`](Self::all): for a test that one version is enough for.
    #[must_use]
    pub fn first() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// The version's first number, for example 15.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Whether `pg_basebackup` is there, which [`Cluster::standby`](crate::Cluster::standby) and
    /// [`Cluster::backup`](crate::Cluster::backup) need: the npm packages lack it.
    #[must_use]
    pub fn can_copy(&self) -> bool {
        self.program("pg_basebackup").is_file()
    }

    /// The file of one of its programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What is in `folder`, if it can make and run a cluster.
    fn at(folder: PathBuf) -> Option<Self> {
        let needed = ["initdb", "pg_ctl", "postgres"];
        if !needed.iter().all(|name| folder.join(name).is_file()) {
            return None;
        }
        // Links lead to a folder whose neighbours are the libraries.
        let folder = folder.canonicalize().ok()?;
        let said = Command::new(folder.join("postgres"))
            .arg("--version")
            .output();
        let major = major(&String::from_utf8_lossy(&said.ok()?.stdout))?;
        Some(Self { folder, major })
    }
}

fn listed(folder: PathBuf) -> Installation {
    let shown = folder.display().to_string();
    Installation::at(folder)
        .unwrap_or_else(|| panic!("{LIST} lists {shown}, which has no PostgreSQL that runs"))
}

fn debian() -> Option<Installation> {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    versions
        .filter_map(|version| Installation::at(version.path().join("bin")))
        .max_by_key(Installation::major)
}

fn on_path() -> Option<Installation> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|folder| {
        let program = folder.join("postgres").canonicalize().ok()?;
        Installation::at(program.parent().map(Path::to_owned)?)
    })
}

/// The first number in what `postgres --version` says: `postgres (PostgreSQL) 15.14 (Debian …)`.
fn major(said: &str) -> Option<u32> {
    let version = said.split_whitespace().nth(2)?;
    let digits: &str = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_known_by_its_first_number() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.14 (Debian 15.14-0)\n"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major("postgres\n"), None);
    }
}
