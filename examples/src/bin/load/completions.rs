//! What a completion adds to the palm server's own time, at a rate of so many a second.

use std::ops::RangeFrom;
use std::time::{Duration, Instant};

use biowave_client::simulator::{PalmServer, palm_sample};
use biowave_client::{BioWaveClient, PalmType};
use clap::Args;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::Failure;
use crate::connection::{Connection, Prepared};
use crate::fleet;
use crate::platform::{Platform, Settings};
use crate::process::cpu_time;
use crate::report::{Bar, Row};
use crate::station::{OPEN_CHALLENGES, Station, must_end};
use crate::turn::percentile;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Completions a second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Devices that send them, each over its kept-alive connection, five in a turn.
    #[arg(long, default_value_t = 200)]
    devices: usize,
    /// People whose palms they see.
    #[arg(long, default_value_t = 20)]
    people: usize,
    /// Turns of completions, and of calls that ask the palm server alone.
    #[arg(long, default_value_t = 6)]
    turns: usize,
    /// Milliseconds that the median may be beyond that of the palm server alone.
    #[arg(long, default_value_t = 2.0)]
    median: f64,
    /// The same of the slowest in a hundred.
    #[arg(long, default_value_t = 5.0)]
    p99: f64,
}

/// When the requests of one client are due.
#[derive(Debug)]
struct Pace {
    due: Instant,
    every: Duration,
}

impl Pace {
    /// Waits until the next request is due. Its time counts from then on, or, if the one before took
    /// until later, from when it was due.
    async fn next(&mut self) -> Instant {
        let due = self.due;
        self.due += self.every;
        if Instant::now() >= due {
            return due;
        }
        tokio::time::sleep_until(due.into()).await;
        Instant::now()
    }

    /// Paces of so many clients that together make `rate` requests a second.
    fn shared(clients: usize, rate: f64) -> impl Iterator<Item = Self> {
        let apart = Duration::from_secs_f64(1.0 / rate);
        let every = apart.mul_f64(clients as f64);
        // Connections and tasks are made before the first request is due.
        let begin = Instant::now() + Duration::from_millis(100);
        (0..clients).map(move |client| Self {
            due: begin + apart.mul_f64(client as f64),
            every,
        })
    }
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    let palm_server = PalmServer::start().await?;
    let settings = Settings {
        palm_server: Some(palm_server.url().to_string()),
        ..settings
    };
    let alone = BioWaveClient::builder(palm_server.url()).build()?;
    let platform = Platform::first_run(settings, 1).await?;
    let server = platform.server()?.process();
    let stations = stations(&platform, &options).await?;
    // No capture is like an earlier one.
    let mut captures = 2..;
    let (mut completions, mut queries, mut cpu) = (Vec::new(), Vec::new(), Duration::ZERO);
    for turn in 0..=options.turns {
        let before = palm_server_alone(&alone, &stations, &options, &mut captures).await?;
        let requests = requests(&platform, &stations, &mut captures).await?;
        let used = cpu_time(server)?;
        let took = complete(requests, options.rate).await?;
        // The first turn fills caches.
        if turn > 0 {
            cpu += cpu_time(server)?.saturating_sub(used);
            completions.extend(took);
            queries.extend(before);
        }
    }
    completions.sort_unstable();
    queries.sort_unstable();
    let cpu = cpu.as_secs_f64() * 1e6 / completions.len() as f64;
    let what = format!("completions, {} a second", options.rate);
    let mut rows = vec![Row::plain(
        format!("{what}: the server's CPU for each"),
        cpu,
        " µs",
    )];
    for (name, part, bar) in [("median", 0.5, options.median), ("p99", 0.99, options.p99)] {
        let ms = |times| percentile(times, part).as_secs_f64() * 1e3;
        let (whole, theirs) = (ms(&completions), ms(&queries));
        println!("{name:>6}: {whole:.2} ms, the palm server alone {theirs:.2} ms");
        let what = format!("{what}: {name}, beyond the palm server's own time");
        rows.push(Row::measured(what, whole - theirs, " ms", Bar::AtMost(bar)));
    }
    Ok(rows)
}

/// Devices, which share the people.
async fn stations(platform: &Platform, options: &Options) -> Result<Vec<Station>, Failure> {
    let mut stations: Vec<Station> = Vec::new();
    let people = options.people.max(1);
    for (device, palm) in fleet::pair(platform, options.devices)
        .await?
        .into_iter()
        .zip(0..)
    {
        let station = match stations
            .get(stations.len() % people)
            .filter(|_| stations.len() >= people)
        {
            Some(known) => known.with(device),
            None => Station::set_up(platform, device, palm).await?,
        };
        stations.push(station);
    }
    Ok(stations)
}

/// Asks the palm server itself as often as the server would.
async fn palm_server_alone(
    client: &BioWaveClient,
    stations: &[Station],
    options: &Options,
    captures: &mut RangeFrom<u64>,
) -> Result<Vec<Duration>, Failure> {
    let mut work = JoinSet::new();
    for (station, mut pace) in stations
        .iter()
        .zip(Pace::shared(stations.len(), options.rate))
    {
        let samples: Vec<_> = captures
            .take(OPEN_CHALLENGES)
            .map(|capture| {
                (
                    Uuid::from_u128(capture.into()),
                    palm_sample(station.palm, capture),
                )
            })
            .collect();
        let client = client.clone();
        work.spawn(async move {
            let mut took = Vec::new();
            for (request_id, sample) in samples {
                let since = pace.next().await;
                client.query(request_id, &sample, PalmType::Right).await?;
                took.push(since.elapsed());
            }
            Ok(took)
        });
    }
    all(work).await
}

/// What completes five challenges of each device, and the connections to send it over.
async fn requests(
    platform: &Platform,
    stations: &[Station],
    captures: &mut RangeFrom<u64>,
) -> Result<Vec<(Connection, Vec<Prepared>)>, Failure> {
    let mut requests = Vec::new();
    for station in stations {
        requests.push(station.completions(&platform.tenant, captures).await?);
    }
    let mut own = Vec::new();
    let address = platform.server()?.address;
    for (station, requests) in stations.iter().zip(requests) {
        let connection = Connection::open(&station.device.target(address)).await?;
        own.push((connection, requests));
    }
    platform.until_sealed().await?;
    Ok(own)
}

async fn complete(
    own: Vec<(Connection, Vec<Prepared>)>,
    rate: f64,
) -> Result<Vec<Duration>, Failure> {
    let mut work = JoinSet::new();
    let paces = Pace::shared(own.len(), rate);
    for ((mut connection, requests), mut pace) in own.into_iter().zip(paces) {
        work.spawn(async move {
            let mut took = Vec::new();
            for request in requests {
                let since = pace.next().await;
                let answer = connection.send(&request).await?;
                took.push(since.elapsed());
                must_end(answer, "completed")?;
            }
            Ok(took)
        });
    }
    all(work).await
}

async fn all(mut work: JoinSet<Result<Vec<Duration>, Failure>>) -> Result<Vec<Duration>, Failure> {
    let mut all = Vec::new();
    while let Some(done) = work.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}
