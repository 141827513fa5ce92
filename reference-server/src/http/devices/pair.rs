use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use identity_pki::{DeviceId, EnrollmentSecret, PairingCode, PairingCodeHash, PairingPepper};
use identity_store::{
    Actor, CertificateRecord, Chain, Change, Conflict, DeviceInfo, DeviceStatus, Error, Event,
    PairDevice, Paired, PairingCandidate, TenantStatus,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::issued::{self, Issued};
use crate::App;
use crate::http::caller::tenant_suspended;
use crate::http::{
    ErrorCode, Everybody, JsonBody, Problem, ProblemDocument, RequestContext, Source, require_mtls,
};

/// The longest `device_info`, as JSON.
const MAX_INFO: usize = 4096;

/// What an unpaired device sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pairing {
    /// As it was typed: case, spaces and hyphens do not matter.
    #[schema(example = "K7M2-P9X-Q4")]
    pairing_code: Option<String>,
    /// In place of a code, for a device that was imported: with its `serial` in `device_info`.
    #[schema(example = "enr_ABCDEFGHIJKLM0123456789XYZ")]
    enrollment_secret: Option<String>,
    /// PKCS#10, PEM or base64 of its DER. P-256, signed with SHA-256.
    csr: String,
    /// `model`, `firmware`, `serial`, `hardware_id` and whatever else; at most 4 KiB.
    #[serde(default)]
    #[schema(value_type = Object)]
    device_info: DeviceInfo,
}

/// A paired device and its certificate.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PairedDevice {
    #[schema(value_type = String)]
    device_id: DeviceId,
    #[schema(value_type = String)]
    status: DeviceStatus,
    #[serde(flatten)]
    issued: Issued,
}

/// Pairs a device: consumes its code and issues its first certificate.
///
/// The request is checked before the code is looked up, so that a bad CSR never burns a code. The
/// same code with the same key gets the same certificate again while the code lives. An enrolment secret is
/// one as a code is.
#[utoipa::path(post, path = "/v1/devices/pair", tag = "scanner", request_body = Pairing, responses(
    (status = 200, description = "The certificate", body = PairedDevice),
    (status = 400, description = "`csr_invalid`, `csr_invalid_algorithm`, \
        `csr_invalid_extensions`, `csr_signature_invalid`", body = ProblemDocument),
    (status = 401, description = "`pairing_code_invalid`", body = ProblemDocument),
    (status = 429, description = "`pairing_rate_limited`", body = ProblemDocument),
    (status = 503, description = "`mtls_not_configured`", body = ProblemDocument),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn pair(
    State(app): State<Arc<App>>,
    context: RequestContext,
    body: Result<JsonBody<Pairing>, Problem>,
) -> Result<Json<PairedDevice>, Problem> {
    require_mtls(&app)?;
    admit(&app, &context).await?;
    let Pairing {
        pairing_code,
        enrollment_secret,
        csr,
        device_info,
    } = body?.value;
    let proof = Proof::of(pairing_code, enrollment_secret, &device_info)?;
    let csr = issued::check_csr(&app, &csr, None)?;
    check_info(&device_info)?;
    let Some((code_hash, candidate)) = look_up(&app, &context, &proof).await? else {
        return Err(wrong_code(&app, &context).await);
    };
    match candidate.tenant_status {
        TenantStatus::Active => {}
        TenantStatus::Suspended => return Err(tenant_suspended()),
    }
    let policy = candidate.device_policy;
    let paired = match candidate.spent_on {
        Some(certificate) if certificate.spki_sha256 == csr.spki_sha256() => certificate,
        Some(_) => return Err(wrong_code(&app, &context).await),
        None => {
            let identity = &candidate.identity;
            let pairing = || {
                let certificate = issued::issue(&app, &csr, identity, policy, context.now)?;
                Ok::<_, Problem>(PairDevice {
                    code_hash,
                    certificate,
                    info: device_info.clone(),
                })
            };
            let committed = app.store.pair_device(change(&context), pairing()?).await;
            let committed = match committed {
                Err(Error::Conflict(Conflict::CaWithdrawn)) => {
                    issued::follow_cas(&app).await?;
                    app.store.pair_device(change(&context), pairing()?).await
                }
                committed => committed,
            };
            paired(&app, &context, committed).await?
        }
    };
    Ok(Json(PairedDevice {
        device_id: paired.identity.device_id().clone(),
        status: DeviceStatus::Paired,
        issued: Issued::of(&app, paired, policy, context.now).await?,
    }))
}

/// Counts the try against its source. This comes first, so that of a flood ten tries a minute reach
/// the database.
async fn admit(app: &App, context: &RequestContext) -> Result<(), Problem> {
    let (limits, store, now) = (&app.rate_limits, app.shared_store(), context.now);
    let source = Source::from(context.source);
    let admitted = async {
        limits.pairing.take(store, source, now).await?;
        limits.wrong_pairing_code.check(store, source, now).await?;
        let in_all = &limits.wrong_pairing_codes_in_all;
        in_all.check(store, Everybody, now).await
    };
    admitted.await.map_err(|refusal| {
        let detail = "Too many tries: wait, then try again.";
        refusal.problem(ErrorCode::PairingRateLimited, detail)
    })
}

fn check_info(info: &DeviceInfo) -> Result<(), Problem> {
    let json = serde_json::to_vec(info).map_err(Problem::internal)?;
    if json.len() > MAX_INFO {
        return Err(Problem::invalid(
            "device_info",
            format!("must be at most {MAX_INFO} bytes"),
        ));
    }
    Ok(())
}

/// What a device shows that it is the one that was registered.
enum Proof {
    Code(String),
    Secret { secret: String, serial: String },
}

impl Proof {
    fn of(
        code: Option<String>,
        secret: Option<String>,
        info: &DeviceInfo,
    ) -> Result<Self, Problem> {
        match (code, secret) {
            (Some(code), None) => Ok(Self::Code(code)),
            (None, Some(secret)) => match &info.serial {
                Some(serial) => Ok(Self::Secret {
                    secret,
                    serial: serial.clone(),
                }),
                None => {
                    let reason = "must be sent with enrollment_secret";
                    Err(Problem::invalid("device_info.serial", reason))
                }
            },
            (Some(_), Some(_)) | (None, None) => {
                let reason = "must be sent, or enrollment_secret, and not both";
                Err(Problem::invalid("pairing_code", reason))
            }
        }
    }

    /// What it is looked up by; `None` for what cannot be known.
    fn lookup_hash(&self, pepper: &PairingPepper) -> Option<PairingCodeHash> {
        match self {
            Self::Code(typed) => {
                let code = PairingCode::parse(typed).ok()?;
                Some(code.lookup_hash(pepper))
            }
            Self::Secret { secret, serial } => {
                let secret = EnrollmentSecret::parse(secret).ok()?;
                Some(secret.lookup_hash(pepper, serial))
            }
        }
    }
}

async fn look_up(
    app: &App,
    context: &RequestContext,
    proof: &Proof,
) -> Result<Option<(PairingCodeHash, PairingCandidate)>, Problem> {
    let Some(hash) = proof.lookup_hash(app.secrets.pairing_pepper.get()?) else {
        return Ok(None);
    };
    let candidate = app.store.pairing_candidate(&hash, context.now).await?;
    Ok(candidate.map(|candidate| (hash, candidate)))
}

fn change(context: &RequestContext) -> Change {
    context.change(Actor::Anonymous)
}

/// The certificate of the device whose code was consumed, which is not always the one that went in: the
/// same key may have been faster over another connection.
async fn paired(
    app: &App,
    context: &RequestContext,
    committed: identity_store::Result<Paired>,
) -> Result<CertificateRecord, Problem> {
    let device = match committed {
        Ok(Paired::Now(device) | Paired::Before(device)) => *device,
        Err(Error::Conflict(Conflict::PairingCodeInvalid)) => {
            return Err(wrong_code(app, context).await);
        }
        Err(Error::Conflict(Conflict::KeyReused)) => return Err(reused_key()),
        Err(error) => return Err(error.into()),
    };
    device
        .certificate
        .ok_or_else(|| Problem::internal("a paired device has no certificate"))
}

fn reused_key() -> Problem {
    let detail = "The key has had a certificate before: make a new one.";
    Problem::new(ErrorCode::CsrInvalid, detail).reason("key_reused")
}

/// The one answer to every code that is not good: unknown, spent by another key, expired. Counted
/// and audited.
async fn wrong_code(app: &App, context: &RequestContext) -> Problem {
    let (limits, store, now) = (&app.rate_limits, app.shared_store(), context.now);
    let source = Source::from(context.source);
    let noted = async {
        // Both had room when the request came. Guesses that come at once all find it, and all count.
        limits.wrong_pairing_code.charge(store, source, now).await?;
        let in_all = &limits.wrong_pairing_codes_in_all;
        in_all.charge(store, Everybody, now).await?;
        let change = context.change(Actor::Anonymous);
        let events = vec![Event::PairingRefused];
        app.store.record(change, Chain::Platform, events).await
    };
    match noted.await {
        Ok(()) => Problem::new(ErrorCode::PairingCodeInvalid, "Ask for a new pairing code."),
        Err(error) => error.into(),
    }
}
