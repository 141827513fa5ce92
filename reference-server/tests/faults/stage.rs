//! A platform whose servers can be killed: real processes on one database, each behind a proxy that
//! stays where it is when the process is started anew.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use biowave_client::simulator::PalmServer;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::clients::Clients;
use crate::database::Database;
use crate::harness::{Api, Exit, Logged, PASSWORD, Platform, Process, Proxy, ServerKey, command};

/// The tenant of every story.
pub(crate) const TENANT: &str = "acme";

/// The time of one call to the palm server: what is held by a process that is gone is free soon.
const PALM_TIMEOUT_MS: &str = "250";

/// A database that has been through its first run, with its tenant, as files.
struct Template {
    files: Vec<(String, Vec<u8>)>,
    server_key: ServerKey,
    /// Of the tenant's administrator.
    token: String,
}

static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

async fn template() -> &'static Template {
    TEMPLATE.get_or_init(make_template).await
}

async fn make_template() -> Template {
    let mut platform = Platform::first_run().await;
    let token = platform.tenant(TENANT).await.token().to_owned();
    assert_eq!(platform.process.terminate(), Exit::success());
    let files = std::fs::read_dir(platform.directory.path()).expect("a directory");
    let files = files.map(|file| {
        let file = file.expect("a file");
        let name = file.file_name().into_string().expect("a name");
        (name, std::fs::read(file.path()).expect("its bytes"))
    });
    Template {
        files: files.collect(),
        server_key: platform.server_key,
        token,
    }
}

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
    /// Where the database is put, and how the processes call that place; a directory of its own for
    /// most.
    pub(crate) place: Option<(PathBuf, PathBuf)>,
}

pub(crate) struct Stage {
    pub(crate) clients: Arc<Clients>,
    pub(crate) palms: PalmServer,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) database: Database,
    setting: Setting,
    /// As the processes call it.
    directory: PathBuf,
    own: TempDir,
}

/// One process after the other, behind one address.
pub(crate) struct Replica {
    pub(crate) front: Proxy,
    /// `None` while it is down.
    pub(crate) process: Option<Process>,
    /// What every one of its processes logged.
    pub(crate) logs: Vec<Logged>,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::with(Setting::default()).await
    }

    pub(crate) async fn with(mut setting: Setting) -> Self {
        let template = template().await;
        let own = TempDir::new().expect("a directory");
        let (outside, directory) = match setting.place.take() {
            Some(place) => place,
            None => (own.path().to_owned(), own.path().to_owned()),
        };
        for (name, bytes) in &template.files {
            std::fs::write(outside.join(name), bytes).expect("a copy");
        }
        let palms = PalmServer::start().await.expect("a palm server");
        let mut replicas = Vec::new();
        for _ in 0..setting.replicas.max(1) {
            let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
            replicas.push(Replica {
                front: Proxy::to(nowhere).await,
                process: None,
                logs: Vec::new(),
            });
        }
        let https = |replica: &Replica| Api::https(replica.front.address, &template.server_key);
        let apis = replicas.iter().map(https).collect();
        let clients = Clients::new(apis, template.token.clone());
        clients.journal.hide(PASSWORD);
        let mut stage = Self {
            clients,
            palms,
            replicas,
            database: Database::in_directory(&outside),
            setting,
            directory,
            own,
        };
        for replica in 0..stage.replicas.len() {
            stage.start(replica);
        }
        stage
    }

    /// Starts a replica that is down.
    pub(crate) fn start(&mut self, replica: usize) {
        let process = Process::run(self.command(&[]));
        let replica = &mut self.replicas[replica];
        assert!(replica.process.is_none(), "it runs already");
        replica.front.lead_to(process.address);
        replica.logs.push(process.logged());
        replica.process = Some(process);
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
    pub(crate) fn command(&self, more: &[(&str, &str)]) -> Command {
        let url = self.palms.url().to_string();
        let mut variables = vec![
            ("BIOWAVE_URL", url.as_str()),
            ("BIOWAVE_TIMEOUT_MS", PALM_TIMEOUT_MS),
        ];
        let own = &self.setting.variables;
        variables.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
        variables.extend(more);
        let command = command(&self.directory, "127.0.0.1:0", &variables);
        wrapped(&self.setting.wrapper, command)
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
        for replica in &mut self.replicas {
            if let Some(mut process) = replica.process.take() {
                assert_eq!(process.terminate(), Exit::success());
            }
        }
    }

    /// What is told on the metrics listener of each replica that runs.
    pub(crate) async fn metrics(&self) -> String {
        let mut all = String::new();
        for process in self.replicas.iter().filter_map(|r| r.process.as_ref()) {
            let api = Api::plain(process.metrics);
            all.push_str(&api.get("/metrics").await.text);
        }
        all
    }

    /// Every line that was logged.
    pub(crate) fn logs(&self) -> Vec<String> {
        let logs = self.replicas.iter().flat_map(|replica| &replica.logs);
        logs.flat_map(Logged::lines).collect()
    }
}

/// The same command, run by a wrapper that becomes it.
fn wrapped(wrapper: &[String], command: Command) -> Command {
    let Some((program, arguments)) = wrapper.split_first() else {
        return command;
    };
    let mut outer = Command::new(program);
    outer
        .args(arguments)
        .arg(command.get_program())
        .env_clear()
        .envs(command.get_envs().filter_map(pair))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped());
    outer
}

fn pair<'a>((name, value): (&'a OsStr, Option<&'a OsStr>)) -> Option<(&'a OsStr, &'a OsStr)> {
    value.map(|value| (name, value))
}
