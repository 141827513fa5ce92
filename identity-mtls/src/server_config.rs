use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ConfigBuilder, ServerConfig, WantsVerifier};

use crate::{DeviceCertVerifier, Error};

/// The protocols that are offered by ALPN (RFC 7301), the preferred one first.
const ALPN_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A TLS server configuration for devices and browsers alike.
///
/// TLS 1.3 and 1.2, ALPN `h2` and `http/1.1`, `certificate` for every server name. Clients may send
/// a certificate, which `devices` decides on; `time` says when.
///
/// **Sessions are never resumed**: nothing is stored, no ticket is issued, no early data is taken.
/// A resumed session skips the certificate check, so a revoked device could come back.
///
/// A new configuration with other CAs ends no connection that is open: tell those by
/// [`LiveConnections::re_decide`](crate::LiveConnections::re_decide), or use
/// [`DeviceAcceptor::replace`](crate::DeviceAcceptor::replace), which does both. The server certificate
/// changes in place, in [`ServerCertStore`](crate::ServerCertStore).
///
/// # Errors
///
/// [`Error::Protocol`] when `provider` has no cipher suites for these versions.
pub fn server_config(
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
    certificate: Arc<dyn ResolvesServerCert>,
    devices: Arc<DeviceCertVerifier>,
) -> Result<Arc<ServerConfig>, Error> {
    Ok(finish(
        config_builder(provider, time)?,
        certificate,
        devices,
    ))
}

/// The part of a configuration that does not depend on who verifies.
pub(crate) fn config_builder(
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, Error> {
    ServerConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(Error::Protocol)
}

/// The one place where configurations come from.
pub(crate) fn finish(
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    certificate: Arc<dyn ResolvesServerCert>,
    devices: Arc<dyn ClientCertVerifier>,
) -> Arc<ServerConfig> {
    let mut config = builder
        .with_client_cert_verifier(devices)
        .with_cert_resolver(certificate);
    config.alpn_protocols = ALPN_PROTOCOLS.map(<[u8]>::to_vec).into();
    never_resume(&mut config);
    // Client chains are small; decompressing would only be work that a stranger can cause.
    config.cert_decompressors = Vec::new();
    Arc::new(config)
}

fn never_resume(config: &mut ServerConfig) {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // The builder's ticketer issues none and reads none.
    config.send_tls13_tickets = 0;
    config.max_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
}
