//! A platform whose servers can be killed: real processes on one database, each behind a proxy that
//! stays where it is when the process is started anew.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use biowave_client::simulator::PalmServer;
use postgres_cluster::Cluster;
use tempfile::TempDir;
use url::Url;

use crate::clients::Clients;
use crate::database::{DATA_KEYS, Database};
use crate::harness::{Api, Exit, Logged, PASSWORD, Process, Proxy, command, wrapped};
use crate::template::{Backend, Copy, FirstRun};

/// The tenant of every story.
pub(crate) const TENANT: &str = "acme";

/// The time of one call to the palm server: what is held by a process that is gone is free soon.
const PALM_TIMEOUT_MS: &str = "250";

/// The variable that holds the data keys.
pub(crate) const KEYS: &str = "IDENTITY_DATA_ENCRYPTION_KEYS";

/// As many connections each process may have to PostgreSQL.
const CONNECTIONS: &str = "8";

/// How the processes of a stage are run.
#[derive(Default)]
pub(crate) struct Setting {
    /// How many; 0 is one.
    pub(crate) replicas: usize,
    /// Variables beside the usual ones.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// The program, by its path, and its arguments that each process is wrapped in; it becomes the
    /// process.
    pub(crate) wrapper: Vec<String>,
    pub(crate) backend: Backend,
    /// Where the database is put, and how the processes call that place; a directory of its own for
    /// most.
    pub(crate) place: Option<(PathBuf, PathBuf)>,
}

pub(crate) struct Stage {
    pub(crate) clients: Arc<Clients>,
    pub(crate) palms: PalmServer,
    /// The replicas' way to it.
    pub(crate) palm_link: Proxy,
    pub(crate) first_run: Arc<FirstRun>,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) database: Database,
    setting: Setting,
    /// As the processes call it.
    directory: PathBuf,
    own: TempDir,
    /// Where the database is, on PostgreSQL; it goes with this.
    pub(crate) home: Option<postgres_cluster::Database>,
}

/// One process after the other, behind one address.
pub(crate) struct Replica {
    pub(crate) front: Proxy,
    /// Between it and PostgreSQL.
    link: Option<Proxy>,
    /// `None` while it is down.
    pub(crate) process: Option<Process>,
    /// What every one of its processes logged.
    pub(crate) logs: Vec<Logged>,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::with(Setting::default()).await
    }

    pub(crate) async fn on(backend: Backend, replicas: usize) -> Self {
        let setting = Setting {
            backend,
            replicas,
            ..Setting::default()
        };
        Self::with(setting).await
    }

    pub(crate) async fn with(mut setting: Setting) -> Self {
        let Copy {
            first_run,
            database: home,
        } = Copy::on(&setting.backend).await;
        let own = TempDir::new().expect("a directory");
        let (outside, directory) = match setting.place.take() {
            Some(place) => place,
            None => (own.path().to_owned(), own.path().to_owned()),
        };
        for (name, bytes) in &first_run.files {
            std::fs::write(outside.join(name), bytes).expect("a copy");
        }
        let palms = PalmServer::start().await.expect("a palm server");
        let palm_link = Proxy::to(palms.address()).await;
        let mut replicas = Vec::new();
        for _ in 0..setting.replicas.max(1) {
            let link = match &home {
                Some(home) => Some(Proxy::to(address(home.url())).await),
                None => None,
            };
            replicas.push(Replica {
                front: Proxy::to(local(1)).await,
                link,
                process: None,
                logs: Vec::new(),
            });
        }
        let https = |replica: &Replica| Api::https(replica.front.address, &first_run.server_key);
        let apis = replicas.iter().map(https).collect();
        let clients = Clients::new(apis, first_run.token.clone());
        let database = match &home {
            Some(home) => Database::on_postgres(home.url()),
            None => Database::in_directory(&outside),
        };
        clients.journal.hide(PASSWORD);
        clients.journal.hide_key(&first_run.server_key.key_pem());
        clients.journal.hide_data_keys(&database.keys());
        if let Some(home) = &home {
            clients.journal.book().canaries.extend(password(home.url()));
        }
        let mut stage = Self {
            clients,
            palms,
            palm_link,
            first_run,
            replicas,
            database,
            setting,
            directory,
            own,
            home,
        };
        for replica in 0..stage.replicas.len() {
            stage.start(replica);
        }
        stage
    }

    /// Starts a replica that is down.
    pub(crate) fn start(&mut self, replica: usize) {
        let process = Process::run(self.command(replica, &[]));
        let replica = &mut self.replicas[replica];
        assert!(replica.process.is_none(), "it runs already");
        replica.front.lead_to(process.address);
        replica.logs.push(process.logged());
        replica.process = Some(process);
    }

    /// The way of a replica to PostgreSQL.
    pub(crate) fn link(&self, replica: usize) -> &Proxy {
        self.replicas[replica].link.as_ref().expect("PostgreSQL")
    }

    /// The database is where another cluster has it from now on.
    pub(crate) fn lead_to(&mut self, cluster: &Cluster) {
        let home = self.home.as_ref().expect("PostgreSQL");
        self.database = Database::on_postgres(&cluster.url(home.name()));
        for replica in 0..self.replicas.len() {
            self.link(replica).lead_to(local(cluster.port()));
        }
    }

    /// Sets a variable for every process that is started from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        let variables = &mut self.setting.variables;
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value.to_owned()));
    }

    /// Moves the database out of the place that was chosen for it, while every replica is down.
    pub(crate) fn move_home(&mut self) {
        let home = self.own.path();
        for file in [self.database.file(), &self.database.key_file()] {
            std::fs::copy(file, home.join(file.file_name().expect("a name"))).expect("a copy");
        }
        self.database = Database::in_directory(home);
        self.directory = home.to_owned();
        self.setting.wrapper.clear();
    }

    /// The command that starts a replica, with further variables.
    pub(crate) fn command(&self, replica: usize, more: &[(&str, &str)]) -> Command {
        let url = format!("http://{}", self.palm_link.address);
        let mut variables = vec![
            ("BIOWAVE_URL", url.as_str()),
            ("BIOWAVE_TIMEOUT_MS", PALM_TIMEOUT_MS),
        ];
        let linked = self.linked(replica);
        if let Some(linked) = &linked {
            variables.extend([
                ("DATABASE_URL", linked.as_str()),
                ("DB_MAX_OPEN_CONNS", CONNECTIONS),
                (KEYS, DATA_KEYS),
            ]);
        }
        let own = &self.setting.variables;
        variables.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
        variables.extend(more);
        let command = command(&self.directory, "127.0.0.1:0", &variables);
        wrapped(&self.setting.wrapper, command)
    }

    /// The URL of a replica's way to PostgreSQL, open to the proxy's eyes.
    fn linked(&self, replica: usize) -> Option<Url> {
        let mut url = Url::parse(self.home.as_ref()?.url()).expect("a URL");
        let port = self.link(replica).address.port();
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(port)).expect("a port");
        url.set_query(Some("sslmode=disable"));
        Some(url)
    }

    /// The first replica's process.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.replicas[0].process.as_mut().expect("it runs")
    }

    /// Kills a replica where it stands.
    pub(crate) fn kill(&mut self, replica: usize) {
        let process = self.replicas[replica].process.take();
        process.expect("it runs").kill();
    }

    /// Asks each replica that runs to end, which it does properly.
    pub(crate) fn stop(&mut self) {
        for replica in 0..self.replicas.len() {
            self.stop_one(replica);
        }
    }

    /// Asks a replica to end, if it runs.
    pub(crate) fn stop_one(&mut self, replica: usize) {
        if let Some(mut process) = self.replicas[replica].process.take() {
            assert_eq!(process.terminate(), Exit::success());
        }
    }

    /// What is told on the metrics listener of each replica that runs.
    pub(crate) async fn metrics(&self) -> String {
        let mut all = String::new();
        for replica in 0..self.replicas.len() {
            all.push_str(&self.metrics_of(replica).await);
        }
        all
    }

    /// The same of one; nothing when it is down.
    pub(crate) async fn metrics_of(&self, replica: usize) -> String {
        match &self.replicas[replica].process {
            Some(process) => Api::plain(process.metrics).get("/metrics").await.text,
            None => String::new(),
        }
    }

    /// What the series of a replica's metrics that begin so add up to.
    pub(crate) async fn counted(&self, replica: usize, series: &str) -> u64 {
        let metrics = self.metrics_of(replica).await;
        let lines = metrics.lines().filter(|line| line.starts_with(series));
        let values = lines.filter_map(|line| line.rsplit_once(' '));
        values
            .map(|(_, value)| value.parse::<u64>().expect("a whole number"))
            .sum()
    }

    /// Whether `text` was logged.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        self.logs().iter().any(|line| line.contains(text))
    }

    /// Every line that was logged.
    pub(crate) fn logs(&self) -> Vec<String> {
        let logs = self.replicas.iter().flat_map(|replica| &replica.logs);
        logs.flat_map(Logged::lines).collect()
    }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Where a PostgreSQL server listens.
fn address(url: &str) -> SocketAddr {
    let url = Url::parse(url).expect("a URL");
    let addresses = url
        .socket_addrs(|| Some(5432))
        .expect("a host that is known");
    addresses[0]
}

/// A password that is long enough to be like nothing else.
fn password(url: &str) -> Option<String> {
    let url = Url::parse(url).expect("a URL");
    let password = url.password().filter(|password| password.len() >= 16);
    password.map(str::to_owned)
}
