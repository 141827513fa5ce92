//! Latency of pairing, poll and completion, with few rows in one database and very many in
//! another, which take turns.

use std::ops::RangeFrom;

use biowave_client::simulator::PalmServer;
use clap::Args;

use crate::Failure;
use crate::connection::{Connection, Prepared};
use crate::fleet;
use crate::platform::{Platform, Settings};
use crate::report::{Bar, Row};
use crate::seed::Seed;
use crate::station::{OPEN_CHALLENGES, Station};
use crate::turn::Turn;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Devices and audit rows in one database.
    #[arg(long, default_values_t = [1_000, 10_000], num_args = 2)]
    few: Vec<u64>,
    /// Devices and audit rows in the other, which `DATABASE_URL` names.
    #[arg(long, default_values_t = [1_000_000, 10_000_000], num_args = 2)]
    many: Vec<u64>,
    /// The empty database for few rows; an embedded one of its own when none is named.
    #[arg(long)]
    beside: Option<String>,
    /// Requests of each kind that are timed on each database.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Turns that the databases take with them.
    #[arg(long, default_value_t = 10)]
    turns: usize,
    /// Devices that send them, each over its kept-alive connection.
    #[arg(long, default_value_t = 4)]
    devices: usize,
    /// How much longer the slowest in a hundred may take with very many rows.
    #[arg(long, default_value_t = 1.3)]
    bar: f64,
}

/// A platform with so many rows.
#[derive(Debug)]
struct Side {
    platform: Platform,
    stations: Vec<Station>,
    pairing: Vec<Turn>,
    poll: Vec<Turn>,
    completion: Vec<Turn>,
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    let palm_server = PalmServer::start().await?;
    let settings = Settings {
        palm_server: Some(palm_server.url().to_string()),
        ..settings
    };
    let beside = Settings {
        database_url: options.beside.clone(),
        ..settings.clone()
    };
    // No palm is like another, and no capture like an earlier one.
    let (mut palms, mut captures) = (0.., 2..);
    let few = Side::set_up(beside, &options.few, options.devices, &mut palms).await?;
    let many = Side::set_up(settings, &options.many, options.devices, &mut palms).await?;
    let mut sides = [few, many];
    let requests = options.requests.div_ceil(options.turns.max(1));
    for turn in 0..=options.turns {
        for side in &mut sides {
            side.take_turn(requests, &mut captures).await?;
            if turn == 0 {
                side.forget();
            }
        }
        sides.reverse();
    }
    if options.turns.is_multiple_of(2) {
        sides.reverse();
    }
    let [few, many] = sides;
    let mut rows = Vec::new();
    for (what, few, many) in [
        ("pairing", few.pairing, many.pairing),
        ("poll", few.poll, many.poll),
        ("completion", few.completion, many.completion),
    ] {
        let (few, many) = (Turn::joined(few), Turn::joined(many));
        println!("{what:>10}, few rows:       {few}");
        println!("{what:>10}, very many rows: {many}");
        let growth = many.latency_ms(0.99) / few.latency_ms(0.99);
        let what = format!("{what}, p99 with very many rows, of that with few");
        rows.push(Row::measured(what, growth, " ×", Bar::AtMost(options.bar)));
    }
    Ok(rows)
}

impl Side {
    async fn set_up(
        settings: Settings,
        rows: &[u64],
        devices: usize,
        palms: &mut RangeFrom<u64>,
    ) -> Result<Self, Failure> {
        let &[seeded_devices, audit_rows] = rows else {
            return Err("two numbers are needed: devices and audit rows".into());
        };
        let mut platform = Platform::first_run(settings, 1).await?;
        let devices = fleet::pair(&platform, devices).await?;
        let mut stations = Vec::new();
        for (device, palm) in devices.into_iter().zip(palms) {
            stations.push(Station::set_up(&platform, device, palm).await?);
        }
        platform.stop()?;
        Seed::Devices.write(platform.database_url(), seeded_devices)?;
        Seed::AuditRows.write(platform.database_url(), audit_rows)?;
        platform.start().await?;
        Ok(Self {
            platform,
            stations,
            pairing: Vec::new(),
            poll: Vec::new(),
            completion: Vec::new(),
        })
    }

    async fn take_turn(
        &mut self,
        requests: usize,
        captures: &mut RangeFrom<u64>,
    ) -> Result<(), Failure> {
        let platform = &self.platform;
        let server = platform.server()?.process();
        let registered = fleet::register(&platform.tenant, requests).await?;
        let pairings = registered.into_iter().map(|it| it.pairing).collect();
        let polls = vec![Prepared::get("/v1/challenges/pending")?; requests];
        let mut connections = self.connections().await?;
        self.poll
            .push(Turn::run(&mut connections, polls, server).await?);
        self.pairing
            .push(Turn::run(&mut connections, pairings, server).await?);
        for _ in 0..requests.div_ceil(self.stations.len() * OPEN_CHALLENGES) {
            let mut own = Vec::new();
            for station in &self.stations {
                own.push(station.completions(&platform.tenant, captures).await?);
            }
            let mut connections = self.connections().await?;
            self.completion
                .push(Turn::run_own(&mut connections, own, server).await?);
        }
        Ok(())
    }

    /// New ones, which the server has not closed because nothing came.
    async fn connections(&self) -> Result<Vec<Connection>, Failure> {
        let mut connections = Vec::new();
        let address = self.platform.server()?.address;
        for station in &self.stations {
            let target = station.device.target(address);
            connections.push(Connection::open(&target).await?);
        }
        Ok(connections)
    }

    /// The first turn fills caches.
    fn forget(&mut self) {
        self.pairing.clear();
        self.poll.clear();
        self.completion.clear();
    }
}
