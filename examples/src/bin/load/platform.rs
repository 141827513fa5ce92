//! The server that is measured: its real binary, set up over HTTP as an operator would.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Failure;
use crate::connection::{Connection, Prepared, Target};
use crate::keys::{ServerIdentity, client_tls};
use crate::operator::{ADMIN, FIRST_PASSWORD, Operator};
use crate::process::{self, LOOK_AGAIN, PATIENCE, Process};

/// The tenant of all devices.
pub(crate) const TENANT: &str = "load";

/// How servers are run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The server's binary.
    pub(crate) binary: PathBuf,
    /// `DATABASE_URL`; an embedded database of its own when there is none.
    pub(crate) database_url: Option<String>,
    /// `IDENTITY_LOG`.
    pub(crate) log: String,
    /// `BIOWAVE_URL`, if palms are to be seen.
    pub(crate) palm_server: Option<String>,
    /// The one processor that they run on, if not on all.
    pub(crate) processor: Option<usize>,
}

/// A platform with HTTPS, a CA, a tenant, and those who administer it.
#[derive(Debug)]
pub(crate) struct Platform {
    // In this order: the servers have ended when their folder goes.
    pub(crate) replicas: Vec<Replica>,
    pub(crate) identity: ServerIdentity,
    /// The tenant's administrator.
    pub(crate) tenant: Operator,
    host: Host,
}

/// Where replicas run, and what they share.
#[derive(Debug)]
struct Host {
    settings: Settings,
    database_url: String,
    data_key: String,
    started: u32,
    folder: TempDir,
}

/// One server process.
#[derive(Debug)]
pub(crate) struct Replica {
    process: Process,
    pub(crate) address: SocketAddr,
    operations: SocketAddr,
}

impl Platform {
    /// Goes through the first run with an empty database, and ends with `replicas` servers.
    pub(crate) async fn first_run(settings: Settings, replicas: usize) -> Result<Self, Failure> {
        let mut host = Host::new(settings)?;
        let first = host.start().await?;
        let admin = Operator::sign_in(format!("http://{}", first.address), None, ADMIN).await?;
        let identity = ServerIdentity::generate()?;
        admin.upload(&identity).await?;
        first.ends().await?;

        let mut running = Vec::new();
        for _ in 0..replicas.max(1) {
            running.push(host.start().await?);
        }
        let address = running.first().ok_or("no replica")?.address;
        let admin = admin.moved_to(format!("https://{address}"), &identity.root)?;
        let ordinary = json!({});
        admin
            .post("/v1/admin/ssl/ca-cert/generate", &ordinary)
            .await?;
        let tenant = admin.tenant(TENANT, &identity.root).await?;
        Ok(Self {
            replicas: running,
            identity,
            tenant,
            host,
        })
    }

    /// Starts one replica more.
    pub(crate) async fn start(&mut self) -> Result<(), Failure> {
        self.replicas.push(self.host.start().await?);
        self.tenant = self.tenant_at(self.server()?)?;
        Ok(())
    }

    /// Ends all replicas, as an operator does.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        for replica in self.replicas.drain(..) {
            replica.process.terminate()?;
        }
        Ok(())
    }

    /// The first replica.
    pub(crate) fn server(&self) -> Result<&Replica, Failure> {
        Ok(self.replicas.first().ok_or("no replica")?)
    }

    /// The tenant's administrator at this replica.
    pub(crate) fn tenant_at(&self, replica: &Replica) -> Result<Operator, Failure> {
        let base = format!("https://{}", replica.address);
        self.tenant.moved_to(base, &self.identity.root)
    }

    /// The database of all replicas.
    pub(crate) fn database_url(&self) -> &str {
        &self.host.database_url
    }

    /// The first replica, for a client without a certificate.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        Ok(Target {
            address: self.server()?.address,
            tls: Some(client_tls(&self.identity.root, None)?),
        })
    }

    /// Waits until the sealer has nothing left of what was changed before.
    pub(crate) async fn until_sealed(&self) -> Result<(), Failure> {
        let metrics = Prepared::get("/metrics")?;
        let mut connection = Connection::open(&self.server()?.operations()).await?;
        let started = Instant::now();
        loop {
            let answer = connection.send(&metrics).await?.must_be_ok()?;
            let mut lines = answer.body.split(|&byte| byte == b'\n');
            if lines.any(|line| line == b"audit_rows_unsealed 0") {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err("the sealer comes to no end".into());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Where the servers' files are.
    pub(crate) fn folder(&self) -> &Path {
        self.host.folder.path()
    }
}

impl Host {
    fn new(settings: Settings) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let own = || format!("sqlite://{}", folder.path().join("identity.db").display());
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self {
            database_url: settings.database_url.clone().unwrap_or_else(own),
            data_key: format!("load:{}", URL_SAFE_NO_PAD.encode(key)),
            started: 0,
            settings,
            folder,
        })
    }

    /// Starts one more server, and waits until it listens.
    async fn start(&mut self) -> Result<Replica, Failure> {
        self.started += 1;
        let log = format!("server-{}.log", self.started);
        let log = self.folder.path().join(log);
        let mut process = Process::start(&mut self.command(), &log)?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some((address, operations)) = listening(&log)? {
                return Ok(Replica {
                    process,
                    address,
                    operations,
                });
            }
            if process.ended()?.is_some() {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let said = std::fs::read_to_string(&log)?;
        Err(format!("the server does not listen: {said}").into())
    }

    fn command(&self) -> Command {
        let mut command = match self.settings.processor {
            Some(processor) => process::pinned(processor, &self.settings.binary),
            None => Command::new(&self.settings.binary),
        };
        command
            .arg("serve")
            .env("DATABASE_URL", &self.database_url)
            .env("IDENTITY_DATA_ENCRYPTION_KEYS", &self.data_key)
            .env("IDENTITY_LISTEN", "127.0.0.1:0")
            .env("IDENTITY_METRICS_LISTEN", "127.0.0.1:0")
            .env("IDENTITY_RATE_LIMITS", "off")
            .env("IDENTITY_LOG", &self.settings.log)
            .env("IDENTITY_LOG_FORMAT", "json")
            .env("PLATFORM_ADMIN_EMAIL", ADMIN)
            .env("PLATFORM_ADMIN_INITIAL_PASSWORD", FIRST_PASSWORD)
            .current_dir(self.folder.path());
        if let Some(url) = &self.settings.palm_server {
            command.env("BIOWAVE_URL", url);
        }
        command
    }
}

impl Replica {
    /// Its process.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// Metrics and readiness, in plain HTTP.
    pub(crate) fn operations(&self) -> Target {
        Target {
            address: self.operations,
            tls: None,
        }
    }

    /// Waits for its own end.
    async fn ends(mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.process.ended()? {
                return match status.success() {
                    true => Ok(()),
                    false => Err(format!("the server ended badly: {status}").into()),
                };
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err("the server does not end".into())
    }
}

/// Where a server listens, for the API and for metrics, once its log says so.
fn listening(log: &Path) -> Result<Option<(SocketAddr, SocketAddr)>, Failure> {
    let said = std::fs::read_to_string(log)?;
    let events = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_default());
    for event in events {
        let event: Value = event;
        if event["message"] == "listening" {
            let address = |name| event.get(name).and_then(Value::as_str).unwrap_or_default();
            return Ok(Some((
                address("address").parse()?,
                address("metrics").parse()?,
            )));
        }
    }
    Ok(None)
}
