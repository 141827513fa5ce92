//! The accept loop: handshakes run next to one another, and wait their turn in
//! [`DeviceAcceptor`](identity_mtls::DeviceAcceptor).

mod balancer;
mod connection;
mod progress;
mod request_body;

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use identity_mtls::NotAccepted;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::App;
use crate::http::Peer;
use balancer::NoClient;
use connection::Connection;

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
    let connections = TaskTracker::new();
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = app.shutdown.cancelled() => break,
            accepted = accept(&listener) => accepted,
        };
        let (app, routes) = (Arc::clone(&app), routes.clone());
        connections.spawn(async move {
            // A task is as large as the largest of its stages, for as long as it lives: the handshake's
            // is given back before thousands of connections wait for something to happen.
            let established = Box::pin(establish(&app, stream, peer, transport)).await;
            if let Some(connection) = established {
                connection.serve(&app.shutdown, routes).await;
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

/// The next connection. Failures to accept concern one connection, or a shortage that passes.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            // A socket that serves both families shows IPv4 addresses as mapped ones.
            Ok((stream, peer)) => {
                return (
                    stream,
                    SocketAddr::new(peer.ip().to_canonical(), peer.port()),
                );
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection on which requests can come, unless its handshake fails. One that is under way when the
/// server is to stop goes on: its client may have sent a request with its last piece already.
async fn establish(
    app: &App,
    mut stream: TcpStream,
    peer: SocketAddr,
    transport: Transport,
) -> Option<Connection> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the connection is gone already");
        return None;
    }
    let (acceptor, client) = match transport {
        Transport::Api => (app.tls.acceptor(), client(app, &mut stream, peer).await?),
        Transport::Plain => (None, peer),
    };
    let Some(acceptor) = acceptor else {
        return Some(Connection::plain(stream, Peer(client)));
    };
    match acceptor.accept(stream, client.ip()).await {
        Ok(accepted) => Some(Connection::secure(accepted, Peer(client))),
        Err(not_accepted) => {
            record(client, &not_accepted);
            None
        }
    }
}

/// Where the client of a connection is: at its other end, or, if that is a load balancer to be
/// believed, where the balancer says.
async fn client(app: &App, stream: &mut TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
    if !app.config.proxy_protocol.contains(peer.ip()) {
        return Some(peer);
    }
    match balancer::client(stream, peer).await {
        Ok(client) => Some(client),
        Err(error) => {
            let reason = "proxy_header";
            metrics::counter!("connections_not_accepted_total", "reason" => reason).increment(1);
            let source = error.source().map(ToString::to_string);
            let what = "a load balancer's connection was not accepted";
            match error {
                // Some look in that way whether anybody is there.
                NoClient::Ended(_) => tracing::debug!(%peer, %error, source, "{what}"),
                // It is set up wrong: nothing that strangers send is a header.
                NoClient::Header(_) | NoClient::TooSlow => {
                    tracing::warn!(%peer, %error, source, "{what}");
                }
            }
            None
        }
    }
}

fn record(peer: SocketAddr, not_accepted: &NotAccepted) {
    let reason = match not_accepted {
        NotAccepted::Overloaded => "overloaded",
        NotAccepted::TooSlow => "too_slow",
        NotAccepted::Refused(_) => "refused",
        // The enum may grow.
        NotAccepted::Handshake(_) | _ => "handshake",
    };
    metrics::counter!("connections_not_accepted_total", "reason" => reason).increment(1);
    let source = not_accepted.source().map(ToString::to_string);
    tracing::debug!(%peer, error = %not_accepted, source, "a connection was not accepted");
}
