//! Authenticated polls a second, beside a Python service that looks the same up (`fastapi`,
//! `uvicorn`, `asyncpg`).

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use postgres_cluster::{Cluster, Installation};

use crate::Failure;
use crate::connection::{Connection, Prepared, Target};
use crate::fleet;
use crate::keys::{ServerIdentity, client_tls};
use crate::pairings::connections;
use crate::platform::{Platform, Settings, TENANT};
use crate::process::{self, Process, free_address, until_it_listens};
use crate::report::{Bar, Row};
use crate::turn::{Turn, median};

/// The one processor of the servers that are measured, and the one of everything else.
const SERVERS: usize = 0;
const OTHERS: usize = 1;
/// How many devices there are in the peer's `devices.sql`.
const PEERS_DEVICES: usize = 1000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Devices that poll, each over its kept-alive connection.
    #[arg(long, default_value_t = 64)]
    devices: usize,
    /// Polls of one turn; the peer has a tenth of it.
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Turns of each server; they alternate.
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Polls a second, as a multiple of the peer's, that there have to be.
    #[arg(long, default_value_t = 5.0)]
    bar: f64,
    /// The folder of the peer, with `app.py` and `devices.sql`.
    #[arg(long, default_value = "examples/peers/polls")]
    peer: PathBuf,
    /// A Python that has the peer's requirements. Without one there is no peer.
    #[arg(long)]
    python: Option<PathBuf>,
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    process::move_to(OTHERS)?;
    let settings = Settings {
        processor: Some(SERVERS),
        // A line for each poll is no part of either side.
        log: "warn,reference_server::serve=info".to_owned(),
        ..settings
    };
    let binary = settings.binary.clone();
    let platform = Platform::first_run(settings, 1).await?;
    let server = platform.server()?.process();
    let mut own = Vec::with_capacity(options.devices);
    for device in fleet::pair(&platform, options.devices).await? {
        let target = device.target(platform.server()?.address);
        own.push(Connection::open(&target).await?);
    }
    let peer = match &options.python {
        Some(python) => Some(Peer::start(python, &binary, &options).await?),
        None => None,
    };
    let mut others = Vec::new();
    if let Some(peer) = &peer {
        others = connections(&peer.target, options.devices).await?;
    }
    let (mut rates, mut ratios, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.turns {
        let poll = Prepared::get("/v1/challenges/pending")?;
        let ours = Turn::run(&mut own, vec![poll; options.requests], server).await?;
        println!("{:>8}: {ours}", "polls");
        rates.push(ours.rate());
        if let Some(peer) = &peer {
            let polls = Peer::polls(options.requests / 10)?;
            let theirs = Turn::run(&mut others, polls, peer.process.id()).await?;
            println!("{:>8}: {theirs}", "FastAPI");
            ratios.push(ours.rate() / theirs.rate());
            costs.push(theirs.cpu_us() / ours.cpu_us());
        }
    }
    let mut rows = vec![Row::plain(
        "authenticated polls, one core",
        median(rates),
        "/s",
    )];
    if peer.is_some() {
        let what = "authenticated polls a second, of FastAPI's";
        let bar = Bar::AtLeast(options.bar);
        rows.push(Row::measured(what, median(ratios), " ×", bar));
        // Where other programs want the same processor, a server with more threads gets more of it.
        let what = "FastAPI's CPU for a poll, of ours";
        rows.push(Row::measured(what, median(costs), " ×", bar));
    }
    Ok(rows)
}

/// The Python service, with a database of its own.
#[derive(Debug)]
struct Peer {
    process: Process,
    target: Target,
    _database: Cluster,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// Starts it on the server's own schema, with devices in it.
    async fn start(python: &PathBuf, server: &Path, options: &Options) -> Result<Self, Failure> {
        let installation = Installation::first().ok_or("the peer needs PostgreSQL")?;
        let database = Cluster::start(&installation);
        let url = database.url("postgres");
        let mut migrate = Command::new(server);
        migrate.arg("migrate").env("DATABASE_URL", &url);
        if !migrate.status()?.success() {
            return Err("the peer's database has no schema".into());
        }
        let devices = std::fs::read_to_string(options.peer.join("devices.sql"))?;
        database.execute("postgres", &devices);
        let folder = tempfile::tempdir()?;
        let identity = ServerIdentity::generate()?;
        let (certificate, key) = (
            folder.path().join("server.pem"),
            folder.path().join("server.key"),
        );
        std::fs::write(&certificate, &identity.certificate)?;
        std::fs::write(&key, &identity.key)?;
        let address = free_address()?;
        let mut command = process::pinned(SERVERS, python);
        command
            .args([
                "-m",
                "uvicorn",
                "app:app",
                "--no-access-log",
                "--log-level",
                "warning",
                // Its connections lie unused while the other side has its turn.
                "--timeout-keep-alive",
                "600",
            ])
            .args([
                "--host",
                &address.ip().to_string(),
                "--port",
                &address.port().to_string(),
            ])
            .arg("--ssl-certfile")
            .arg(certificate)
            .arg("--ssl-keyfile")
            .arg(key)
            .arg("--app-dir")
            .arg(&options.peer)
            .env("DATABASE_URL", url)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        let mut process = Process::start(&mut command, &folder.path().join("peer.log"))?;
        until_it_listens(&mut process, address).await?;
        let tls = Some(client_tls(&identity.root, None)?);
        Ok(Self {
            process,
            target: Target { address, tls },
            _database: database,
            _folder: folder,
        })
    }

    /// Polls of all its devices in turn.
    fn polls(count: usize) -> Result<Vec<Prepared>, Failure> {
        let poll = |number| {
            let device = format!("dev_{}", number % PEERS_DEVICES + 1);
            Prepared::get("/v1/challenges/pending")?
                .with_header("x-tenant-id", TENANT)?
                .with_header("x-device-id", &device)
        };
        (0..count).map(poll).collect()
    }
}
