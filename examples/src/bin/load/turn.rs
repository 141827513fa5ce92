//! A turn: many requests over many connections, one at a time on each.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::connection::{Connection, Prepared};
use crate::process;

/// What a server did in one turn, and how long it took.
#[derive(Debug)]
pub(crate) struct Turn {
    time: Duration,
    /// What the server's process used of all processors.
    cpu: Duration,
    /// From a request to its answer, in ascending order.
    latencies: Vec<Duration>,
}

impl Turn {
    /// Sends all `requests`, each over the connection that is free first, to the server that runs as
    /// process `server`. Every answer has to be 200.
    pub(crate) async fn run(
        connections: &mut Vec<Connection>,
        requests: Vec<Prepared>,
        server: u32,
    ) -> Result<Self, Failure> {
        let shared = Queue::of(requests);
        let queues = connections.iter().map(|_| shared.clone()).collect();
        Self::run_queues(connections, queues, server).await
    }

    /// The same, with requests of its own for each connection.
    pub(crate) async fn run_own(
        connections: &mut Vec<Connection>,
        requests: Vec<Vec<Prepared>>,
        server: u32,
    ) -> Result<Self, Failure> {
        let queues = requests.into_iter().map(Queue::of).collect();
        Self::run_queues(connections, queues, server).await
    }

    async fn run_queues(
        connections: &mut Vec<Connection>,
        queues: Vec<Queue>,
        server: u32,
    ) -> Result<Self, Failure> {
        let (started, before) = (Instant::now(), process::cpu_time(server)?);
        let work = connections.drain(..).zip(queues);
        let clients: Vec<_> = work.map(|own| tokio::spawn(client(own))).collect();
        let mut latencies = Vec::new();
        for ended in clients {
            let (connection, own) = ended.await??;
            connections.push(connection);
            latencies.extend(own);
        }
        let (time, cpu) = (started.elapsed(), process::cpu_time(server)?);
        latencies.sort_unstable();
        Ok(Self {
            time,
            cpu: cpu.saturating_sub(before),
            latencies,
        })
    }

    /// All of it as one turn.
    pub(crate) fn joined(turns: Vec<Self>) -> Self {
        let mut joined = Self {
            time: turns.iter().map(|turn| turn.time).sum(),
            cpu: turns.iter().map(|turn| turn.cpu).sum(),
            latencies: turns.into_iter().flat_map(|turn| turn.latencies).collect(),
        };
        joined.latencies.sort_unstable();
        joined
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// The server's processor time for each request, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.len() as f64
    }

    /// The time within which this part of the requests was answered, in milliseconds.
    pub(crate) fn latency_ms(&self, part: f64) -> f64 {
        percentile(&self.latencies, part).as_secs_f64() * 1e3
    }
}

/// Requests that are sent once each, by whoever is first.
#[derive(Debug, Clone)]
struct Queue {
    requests: Arc<Vec<Prepared>>,
    next: Arc<AtomicUsize>,
}

impl Queue {
    fn of(requests: Vec<Prepared>) -> Self {
        Self {
            requests: Arc::new(requests),
            next: Arc::default(),
        }
    }

    fn take(&self) -> Option<&Prepared> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.requests.get(next)
    }
}

async fn client(
    (mut connection, queue): (Connection, Queue),
) -> Result<(Connection, Vec<Duration>), Failure> {
    let mut latencies = Vec::new();
    while let Some(request) = queue.take() {
        let sent = Instant::now();
        connection.send(request).await?.must_be_ok()?;
        latencies.push(sent.elapsed());
    }
    Ok((connection, latencies))
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:7.0}/s, {:5.0} µs of the server's CPU each, p50 {:.2} ms, p99 {:.2} ms",
            self.rate(),
            self.cpu_us(),
            self.latency_ms(0.5),
            self.latency_ms(0.99),
        )
    }
}

/// The value that this part of `sorted` does not exceed; nothing of nothing.
pub(crate) fn percentile(sorted: &[Duration], part: f64) -> Duration {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .or(sorted.last())
        .copied()
        .unwrap_or_default()
}

/// The middle one of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let hundred: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&hundred, 0.5), Duration::from_millis(50));
        assert_eq!(percentile(&hundred, 0.99), Duration::from_millis(99));
        assert_eq!(percentile(&hundred, 1.0), Duration::from_millis(100));
        assert_eq!(percentile(&hundred[..1], 0.0), Duration::from_millis(1));
        assert_eq!(percentile(&[], 0.5), Duration::ZERO);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
