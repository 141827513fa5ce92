use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use identity_pki::TbsSha256;
use tokio::time::Instant;

/// The least time between two polls of one device (contract §14).
const PACE: Duration = Duration::from_millis(500);
/// How many devices are remembered before those that polled long ago are forgotten.
const SWEEP_AT: usize = 4096;

/// When each device may poll again, told by its certificate: whoever has another one with a device's name
/// takes none of its polls. A poll that waits and comes too early waits for that as well, so that
/// the database is read no more often for it.
#[derive(Debug)]
pub struct PollPace {
    on: bool,
    next: Mutex<HashMap<TbsSha256, Instant>>,
}

impl PollPace {
    /// The contract's pace, or none at all, for benchmarks.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self {
            on,
            next: Mutex::default(),
        }
    }

    /// Counts a poll with `certificate`.
    ///
    /// # Errors
    ///
    /// How long the device has to wait when it comes too early; the poll does not count then.
    pub fn take(&self, certificate: TbsSha256) -> Result<(), Duration> {
        if !self.on {
            return Ok(());
        }
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(early) = next
            .get(&certificate)
            .and_then(|next| next.checked_duration_since(now))
            && !early.is_zero()
        {
            return Err(early);
        }
        if next.len() >= SWEEP_AT {
            next.retain(|_, next| *next > now);
        }
        next.insert(certificate, now + PACE);
        Ok(())
    }

    /// Counts a poll with `certificate` that has `at_most` this long, as soon as its time has come.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take), when that is later, or other polls with it were there first.
    pub async fn take_within(
        &self,
        certificate: TbsSha256,
        at_most: Duration,
    ) -> Result<(), Duration> {
        match self.take(certificate) {
            Err(early) if early <= at_most => {
                tokio::time::sleep(early).await;
                self.take(certificate)
            }
            taken => taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(n: usize) -> TbsSha256 {
        let mut hash = [0; 32];
        hash[..size_of::<usize>()].copy_from_slice(&n.to_be_bytes());
        TbsSha256::from_bytes(hash)
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_polls_twice_a_second_at_most() {
        let pace = PollPace::new(true);
        assert_eq!(pace.take(certificate(1)), Ok(()));
        assert_eq!(
            pace.take(certificate(2)),
            Ok(()),
            "each certificate has its own pace"
        );
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.take(certificate(1)), Err(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(
            pace.take(certificate(1)),
            Ok(()),
            "what came too early does not count"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn polls_that_wait_come_no_more_often() {
        let pace = PollPace::new(true);
        let poll = async |ms| {
            pace.take_within(certificate(1), Duration::from_millis(ms))
                .await
        };
        let started = Instant::now();
        assert_eq!(poll(1000).await, Ok(()));
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(poll(400).await, Err(PACE), "it has less time than that");
        let (one, other) = tokio::join!(poll(1000), poll(1000));
        assert!(started.elapsed() >= PACE);
        assert_ne!(one, other, "one at a time");
    }

    #[tokio::test(start_paused = true)]
    async fn devices_that_polled_long_ago_are_forgotten() {
        let pace = PollPace::new(true);
        for n in 0..SWEEP_AT {
            assert_eq!(pace.take(certificate(n)), Ok(()));
        }
        tokio::time::advance(PACE).await;
        assert_eq!(pace.take(certificate(SWEEP_AT)), Ok(()));
        assert_eq!(pace.next.lock().unwrap().len(), 1);
    }

    #[test]
    fn without_limits_nobody_waits() {
        let pace = PollPace::new(false);
        assert_eq!(pace.take(certificate(1)), Ok(()));
        assert_eq!(pace.take(certificate(1)), Ok(()));
    }
}
