use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use identity_pki::DeviceIdentity;

use crate::http::{ErrorCode, Problem};

/// How many captures one device may have on their way at once: a body of 8 MiB each, and what is
/// decoded of it. A scanner sends one at a time.
const MAX_AT_ONCE: usize = 8;
/// When a device that has too many is to come again.
const PAUSE: Duration = Duration::from_secs(1);

/// How many captures of each device are being read and decided on, so that no device fills the
/// memory.
#[derive(Debug, Clone, Default)]
pub struct CaptureSlots(Arc<Mutex<HashMap<DeviceIdentity, usize>>>);

/// The place of one capture; dropping it gives it back.
#[derive(Debug)]
pub(super) struct CaptureSlot {
    slots: CaptureSlots,
    device: DeviceIdentity,
}

impl CaptureSlots {
    /// A place for a capture of `device`, before its body is read.
    ///
    /// # Errors
    ///
    /// 429 `rate_limited` when the device has none left.
    pub(super) fn take(&self, device: &DeviceIdentity) -> Result<CaptureSlot, Problem> {
        let mut taken = self.taken();
        let count = taken.entry(device.clone()).or_default();
        if *count >= MAX_AT_ONCE {
            let detail = "The device sends too many captures at once.";
            return Err(Problem::new(ErrorCode::RateLimited, detail).retry_after(PAUSE));
        }
        *count += 1;
        Ok(CaptureSlot {
            slots: self.clone(),
            device: device.clone(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<DeviceIdentity, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CaptureSlot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        if let Some(count) = taken.get_mut(&self.device) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use identity_pki::{DeviceId, TenantId};

    use super::*;

    fn device(id: &str) -> DeviceIdentity {
        DeviceIdentity::new(TenantId::new("acme").unwrap(), DeviceId::new(id).unwrap())
    }

    #[test]
    fn a_device_cannot_fill_the_memory_with_captures() {
        let slots = CaptureSlots::default();
        let mut held: Vec<_> = (0..MAX_AT_ONCE)
            .map(|_| slots.take(&device("dev_1")).unwrap())
            .collect();
        let refused = slots.take(&device("dev_1")).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        drop(slots.take(&device("dev_2")).unwrap());
        held.pop();
        assert!(slots.take(&device("dev_1")).is_ok(), "one was given back");
        drop(held);
        assert!(slots.taken().is_empty(), "nothing is remembered");
    }
}
