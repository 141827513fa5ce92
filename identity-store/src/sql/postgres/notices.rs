//! How the processes that share a database hear of one another: NOTIFY and LISTEN.
//!
//! `NOTIFY` inside a transaction would have commits queue behind one another, so it is sent after
//! them, by a task of its own, many at once.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPool};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connect;
use crate::Notice;
use crate::observer::Observers;

const CHANNEL: &str = "identity_store";
const NOTIFY: &str = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload";
/// How many are sent by one statement.
const BATCH: usize = 256;
/// How long a listener that cannot connect waits.
const PAUSE: Duration = Duration::from_secs(1);

/// What processes tell one another.
#[derive(Debug)]
pub(super) struct Notices {
    outgoing: UnboundedSender<Notice>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Notices {
    /// Starts to listen and to send.
    pub(super) fn start(
        options: PgConnectOptions,
        pool: PgPool,
        observers: Arc<Observers>,
    ) -> Self {
        let (outgoing, queue) = unbounded_channel();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let listening = listen(connect::single(options), observers);
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(listening).await });
        tasks.spawn(send(pool, queue, stop.clone()));
        Self {
            outgoing,
            tasks,
            stop,
        }
    }

    /// Sends notices when their turn comes.
    pub(super) fn announce(&self, notices: Vec<Notice>) {
        for notice in notices {
            // The queue is closed when the store is: nobody acts in this process any more.
            let _ = self.outgoing.send(notice);
        }
    }

    /// Sends what is left and ends.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn send(pool: PgPool, mut queue: UnboundedReceiver<Notice>, stop: CancellationToken) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            received = queue.recv_many(&mut batch, BATCH) => if received == 0 { return },
            () = stop.cancelled() => return,
        }
        batch.dedup();
        let payloads: Vec<String> = batch
            .iter()
            .filter_map(|notice| serde_json::to_string(notice).ok())
            .collect();
        let sent = sqlx::query(NOTIFY).bind(CHANNEL).bind(payloads);
        if let Err(error) = sent.execute(&pool).await {
            tracing::warn!(%error, "other processes were not notified; they will read");
        }
    }
}

/// Tells what is heard. A connection that was lost may have lost notices.
async fn listen(pool: PgPool, observers: Arc<Observers>) {
    loop {
        match hear(&pool, &observers).await {
            Ok(()) => tracing::warn!("the listener for notices lost its connection"),
            Err(error) => tracing::warn!(%error, "the listener for notices has no connection"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Listens until the connection is lost.
async fn hear(pool: &PgPool, observers: &Observers) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    observers.noticed(&Notice::Lost);
    while let Some(notification) = listener.try_recv().await? {
        observers.noticed(&read(&notification));
    }
    Ok(())
}

/// A notice that this version does not know may mean anything.
fn read(notification: &PgNotification) -> Notice {
    serde_json::from_str(notification.payload()).unwrap_or(Notice::Lost)
}
