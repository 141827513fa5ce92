use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use identity_pki::TbsSha256;
use tokio_util::sync::CancellationToken;

/// How many streams one device may have open. One is what it needs; others may be left from connections
/// that were lost and not yet missed.
const MOST: usize = 4;

/// The streams that devices have open, told by their certificates. One too many is opened, and ends the
/// oldest: a device whose connections get lost is not kept waiting by them.
#[derive(Debug, Clone, Default)]
pub struct StreamPlaces(Arc<Mutex<HashMap<TbsSha256, VecDeque<Place>>>>);

#[derive(Debug)]
struct Place {
    number: u64,
    taken: CancellationToken,
}

/// The place of one stream; dropping it gives it back.
#[derive(Debug)]
pub(super) struct StreamPlace {
    places: StreamPlaces,
    certificate: TbsSha256,
    number: u64,
    taken: CancellationToken,
}

impl StreamPlaces {
    /// A place for a stream of the device that holds `certificate`.
    pub(super) fn open(&self, certificate: TbsSha256) -> StreamPlace {
        let taken = CancellationToken::new();
        let mut places = self.lock();
        let open = places.entry(certificate).or_default();
        let number = open.back().map_or(0, |last| last.number + 1);
        if open.len() >= MOST
            && let Some(oldest) = open.pop_front()
        {
            oldest.taken.cancel();
        }
        open.push_back(Place {
            number,
            taken: taken.clone(),
        });
        StreamPlace {
            places: self.clone(),
            certificate,
            number,
            taken,
        }
    }

    /// How many streams are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().values().map(VecDeque::len).sum()
    }

    /// Whether no stream is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TbsSha256, VecDeque<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StreamPlace {
    /// Resolves when another stream has taken the place.
    pub(super) async fn taken(&self) {
        self.taken.cancelled().await;
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut places = self.places.lock();
        if let Some(open) = places.get_mut(&self.certificate) {
            open.retain(|place| place.number != self.number);
            if open.is_empty() {
                places.remove(&self.certificate);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_too_many_ends_the_oldest_of_its_own_device() {
        let places = StreamPlaces::default();
        let [device, other] = [1, 2].map(|n| TbsSha256::from_bytes([n; 32]));
        let bystander = places.open(other);
        let mut open: Vec<_> = (0..=MOST).map(|_| places.open(device)).collect();
        let taken = |open: &[StreamPlace]| open.iter().filter(|p| p.taken.is_cancelled()).count();
        assert_eq!(taken(&open), 1);
        assert!(open[0].taken.is_cancelled(), "the oldest");
        // It leaves when it notices, and gives back what is not its own any more: nothing.
        open.remove(0);
        open.push(places.open(device));
        assert_eq!(taken(&open), 1);
        open.remove(0);
        open.pop();
        open.push(places.open(device));
        assert_eq!(taken(&open), 0, "one was given back");
        assert!(!bystander.taken.is_cancelled());
        assert_eq!(places.len(), MOST + 1);
        drop((open, bystander));
        assert!(places.is_empty(), "nothing is remembered");
    }
}
