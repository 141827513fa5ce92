use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use identity_pki::DeviceIdentity;
use tokio::time::Instant;

/// The least time between two polls of one device (contract §14).
const PACE: Duration = Duration::from_millis(500);
/// How many devices are remembered before those that polled long ago are forgotten.
const SWEEP_AT: usize = 4096;

/// When each device may poll again. Only polls that do not wait are counted: one that waits spends
/// its time here.
#[derive(Debug)]
pub struct PollPace {
    on: bool,
    next: Mutex<HashMap<DeviceIdentity, Instant>>,
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

    /// Counts a poll of `device`.
    ///
    /// # Errors
    ///
    /// How long the device has to wait when it comes too early; the poll does not count then.
    pub fn take(&self, device: &DeviceIdentity) -> Result<(), Duration> {
        if !self.on {
            return Ok(());
        }
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(early) = next
            .get(device)
            .and_then(|next| next.checked_duration_since(now))
            && !early.is_zero()
        {
            return Err(early);
        }
        if next.len() >= SWEEP_AT {
            next.retain(|_, next| *next > now);
        }
        next.insert(device.clone(), now + PACE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use identity_pki::{DeviceId, TenantId};

    use super::*;

    fn device(id: &str) -> DeviceIdentity {
        DeviceIdentity::new(TenantId::new("acme").unwrap(), DeviceId::new(id).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_polls_twice_a_second_at_most() {
        let pace = PollPace::new(true);
        assert_eq!(pace.take(&device("dev_1")), Ok(()));
        assert_eq!(
            pace.take(&device("dev_2")),
            Ok(()),
            "each device has its own pace"
        );
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(pace.take(&device("dev_1")), Err(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(
            pace.take(&device("dev_1")),
            Ok(()),
            "what came too early does not count"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn devices_that_polled_long_ago_are_forgotten() {
        let pace = PollPace::new(true);
        for n in 0..SWEEP_AT {
            assert_eq!(pace.take(&device(&format!("dev_{n}"))), Ok(()));
        }
        tokio::time::advance(PACE).await;
        assert_eq!(pace.take(&device("dev_late")), Ok(()));
        assert_eq!(pace.next.lock().unwrap().len(), 1);
    }

    #[test]
    fn without_limits_nobody_waits() {
        let pace = PollPace::new(false);
        assert_eq!(pace.take(&device("dev_1")), Ok(()));
        assert_eq!(pace.take(&device("dev_1")), Ok(()));
    }
}
