use std::sync::OnceLock;

use url::Url;

use crate::random::random_hex;
use crate::{Cluster, Installation, Place as _, sql};

/// The variable that names a running server to use instead of clusters.
const EXTERNAL: &str = "TEST_DATABASE_URL";

/// A server that gives each test a database of its own. The tests of one process share it.
#[derive(Debug)]
pub struct Server(Source);

#[derive(Debug)]
enum Source {
    /// Runs already, and is not ours.
    External(Url),
    /// Started when the first database is asked for.
    Cluster(Installation, OnceLock<Cluster>),
}

impl Server {
    /// One for each version to test with; none where there is no PostgreSQL, and tests have to
    /// report themselves as ignored.
    ///
    /// # Panics
    ///
    /// When `TEST_DATABASE_URL` is no URL, and as [`Installation::all`].
    #[must_use]
    pub fn all() -> Vec<Self> {
        match external() {
            Some(url) => vec![Self(Source::External(url))],
            None => Installation::all().iter().map(Self::of).collect(),
        }
    }

    /// The first of [`all`](Self::all): for a test that one version is enough for.
    #[must_use]
    pub fn first() -> Option<Self> {
        Self::all().into_iter().next()
    }

    fn of(installation: &Installation) -> Self {
        Self(Source::Cluster(installation.clone(), OnceLock::new()))
    }

    /// What to call it in a test's name, for example `postgresql_15`.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.0 {
            Source::External(_) => EXTERNAL.to_ascii_lowercase(),
            Source::Cluster(installation, _) => installation.name(),
        }
    }

    /// A fresh database, empty but for what `template1` has.
    ///
    /// # Panics
    ///
    /// When the server does not start, or refuses.
    #[must_use]
    pub fn database(&self) -> Database {
        match &self.0 {
            Source::External(url) => Database::create(url.clone(), None),
            Source::Cluster(installation, cluster) => {
                let start = || Cluster::options(installation).throw_away().start();
                cluster.get_or_init(start).database()
            }
        }
    }
}

impl Cluster {
    /// A fresh database, empty but for what `template1` has.
    ///
    /// # Panics
    ///
    /// When the server does not run, or refuses.
    #[must_use]
    pub fn database(&self) -> Database {
        Database::create(parsed("the cluster's URL", &self.url("postgres")), None)
    }
}

/// A database of one test, dropped with it.
#[derive(Debug)]
pub struct Database {
    name: String,
    url: String,
    /// The database that it was created from.
    maintenance: Url,
}

impl Database {
    fn create(maintenance: Url, template: Option<&str>) -> Self {
        let name = format!("test_{}", random_hex());
        let template = template.unwrap_or("template1");
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        sql::try_execute(maintenance.as_str(), &create)
            .unwrap_or_else(|error| panic!("no database can be made: {error}"));
        let mut url = maintenance.clone();
        url.set_path(&name);
        Self {
            name,
            url: url.into(),
            maintenance,
        }
    }

    /// A database of its own that holds what this one does. Nobody may be connected to this one.
    ///
    /// # Panics
    ///
    /// When the server does not run, or refuses.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::create(self.maintenance.clone(), Some(&self.name))
    }

    /// Its URL, with the password of the one who may do everything in it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name on the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // The test may have stopped or broken the server.
        let _ = sql::try_execute(self.maintenance.as_str(), &drop);
    }
}

/// The server that `TEST_DATABASE_URL` names.
pub(crate) fn external() -> Option<Url> {
    let url = std::env::var(EXTERNAL).ok().filter(|url| !url.is_empty())?;
    Some(parsed(EXTERNAL, &url))
}

/// The URL, or a panic that does not show it: it holds a password.
fn parsed(what: &str, url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|error| panic!("{what} is no URL: {error}"))
}
