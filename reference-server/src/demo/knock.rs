//! Whether a server lets a certificate in, seen from the first byte on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::DemoError;
use super::scanner::Credentials;

/// How long a refusal is waited for before anything is asked. It decides nothing: a request that
/// crosses the alert may lose its text.
const ALERT_TIME: Duration = Duration::from_millis(50);

const REQUEST: &[u8] =
    b"GET /v1/devices/self HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// What happened at the door.
#[derive(Debug)]
pub(super) enum Knock {
    /// A byte of an answer came back.
    Answered,
    /// None did; how the connection ended.
    Refused(String),
}

/// Shows `credentials` to the server at `address`, over one version of TLS.
///
/// With TLS 1.3 the client's side of the handshake is over before the server judges the certificate
/// (RFC 8446 §4.4.2.4): the proof of a refusal is that no byte of an answer can be read.
pub(super) async fn knock(
    address: SocketAddr,
    ca_pem: &str,
    credentials: &Credentials,
    version: &'static SupportedProtocolVersion,
) -> Result<Knock, DemoError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes())?)?;
    let certificate = CertificateDer::from_pem_slice(credentials.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(credentials.key.as_bytes())?;
    let config = ClientConfig::builder_with_provider(Arc::new(crate::tls::provider()))
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    let answered = match connecting.await {
        Ok(mut tls) => first_byte(&mut tls).await,
        Err(error) => Err(error),
    };
    Ok(match answered {
        Ok(_) => Knock::Answered,
        Err(error) => Knock::Refused(error.to_string()),
    })
}

async fn first_byte(tls: &mut TlsStream<TcpStream>) -> io::Result<u8> {
    match tokio::time::timeout(ALERT_TIME, tls.read_u8()).await {
        Ok(read) => read,
        Err(_) => {
            tls.write_all(REQUEST).await?;
            tls.read_u8().await
        }
    }
}
