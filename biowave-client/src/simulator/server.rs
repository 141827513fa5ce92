use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use super::templates::{Learnt, Templates};
use super::{Fault, http};
use crate::{Operation, PalmTypes};

/// How many calls are remembered.
const CALLS_KEPT: usize = 1_000;

/// A running palm server. It stops, and closes its connections, when it is dropped.
#[derive(Debug)]
pub struct PalmServer {
    address: SocketAddr,
    url: Url,
    shared: Shared,
    accepting: JoinHandle<()>,
}

/// A call that reached the simulator in good form.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// The header `request_id`.
    pub request_id: String,
    /// The part `metadata`.
    pub metadata: Value,
    /// The names of all parts, in their order.
    pub parts: Vec<String>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) templates: Templates,
    faults: VecDeque<(Operation, Fault)>,
    calls: VecDeque<Call>,
}

impl State {
    pub(super) fn remember(&mut self, call: Call) {
        if self.calls.len() >= CALLS_KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    /// The next fault for `operation`, which is then used up.
    pub(super) fn take_fault(&mut self, operation: Operation) -> Option<Fault> {
        let next = self.faults.iter().position(|(of, _)| *of == operation)?;
        self.faults.remove(next).map(|(_, fault)| fault)
    }
}

/// The state, between the server's connections and its owner.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PalmServer {
    /// Starts a palm server without templates on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The error of binding the port.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let url = Url::parse(&format!("http://{address}")).map_err(io::Error::other)?;
        let shared = Shared(Arc::new(Mutex::new(State {
            templates: Templates::new(),
            faults: VecDeque::new(),
            calls: VecDeque::new(),
        })));
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            address,
            url,
            shared,
            accepting,
        })
    }

    /// Its address, for [`BioWaveClient::builder`](crate::BioWaveClient::builder).
    #[must_use]
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// Its socket.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes the next call of `operation` fail; faults of one operation are used up in their order.
    pub fn inject(&self, operation: Operation, fault: Fault) {
        self.shared.lock().faults.push_back((operation, fault));
    }

    /// Takes back the faults that were injected and have not happened.
    pub fn mend(&self) {
        self.shared.lock().faults.clear();
    }

    /// Lets no more than `templates` be learnt: beyond, an `add` answers 30002.
    pub fn set_capacity(&self, templates: usize) {
        self.shared.lock().templates.set_capacity(templates);
    }

    /// Learns a palm for several users from now on: an `add` no longer answers 30007.
    pub fn take_duplicates(&self) {
        self.shared.lock().templates.take_duplicates();
    }

    /// Opens a user's templates to queries of `query_type` only: others answer 30008.
    pub fn restrict(&self, user_id: &str, query_type: PalmTypes) {
        self.shared.lock().templates.restrict(user_id, query_type);
    }

    /// How many templates there are.
    #[must_use]
    pub fn template_count(&self) -> usize {
        self.shared.lock().templates.len()
    }

    /// Who the templates are of, the oldest first.
    #[must_use]
    pub fn templates(&self) -> Vec<Learnt> {
        self.shared.lock().templates.learnt()
    }

    /// The last calls, at most a thousand, the oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().calls.iter().cloned().collect()
    }
}

impl Drop for PalmServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts until it is aborted; its connections live in it and end with it.
async fn accept(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, shared.clone()));
                }
                Err(error) => tracing::warn!(%error, "simulated palm server cannot accept"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Shared) {
    let service = hyper::service::service_fn(move |request| http::answer(shared.clone(), request));
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "simulated palm server closed a connection");
    }
}
