use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use identity_mtls::TrustBundle;
use identity_pki::{CaCertificate, CaRule, Error, PlatformCa};
use identity_store::{CaOrigin, CaState, PrivateKeyPem};
use utoipa::ToSchema;

use super::MadeCa;
use crate::App;
use crate::authority::{self, AwsLcSigner, KeyFault};
use crate::http::ssl::{new_key, upload};
use crate::http::{Caller, ErrorCode, Problem, ProblemDocument, RequestContext, Right};

/// The parts of an upload.
#[derive(Debug, ToSchema)]
#[schema(as = CaUpload)]
struct Upload {
    /// The CA's certificate, PEM: this one alone.
    cert: String,
    /// Its private key, PEM: PKCS#8 or SEC 1, P-256 or P-384, not encrypted.
    #[schema(value_type = String)]
    key: PrivateKeyPem,
    /// `true`, the default, or `false`: whether it issues from now on; otherwise it is prepared, and
    /// trusted.
    #[schema(value_type = Option<bool>)]
    activate: bool,
}

/// Takes a CA that was made elsewhere. With one there already this is the rotation, as with one that
/// is made here.
#[utoipa::path(
    put, path = "/v1/admin/ssl/ca-cert", tag = "TLS", security(("bearer" = [])),
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The CA.", body = MadeCa),
        (status = 400, description = "`pem_invalid`", body = ProblemDocument),
        (status = 409, description = "`conflict`: it is there already.", body = ProblemDocument),
        (status = 422, description = "`cert_key_mismatch`, `cert_expired`, `weak_key`; \
            `validation_failed`: it is no CA for devices, or its key is another certificate's \
            (`key_in_use`); `reason` names the rule.",
            body = ProblemDocument),
    ),
)]
pub(super) async fn upload(
    State(app): State<Arc<App>>,
    caller: Caller,
    request: RequestContext,
    body: Request,
) -> Result<Json<MadeCa>, Problem> {
    caller.platform(Right::Tls)?;
    let upload = Upload::read(body).await?;
    // The certificate first: what is wrong with it is told whatever the key is.
    CaCertificate::from_pem(&upload.cert).map_err(refused)?;
    let signer = AwsLcSigner::from_pem(upload.key.expose()).map_err(refused_key)?;
    let ca = PlatformCa::import(&upload.cert, Box::new(signer), request.now).map_err(refused)?;
    let ca = ca.certificate();
    TrustBundle::new([ca.clone()]).map_err(|error| {
        let detail = format!("The upload is refused: {error}.");
        Problem::new(ErrorCode::ValidationFailed, detail).because(error)
    })?;
    let state = if upload.activate {
        CaState::Active
    } else {
        CaState::Prepared
    };
    let record = authority::record(ca, state, request.now);
    let made = MadeCa::of(&record);
    new_key::decided(|| {
        let change = request.change(caller.actor());
        let (app, record, key) = (&app, record.clone(), upload.key.clone());
        async move {
            let origin = CaOrigin::Uploaded(new_key::for_ca(app, ca).await?);
            Ok(app.store.add_ca(change, record, key, origin).await)
        }
    })
    .await?;
    app.reload_certificates().await.map_err(Problem::internal)?;
    Ok(Json(made))
}

impl Upload {
    async fn read(body: Request) -> Result<Self, Problem> {
        let names = ["cert", "key", "activate"];
        let [cert, key, activate] = upload::parts(body, names).await?;
        Ok(Self {
            cert: upload::required("cert", cert)?,
            key: upload::key(key)?,
            activate: match activate.as_deref() {
                None | Some("true") => true,
                Some("false") => false,
                Some(_) => return Err(Problem::invalid("activate", "must be true or false")),
            },
        })
    }
}

fn refused_key(fault: KeyFault) -> Problem {
    let code = match fault {
        KeyFault::Pem => ErrorCode::PemInvalid,
        KeyFault::Algorithm => ErrorCode::WeakKey,
    };
    Problem::new(code, format!("The upload is refused: {fault}."))
}

fn refused(error: Error) -> Problem {
    let (code, reason) = match &error {
        Error::CaCertificate(rule) => {
            let code = match rule {
                CaRule::Pem(_) | CaRule::Certificate(_) => ErrorCode::PemInvalid,
                CaRule::Key(_) => ErrorCode::WeakKey,
                _ => ErrorCode::ValidationFailed,
            };
            let detail = format!("The CA certificate is refused: {rule}.");
            return Problem::new(code, detail).reason(rule.code());
        }
        Error::CaKeyMismatch { .. } => (ErrorCode::CertKeyMismatch, "ca_key_mismatch"),
        Error::CaNotValid { .. } => (ErrorCode::CertExpired, "ca_not_valid"),
        _ => return Problem::internal(error),
    };
    Problem::new(code, format!("The upload is refused: {error}.")).reason(reason)
}
