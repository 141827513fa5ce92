//! A server and clients over real TLS on loopback. The server greets each caller by its identity
//! and then keeps the connection until the client leaves or it is told to close.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use identity_mtls::{
    Accepted, DeviceAcceptor, DeviceCertVerifier, DeviceTls, HandshakeLimits, LiveConnection,
    LiveConnections, NotAccepted, Refusal, ServerCert, ServerCertStore, VerifiedDevice,
    server_config,
};
use identity_pki::ServerCertificate;
use rcgen::{CertificateParams, KeyPair};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig,
    SupportedProtocolVersion,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, server};

use super::certificates::Credentials;
use super::{NOW, provider};

pub(crate) const TLS_VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// What a client says first.
const GREETING: &[u8; 6] = b"hello\n";

#[derive(Debug)]
pub(crate) struct At(pub(crate) OffsetDateTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.0.unix_timestamp().unsigned_abs();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            seconds,
        )))
    }
}

/// A self-signed certificate for `localhost` and its key, in PEM.
pub(crate) struct Localhost {
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Localhost {
    pub(crate) fn new() -> Self {
        Self::valid(NOW - Duration::days(1), NOW + Duration::days(30))
    }

    pub(crate) fn valid(not_before: OffsetDateTime, not_after: OffsetDateTime) -> Self {
        let key = KeyPair::generate().expect("server key");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("name");
        (params.not_before, params.not_after) = (not_before, not_after);
        let certificate = params.self_signed(&key).expect("certificate");
        Self {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
        }
    }

    pub(crate) fn facts(&self) -> ServerCertificate {
        ServerCertificate::from_pem_chain(&self.cert_pem, None).expect("server certificate")
    }

    pub(crate) fn cert(&self) -> ServerCert {
        ServerCert::new(&provider(), &self.facts(), &self.key_pem, NOW).expect("matching pair")
    }
}

/// How the server saw one connection.
#[derive(Debug)]
pub(crate) enum Seen {
    /// The handshake failed; no application data was read.
    Failed(rustls::Error),
    /// The handshake was over, but the look after it refused the device.
    Refused(Refusal),
    /// The greeting was read and answered.
    Served {
        device: Option<VerifiedDevice>,
        version: Option<ProtocolVersion>,
        alpn: Option<Vec<u8>>,
        kind: Option<HandshakeKind>,
    },
}

pub(crate) struct Server {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) live: LiveConnections,
    pub(crate) certificates: Arc<ServerCertStore>,
    pub(crate) localhost: Localhost,
}

impl Server {
    /// A server as an application would set it up.
    pub(crate) async fn start(verifier: &Arc<DeviceCertVerifier>, live: &LiveConnections) -> Self {
        let localhost = Localhost::new();
        let certificates = Arc::new(ServerCertStore::new(localhost.cert()));
        let tls = device_tls(Arc::clone(&certificates) as _, verifier);
        let acceptor = DeviceAcceptor::new(tls, live.clone(), HandshakeLimits::default());
        Self::listen(Accept::Acceptor(acceptor), live, localhost, certificates).await
    }

    /// One with an accept loop of its own, and another idea of a good configuration.
    pub(crate) async fn start_with(
        verifier: &Arc<DeviceCertVerifier>,
        live: &LiveConnections,
        change: impl FnOnce(Arc<ServerConfig>) -> Arc<ServerConfig>,
    ) -> Self {
        let localhost = Localhost::new();
        let certificates = Arc::new(ServerCertStore::new(localhost.cert()));
        let resolver = Arc::clone(&certificates);
        let config = server_config(
            provider(),
            Arc::new(At(NOW)),
            resolver,
            Arc::clone(verifier),
        );
        let acceptor = TlsAcceptor::from(change(config.expect("TLS configuration")));
        let by_hand = Accept::ByHand(acceptor, Arc::clone(verifier));
        Self::listen(by_hand, live, localhost, certificates).await
    }

    async fn listen(
        accept: Accept,
        live: &LiveConnections,
        localhost: Localhost,
        certificates: Arc<ServerCertStore>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let (tell, seen) = mpsc::unbounded_channel();
        let connection = Connection {
            accept,
            live: live.clone(),
            tell,
        };
        tokio::spawn(async move {
            while let Ok((tcp, peer)) = listener.accept().await {
                tokio::spawn(connection.clone().serve(tcp, peer));
            }
        });
        Self {
            address,
            seen,
            live: live.clone(),
            certificates,
            localhost,
        }
    }

    /// How the server saw the connection that ended its handshake next.
    pub(crate) async fn seen(&mut self) -> Seen {
        self.seen.recv().await.expect("the server runs")
    }

    /// A client of this server that shows `credentials`.
    pub(crate) fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        credentials: Option<&Credentials>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.localhost.der.clone()).expect("root");
        client(version, credentials, roots)
    }

    /// Connects and greets.
    pub(crate) async fn open(
        &self,
        client: &Arc<ClientConfig>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").expect("name");
        let mut tls = TlsConnector::from(Arc::clone(client))
            .connect(name, tcp)
            .await?;
        tls.write_all(GREETING).await?;
        tls.flush().await?;
        Ok(tls)
    }

    /// Connects, greets, and reads the line that comes back.
    pub(crate) async fn call(&self, client: &Arc<ClientConfig>) -> io::Result<String> {
        read_line(&mut self.open(client).await?).await
    }

    /// One call, and how both sides saw it.
    pub(crate) async fn meet(&mut self, client: ClientConfig) -> (io::Result<String>, Seen) {
        let client = Arc::new(client);
        let heard = self.call(&client).await;
        (heard, self.seen().await)
    }
}

pub(crate) fn client(
    version: &'static SupportedProtocolVersion,
    credentials: Option<&Credentials>,
    roots: RootCertStore,
) -> ClientConfig {
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(At(NOW)))
        .with_protocol_versions(&[version])
        .expect("version")
        .with_root_certificates(roots);
    let Some(credentials) = credentials else {
        return builder.with_no_client_auth();
    };
    let key = provider().key_provider.load_private_key(credentials.key());
    let key = CertifiedKey::new(credentials.chain.clone(), key.expect("client key"));
    builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
}

pub(crate) async fn read_line(tls: &mut TlsStream<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    loop {
        let byte = tls.read_u8().await?;
        if byte == b'\n' {
            return Ok(line);
        }
        line.push(char::from(byte));
    }
}

/// The alert that ended a call.
pub(crate) fn alert(heard: io::Result<String>) -> AlertDescription {
    match rustls_error(&heard.expect_err("the call must fail")) {
        rustls::Error::AlertReceived(alert) => alert,
        other => panic!("no alert: {other:?}"),
    }
}

fn rustls_error(error: &io::Error) -> rustls::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner
        .cloned()
        .unwrap_or_else(|| panic!("no TLS error: {error:?}"))
}

/// TLS of a server with `certificate`, at [`NOW`].
pub(crate) fn device_tls(
    certificate: Arc<dyn ResolvesServerCert>,
    verifier: &Arc<DeviceCertVerifier>,
) -> DeviceTls {
    let devices = Arc::clone(verifier);
    DeviceTls::new(provider(), Arc::new(At(NOW)), certificate, devices).expect("TLS")
}

/// How connections come about.
#[derive(Clone)]
enum Accept {
    Acceptor(DeviceAcceptor),
    ByHand(TlsAcceptor, Arc<DeviceCertVerifier>),
}

/// The server's side of one connection.
#[derive(Clone)]
struct Connection {
    accept: Accept,
    live: LiveConnections,
    tell: mpsc::UnboundedSender<Seen>,
}

impl Connection {
    async fn serve(self, tcp: TcpStream, peer: SocketAddr) {
        match self.accept.clone() {
            Accept::Acceptor(acceptor) => {
                self.accepted(acceptor.accept(tcp, peer.ip()).await).await;
            }
            Accept::ByHand(acceptor, verifier) => self.by_hand(tcp, acceptor, verifier).await,
        }
    }

    async fn accepted(&self, accepted: Result<Accepted<TcpStream>, NotAccepted>) {
        match accepted {
            Ok(accepted) => {
                self.answer(accepted.stream, accepted.live).await;
            }
            Err(NotAccepted::Handshake(error)) => self.tell(Seen::Failed(rustls_error(&error))),
            Err(NotAccepted::Refused(refusal)) => self.tell(Seen::Refused(refusal)),
            Err(other) => panic!("{other}"),
        }
    }

    async fn by_hand(
        &self,
        tcp: TcpStream,
        acceptor: TlsAcceptor,
        verifier: Arc<DeviceCertVerifier>,
    ) {
        match acceptor.accept(tcp).await {
            Ok(tls) => match verifier.device(tls.get_ref().1, NOW) {
                Ok(device) => {
                    let live = device.map(|device| self.live.register(device));
                    self.answer(tls, live).await;
                }
                Err(refusal) => self.tell(Seen::Refused(refusal)),
            },
            Err(error) => self.tell(Seen::Failed(rustls_error(&error))),
        }
    }

    async fn answer(&self, mut tls: server::TlsStream<TcpStream>, guard: Option<LiveConnection>) {
        let device = guard.as_ref().map(|guard| guard.device().clone());
        let mut greeting = [0; GREETING.len()];
        if tls.read_exact(&mut greeting).await.is_err() {
            return;
        }
        let caller = device.as_ref().map(|device| device.identity().san_uri());
        let line = format!("{}\n", caller.as_deref().unwrap_or("anonymous"));
        let connection = tls.get_ref().1;
        let seen = Seen::Served {
            version: connection.protocol_version(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            kind: connection.handshake_kind(),
            device,
        };
        let _ = tls.write_all(line.as_bytes()).await;
        let _ = tls.flush().await;
        self.tell(seen);
        let closed = async {
            match &guard {
                Some(guard) => guard.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tls.read_u8() => {}
            () = closed => {}
        }
        let _ = tls.shutdown().await;
    }

    fn tell(&self, seen: Seen) {
        // The test may have seen enough.
        let _ = self.tell.send(seen);
    }
}
