//! Mutual TLS for fleets of devices, on [rustls].
//!
//! [`rustls`]' own client verifier answers one question: does this chain lead to a root? A device
//! platform asks more. Is it one of *our* device certificates, and nothing else that the CA may ever
//! have signed? Is it revoked, as of now, however its bytes were rearranged? Can a revoked device
//! come back by resuming a session, or stay on a connection that it opened before? This crate
//! answers these:
//!
//! - [`decide`]: the one pure function that turns a presented chain into a [`VerifiedDevice`] or a
//!   [`Refusal`] that names the rule: limits, device profile, exactly one link to a CA of the
//!   [`TrustBundle`], validity, denylist.
//! - [`DeviceCertVerifier`]: the same as a rustls verifier, with TLS alerts to match. Clients may
//!   stay anonymous; a certificate that they do send has to be right.
//! - [`Denylist`]: snapshots that readers see without a lock. It fails closed before the first one
//!   and when the last one is too old, and is keyed by the hash of what the CA signed, which nobody
//!   can re-encode.
//! - [`DeviceAcceptor`]: from a TCP connection to a connection of a known device. Handshakes have a
//!   time limit and a cap, and no source can use up the places of the others.
//! - [`server_config()`] and [`DeviceTls`]: TLS 1.2 and 1.3 without any session resumption, since a
//!   resumed session skips the certificate check; for other accept loops.
//! - [`ServerCertStore`]: the server's own certificate, replaced without a failed handshake.
//! - [`LiveConnections`]: the connections to close when a device is revoked or expires.
//! - [`tower::DeviceIdentityLayer`]: the device in each request.
//! - [`ProxyHeader`]: where a client is that comes by a load balancer.
//!
//! The crate chooses no crypto provider and reads no clock: it takes an `Arc<CryptoProvider>`, an
//! `Arc<dyn TimeProvider>`, and `now`. Certificates are issued by [`identity_pki`].
//!
//! The [`manual`] tells what the stock verifier leaves open, how a revocation takes effect, and which
//! attacks are stopped by what.
//!
//! # An accept loop
//!
//! ```no_run
//! use std::pin::pin;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use axum::Router;
//! use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
//! use hyper_util::server::conn::auto;
//! use hyper_util::service::TowerToHyperService;
//! use identity_mtls::tower::DeviceIdentityLayer;
//! use identity_mtls::{
//!     Accepted, Denylist, DeviceAcceptor, DeviceCertVerifier, DeviceTls, HandshakeLimits,
//!     LiveConnections, ServerCert, ServerCertStore, TrustBundle,
//! };
//! use rustls::crypto::CryptoProvider;
//! use rustls::time_provider::TimeProvider;
//! use tokio::net::{TcpListener, TcpStream};
//! use tower_layer::Layer;
//!
//! /// How long a client may take for the head of a request.
//! const HEAD_TIME: Duration = Duration::from_secs(10);
//! /// How long a refused device has for the requests that it has begun.
//! const CLOSE_TIME: Duration = Duration::from_secs(1);
//!
//! fn acceptor(
//!     provider: Arc<CryptoProvider>,
//!     clock: Arc<dyn TimeProvider>,
//!     certificate: ServerCert,
//!     trust: TrustBundle,
//!     denylist: Arc<Denylist>,
//! ) -> Result<DeviceAcceptor, identity_mtls::Error> {
//!     let devices = DeviceCertVerifier::new(&provider, trust, Arc::clone(&denylist));
//!     let certificate = Arc::new(ServerCertStore::new(certificate));
//!     let tls = DeviceTls::new(provider, clock, certificate, Arc::new(devices))?;
//!     let live = LiveConnections::new(denylist);
//!     Ok(DeviceAcceptor::new(tls, live, HandshakeLimits::default()))
//! }
//!
//! async fn listen(
//!     acceptor: DeviceAcceptor,
//!     listener: TcpListener,
//!     routes: Router,
//! ) -> std::io::Result<()> {
//!     loop {
//!         let (tcp, peer) = listener.accept().await?;
//!         let (acceptor, routes) = (acceptor.clone(), routes.clone());
//!         tokio::spawn(async move {
//!             match acceptor.accept(tcp, peer.ip()).await {
//!                 Ok(accepted) => serve(accepted, routes).await,
//!                 Err(not_accepted) => eprintln!("{peer}: {not_accepted}"),
//!             }
//!         });
//!     }
//! }
//!
//! async fn serve(accepted: Accepted<TcpStream>, routes: Router) {
//!     let device = accepted.live.as_ref().map(|live| live.device().clone());
//!     let routes = DeviceIdentityLayer::new(device).layer(routes);
//!     // ALPN has said which protocol it is: nothing is to be guessed from first bytes that may not come.
//!     let mut http = match accepted.stream.get_ref().1.alpn_protocol() {
//!         Some(b"h2") => auto::Builder::new(TokioExecutor::new()).http2_only(),
//!         Some(_) | None => auto::Builder::new(TokioExecutor::new()).http1_only(),
//!     };
//!     http.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
//!     http.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIME);
//!     let stream = TokioIo::new(accepted.stream);
//!     let connection = http.serve_connection(stream, TowerToHyperService::new(routes));
//!     let mut connection = pin!(connection);
//!     let refused = async {
//!         match &accepted.live {
//!             Some(live) => live.closed().await,
//!             None => std::future::pending().await,
//!         }
//!     };
//!     tokio::select! {
//!         _ = connection.as_mut() => return,
//!         () = refused => connection.as_mut().graceful_shutdown(),
//!     }
//!     // Whoever does not end a request must not stay by it.
//!     let _ = tokio::time::timeout(CLOSE_TIME, connection).await;
//! }
//! ```
//!
//! After a revocation was committed: `denylist.add([tbs_sha256])`, then
//! `live.re_decide(now, trust)`. Beside the loop runs the task that [`manual::revocation`] has: it reads
//! what was denied elsewhere and closes what expired. Without it the denylist refuses everybody, first
//! since it is not published, and later since it is more than an hour old.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `acceptor` | yes | [`DeviceAcceptor`], which runs handshakes on tokio |
//! | `tower` | yes | the `tower` module, a layer for hyper and axum |

#[cfg(feature = "acceptor")]
mod acceptor;
mod decision;
mod denylist;
mod device_tls;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod live;
pub mod manual;
mod proxy_header;
mod server_cert;
mod server_config;
#[cfg(feature = "tower")]
pub mod tower;
mod trust;
mod unix_time;
mod verifier;

#[cfg(feature = "acceptor")]
pub use acceptor::{Accepted, DeviceAcceptor, HandshakeLimits, NotAccepted};
pub use decision::{PresentedChain, Refusal, decide};
pub use denylist::{AgeLimit, CatchUp, Denylist, DenylistSnapshot, Reload};
pub use device_tls::{DeviceTls, Handshake};
pub use error::Error;
pub use identity::VerifiedDevice;
pub use live::{LiveConnection, LiveConnections};
pub use proxy_header::{ProxyHeader, ProxyHeaderError};
pub use server_cert::{ServerCert, ServerCertStore};
pub use server_config::server_config;
pub use trust::TrustBundle;
pub use verifier::{DeviceCertVerifier, RefusalObserver};
