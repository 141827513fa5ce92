//! The accept loop: TLS handshakes next to one another, bounded in number and time.

mod connection;
mod request_body;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::App;
use crate::http::Peer;
use connection::{Connection, Protocol};

/// How many handshakes run at once; further clients wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 256;
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// How long running requests may take to finish once the server is to stop.
const DRAIN_TIME: Duration = Duration::from_secs(30);
/// How long to wait when the process has no file descriptor left for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTPS, once there is a server certificate.
    Api,
    /// Plain HTTP.
    Plain,
}

/// Serves `routes` until the server is to stop, then lets running requests finish.
pub async fn serve(app: Arc<App>, listener: TcpListener, routes: Router, transport: Transport) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    let connections = TaskTracker::new();
    loop {
        let (permit, stream, peer) = tokio::select! {
            biased;
            () = app.shutdown.cancelled() => break,
            next = next_connection(&handshakes, &listener) => match next {
                Ok(next) => next,
                Err(AcquireError { .. }) => break,
            },
        };
        let (app, routes) = (Arc::clone(&app), routes.clone());
        connections.spawn(async move {
            let established = establish(&app, stream, peer, transport).await;
            drop(permit);
            match established {
                Ok(connection) => connection.serve(&app, routes).await,
                Err(error) => tracing::debug!(%peer, %error, "no connection was established"),
            }
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(DRAIN_TIME, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "connections were cut at the end"
        );
    }
}

/// The next connection, once there is room for its handshake.
async fn next_connection(
    handshakes: &Arc<Semaphore>,
    listener: &TcpListener,
) -> Result<(OwnedSemaphorePermit, TcpStream, SocketAddr), AcquireError> {
    let permit = Arc::clone(handshakes).acquire_owned().await?;
    let (stream, peer) = accept(listener).await;
    Ok((permit, stream, peer))
}

/// The next connection. Failures to accept concern one connection, or a shortage that passes.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Why a connection did not come about.
#[derive(Debug, thiserror::Error)]
enum NotEstablished {
    #[error("the TLS handshake failed: {0}")]
    Handshake(#[from] io::Error),
    #[error("the TLS handshake took too long")]
    TooSlow,
    #[error("the device is refused: {0}")]
    Refused(#[from] identity_mtls::Refusal),
}

async fn establish(
    app: &App,
    stream: TcpStream,
    peer: SocketAddr,
    transport: Transport,
) -> Result<Connection, NotEstablished> {
    stream.set_nodelay(true)?;
    let acceptance = match transport {
        Transport::Api => app.tls.acceptance(),
        Transport::Plain => None,
    };
    let Some(acceptance) = acceptance else {
        return Ok(Connection::plain(stream, Peer(peer)));
    };
    let acceptor = TlsAcceptor::from(Arc::clone(&acceptance.config));
    let stream = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(stream))
        .await
        .map_err(|_| NotEstablished::TooSlow)??;
    let (_, tls) = stream.get_ref();
    let device = acceptance.verifier.device(tls, app.clock.now())?;
    let protocol = Protocol::negotiated(tls.alpn_protocol());
    Ok(Connection::secure(stream, protocol, Peer(peer), device))
}
