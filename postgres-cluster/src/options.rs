use crate::home::{Home, succeed};
use crate::random::random_hex;
use crate::{Cluster, Installation};

/// The superuser of every cluster.
pub(crate) const SUPERUSER: &str = "postgres";

/// What a new cluster is like.
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    installation: Installation,
    settings: Vec<(String, String)>,
    tls: Option<(String, String)>,
}

impl Options {
    pub(crate) fn new(installation: &Installation) -> Self {
        Self {
            installation: installation.clone(),
            settings: Vec::new(),
            tls: None,
        }
    }

    /// Sets a parameter of `postgresql.conf`; of two, the later one counts.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Commits wait for no disk, which is faster, and loses nothing as long as only processes die:
    /// for every test but those of durability.
    pub fn throw_away(self) -> Self {
        self.set("fsync", "off").set("full_page_writes", "off")
    }

    /// Offers TLS with this certificate and key, both PEM.
    pub fn tls(mut self, certificate: &str, key: &str) -> Self {
        self.tls = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// Makes the cluster and starts it.
    ///
    /// # Panics
    ///
    /// When it does not start; the server's log is in the message.
    #[must_use]
    pub fn start(self) -> Cluster {
        let home = Home::new(&self.installation);
        let password = random_hex();
        let password_file = home.write("password", &password);
        // --no-sync: the test's own commits are synced, and nothing before them is worth it.
        succeed(
            home.program("initdb")
                .args(["--no-sync", "--encoding=UTF8", "--locale=C"])
                .args(["--auth=scram-sha-256", "--username", SUPERUSER])
                .arg("--pwfile")
                .arg(&password_file)
                .arg("--pgdata")
                .arg(home.data()),
        );
        let mut settings = vec![
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            ("shared_buffers", "32MB"),
        ];
        if let Some((certificate, key)) = &self.tls {
            home.write("data/server.crt", certificate);
            home.write("data/server.key", key);
            settings.push(("ssl", "on"));
        }
        let chosen = self.settings.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        home.configure(settings.into_iter().chain(chosen));
        Cluster::on_a_free_port(home, password)
    }
}
