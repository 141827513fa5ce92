//! An axum service for devices: mutual TLS by `identity-mtls`, certificates by `identity-pki`, and
//! nothing else of the platform. The argument is a file that gets the server's certificate.
//!
//! ```text
//! cargo run -p examples --bin embed_mtls server.pem
//! openssl ecparam -name prime256v1 -genkey -noout -out device.key
//! openssl req -new -key device.key -subj /CN=anything -out device.csr
//! curl --cacert server.pem --data-binary @device.csr https://localhost:PORT/pair/dev_1 > device.pem
//! curl --cacert server.pem --cert device.pem --key device.key https://localhost:PORT/
//! curl --cacert server.pem --cert device.pem --key device.key -X POST https://localhost:PORT/revoke
//! ```
//!
//! From the last call on, that certificate is refused in the handshake.
#![expect(clippy::print_stdout, reason = "a program talks to its user")]
#![expect(
    clippy::disallowed_methods,
    reason = "a program is where the clock is read"
)]

use std::error::Error;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use identity_mtls::tower::DeviceIdentityLayer;
use identity_mtls::{
    Accepted, Denylist, DeviceAcceptor, DeviceCertVerifier, DeviceTls, HandshakeLimits,
    LiveConnections, ServerCert, ServerCertStore, TrustBundle, VerifiedDevice,
};
use identity_pki::{
    CA_VALIDITY, CsrPolicy, DEVICE_VALIDITY, DeviceId, DeviceIdentity, ECDSA_P256_SHA256,
    PlatformCa, ServerCertificate, SoftwareSigner, TbsSha256, TenantId, Terms,
};
use rustls::crypto::CryptoProvider;
use rustls::time_provider::DefaultTimeProvider;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer as _;

type Failure = Box<dyn Error + Send + Sync>;
type Refusal = (StatusCode, String);

/// How long a client may take for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long a refused device has for the requests that it has begun.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// How many seconds pass between two reads of the whole list of denials.
const RELOAD_SECONDS: u64 = 600;

/// Stands for the table of denials in a database, which other servers write as well.
#[derive(Default)]
struct Denials(Mutex<Vec<TbsSha256>>);

impl Denials {
    fn commit(&self, denied: TbsSha256) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push(denied);
    }

    /// What the rows after the first `read` ones deny.
    fn after(&self, read: usize) -> Vec<TbsSha256> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().skip(read).copied().collect()
    }
}

/// What all connections and requests share.
struct Service {
    acceptor: DeviceAcceptor,
    denylist: Arc<Denylist>,
    denials: Denials,
    ca: PlatformCa,
}

impl Service {
    fn new(certificate: ServerCert, provider: CryptoProvider) -> Result<Self, Failure> {
        let terms = Terms::new(OffsetDateTime::now_utc(), CA_VALIDITY, time::Duration::ZERO);
        let signer = Box::new(SoftwareSigner::generate(&mut entropy()));
        let ca = PlatformCa::generate(signer, "Example Device CA", &terms, &mut entropy())?;

        // It refuses every device until `reload` publishes it for the first time.
        let denylist = Arc::new(Denylist::new());
        let trust = TrustBundle::new([ca.certificate().clone()])?;
        let devices = DeviceCertVerifier::new(&provider, trust, Arc::clone(&denylist));
        let tls = DeviceTls::new(
            Arc::new(provider),
            Arc::new(DefaultTimeProvider),
            Arc::new(ServerCertStore::new(certificate)),
            Arc::new(devices),
        )?;
        let live = LiveConnections::new(Arc::clone(&denylist));
        Ok(Self {
            acceptor: DeviceAcceptor::new(tls, live, HandshakeLimits::default()),
            denylist,
            denials: Denials::default(),
            ca,
        })
    }

    /// Reads all denials, and returns how many there are.
    fn reload(&self) -> usize {
        let reload = self.denylist.begin_reload(OffsetDateTime::now_utc());
        // A real read may fail: then nothing is published, and the list ages.
        let rows = self.denials.after(0);
        let read = rows.len();
        reload.publish(rows);
        read
    }

    /// Runs beside the accept loop: reads what was denied after the first `read` rows, and closes the
    /// connections that are over.
    async fn keep_up(self: Arc<Self>, mut read: usize) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        for second in 1_u64.. {
            seconds.tick().await;
            match self.denylist.begin_catch_up(OffsetDateTime::now_utc()) {
                Some(catch_up) if second % RELOAD_SECONDS != 0 => {
                    let rows = self.denials.after(read);
                    read += rows.len();
                    catch_up.publish(rows);
                }
                Some(_) | None => read = self.reload(),
            }
            let live = self.acceptor.live();
            live.close_expired(OffsetDateTime::now_utc());
            self.close_refused();
        }
    }

    /// Closes the connections whose devices are no longer accepted, and returns how many those are.
    fn close_refused(&self) -> usize {
        let (now, tls) = (OffsetDateTime::now_utc(), self.acceptor.tls());
        self.acceptor.live().re_decide(now, tls.devices().trust())
    }

    /// One connection after its handshake, to its end.
    async fn serve(self: Arc<Self>, accepted: Accepted<TcpStream>) -> Result<(), Failure> {
        // Every request of this connection is told whose it is.
        let device = accepted.live.as_ref().map(|live| live.device().clone());
        let routes = DeviceIdentityLayer::new(device).layer(routes(self));
        let mut http = match accepted.stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => auto::Builder::new(TokioExecutor::new()).http2_only(),
            Some(_) | None => auto::Builder::new(TokioExecutor::new()).http1_only(),
        };
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(HEAD_TIME);
        let stream = TokioIo::new(accepted.stream);
        let connection = http.serve_connection(stream, TowerToHyperService::new(routes));
        let mut connection = pin!(connection);
        let refused = async {
            match &accepted.live {
                Some(live) => live.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            served = connection.as_mut() => return served,
            () = refused => connection.as_mut().graceful_shutdown(),
        }
        // Whoever does not end a request must not stay by it.
        tokio::time::timeout(CLOSE_TIME, connection).await?
    }

    fn is_denied(&self, device: &VerifiedDevice) -> bool {
        let now = OffsetDateTime::now_utc();
        self.denylist.denies(&device.tbs_sha256(), now)
    }
}

fn routes(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(greet))
        .route("/pair/{device}", post(pair))
        .route("/revoke", post(revoke))
        .layer(from_fn_with_state(Arc::clone(&service), refuse_denied))
        .with_state(service)
}

/// A request may overtake the closing of its connection: it is refused as well.
async fn refuse_denied(
    State(service): State<Arc<Service>>,
    device: Option<Extension<VerifiedDevice>>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    match device {
        Some(Extension(device)) if service.is_denied(&device) => Err(no_certificate()),
        Some(_) | None => Ok(next.run(request).await),
    }
}

/// For devices only: without a certificate there is no `DeviceIdentity`.
async fn greet(device: Option<Extension<DeviceIdentity>>) -> Result<String, Refusal> {
    let Extension(device) = device.ok_or_else(no_certificate)?;
    Ok(format!("hello {}\n", device.san_uri()))
}

/// The one thing that a client may do without a certificate: get one. The body is a CSR in PEM.
///
/// Who may have which identity is this service's own business: here, whoever asks.
async fn pair(
    State(service): State<Arc<Service>>,
    Path(device): Path<String>,
    body: String,
) -> Result<String, Refusal> {
    let tenant_id = TenantId::new("acme").map_err(refuse)?;
    let device_id = DeviceId::new(device).map_err(refuse)?;
    let identity = DeviceIdentity::new(tenant_id, device_id);
    let no_device_has = [service.ca.certificate().spki_sha256()];
    let policy = CsrPolicy::new(ECDSA_P256_SHA256).refuse_keys(&no_device_has);
    let csr = policy.check_pem(&body).map_err(refuse)?;
    let terms = Terms::new(
        OffsetDateTime::now_utc(),
        DEVICE_VALIDITY,
        time::Duration::minutes(5),
    );
    let issued = service
        .ca
        .issue(&csr, &identity, &terms, &mut entropy())
        .map_err(refuse)?;
    Ok(issued.pem())
}

/// Denies the certificate that the caller shows, and closes every connection that was made with it.
async fn revoke(
    State(service): State<Arc<Service>>,
    device: Option<Extension<VerifiedDevice>>,
) -> Result<String, Refusal> {
    let Extension(device) = device.ok_or_else(no_certificate)?;
    service.denials.commit(device.tbs_sha256());
    service.denylist.add([device.tbs_sha256()]);
    let closed = service.close_refused();
    Ok(format!("revoked; connections to close: {closed}\n"))
}

fn refuse(error: impl Error) -> Refusal {
    (StatusCode::BAD_REQUEST, format!("{error}\n"))
}

fn no_certificate() -> Refusal {
    let reason = "a valid client certificate is required\n";
    (StatusCode::UNAUTHORIZED, reason.to_owned())
}

fn entropy() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

/// A certificate for `localhost` that clients trust because they were handed `file`.
fn server_certificate(file: &str, provider: &CryptoProvider) -> Result<ServerCert, Failure> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let pem = made.cert.pem();
    std::fs::write(file, &pem)?;
    let certificate = ServerCertificate::from_pem_chain(&pem, None)?;
    let key = made.signing_key.serialize_pem();
    let now = OffsetDateTime::now_utc();
    Ok(ServerCert::new(provider, &certificate, &key, now)?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let file = std::env::args().nth(1);
    let file = file.ok_or("usage: embed_mtls FILE (it gets the server's certificate)")?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certificate = server_certificate(&file, &provider)?;
    let service = Arc::new(Service::new(certificate, provider)?);

    let read = service.reload();
    tokio::spawn(Arc::clone(&service).keep_up(read));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    println!("POST a CSR to https://localhost:{port}/pair/DEVICE");
    loop {
        let (tcp, peer) = listener.accept().await?;
        let service = Arc::clone(&service);
        // Handshakes run next to one another, as many as the acceptor's limits allow.
        tokio::spawn(async move {
            match service.acceptor.accept(tcp, peer.ip()).await {
                Ok(accepted) => {
                    if let Err(broken) = service.serve(accepted).await {
                        println!("{peer}: {broken}");
                    }
                }
                Err(not_accepted) => println!("{peer}: {not_accepted}"),
            }
        });
    }
}
