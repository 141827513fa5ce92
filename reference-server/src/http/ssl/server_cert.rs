use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use identity_pki::{ServerCertificate, ServerCertificateRule, days_remaining};
use identity_store::{PrivateKeyPem, ServerCertRecord, rfc3339};
use serde::Serialize;
use time::OffsetDateTime;
use url::Url;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::public_name::unnamed;
use super::{new_key, upload};
use crate::App;
use crate::http::{Caller, ErrorCode, Problem, ProblemDocument, RequestContext, Right};

/// From so many days before its end an uploaded certificate is warned about.
const SOON: i64 = 30;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read, upload))
}

#[derive(Debug, Serialize, ToSchema)]
struct ServerCertBody {
    issuer: String,
    subject: String,
    san: Vec<String>,
    not_before: String,
    expires_at: String,
    days_remaining: i64,
    fingerprint: String,
    key_algorithm: String,
}

/// The server's certificate.
#[utoipa::path(
    get, path = "/v1/admin/ssl/server-cert", tag = "TLS", security(("bearer" = [])),
    responses(
        (status = 200, description = "The certificate.", body = ServerCertBody),
        (status = 404, description = "`not_found`: there is none yet.", body = ProblemDocument),
    ),
)]
async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
) -> Result<Json<ServerCertBody>, Problem> {
    caller.platform(Right::Tls)?;
    let record = app.store.server_cert().await?;
    let record = record.ok_or_else(|| Problem::not_found("server certificate"))?;
    let certificate =
        ServerCertificate::from_pem_chain(&record.chain_pem, None).map_err(Problem::internal)?;
    Ok(Json(ServerCertBody {
        issuer: certificate.issuer().to_owned(),
        subject: certificate.subject().to_owned(),
        san: certificate.san().to_vec(),
        not_before: rfc3339(certificate.not_before()),
        expires_at: rfc3339(certificate.not_after()),
        days_remaining: days_remaining(certificate.not_after(), request.now),
        fingerprint: certificate.fingerprint().to_string(),
        key_algorithm: certificate.key_algorithm().to_owned(),
    }))
}

/// The parts of an upload, PEM.
#[derive(Debug, ToSchema)]
#[schema(as = ServerCertUpload)]
struct Upload {
    /// The certificate, which its intermediates may follow.
    cert: String,
    /// Its private key: PKCS#8, PKCS#1 or SEC 1, not encrypted.
    #[schema(value_type = String)]
    key: PrivateKeyPem,
    /// Intermediates.
    chain: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Uploaded {
    fingerprint: String,
    expires_at: String,
    days_remaining: i64,
    warnings: Vec<String>,
    /// The process ends once this answer is sent, and serves HTTPS when it is started again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    restart_scheduled: bool,
}

/// Takes a server certificate with its key. The first one ends the process, which serves HTTPS when
/// it is started again; later ones are used from the next handshake on.
#[utoipa::path(
    put, path = "/v1/admin/ssl/server-cert", tag = "TLS", security(("bearer" = [])),
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "Taken.", body = Uploaded),
        (status = 400, description = "`pem_invalid`", body = ProblemDocument),
        (status = 422, description = "`cert_key_mismatch`, `cert_expired`, `weak_key`; \
            `validation_failed`: the key is a CA's or a device's (`reason` is `key_in_use`).",
            body = ProblemDocument),
    ),
)]
async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: Request,
) -> Result<Json<Uploaded>, Problem> {
    caller.platform(Right::Tls)?;
    let upload = Upload::read(body).await?;
    let certificate = ServerCertificate::from_pem_chain(&upload.cert, upload.chain.as_deref())
        .and_then(|certificate| app.tls.arrange(certificate))
        .map_err(refused_certificate)?;
    app.tls
        .check(&certificate, upload.key.expose())
        .map_err(refused_pair)?;
    let record = ServerCertRecord {
        fingerprint: certificate.fingerprint(),
        chain_pem: certificate.chain_pem(),
        not_after: certificate.not_after(),
    };
    let spki_sha256 = certificate.spki_sha256();
    new_key::decided(|| {
        let change = request.change(caller.actor());
        let (app, record, key) = (&app, record.clone(), upload.key.clone());
        async move {
            let compared = new_key::for_server(app, spki_sha256).await?;
            let put = app.store.put_server_cert(change, record, compared, key);
            Ok(put.await)
        }
    })
    .await?;
    let restart_scheduled = !app.tls.is_https();
    if restart_scheduled {
        // The listener lets this request finish.
        app.shutdown.cancel();
    } else {
        app.reload_certificates().await.map_err(Problem::internal)?;
    }
    Ok(Json(Uploaded {
        fingerprint: certificate.fingerprint().to_string(),
        expires_at: rfc3339(certificate.not_after()),
        days_remaining: days_remaining(certificate.not_after(), request.now),
        warnings: warnings(&certificate, app.config.public_url.as_ref(), request.now),
        restart_scheduled,
    }))
}

impl Upload {
    async fn read(body: Request) -> Result<Self, Problem> {
        let [cert, key, chain] = upload::parts(body, ["cert", "key", "chain"]).await?;
        Ok(Self {
            cert: upload::required("cert", cert)?,
            key: upload::key(key)?,
            chain,
        })
    }
}

fn refused_certificate(error: identity_pki::Error) -> Problem {
    match &error {
        identity_pki::Error::ServerCertificate(rule) => {
            let code = match rule {
                ServerCertificateRule::WeakKey { .. }
                | ServerCertificateRule::KeyAlgorithm { .. } => ErrorCode::WeakKey,
                _ => ErrorCode::PemInvalid,
            };
            Problem::new(code, format!("The server certificate is refused: {rule}."))
                .reason(rule.code())
        }
        _ => Problem::internal(error),
    }
}

fn refused_pair(error: identity_mtls::Error) -> Problem {
    let code = match &error {
        identity_mtls::Error::KeyPem | identity_mtls::Error::KeyEncrypted => ErrorCode::PemInvalid,
        identity_mtls::Error::KeyUnsupported(_) => ErrorCode::WeakKey,
        identity_mtls::Error::CertKeyMismatch { .. } => ErrorCode::CertKeyMismatch,
        identity_mtls::Error::Expired { .. } | identity_mtls::Error::NotYetValid { .. } => {
            ErrorCode::CertExpired
        }
        _ => return Problem::internal(error),
    };
    Problem::new(code, format!("The upload is refused: {error}."))
}

fn warnings(
    certificate: &ServerCertificate,
    public_url: Option<&Url>,
    now: OffsetDateTime,
) -> Vec<String> {
    let odd = certificate
        .warnings()
        .iter()
        .map(|warning| format!("{warning}."));
    let mut warnings: Vec<String> = odd.collect();
    if let Some(host) = public_url.and_then(|url| unnamed(certificate, url)) {
        warnings.push(format!(
            "the certificate does not name {host}, the host of IDENTITY_PUBLIC_URL (RFC 9525 §6).",
        ));
    }
    let days = days_remaining(certificate.not_after(), now);
    if days < SOON {
        warnings.push(format!("the certificate expires in {days} days."));
    }
    warnings
}
