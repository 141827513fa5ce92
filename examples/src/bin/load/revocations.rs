//! Revocations, one after the other: what still succeeds after the answer, and how soon the device is
//! refused in the handshake and its connections are closed, on every replica.

use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinSet;

use crate::Failure;
use crate::connection::{Connection, Prepared, Target};
use crate::fleet::{self, Device};
use crate::operator::Operator;
use crate::platform::{Platform, Settings};
use crate::report::{Bar, Row};
use crate::turn::percentile;

/// A replica that takes longer than this has not heard of the revocation at all.
const PATIENCE: Duration = Duration::from_secs(30);

/// From here on replicas are not told what others changed.
const SILENCE: &str = "
    CREATE OR REPLACE FUNCTION silence.pg_notify(channel TEXT, payload TEXT) RETURNS VOID
    LANGUAGE sql AS ''";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Devices, which are revoked one after the other.
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// Replicas; more than one need PostgreSQL.
    #[arg(long, default_value_t = 1)]
    replicas: usize,
    /// Devices that are paired and connected ahead of their revocation.
    #[arg(long, default_value_t = 500)]
    ahead: usize,
    /// Replicas are not told what others changed: no notification of the database goes out.
    #[arg(long)]
    deaf: bool,
    /// Within this time the device is refused everywhere, in milliseconds: of 99 in 100.
    #[arg(long, default_value_t = 200.0)]
    p99: f64,
    /// And in the worst case.
    #[arg(long, default_value_t = 1000.0)]
    worst: f64,
}

/// What one replica did after the answer.
#[derive(Debug)]
struct Seen {
    /// How many requests that began after the answer succeeded.
    succeeded: usize,
    /// From the answer to the first handshake that is refused, and to the end of the connection that
    /// the device kept alive.
    refused: Duration,
    closed: Duration,
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    let deafened = settings.database_url.clone().filter(|_| options.deaf);
    if options.deaf && deafened.is_none() {
        return Err("an embedded database has no notifications".into());
    }
    if let Some(database) = &deafened {
        postgres_cluster::execute(database, include_str!("silence.sql"));
    }
    let platform = Platform::first_run(settings, options.replicas).await?;
    if let Some(database) = &deafened {
        postgres_cluster::execute(database, SILENCE);
    }
    // The replicas revoke in turn.
    let administrators: Result<Vec<_>, Failure> = platform
        .replicas
        .iter()
        .map(|replica| platform.tenant_at(replica))
        .collect();
    let administrators = administrators?;
    let mut turns = administrators.iter().cycle();
    let mut seen = Vec::new();
    let mut left = options.devices;
    while left > 0 {
        let batch = left.min(options.ahead.max(1));
        left -= batch;
        for device in fleet::pair(&platform, batch).await? {
            let administrator = turns.next().ok_or("no replica")?;
            seen.extend(revoke(&platform, administrator, device).await?);
        }
    }
    let succeeded: usize = seen.iter().map(|seen| seen.succeeded).sum();
    let refused = sorted(seen.iter().map(|seen| seen.refused));
    let closed = sorted(seen.iter().map(|seen| seen.closed));
    let what = format!(
        "{} revocations, {} replicas{}",
        options.devices,
        options.replicas,
        if options.deaf { ", deaf" } else { "" }
    );
    let mut rows = vec![Row::measured(
        format!("{what}: later requests that succeeded"),
        succeeded as f64,
        "",
        Bar::AtMost(0.0),
    )];
    for (until, times) in [
        ("refused handshake", refused),
        ("closed connection", closed),
    ] {
        for (part, name, bar) in [(0.99, "p99", options.p99), (1.0, "worst", options.worst)] {
            let what = format!("{what}: answer to {until}, {name}");
            let time = percentile(&times, part).as_secs_f64() * 1e3;
            rows.push(Row::measured(what, time, " ms", Bar::AtMost(bar)));
        }
    }
    Ok(rows)
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort_unstable();
    times
}

/// Connects a device to every replica, has one of them revoke it, and watches all.
async fn revoke(
    platform: &Platform,
    administrator: &Operator,
    device: Device,
) -> Result<Vec<Seen>, Failure> {
    let poll = Prepared::get("/v1/challenges/pending")?;
    let mut kept = Vec::with_capacity(platform.replicas.len());
    for replica in &platform.replicas {
        let target = device.target(replica.address);
        let mut connection = Connection::open(&target).await?;
        connection.send(&poll).await?.must_be_ok()?;
        kept.push((target, connection));
    }
    let path = format!("/v1/devices/{}", device.device_id);
    administrator.delete(&path).await?;
    let answered = Instant::now();
    let mut watches = JoinSet::new();
    for (target, connection) in kept {
        watches.spawn(watch(target, connection, poll.clone(), answered));
    }
    let mut seen = Vec::new();
    while let Some(ended) = watches.join_next().await {
        seen.push(ended??);
    }
    Ok(seen)
}

/// Watches one replica from the answer on.
async fn watch(
    target: Target,
    mut kept: Connection,
    poll: Prepared,
    answered: Instant,
) -> Result<Seen, Failure> {
    let old = async {
        // A connection that was closed before it could be used is as good as an answer that refuses.
        let is_served = kept
            .send(&poll)
            .await
            .is_ok_and(|answer| answer.must_be_ok().is_ok());
        tokio::time::timeout(PATIENCE, kept.closed())
            .await
            .map_err(|_| "a connection stays open")?;
        Ok((usize::from(is_served), answered.elapsed()))
    };
    let (old, new): (Result<_, Failure>, Result<_, Failure>) =
        tokio::join!(old, until_refused(&target, &poll, answered));
    let ((served_old, closed), (served_new, refused)) = (old?, new?);
    Ok(Seen {
        succeeded: served_old + served_new,
        refused,
        closed,
    })
}

/// Connects anew until the handshake is refused: how many requests succeeded meanwhile, and how long
/// that was after the answer.
async fn until_refused(
    target: &Target,
    poll: &Prepared,
    answered: Instant,
) -> Result<(usize, Duration), Failure> {
    let mut succeeded = 0;
    let mut last = None;
    while answered.elapsed() < PATIENCE {
        let answer = match Connection::open(target).await {
            Ok(mut connection) => connection.send(poll).await,
            Err(refused) => Err(refused),
        };
        match answer {
            Ok(answer) => succeeded += usize::from(answer.must_be_ok().is_ok()),
            Err(refused) if examples::is_alert(&*refused) => {
                return Ok((succeeded, answered.elapsed()));
            }
            // Let in before the replica heard of the revocation, and closed when it did.
            Err(closed) => last = Some(closed),
        }
    }
    let last = last.map_or_else(String::new, |last| {
        format!("; the last to fail said: {last}")
    });
    Err(format!("a revoked device still gets through the handshake{last}").into())
}
