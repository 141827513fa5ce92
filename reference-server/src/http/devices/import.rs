//! Many devices at once, of a table that somebody made with a spreadsheet (contract §6).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use identity_pki::{DeviceId, DeviceIdentity, EnrollmentSecret, TenantId};
use identity_store::{NewDevice, PairingOffer, new_ulid, rfc3339};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use utoipa::{IntoParams, ToSchema};

use super::import_table::{self, Fault, Row};
use crate::http::{
    Answer, Caller, ErrorCode, Problem, ProblemDocument, Query, RequestContext, Right, csv,
    idempotency, read,
};
use crate::{App, clock};

/// The largest table, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// So many days a secret is good at most, and where nobody says how many.
const MAX_DAYS: u8 = 30;

const CSV: &str = "text/csv";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// How many days the secrets are good, 1 to 30 (the default).
    valid_days: Option<u8>,
}

impl ImportQuery {
    fn life(&self) -> Result<Duration, Problem> {
        match self.valid_days.unwrap_or(MAX_DAYS) {
            days @ 1..=MAX_DAYS => Ok(Duration::days(days.into())),
            _ => {
                let reason = format!("must be 1 to {MAX_DAYS}");
                Err(Problem::invalid("valid_days", reason))
            }
        }
    }
}

/// Columns `serial` and `device_name`, and where they are wanted `location`, `device_class`,
/// `bound_product` and `bound_action`, in any order; the first line names them.
#[derive(ToSchema)]
#[schema(example = "serial,device_name\nSN-1,Front desk\n")]
#[expect(dead_code, reason = "describes the table that `import_table` reads")]
pub(super) struct DeviceTable(String);

/// Registers the devices of a table: all of them, or with one fault in it none.
///
/// The answer has a secret for each, which is shown this once. With it, and with its serial number in
/// `device_info`, the device pairs in place of a pairing code. A table has 1000 rows and 256 KiB at most.
/// In the `fields` of a refusal `rows[2].serial` is in the row behind the header, as spreadsheets count.
#[utoipa::path(post, path = "/v1/devices/import", tag = "devices", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header), ImportQuery),
    request_body(content = DeviceTable, content_type = "text/csv"),
    responses(
        (status = 200, description = "`serial`, `device_id`, `enrollment_secret` and `expires_at` of each device, in the order of the table", content((String = "text/csv"))),
        (status = 413, description = "`payload_too_large`", body = ProblemDocument),
        (status = 415, description = "`unsupported_media_type`", body = ProblemDocument),
        (status = 422, description = "`validation_failed`, with row and column of each fault", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn import(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::DevicesWrite)?;
    let life = query.life()?;
    require_csv(request.headers())?;
    let table = read(request, MAX_BYTES).await?;
    let (actor, expires_at) = (caller.actor(), context.now + life);
    let sha256 = Sha256::new()
        .chain_update(life.whole_days().to_be_bytes())
        .chain_update(&table);
    let answer = idempotency::run(
        &app,
        &context,
        &actor,
        sha256.finalize().into(),
        async |keep| {
            let rows = import_table::read(&table).map_err(refused)?;
            let mut devices = Vec::with_capacity(rows.len());
            let mut told = csv::record(["serial", "device_id", "enrollment_secret", "expires_at"]);
            for row in rows {
                let serial = row.serial.clone();
                let (device, secret) = new_device(&app, &tenant_id, row, context.now, expires_at)?;
                told.push_str(&csv::record([
                    serial.as_str(),
                    device.identity.device_id().as_str(),
                    secret.as_str(),
                    &rfc3339(expires_at),
                ]));
                devices.push(device);
            }
            let answer = Answer::table(told);
            let change = keep.answer(context.change(actor.clone()), &answer);
            app.store.create_devices(change, devices).await?;
            Ok(answer)
        },
    );
    let mut answer = answer.await?;
    if answer.status().is_success() {
        let media_type = HeaderValue::from_static(csv::MEDIA_TYPE);
        answer.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    Ok(answer)
}

fn require_csv(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = named.and_then(|named| named.split(';').next());
    if essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(CSV)) {
        Ok(())
    } else {
        let detail = "The route takes text/csv.";
        Err(Problem::new(ErrorCode::UnsupportedMediaType, detail))
    }
}

fn refused(faults: Vec<Fault>) -> Problem {
    let detail = "Nothing was registered: mend the table and send all of it again.";
    let problem = Problem::new(ErrorCode::ValidationFailed, detail);
    faults.into_iter().fold(problem, |problem, fault| {
        problem.field(fault.place, fault.reason)
    })
}

/// A device of a row, and the secret that it pairs with.
fn new_device(
    app: &App,
    tenant_id: &TenantId,
    row: Row,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> Result<(NewDevice, EnrollmentSecret), Problem> {
    let id = format!("dev_{}", new_ulid(now, &mut clock::entropy()));
    let device_id = DeviceId::new(id).map_err(Problem::internal)?;
    let secret = EnrollmentSecret::generate(&mut clock::entropy());
    let pepper = app.secrets.pairing_pepper.get()?;
    let device = NewDevice {
        identity: DeviceIdentity::new(tenant_id.clone(), device_id),
        name: row.device_name,
        location: row.location,
        binding: row.binding,
        tags: [].into(),
        pairing: PairingOffer {
            code_hash: secret.lookup_hash(pepper, &row.serial),
            expires_at,
        },
    };
    Ok((device, secret))
}
