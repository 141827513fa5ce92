//! Clients that do everything, all the time, until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use crate::clients::Clients;
use crate::retry::{PATIENCE, until};
use crate::stage::Stage;

/// Running clients.
pub(crate) struct Workload {
    clients: Arc<Clients>,
    stop: Arc<AtomicBool>,
    /// How often each client went through its life.
    lives: Vec<Arc<AtomicUsize>>,
    tasks: JoinSet<()>,
}

impl Workload {
    /// Starts `scanners` clients that live through the lives of devices, and `counters` that enrol
    /// and verify people.
    pub(crate) fn start(stage: &Stage, scanners: usize, counters: usize) -> Self {
        let mut workload = Self {
            clients: Arc::clone(&stage.clients),
            stop: Arc::new(AtomicBool::new(false)),
            lives: Vec::new(),
            tasks: JoinSet::new(),
        };
        for client in 0..scanners + counters {
            let lives = Arc::new(AtomicUsize::new(0));
            workload.lives.push(Arc::clone(&lives));
            let (clients, stop) = (Arc::clone(&stage.clients), Arc::clone(&workload.stop));
            workload.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if client < scanners {
                        life_of_a_device(&clients).await;
                    } else {
                        day_at_a_counter(&clients).await;
                    }
                    lives.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        workload
    }

    /// Waits until each client has gone through its life again.
    pub(crate) async fn goes_on(&self) {
        let done = self.lives();
        until("every client goes on", async || self.all_beyond(&done)).await;
    }

    /// How often each client went through its life.
    fn lives(&self) -> Vec<usize> {
        self.lives
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .collect()
    }

    /// Whether each client went through its life again since it had gone through so many; a client
    /// that has failed fails the story.
    fn all_beyond(&self, earlier: &[usize]) -> bool {
        let lives = self.lives();
        let mut each = lives.iter().zip(earlier);
        assert!(self.tasks.len() == lives.len(), "a client has failed");
        each.all(|(now, earlier)| now > earlier)
    }

    /// Lets each client end the life that it is in.
    pub(crate) async fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let end = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.expect("a client's story");
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, end).await;
        let refusals = &self.clients.journal.book().refusals;
        let last = &refusals[refusals.len().saturating_sub(3)..];
        assert!(in_time.is_ok(), "clients that do not end: {last:?}");
    }
}

/// A device is paired, renews, and is replaced or revoked.
pub(crate) async fn life_of_a_device(clients: &Clients) {
    let mut device = clients.paired().await;
    clients.renew(&mut device).await;
    clients.renew(&mut device).await;
    if clients.number().is_multiple_of(2) {
        clients.pair_anew(&mut device).await;
    }
    clients.revoke(&device).await;
}

/// Someone's palm is enrolled, and verified.
pub(crate) async fn day_at_a_counter(clients: &Clients) {
    let device = clients.paired().await;
    let user = clients.user().await;
    let palm = clients.number();
    clients.enrol(&device, &user, palm).await;
    clients.verify(&device, &user, palm).await;
}
