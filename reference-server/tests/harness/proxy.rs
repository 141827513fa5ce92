//! A TCP proxy that fails on purpose: between a client and the server, or the server and its
//! database.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// As much is read at once.
const CHUNK: usize = 16 * 1024;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They go on.
    Pass,
    /// New connections are closed at once; those that are open go on.
    Refuse,
    /// They are swallowed, both ways, on open connections too.
    BlackHole,
}

/// Requests with this text wait, until the hold is dropped.
pub struct Held {
    release: watch::Sender<bool>,
    hits: Arc<AtomicUsize>,
}

impl Held {
    /// How many requests have waited.
    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release.send_replace(true);
    }
}

/// A running proxy. It ends, with its connections, when it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Mutex<Rules>>,
    accepting: JoinHandle<()>,
}

struct Rules {
    target: SocketAddr,
    flow: Flow,
    delay: Duration,
    /// How many pieces of requests were that late.
    delayed: usize,
    /// After so many bytes of an answer's connection, both sides are cut.
    answer_limit: Option<usize>,
    /// After so many bytes of a request's connection, both sides are cut.
    request_limit: Option<usize>,
    /// So long the server waits for the rest of a request before it is cut.
    request_pause: Duration,
    /// Requests with this text go on, and the connection is cut in the place of the answer.
    unanswered: Option<&'static [u8]>,
    held: Option<Hold>,
    connections: Vec<CancellationToken>,
}

#[derive(Clone)]
struct Hold {
    text: &'static [u8],
    released: watch::Receiver<bool>,
    hits: Arc<AtomicUsize>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Mutex::new(Rules {
            target,
            flow: Flow::Pass,
            delay: Duration::ZERO,
            delayed: 0,
            answer_limit: None,
            request_limit: None,
            request_pause: Duration::ZERO,
            unanswered: None,
            held: None,
            connections: Vec::new(),
        }));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Where new connections lead.
    pub fn lead_to(&self, target: SocketAddr) {
        self.rules().target = target;
    }

    pub fn set_flow(&self, flow: Flow) {
        self.rules().flow = flow;
    }

    /// Each piece of a request is that late.
    pub fn delay(&self, delay: Duration) {
        self.rules().delay = delay;
    }

    /// How many pieces were late so far.
    pub fn delayed(&self) -> usize {
        self.rules().delayed
    }

    /// Cuts new connections once so many bytes of answers have passed; `None` lets all pass.
    pub fn cut_answers_after(&self, bytes: Option<usize>) {
        self.rules().answer_limit = bytes;
    }

    /// Cuts new connections once so many bytes of requests have passed; `None` lets all pass.
    pub fn cut_requests_after(&self, bytes: Option<usize>) {
        self.rules().request_limit = bytes;
    }

    /// Requests are cut so long after their last byte has passed: the server waits for the rest then.
    pub fn pause_before_cut(&self, pause: Duration) {
        self.rules().request_pause = pause;
    }

    /// Lets requests with this text reach their end, and cuts the connection in the place of their
    /// answers.
    pub fn lose_answers_to(&self, text: Option<&'static [u8]>) {
        self.rules().unanswered = text;
    }

    /// Has requests with this text wait for the hold to be dropped.
    pub fn hold(&self, text: &'static [u8]) -> Held {
        let (release, released) = watch::channel(false);
        let hits = Arc::new(AtomicUsize::new(0));
        self.rules().held = Some(Hold {
            text,
            released,
            hits: Arc::clone(&hits),
        });
        Held { release, hits }
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        let mut rules = self.rules();
        rules.connections.retain(|c| !c.is_cancelled());
        rules.connections.len()
    }

    /// Cuts the connection that has been open longest; `false` when there is none.
    pub fn cut_one(&self) -> bool {
        let mut rules = self.rules();
        rules.connections.retain(|c| !c.is_cancelled());
        if rules.connections.is_empty() {
            return false;
        }
        rules.connections.remove(0).cancel();
        true
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        for connection in self.rules().connections.drain(..) {
            connection.cancel();
        }
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.shared)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

fn lock(shared: &Mutex<Rules>) -> MutexGuard<'_, Rules> {
    shared.lock().expect("nobody panics with the rules")
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Rules>>) {
    while let Ok((client, _)) = listener.accept().await {
        let cut = CancellationToken::new();
        let (target, answers, requests) = {
            let mut rules = lock(&shared);
            if rules.flow == Flow::Refuse {
                continue;
            }
            rules.connections.retain(|c| !c.is_cancelled());
            rules.connections.push(cut.clone());
            (rules.target, rules.answer_limit, rules.request_limit)
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let server = tokio::select! {
                () = cut.cancelled() => return,
                server = TcpStream::connect(target) => server,
            };
            if let Ok(server) = server {
                let _ = client.set_nodelay(true);
                let _ = server.set_nodelay(true);
                let lost = AtomicUsize::new(0);
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::select! {
                    () = cut.cancelled() => {}
                    () = requests_pass(&shared, from_client, to_server, requests, &lost) => {}
                    () = answers_pass(&shared, from_server, to_client, answers, &lost) => {}
                }
            }
            cut.cancel();
        });
    }
}

/// Passes requests on, until either side ends or `limit` bytes have passed.
async fn requests_pass(
    shared: &Mutex<Rules>,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    limit: Option<usize>,
    lost: &AtomicUsize,
) {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut chunk = vec![0; CHUNK];
    while let Some(bytes) = read(&mut from, &mut chunk, left).await {
        let (flow, delay, held, unanswered) = {
            let rules = lock(shared);
            (
                rules.flow,
                rules.delay,
                rules.held.clone(),
                rules.unanswered,
            )
        };
        if flow == Flow::BlackHole {
            continue;
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
            lock(shared).delayed += 1;
        }
        if let Some(mut hold) = held.filter(|hold| contains(bytes, hold.text)) {
            hold.hits.fetch_add(1, Ordering::SeqCst);
            // A hold whose owner is gone is over as well.
            let _ = hold.released.wait_for(|released| *released).await;
        }
        if unanswered.is_some_and(|text| contains(bytes, text)) {
            lost.store(1, Ordering::SeqCst);
        }
        left -= bytes.len();
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    if left == 0 {
        let pause = lock(shared).request_pause;
        tokio::time::sleep(pause).await;
    }
}

/// Passes answers on, until either side ends, `limit` bytes have passed, or one is to be lost.
async fn answers_pass(
    shared: &Mutex<Rules>,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    limit: Option<usize>,
    lost: &AtomicUsize,
) {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut chunk = vec![0; CHUNK];
    while let Some(bytes) = read(&mut from, &mut chunk, left).await {
        if lost.load(Ordering::SeqCst) > 0 {
            return;
        }
        if lock(shared).flow == Flow::BlackHole {
            continue;
        }
        left -= bytes.len();
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}

/// The next bytes, at most `left`; `None` at the end.
async fn read<'c>(from: &mut OwnedReadHalf, chunk: &'c mut [u8], left: usize) -> Option<&'c [u8]> {
    let room = chunk.len().min(left);
    let length = match room {
        0 => 0,
        room => from.read(&mut chunk[..room]).await.unwrap_or(0),
    };
    (length > 0).then_some(&chunk[..length])
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
