//! How to rotate a CA.
//!
//! The states of a CA are [`identity_pki`]'s: see its `manual::rotating_a_ca`. A server accepts what
//! [`CaRotation`](identity_pki::CaRotation) says is trusted, and has to follow each change:
//!
//! ```
//! use std::sync::Arc;
//!
//! use identity_mtls::{Denylist, DeviceAcceptor, DeviceCertVerifier, DeviceTls, TrustBundle};
//! use identity_pki::CaCertificate;
//! use rustls::crypto::CryptoProvider;
//! use rustls::server::ResolvesServerCert;
//! use rustls::time_provider::TimeProvider;
//!
//! /// Accepts the devices of `trusted` and no others; returns how many connections have to close.
//! fn accept_devices_of(
//!     trusted: Vec<CaCertificate>,
//!     acceptor: &DeviceAcceptor,
//!     denylist: &Arc<Denylist>,
//!     provider: Arc<CryptoProvider>,
//!     clock: Arc<dyn TimeProvider>,
//!     certificate: Arc<dyn ResolvesServerCert>,
//! ) -> Result<usize, identity_mtls::Error> {
//!     let trust = TrustBundle::new(trusted)?;
//!     let devices = DeviceCertVerifier::new(&provider, trust, Arc::clone(denylist));
//!     let tls = DeviceTls::new(provider, clock, certificate, Arc::new(devices))?;
//!     Ok(acceptor.replace(tls))
//! }
//! ```
//!
//! 1. **Prepare**: every server takes the new CA into its bundle, before the first certificate is
//!    issued under it. No connection closes.
//! 2. **Activate**: nothing changes here. Both CAs are in the bundle, and each device is accepted by
//!    the one that its certificate names.
//! 3. **Retire**: the old CA leaves the bundle. [`DeviceAcceptor::replace`](crate::DeviceAcceptor::replace)
//!    closes the connections of its devices, and a handshake that began before the change is decided on
//!    again after it.
//!
//! To swap an `Arc<ServerConfig>` instead is not enough: connections that are open stay open.
//!
//! The denylist is one for all CAs. The server's own certificate is another matter:
//! [`ServerCertStore::replace`](crate::ServerCertStore::replace).
