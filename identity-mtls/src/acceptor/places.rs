use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::HandshakeLimits;
use super::source::Source;

/// The places of handshakes, shared out fairly: no source has more than its share of them, and where
/// connections wait, their sources take turns.
#[derive(Debug)]
pub(super) struct Places(Mutex<Queue>);

/// As many connections wait as may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overloaded;

/// A connection's place in the queue, and then among the handshakes; dropping it hands it on.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    source: Source,
    id: u64,
}

impl Places {
    pub(super) fn new(limits: HandshakeLimits) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue::new(limits))))
    }

    /// A place for the handshake of a connection from `source`, as soon as it is its turn.
    pub(super) async fn take(self: &Arc<Self>, source: Source) -> Result<Place, Overloaded> {
        let (call, called) = oneshot::channel();
        let id = self.queue().arrive(source, call);
        let place = Place {
            places: Arc::clone(self),
            source,
            id,
        };
        // Whoever has to make room is called no more.
        called.await.map_err(|_| Overloaded)?;
        Ok(place)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that runs under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.queue().leave(self.source, self.id);
    }
}

/// Who has a place, who waits, and whose turn it is.
#[derive(Debug)]
struct Queue {
    limits: HandshakeLimits,
    next_id: u64,
    running: usize,
    waiting: usize,
    /// The sources that have anything here.
    sources: HashMap<Source, Connections>,
    /// The sources with connections that wait and a share that is not used up, in the order of their
    /// turns. While it is not empty, every place is taken.
    turns: VecDeque<Source>,
}

/// The connections of one source, in the order in which they came.
#[derive(Debug, Default)]
struct Connections {
    running: Vec<u64>,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

impl Connections {
    fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl Queue {
    fn new(limits: HandshakeLimits) -> Self {
        Self {
            limits,
            next_id: 0,
            running: 0,
            waiting: 0,
            sources: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    /// Takes in a connection. It is called when it has a place; `call` is dropped when it has to go.
    fn arrive(&mut self, source: Source, call: oneshot::Sender<()>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let connections = self.sources.entry(source).or_default();
        connections.waiting.push_back((id, call));
        self.waiting += 1;
        self.settle(source);
        self.call_next();
        if let Some(source) = self.overfull(source) {
            self.send_newest_away(source);
        }
        id
    }

    /// Forgets a connection: its handshake is over, or it waits no longer.
    fn leave(&mut self, source: Source, id: u64) {
        let Some(connections) = self.sources.get_mut(&source) else {
            return;
        };
        let is_it = |(waiting, _): &(u64, _)| *waiting == id;
        if let Some(at) = connections.running.iter().position(|found| *found == id) {
            connections.running.swap_remove(at);
            self.running -= 1;
        } else if let Some(at) = connections.waiting.iter().position(is_it) {
            connections.waiting.remove(at);
            self.waiting -= 1;
        }
        self.settle(source);
        self.call_next();
    }

    /// Gives free places to the sources whose turn it is, one to each.
    fn call_next(&mut self) {
        while self.running < self.limits.running.get()
            && let Some(source) = self.turns.pop_front()
        {
            if let Some(connections) = self.sources.get_mut(&source)
                && let Some((id, call)) = connections.waiting.pop_front()
            {
                self.waiting -= 1;
                // A connection that is being dropped hears nothing.
                if call.send(()).is_ok() {
                    connections.running.push(id);
                    self.running += 1;
                }
            }
            self.settle(source);
        }
    }

    /// The source that has to give up a connection, now that one from `newcomer` waits.
    fn overfull(&self, newcomer: Source) -> Option<Source> {
        let of_newcomer = self.sources.get(&newcomer).map_or(0, Connections::waiting);
        if of_newcomer > self.limits.waiting_per_source {
            return Some(newcomer);
        }
        if self.waiting <= self.limits.waiting {
            return None;
        }
        let fullest = self.sources.iter().max_by_key(|(_, it)| it.waiting());
        let fuller = fullest.filter(|(_, it)| it.waiting() > of_newcomer);
        Some(fuller.map_or(newcomer, |(source, _)| *source))
    }

    fn send_newest_away(&mut self, source: Source) {
        if let Some(connections) = self.sources.get_mut(&source)
            && connections.waiting.pop_back().is_some()
        {
            self.waiting -= 1;
        }
        self.settle(source);
    }

    /// Makes `turns` say again whether it is to be the turn of `source`, and forgets a source that has
    /// nothing here.
    fn settle(&mut self, source: Source) {
        let Some(connections) = self.sources.get(&source) else {
            return;
        };
        let (running, waiting) = (connections.running.len(), connections.waiting());
        if running == 0 && waiting == 0 {
            self.sources.remove(&source);
        }
        let has_turn = waiting > 0 && running < self.limits.running_per_source.get();
        match self.turns.iter().position(|turn| *turn == source) {
            None if has_turn => self.turns.push_back(source),
            Some(at) if !has_turn => {
                self.turns.remove(at);
            }
            None | Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::IpAddr;
    use std::num::NonZeroUsize;
    use std::pin::Pin;
    use std::task::Poll;

    use oneshot::error::TryRecvError;
    use proptest::prelude::{Strategy, any, prop, prop_assert, prop_oneof, proptest};

    use super::*;

    fn source(n: u8) -> Source {
        IpAddr::from([127, 0, 0, n]).into()
    }

    fn limits(running: [usize; 2], waiting: [usize; 2]) -> HandshakeLimits {
        let [running, running_per_source] = running.map(|n| NonZeroUsize::new(n).expect("not 0"));
        let [waiting, waiting_per_source] = waiting;
        HandshakeLimits {
            running,
            running_per_source,
            waiting,
            waiting_per_source,
            ..HandshakeLimits::default()
        }
    }

    /// A queue together with the connections that are in it.
    struct Guests {
        queue: Queue,
        here: Vec<Guest>,
    }

    struct Guest {
        source: Source,
        id: u64,
        called: oneshot::Receiver<()>,
        running: bool,
    }

    impl Guests {
        fn new(limits: HandshakeLimits) -> Self {
            Self {
                queue: Queue::new(limits),
                here: Vec::new(),
            }
        }

        /// Lets a connection come; returns how many were sent away for it.
        fn arrive(&mut self, source: Source) -> usize {
            let (call, called) = oneshot::channel();
            let id = self.queue.arrive(source, call);
            self.here.push(Guest {
                source,
                id,
                called,
                running: false,
            });
            self.hear()
        }

        fn leave(&mut self, at: usize) {
            let guest = self.here.remove(at);
            self.queue.leave(guest.source, guest.id);
            assert_eq!(self.hear(), 0, "room was made");
        }

        /// Lets everyone hear what they were told; returns how many had to go.
        fn hear(&mut self) -> usize {
            let before = self.here.len();
            self.here.retain_mut(|guest| {
                guest.running
                    || match guest.called.try_recv() {
                        Ok(()) => {
                            guest.running = true;
                            true
                        }
                        Err(TryRecvError::Empty) => true,
                        Err(TryRecvError::Closed) => false,
                    }
            });
            before - self.here.len()
        }

        fn count(&self, running: bool, of: Option<Source>) -> usize {
            let is_meant = |guest: &&Guest| {
                guest.running == running && of.is_none_or(|source| source == guest.source)
            };
            self.here.iter().filter(is_meant).count()
        }

        /// Within a source nobody is called before whoever came earlier.
        fn in_order(&self, of: Source) -> bool {
            let of_source = || self.here.iter().filter(|guest| guest.source == of);
            let last_running = of_source().filter(|g| g.running).map(|g| g.id).max();
            let first_waiting = of_source().filter(|g| !g.running).map(|g| g.id).min();
            last_running < first_waiting || first_waiting.is_none()
        }
    }

    #[derive(Debug, Clone)]
    enum Event {
        Arrive(u8),
        Leave(prop::sample::Index),
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => (0..5_u8).prop_map(Event::Arrive),
            2 => any::<prop::sample::Index>().prop_map(Event::Leave),
        ]
    }

    proptest! {
        #[test]
        fn no_limit_is_passed_and_no_place_stays_free_while_somebody_may_have_it(
            running in [1..8_usize, 1..5],
            waiting in [0..12_usize, 0..6],
            events in prop::collection::vec(event(), 0..200),
        ) {
            let limits = limits(running, waiting);
            let mut guests = Guests::new(limits);
            for event in events {
                match event {
                    Event::Arrive(n) => prop_assert!(guests.arrive(source(n)) <= 1),
                    Event::Leave(_) if guests.here.is_empty() => {}
                    Event::Leave(at) => guests.leave(at.index(guests.here.len())),
                }
                let all_running = guests.count(true, None);
                prop_assert!(all_running <= limits.running.get());
                prop_assert!(guests.count(false, None) <= limits.waiting);
                for source in (0..5).map(source) {
                    let [runs, waits] = [true, false].map(|is| guests.count(is, Some(source)));
                    prop_assert!(runs <= limits.running_per_source.get());
                    prop_assert!(waits <= limits.waiting_per_source);
                    prop_assert!(guests.in_order(source));
                    let full = all_running == limits.running.get();
                    let shared_out = runs == limits.running_per_source.get();
                    prop_assert!(waits == 0 || full || shared_out);
                }
            }
            while !guests.here.is_empty() {
                guests.leave(0);
            }
            prop_assert!(guests.queue.sources.is_empty() && guests.queue.turns.is_empty());
            prop_assert!(guests.queue.running == 0 && guests.queue.waiting == 0);
        }
    }

    #[test]
    fn a_source_that_floods_delays_another_by_one_turn_at_most() {
        let mut guests = Guests::new(limits([4, 4], [100, 100]));
        for _ in 0..50 {
            guests.arrive(source(1));
        }
        guests.arrive(source(2));
        for _ in 0..2 {
            let first = guests.here.iter().position(|guest| guest.running);
            guests.leave(first.expect("one runs"));
        }
        assert_eq!(guests.count(true, Some(source(2))), 1);
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_newest_of_the_source_that_has_most_waiting() {
        let mut guests = Guests::new(limits([1, 1], [8, 8]));
        for n in [1, 1, 1, 1, 1, 1, 2, 2, 2] {
            assert_eq!(guests.arrive(source(n)), 0);
        }
        assert_eq!(guests.arrive(source(3)), 1);
        let waiting = [1, 2, 3].map(|n| guests.count(false, Some(source(n))));
        assert_eq!(waiting, [4, 3, 1]);
        // Its own newest goes when it has most itself.
        assert_eq!(guests.arrive(source(1)), 1);
        assert_eq!(guests.count(false, Some(source(1))), 4);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_gives_up_the_turn_and_a_place_is_handed_on() {
        let places = Places::new(limits([1, 1], [8, 8]));
        let first = places.take(source(1)).await.expect("a place");
        let mut gives_up = Box::pin(places.take(source(1)));
        let mut stays = Box::pin(places.take(source(2)));
        for waiting in [&mut gives_up, &mut stays] {
            assert!(poll(waiting.as_mut()).await.is_pending());
        }
        assert_eq!(places.queue().waiting, 2);
        drop(gives_up);
        assert_eq!(places.queue().waiting, 1);
        drop(first);
        drop(stays.await.expect("its turn"));
        assert!(places.queue().sources.is_empty());
    }

    /// Polls once.
    async fn poll<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
