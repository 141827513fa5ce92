//! Latency of pairing, poll and completion, with few rows in the database and with very many.

use std::ops::RangeFrom;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::{PalmServer, palm_png};
use clap::Args;
use serde_json::{Value, json};

use crate::Failure;
use crate::connection::{Answer, Connection, Prepared, Target};
use crate::fleet::{self, Device};
use crate::operator::{Operator, text};
use crate::platform::{Platform, Settings};
use crate::report::{Bar, Row};
use crate::seed::Seed;
use crate::turn::Turn;

/// As many challenges of one device may be open.
const OPEN_CHALLENGES: usize = 5;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Devices and audit rows at first.
    #[arg(long, default_values_t = [1_000, 10_000], num_args = 2)]
    few: Vec<u64>,
    /// Devices and audit rows that are added then.
    #[arg(long, default_values_t = [1_000_000, 10_000_000], num_args = 2)]
    many: Vec<u64>,
    /// Requests of each kind that are timed.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Devices that send them, each over its kept-alive connection.
    #[arg(long, default_value_t = 4)]
    devices: usize,
    /// How much longer the slowest in a hundred may take with very many rows.
    #[arg(long, default_value_t = 1.3)]
    bar: f64,
}

/// One measurement.
#[derive(Debug)]
struct Latencies {
    pairing: Turn,
    poll: Turn,
    completion: Turn,
}

/// A device with somebody whose palm it sees.
#[derive(Debug)]
struct Station {
    device: Device,
    user: String,
    palm: u64,
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    let palms = PalmServer::start().await?;
    let settings = Settings {
        palm_server: Some(palms.url().to_string()),
        ..settings
    };
    let mut platform = Platform::first_run(settings, 1).await?;
    let devices = fleet::pair(&platform, options.devices).await?;
    let mut stations = Vec::new();
    for (palm, device) in (0..).zip(devices) {
        stations.push(Station::set_up(&platform, device, palm).await?);
    }
    // No capture is like an earlier one.
    let mut captures = 2..;
    let mut measured = Vec::new();
    for rows in [&options.few, &options.many] {
        let &[devices, audit_rows] = rows.as_slice() else {
            return Err("two numbers are needed: devices and audit rows".into());
        };
        platform.stop()?;
        Seed::Devices.write(platform.database_url(), devices)?;
        Seed::AuditRows.write(platform.database_url(), audit_rows)?;
        platform.start().await?;
        // The first requests fill caches.
        measure(
            &platform,
            &stations,
            options.requests / 10 + 1,
            &mut captures,
        )
        .await?;
        let latencies = measure(&platform, &stations, options.requests, &mut captures).await?;
        println!("{devices} devices and {audit_rows} audit rows more:");
        println!("   pairing: {}", latencies.pairing);
        println!("      poll: {}", latencies.poll);
        println!("completion: {}", latencies.completion);
        measured.push(latencies);
    }
    let [few, many] = <[Latencies; 2]>::try_from(measured).map_err(|_| "two measurements")?;
    let row = |what, few: &Turn, many: &Turn| {
        let growth = many.latency_ms(0.99) / few.latency_ms(0.99);
        let what = format!("{what}, p99 with very many rows, of that with few");
        Row::measured(what, growth, " ×", Bar::AtMost(options.bar))
    };
    Ok(vec![
        row("pairing", &few.pairing, &many.pairing),
        row("poll", &few.poll, &many.poll),
        row("completion", &few.completion, &many.completion),
    ])
}

async fn measure(
    platform: &Platform,
    stations: &[Station],
    requests: usize,
    captures: &mut RangeFrom<u64>,
) -> Result<Latencies, Failure> {
    let server = platform.server()?.process();
    let mut connections = Vec::new();
    for station in stations {
        let target = Target {
            tls: Some(station.device.tls.clone()),
            ..platform.target()?
        };
        connections.push(Connection::open(&target).await?);
    }
    let polls = vec![Prepared::get("/v1/challenges/pending")?; requests];
    let poll = Turn::run(&mut connections, polls, server).await?;

    let registered = fleet::register(&platform.tenant, requests).await?;
    let pairings = registered.into_iter().map(|it| it.pairing).collect();
    let pairing = Turn::run(&mut connections, pairings, server).await?;

    let mut completions = Vec::new();
    for _ in 0..requests.div_ceil(stations.len() * OPEN_CHALLENGES) {
        let mut own = Vec::new();
        for station in stations {
            own.push(station.completions(&platform.tenant, captures).await?);
        }
        completions.push(Turn::run_own(&mut connections, own, server).await?);
    }
    Ok(Latencies {
        pairing,
        poll,
        completion: Turn::joined(completions),
    })
}

impl Station {
    /// Makes a user and has the device enrol a palm.
    async fn set_up(platform: &Platform, device: Device, palm: u64) -> Result<Self, Failure> {
        let user = format!("user_{palm}");
        let tenant = &platform.tenant;
        tenant.post("/v1/users", &json!({"user_id": user})).await?;
        let consent = json!({
            "user_id": user, "consent_type": "palm_biometric", "version": "1",
            "purposes": ["verification"], "granted": true, "method": "signature",
        });
        tenant.post("/v1/consent", &consent).await?;
        let enrolment = json!({"user_id": user, "device_id": device.device_id, "type": "right"});
        let made = tenant.post("/v1/enroll", &enrolment).await?;
        let station = Self { device, user, palm };
        let target = Target {
            tls: Some(station.device.tls.clone()),
            ..platform.target()?
        };
        let mut connection = Connection::open(&target).await?;
        let enrolment = station.completion(&made, 0)?;
        must_end(connection.send(&enrolment).await?, "enrolled")?;
        let verification = station.verification(tenant, 1).await?;
        must_end(connection.send(&verification).await?, "completed")?;
        Ok(station)
    }

    /// Makes as many challenges as may be open, and gives what completes them.
    async fn completions(
        &self,
        tenant: &Operator,
        captures: &mut RangeFrom<u64>,
    ) -> Result<Vec<Prepared>, Failure> {
        let mut completions = Vec::new();
        for _ in 0..OPEN_CHALLENGES {
            let capture = captures.next().ok_or("too many captures")?;
            completions.push(self.verification(tenant, capture).await?);
        }
        Ok(completions)
    }

    /// Makes a challenge, and gives what completes it.
    async fn verification(&self, tenant: &Operator, capture: u64) -> Result<Prepared, Failure> {
        let verification = json!({
            "user_id": self.user, "device_id": self.device.device_id, "context": "load",
        });
        let made = tenant.post("/v1/verify", &verification).await?;
        self.completion(&made, capture)
    }

    fn completion(&self, challenge: &Value, capture: u64) -> Result<Prepared, Failure> {
        let image = |palm| STANDARD.encode(palm_png(palm, capture));
        let id = text(challenge, "/challenge_id")?;
        let body = json!({"palm_template": {
            "type": "right", "image_rgb": image(self.palm), "image_ir": image(!self.palm),
        }});
        Prepared::post(&format!("/v1/challenges/{id}/complete"), &body)
    }
}

/// Goes on if a completion ended so.
fn must_end(answer: Answer, status: &str) -> Result<(), Failure> {
    let answer: Value = serde_json::from_slice(&answer.must_be_ok()?.body)?;
    if text(&answer, "/status")? == status {
        return Ok(());
    }
    Err(format!("a completion was to be {status}: {answer}").into())
}
