//! How the processes that share a database hear of one another: NOTIFY and LISTEN.
//!
//! `NOTIFY` inside a transaction would have commits queue behind one another, so it is sent after
//! them, by a task of its own, many at once.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPool};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Held, connect};
use crate::observer::Observed;
use crate::{Notice, Origin};

const CHANNEL: &str = "identity_store";
/// What the listener's connection goes by among the store's.
const LISTENER: &str = "identity-store listener";
const NOTIFY: &str = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload";
/// How many are sent by one statement.
const BATCH: usize = 256;
/// How long a listener that cannot connect waits.
const PAUSE: Duration = Duration::from_secs(1);
/// After this much silence the listener asks whether its connection is alive, and waits as long.
const SILENCE: Duration = Duration::from_secs(5);

/// What processes tell one another. It ends with whoever holds it.
#[derive(Debug)]
pub(super) struct Notices {
    outgoing: UnboundedSender<Notice>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Notices {
    /// Starts to listen and to send.
    pub(super) fn start(options: PgConnectOptions, pool: PgPool, observed: Observed) -> Self {
        let (outgoing, queue) = unbounded_channel();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let process = observed.process;
        let listening = listen(options.application_name(LISTENER), observed);
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(listening).await });
        tasks.spawn(send(pool, process, queue, stop.clone()));
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

impl Drop for Notices {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn send(
    pool: PgPool,
    process: u64,
    mut queue: UnboundedReceiver<Notice>,
    stop: CancellationToken,
) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            received = queue.recv_many(&mut batch, BATCH) => if received == 0 { return },
            () = stop.cancelled() => return,
        }
        batch.dedup();
        let told = |notice| serde_json::to_string(&Told { process, notice }).ok();
        let payloads: Vec<String> = batch.into_iter().filter_map(told).collect();
        if let Err(error) = notify(&pool, payloads).await {
            tracing::warn!(%error, "other processes were not notified; they will read");
        }
    }
}

async fn notify(pool: &PgPool, payloads: Vec<String>) -> sqlx::Result<()> {
    let sent = sqlx::query(NOTIFY).bind(CHANNEL).bind(payloads);
    let mut held = Held::reader(pool).await?;
    held.ask(|connection| sent.execute(connection)).await?;
    Ok(())
}

/// Tells what is heard. A connection that was lost may have lost notices.
async fn listen(options: PgConnectOptions, observed: Observed) {
    loop {
        // A listener gives its connection back when it ends, and waits for a silent one.
        let heard = hear(&connect::single(options.clone()), &observed).await;
        observed.observers.noticed(&Notice::Deaf, Origin::Elsewhere);
        match heard {
            Ok(()) => tracing::warn!("the listener for notices lost its connection"),
            Err(error) => tracing::warn!(%error, "the listener for notices has no connection"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Listens until the connection is lost.
async fn hear(pool: &PgPool, observed: &Observed) -> sqlx::Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    observed.observers.noticed(&Notice::Lost, Origin::Elsewhere);
    loop {
        match timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(notification))) => {
                let told = read(&notification);
                if told.process != observed.process {
                    observed.observers.noticed(&told.notice, Origin::Elsewhere);
                }
            }
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let asked = sqlx::query("SELECT 1").execute(&mut listener);
                timeout(SILENCE, asked)
                    .await
                    .map_err(|_| sqlx::Error::PoolTimedOut)??;
            }
        }
    }
}

/// A notice on its way between processes.
#[derive(serde::Serialize, serde::Deserialize)]
struct Told {
    /// Who told it.
    process: u64,
    notice: Notice,
}

/// What this version does not know may mean anything.
fn read(notification: &PgNotification) -> Told {
    let unknown = Told {
        process: 0,
        notice: Notice::Lost,
    };
    serde_json::from_str(notification.payload()).unwrap_or(unknown)
}
