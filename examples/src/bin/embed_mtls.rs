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
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use identity_mtls::tower::DeviceIdentityLayer;
use identity_mtls::{
    AgeLimit, Denylist, DeviceCertVerifier, LiveConnections, ServerCert, ServerCertStore,
    TrustBundle, VerifiedDevice, server_config,
};
use identity_pki::{
    CA_VALIDITY, CsrPolicy, DEVICE_VALIDITY, DeviceId, DeviceIdentity, ECDSA_P256_SHA256,
    PlatformCa, ServerCertificate, SoftwareSigner, TenantId, Terms,
};
use rustls::crypto::CryptoProvider;
use rustls::time_provider::DefaultTimeProvider;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower_layer::Layer as _;

type Failure = Box<dyn Error + Send + Sync>;
type Refusal = (StatusCode, String);

/// A client that takes longer for its handshake is not waited for.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// What all connections and requests share.
struct Service {
    acceptor: TlsAcceptor,
    verifier: Arc<DeviceCertVerifier>,
    denylist: Arc<Denylist>,
    live: LiveConnections,
    ca: PlatformCa,
}

impl Service {
    fn new(certificate: ServerCert, provider: CryptoProvider) -> Result<Self, Failure> {
        let terms = Terms::new(OffsetDateTime::now_utc(), CA_VALIDITY, time::Duration::ZERO);
        let signer = Box::new(SoftwareSigner::generate(&mut entropy()));
        let ca = PlatformCa::generate(signer, "Example Device CA", &terms, &mut entropy())?;

        // A denylist refuses everybody until it is first published. This one begins empty; a real
        // service reads its database between the two calls, and catches up with it from then on.
        // Nobody else denies anything here, so the list may grow old.
        let may_grow_old = AgeLimit::serve_beyond(time::Duration::MAX);
        let denylist = Arc::new(Denylist::with_age_limit(may_grow_old));
        denylist.begin_reload(OffsetDateTime::now_utc()).publish([]);

        let trust = TrustBundle::new([ca.certificate().clone()])?;
        let verifier = DeviceCertVerifier::new(&provider, trust, Arc::clone(&denylist));
        let verifier = Arc::new(verifier);
        let config = server_config(
            Arc::new(provider),
            Arc::new(DefaultTimeProvider),
            Arc::new(ServerCertStore::new(certificate)),
            Arc::clone(&verifier),
        )?;
        Ok(Self {
            acceptor: TlsAcceptor::from(config),
            verifier,
            live: LiveConnections::new(Arc::clone(&denylist)),
            denylist,
            ca,
        })
    }

    /// One connection, from its handshake to its end.
    async fn serve(self: Arc<Self>, tcp: TcpStream) -> Result<(), Failure> {
        let tls = tokio::time::timeout(HANDSHAKE_TIME, self.acceptor.accept(tcp)).await??;
        let device = self
            .verifier
            .device(tls.get_ref().1, OffsetDateTime::now_utc())?;
        let guard = device.clone().map(|device| self.live.register(device));

        // Every request of this connection is told whose it is.
        let routes = DeviceIdentityLayer::new(device).layer(routes(Arc::clone(&self)));
        let http = auto::Builder::new(TokioExecutor::new());
        let connection = http.serve_connection(TokioIo::new(tls), TowerToHyperService::new(routes));
        tokio::pin!(connection);
        let revoked = async {
            match &guard {
                Some(guard) => guard.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            served = connection.as_mut() => return served,
            () = revoked => connection.as_mut().graceful_shutdown(),
        }
        connection.await
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
    // A real service commits the revocation to its database before this line.
    service.denylist.add([device.tbs_sha256()]);
    let (now, trust) = (OffsetDateTime::now_utc(), service.verifier.trust());
    let closed = service.live.re_decide(now, trust);
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

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    println!("POST a CSR to https://localhost:{port}/pair/DEVICE");
    loop {
        let (tcp, peer) = listener.accept().await?;
        let service = Arc::clone(&service);
        // Handshakes run next to one another. A real service also limits how many.
        tokio::spawn(async move {
            if let Err(reason) = service.serve(tcp).await {
                println!("{peer}: {reason}");
            }
        });
    }
}
