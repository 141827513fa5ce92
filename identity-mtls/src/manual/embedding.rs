//! How to embed.
//!
//! The [front page](crate) has the accept loop, and [`revocation`](super::revocation) the task beside
//! it. Together they are a complete server; what each part is for:
//!
//! 1. A [`Denylist`](crate::Denylist), reloaded before the first connection: until then every device is
//!    refused.
//! 2. A [`DeviceCertVerifier`](crate::DeviceCertVerifier) of that list and of the
//!    [`TrustBundle`](crate::TrustBundle) of your CAs. An
//!    [observer](crate::DeviceCertVerifier::with_observer) hears of each refusal, for your log: the
//!    client only gets an alert.
//! 3. A [`ServerCertStore`](crate::ServerCertStore) with the server's own certificate. Keep the `Arc` and
//!    [replace](crate::ServerCertStore::replace) the certificate in place when it is renewed.
//! 4. [`DeviceTls`](crate::DeviceTls) of these, your crypto provider and your clock.
//! 5. A [`DeviceAcceptor`](crate::DeviceAcceptor) of that, of the
//!    [`LiveConnections`](crate::LiveConnections) and of [`HandshakeLimits`](crate::HandshakeLimits).
//!
//! # In a handler
//!
//! [`DeviceIdentityLayer`](crate::tower::DeviceIdentityLayer) puts the device into each request. A
//! request without one is anonymous, and it is the handler that refuses it. A request may overtake the
//! closing of its connection: what must not happen after a revocation asks
//! [`Denylist::denies`](crate::Denylist::denies) once more.
//!
//! # Another accept loop
//!
//! A server that has one already uses [`DeviceTls`](crate::DeviceTls) for each handshake and registers the
//! device itself. Three things are then its own: a limit on the number of handshakes and on their
//! time, [`recheck`](crate::DeviceTls::recheck) after the registration, and closing the connection when
//! [`closed`](crate::LiveConnection::closed) resolves.
//!
//! # What to limit besides
//!
//! A handshake without a certificate is an accepted one: anybody can have it. Limit the time for the
//! head of a request and for its body, and how many connections there are. Behind a proxy every
//! connection has one source: give the acceptor the client's address, from a
//! [`ProxyHeader`](crate::ProxyHeader), or raise the [shares](crate::HandshakeLimits) of a source.
//!
//! `examples/embed_mtls` in the repository is all of it in one file, with a CA.
