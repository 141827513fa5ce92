//! A service that signs device certificates, with `identity-pki` and nothing else of the platform.
//!
//! ```text
//! cargo run -p examples --bin embed_csr_gate
//! openssl ecparam -name prime256v1 -genkey -noout -out device.key
//! openssl req -new -key device.key -subj /CN=anything -out device.csr
//! curl --data-binary @device.csr http://127.0.0.1:PORT/acme/dev_1
//! ```
#![expect(clippy::print_stdout, reason = "a program talks to its user")]
#![expect(
    clippy::disallowed_methods,
    reason = "a program is where the clock is read"
)]

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use identity_pki::{
    CA_VALIDITY, CsrPolicy, DEVICE_VALIDITY, DeviceId, DeviceIdentity, ECDSA_P256_SHA256,
    PlatformCa, SoftwareSigner, TenantId, Terms,
};
use time::{Duration, OffsetDateTime};

type Refusal = (StatusCode, String);

fn refuse(error: impl std::error::Error) -> Refusal {
    (StatusCode::BAD_REQUEST, format!("{error}\n"))
}

fn entropy() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

/// The request's body is a CSR in PEM; the answer is the certificate.
///
/// Who may have which identity is this service's own business: here, whoever asks.
async fn sign(
    State(ca): State<Arc<PlatformCa>>,
    Path((tenant, device)): Path<(String, String)>,
    body: String,
) -> Result<String, Refusal> {
    let tenant_id = TenantId::new(tenant).map_err(refuse)?;
    let device_id = DeviceId::new(device).map_err(refuse)?;
    let identity = DeviceIdentity::new(tenant_id, device_id);
    let no_device_has = [ca.certificate().spki_sha256()];
    let policy = CsrPolicy::new(ECDSA_P256_SHA256).refuse_keys(&no_device_has);
    let csr = policy.check_pem(&body).map_err(refuse)?;
    let terms = Terms::new(
        OffsetDateTime::now_utc(),
        DEVICE_VALIDITY,
        Duration::minutes(5),
    );
    let issued = ca
        .issue(&csr, &identity, &terms, &mut entropy())
        .map_err(refuse)?;
    Ok(issued.pem())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let terms = Terms::new(OffsetDateTime::now_utc(), CA_VALIDITY, Duration::ZERO);
    let signer = Box::new(SoftwareSigner::generate(&mut entropy()));
    let ca = PlatformCa::generate(signer, "Example Device CA", &terms, &mut entropy())?;
    let app = Router::new()
        .route("/{tenant}/{device}", post(sign))
        .with_state(Arc::new(ca));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "POST a CSR to http://{}/TENANT/DEVICE",
        listener.local_addr()?
    );
    axum::serve(listener, app).await?;
    Ok(())
}
