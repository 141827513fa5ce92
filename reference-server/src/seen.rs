//! When devices were last seen, noted in memory and written in batches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use identity_pki::DeviceIdentity;
use time::OffsetDateTime;

/// The devices that were seen since the last [`take`](Self::take).
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<DeviceIdentity, OffsetDateTime>>);

impl Seen {
    /// Notes that a device made a request.
    pub fn note(&self, device: DeviceIdentity, now: OffsetDateTime) {
        self.devices().insert(device, now);
    }

    /// What was noted, to be written to the store.
    #[must_use]
    pub fn take(&self) -> Vec<(DeviceIdentity, OffsetDateTime)> {
        std::mem::take(&mut *self.devices()).into_iter().collect()
    }

    fn devices(&self) -> std::sync::MutexGuard<'_, HashMap<DeviceIdentity, OffsetDateTime>> {
        // A map of plain values: whoever panicked with the lock left a whole one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use identity_pki::{DeviceId, TenantId};

    use super::*;

    #[test]
    fn each_device_is_written_once_with_its_latest_moment() {
        let device = DeviceIdentity::new(
            TenantId::new("acme").expect("tenant"),
            DeviceId::new("dev_1").expect("device"),
        );
        let seen = Seen::default();
        let later = OffsetDateTime::UNIX_EPOCH + time::Duration::SECOND;
        seen.note(device.clone(), OffsetDateTime::UNIX_EPOCH);
        seen.note(device.clone(), later);
        assert_eq!(seen.take(), [(device, later)]);
        assert!(seen.take().is_empty());
    }
}
