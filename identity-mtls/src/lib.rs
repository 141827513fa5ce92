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
//! - [`Denylist`]: snapshots that readers see without a lock. It fails closed before the first one,
//!   and is keyed by the hash of what the CA signed, which nobody can re-encode.
//! - [`server_config()`]: TLS 1.2 and 1.3 without any session resumption, since a resumed session
//!   skips the certificate check.
//! - [`ServerCertStore`]: the server's own certificate, replaced without a failed handshake.
//! - [`LiveConnections`]: the connections to close when a device is revoked or expires.
//! - [`tower::DeviceIdentityLayer`]: the device in each request.
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
//! use std::sync::Arc;
//!
//! use axum::Router;
//! use hyper_util::rt::{TokioExecutor, TokioIo};
//! use hyper_util::server::conn::auto;
//! use hyper_util::service::TowerToHyperService;
//! use identity_mtls::tower::DeviceIdentityLayer;
//! use identity_mtls::{
//!     Denylist, DeviceCertVerifier, LiveConnections, ServerCert, ServerCertStore, TrustBundle,
//!     server_config,
//! };
//! use rustls::crypto::CryptoProvider;
//! use rustls::time_provider::TimeProvider;
//! use tokio::net::{TcpListener, TcpStream};
//! use tokio_rustls::TlsAcceptor;
//! use tower_layer::Layer;
//!
//! # use std::error::Error;
//! # use time::OffsetDateTime;
//! /// What all connections share.
//! struct Server {
//!     acceptor: TlsAcceptor,
//!     verifier: Arc<DeviceCertVerifier>,
//!     live: LiveConnections,
//!     routes: Router,
//!     now: fn() -> OffsetDateTime,
//! }
//!
//! fn server(
//!     provider: Arc<CryptoProvider>,
//!     clock: Arc<dyn TimeProvider>,
//!     certificate: ServerCert,
//!     trust: TrustBundle,
//!     denylist: Arc<Denylist>,
//! #   routes: Router,
//! #   now: fn() -> OffsetDateTime,
//! ) -> Result<Server, identity_mtls::Error> {
//!     let verifier = DeviceCertVerifier::new(&provider, trust, Arc::clone(&denylist));
//!     let verifier = Arc::new(verifier);
//!     let certificate = Arc::new(ServerCertStore::new(certificate));
//!     let config = server_config(provider, clock, certificate, Arc::clone(&verifier))?;
//!     let live = LiveConnections::new(denylist);
//!     let acceptor = TlsAcceptor::from(config);
//! #   let _ = "the hidden fields come from the application";
//!     Ok(Server { acceptor, verifier, live, routes, now })
//! }
//!
//! async fn accept(server: Arc<Server>, listener: TcpListener) -> std::io::Result<()> {
//!     loop {
//!         let (tcp, _) = listener.accept().await?;
//!         let server = Arc::clone(&server);
//!         tokio::spawn(async move {
//!             // A real server also limits the time and the number of handshakes.
//!             let _ = serve(&server, tcp).await;
//!         });
//!     }
//! }
//!
//! async fn serve(
//!     server: &Server,
//!     tcp: TcpStream,
//! ) -> Result<(), Box<dyn Error + Send + Sync>> {
//!     let tls = server.acceptor.accept(tcp).await?;
//!     let device = server.verifier.device(tls.get_ref().1, (server.now)())?;
//!     let guard = device.clone().map(|device| server.live.register(device));
//!
//!     let routes = DeviceIdentityLayer::new(device).layer(server.routes.clone());
//!     let http = auto::Builder::new(TokioExecutor::new());
//!     let connection = http.serve_connection(TokioIo::new(tls), TowerToHyperService::new(routes));
//!     tokio::pin!(connection);
//!     let revoked = async {
//!         match &guard {
//!             Some(guard) => guard.closed().await,
//!             None => std::future::pending().await,
//!         }
//!     };
//!     tokio::select! {
//!         served = connection.as_mut() => return served,
//!         () = revoked => connection.as_mut().graceful_shutdown(),
//!     }
//!     connection.await
//! }
//! ```
//!
//! After a revocation was committed: `denylist.add([tbs_sha256])`, then
//! `live.re_decide(now, verifier.trust())`.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `tower` | yes | the `tower` module, a layer for hyper and axum |

mod decision;
mod denylist;
mod error;
mod identity;
mod live;
pub mod manual;
mod server_cert;
mod server_config;
#[cfg(feature = "tower")]
pub mod tower;
mod trust;
mod unix_time;
mod verifier;

pub use decision::{PresentedChain, Refusal, decide};
pub use denylist::{Denylist, DenylistSnapshot, Reload};
pub use error::Error;
pub use identity::VerifiedDevice;
pub use live::{LiveConnection, LiveConnections};
pub use server_cert::{ServerCert, ServerCertStore};
pub use server_config::server_config;
pub use trust::TrustBundle;
pub use verifier::{DeviceCertVerifier, RefusalObserver};
