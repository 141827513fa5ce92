//! How soon a poll that waits is answered once its challenge is created, at this replica and others.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use crate::Failure;
use crate::connection::{Connection, Prepared};
use crate::fleet::{self, Device};
use crate::operator::{Operator, text};
use crate::platform::{Platform, Settings};
use crate::report::{Bar, Row};
use crate::station::person;
use crate::turn::percentile;

/// How long a poll has to reach its server before its challenge is created.
const HEAD_START: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Devices that wait at once.
    #[arg(long, default_value_t = 20)]
    devices: usize,
    /// Challenges that each of them gets, one after the other.
    #[arg(long, default_value_t = 50)]
    challenges: usize,
    /// Servers that share the database: devices wait at one, and challenges are created at the next.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Milliseconds that the slowest in a hundred may take.
    #[arg(long, default_value_t = 20.0)]
    bar: f64,
}

/// When one challenge was created, and when its device had it.
#[derive(Debug)]
struct Wake {
    asked: Instant,
    created: Instant,
    woken: Instant,
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    if options.replicas > 1 && settings.database_url.is_none() {
        return Err("an embedded database has one server: name one with DATABASE_URL".into());
    }
    let platform = Platform::first_run(settings, options.replicas).await?;
    let devices = fleet::pair(&platform, options.devices).await?;
    let mut work = JoinSet::new();
    let replicas = &platform.replicas;
    let next = replicas.iter().cycle().skip(1);
    let pairs = replicas.iter().cycle().zip(next);
    for (device, (waits_at, created_at)) in devices.into_iter().zip(pairs) {
        let user = format!("user_of_{}", device.device_id);
        person(&platform.tenant, &user).await?;
        let connection = Connection::open(&device.target(waits_at.address)).await?;
        let creator = platform.tenant_at(created_at)?;
        work.spawn(wakes(connection, creator, device, user, options.challenges));
    }
    let mut wakes = Vec::new();
    while let Some(done) = work.join_next().await {
        wakes.extend(done??);
    }
    let sorted = |time: fn(&Wake) -> Duration| {
        let mut times: Vec<_> = wakes.iter().map(time).collect();
        times.sort_unstable();
        times
    };
    let ms = |times: &[Duration], part| percentile(times, part).as_secs_f64() * 1e3;
    let after = sorted(|wake| wake.woken.saturating_duration_since(wake.created));
    let whole = sorted(|wake| wake.woken.saturating_duration_since(wake.asked));
    let what = format!(
        "{} polls that wait, {} replicas",
        wakes.len(),
        replicas.len()
    );
    let bar = Bar::AtMost(options.bar);
    Ok(vec![
        Row::plain(
            format!("{what}: from the wish for a challenge to the device, median"),
            ms(&whole, 0.5),
            " ms",
        ),
        Row::measured(
            format!("{what}: from the challenge's creation to the device, p99"),
            ms(&after, 0.99),
            " ms",
            bar,
        ),
    ])
}

/// The wakes of one device.
async fn wakes(
    mut connection: Connection,
    creator: Operator,
    device: Device,
    user: String,
    challenges: usize,
) -> Result<Vec<Wake>, Failure> {
    let poll = Prepared::get("/v1/challenges/pending?wait=25")?;
    let wish = json!({"user_id": user, "device_id": device.device_id, "type": "left"});
    let mut wakes = Vec::new();
    for _ in 0..challenges {
        let wait = async {
            let answer = connection.send(&poll).await?.must_be_ok()?;
            let woken = Instant::now();
            let answer: serde_json::Value = serde_json::from_slice(&answer.body)?;
            let challenge = text(&answer, "/challenges/0/challenge_id")?;
            Ok::<_, Failure>((challenge, woken))
        };
        let create = async {
            tokio::time::sleep(HEAD_START).await;
            let asked = Instant::now();
            let made = creator.post("/v1/enroll", &wish).await?;
            Ok::<_, Failure>((text(&made, "/challenge_id")?, asked, Instant::now()))
        };
        let ((seen, woken), (made, asked, created)) = tokio::try_join!(wait, create)?;
        if seen != made {
            return Err(format!("{made} was created, and {seen} came").into());
        }
        let path = format!("/v1/challenges/{made}/cancel");
        creator.post(&path, &json!({})).await?;
        wakes.push(Wake {
            asked,
            created,
            woken,
        });
    }
    Ok(wakes)
}
