//! From a TCP connection to a connection of a known device, whatever strangers do meanwhile.

mod limits;
mod places;
mod source;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, error::Elapsed, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self::limits::HandshakeLimits;
use self::places::{Overloaded, Places};
use crate::{DeviceTls, LiveConnection, LiveConnections, Refusal, VerifiedDevice};

/// As much of what a client still sends is read after its handshake failed, in bytes.
const MAX_REST: u64 = 64 * 1024;

/// Accepts the connections of devices: runs their handshakes, a limited number at once and each for a
/// limited time, decides who is there, and registers who is.
///
/// One source that opens connections and sends nothing cannot keep others waiting: it has its share
/// of the places, and where connections wait the sources take turns. It is cheap to clone; clones
/// share the places.
///
/// ```
/// use std::sync::Arc;
///
/// use identity_mtls::{Accepted, DeviceAcceptor};
/// use tokio::net::TcpListener;
///
/// # async fn serve<S>(connection: Accepted<S>) {}
/// async fn listen(acceptor: DeviceAcceptor, listener: TcpListener) -> std::io::Result<()> {
///     loop {
///         let (tcp, peer) = listener.accept().await?;
///         let acceptor = acceptor.clone();
///         tokio::spawn(async move {
///             match acceptor.accept(tcp, peer.ip()).await {
///                 Ok(accepted) => serve(accepted).await,
///                 Err(why) => drop(why), // The connection is closed, with an alert where one fits.
///             }
///         });
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct DeviceAcceptor {
    tls: Arc<ArcSwap<DeviceTls>>,
    live: LiveConnections,
    limits: HandshakeLimits,
    places: Arc<Places>,
}

/// A connection whose handshake is over.
///
/// Which device it is of is told by its place among the live connections alone, so nobody knows the
/// device who lets go of the place, on which revocations reach the connection.
#[derive(Debug)]
pub struct Accepted<S> {
    /// The connection.
    pub stream: TlsStream<S>,
    /// Its place among the live connections, which tells [whose](LiveConnection::device) it is; `None`
    /// for a client without a certificate. Keep it for as long as the connection lives, and close the
    /// connection when [`LiveConnection::closed`] resolves.
    pub live: Option<LiveConnection>,
}

/// Why a connection was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotAccepted {
    /// As many connections wait for their handshake as may, of all sources or of this one.
    #[error("too many connections wait for their handshake")]
    Overloaded,
    /// The handshake failed. A [refusal](Refusal) of the client's certificate is told to the
    /// [observer](crate::DeviceCertVerifier::with_observer) of the verifier.
    #[error("the TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// The handshake was not over in [time](HandshakeLimits::time).
    #[error("the TLS handshake took too long")]
    TooSlow,
    /// The handshake succeeded, and then the device was refused: it was denied meanwhile, say.
    #[error("the device is refused")]
    Refused(#[source] Refusal),
}

impl From<Overloaded> for NotAccepted {
    fn from(_: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl DeviceAcceptor {
    /// An acceptor of connections under `tls`, which it registers in `live`.
    #[must_use]
    pub fn new(tls: DeviceTls, live: LiveConnections, limits: HandshakeLimits) -> Self {
        Self {
            tls: Arc::new(ArcSwap::from_pointee(tls)),
            live,
            limits,
            places: Places::new(limits),
        }
    }

    /// Accepts connections under `tls` from now on, for instance because the accepted CAs changed, and
    /// tells the live ones to close that it would refuse; returns how many those are.
    ///
    /// Handshakes that have begun end under the earlier one; a device that this one refuses is not
    /// accepted all the same.
    pub fn replace(&self, tls: DeviceTls) -> usize {
        let tls = Arc::new(tls);
        self.tls.store(Arc::clone(&tls));
        self.live.close_where(|device| tls.recheck(device).is_err())
    }

    /// What connections are accepted under now.
    #[must_use]
    pub fn tls(&self) -> Arc<DeviceTls> {
        self.tls.load_full()
    }

    /// The connections that were accepted and live.
    #[must_use]
    pub fn live(&self) -> &LiveConnections {
        &self.live
    }

    /// Runs the handshake of a connection from `source`, once it is its turn.
    ///
    /// Dropping the future closes the connection and gives up its turn.
    ///
    /// # Errors
    ///
    /// [`NotAccepted`]; the connection is closed then.
    pub async fn accept<S>(&self, stream: S, source: IpAddr) -> Result<Accepted<S>, NotAccepted>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _place = self.places.take(source.into()).await?;
        let end = Instant::now().checked_add(self.limits.time);
        let handshake = self.tls().handshake();
        let accept = TlsAcceptor::from(handshake.config()).accept(stream);
        let stream = match before(end, accept.into_fallible()).await {
            Err(_) => return Err(NotAccepted::TooSlow),
            Ok(Err((error, stream))) => {
                let _ = before(end, part(stream)).await;
                return Err(NotAccepted::Handshake(error));
            }
            Ok(Ok(stream)) => stream,
        };
        let (_, connection) = stream.get_ref();
        match handshake
            .device(connection)
            .and_then(|device| self.register(device))
        {
            Ok(live) => Ok(Accepted { stream, live }),
            Err(refusal) => {
                let _ = before(end, part(stream)).await;
                Err(NotAccepted::Refused(refusal))
            }
        }
    }

    /// Registers a connection of `device`, unless something has changed since the handshake began.
    fn register(&self, device: Option<VerifiedDevice>) -> Result<Option<LiveConnection>, Refusal> {
        let Some(device) = device else {
            return Ok(None);
        };
        // First the registration: a change that the look after it misses finds the connection.
        let live = self.live.register(device);
        self.tls.load().recheck(live.device())?;
        Ok(Some(live))
    }
}

/// The outcome of `future` before `end`, or whenever that is where there is no end.
async fn before<F: Future>(end: Option<Instant>, future: F) -> Result<F::Output, Elapsed> {
    match end {
        Some(end) => timeout_at(end, future).await,
        None => Ok(future.await),
    }
}

/// Closes a connection so that the client gets the alert: to close while it still sends would reset
/// the connection, and TCP drops what was not received then (RFC 1122 §4.2.2.13).
async fn part(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(MAX_REST);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}
