use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use identity_store::{
    Chain, ChallengeFilter, Event, InternalUserId, PageRequest, StoredChallenge, Subject, User,
};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::consent::ConsentObject;
use super::object::UserObject;
use super::palm_policy::PalmPolicyObject;
use crate::App;
use crate::http::challenges::ChallengeObject;
use crate::http::download::{Download, Writer};
use crate::http::{Caller, Problem, ProblemDocument, RequestContext, Right, Timestamp};

/// What is held of a user. Templates are at the palm server alone, and samples nowhere.
#[derive(Serialize, ToSchema)]
struct UserData {
    #[serde(flatten)]
    held: UserRecord,
    /// Every challenge, newest first.
    challenges: Vec<ChallengeRecord>,
}

/// A challenge with what its device was told.
#[derive(Serialize, ToSchema)]
struct ChallengeRecord {
    #[serde(flatten)]
    challenge: ChallengeObject,
    #[schema(value_type = Option<Object>)]
    display: Option<Value>,
    binding_message: Option<String>,
}

/// What is held of a user but for their challenges.
#[derive(Serialize, ToSchema)]
struct UserRecord {
    exported_at: Timestamp,
    user: UserObject,
    /// How the audit trail calls the user.
    #[schema(value_type = String)]
    internal_id: InternalUserId,
    email: Option<String>,
    mobile: Option<String>,
    kyc: KycRecord,
    palm_policy: PalmPolicyObject,
    failed_tries: FailedTries,
    /// Every answer to a request for consent, newest first.
    consents: Vec<ConsentObject>,
}

/// What an identity verification came to.
#[derive(Serialize, ToSchema)]
struct KycRecord {
    #[schema(value_type = String)]
    status: identity_store::KycStatus,
    provider: Option<String>,
    level: Option<String>,
}

/// Tries since the last match.
#[derive(Serialize, ToSchema)]
struct FailedTries {
    in_a_row: u32,
    last_at: Option<Timestamp>,
}

/// How many challenges are read at once.
const PAGE: u32 = 200;

/// Exports what is held of a user, as one JSON document. It is written while it is read; one that breaks
/// off has no end, and is no JSON. It is audited as `data_export`. What the audit trail tells of the user
/// is `GET /v1/audit?subject=`.
#[utoipa::path(get, path = "/v1/users/{user_id}/data", tag = "users", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "What is held", body = UserData),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn export(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::UsersExport)?;
    let user_id = super::user_id(&user_id)?;
    let user = app.store.user(&tenant_id, &user_id).await?;
    let user = user.ok_or_else(super::not_found)?;
    let consents = app.store.consents(&tenant_id, &user_id).await?;
    let exported = Event::DataExported {
        user: Subject {
            user_id: user.user_id.clone(),
            internal_id: user.internal_id.clone(),
        },
    };
    let change = context.change(caller.actor());
    let chain = Chain::Tenant(tenant_id.clone());
    app.store.record(change, chain, vec![exported]).await?;
    let consents = consents.into_iter().map(ConsentObject::from).collect();
    let held = record(user, consents, Timestamp(context.now));
    let held = serde_json::to_string(&held).map_err(Problem::internal)?;
    let download = Download {
        media_type: "application/json",
        file_name: format!("{user_id}.json"),
    };
    let filter = ChallengeFilter {
        user_id: Some(user_id),
        ..ChallengeFilter::default()
    };
    Ok(download.write(|mut body: Writer| async move {
        // The record's last bracket comes behind the challenges.
        body.text(held.strip_suffix('}').unwrap_or(&held)).await?;
        body.text(",\"challenges\":[").await?;
        let (mut page, mut is_first) = (PageRequest::first(PAGE), true);
        loop {
            let challenges = app
                .store
                .challenges(&tenant_id, filter.clone(), page)
                .await?;
            for challenge in challenges.data {
                let separator = if is_first { "" } else { "," };
                is_first = false;
                body.text(separator).await?;
                body.text(&shown(challenge, context.now)?).await?;
            }
            match challenges.next {
                None => break,
                after => page = PageRequest { limit: PAGE, after },
            }
        }
        body.text("]}").await?;
        body.finish().await
    }))
}

fn shown(mut record: StoredChallenge, now: OffsetDateTime) -> identity_store::Result<String> {
    let challenge = ChallengeRecord {
        display: record.display.take(),
        binding_message: record.binding_message.take(),
        challenge: ChallengeObject::of(record, now),
    };
    let unwritable = |_| identity_store::Error::ExportedRow;
    serde_json::to_string(&challenge).map_err(unwritable)
}

fn record(user: User, consents: Vec<ConsentObject>, exported_at: Timestamp) -> UserRecord {
    UserRecord {
        exported_at,
        internal_id: user.internal_id.clone(),
        email: user.email.clone(),
        mobile: user.mobile.clone(),
        kyc: KycRecord {
            status: user.kyc.status,
            provider: user.kyc.provider.clone(),
            level: user.kyc.level.clone(),
        },
        palm_policy: user.palm_policy.clone().into(),
        failed_tries: FailedTries {
            in_a_row: user.throttle.consecutive_failures(),
            last_at: user.throttle.last_failure_at().map(Timestamp),
        },
        consents,
        user: user.into(),
    }
}
