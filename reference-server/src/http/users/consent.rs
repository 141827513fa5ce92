use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use identity_store::{Consent, ConsentMethod, NewConsent, Page, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::object::UserObject;
use crate::App;
use crate::http::text::Line;
use crate::http::{
    Answer, Caller, JsonBody, List, Problem, ProblemDocument, RequestContext, Right, Timestamp,
    idempotency,
};

/// The most purposes that one consent names.
const MAX_PURPOSES: usize = 16;

/// What a user consents to; there is one kind so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ConsentType {
    PalmBiometric,
}

/// A user's answer to a request for consent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsentAnswer {
    #[schema(value_type = String)]
    user_id: UserId,
    /// `palm_biometric`.
    consent_type: ConsentType,
    /// The version of the text that was shown.
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    version: Line<64>,
    /// What the palm may be used for: 1 to 16.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 16)]
    purposes: Vec<Line<64>>,
    /// Whether the user agreed.
    granted: bool,
    /// How the user answered: `signature`, `checkbox`, …
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    method: Line<64>,
}

/// A recorded answer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Consent)]
pub(super) struct ConsentObject {
    #[schema(value_type = String)]
    user_id: UserId,
    consent_type: ConsentType,
    version: String,
    purposes: Vec<String>,
    granted: bool,
    method: String,
    recorded_at: Timestamp,
    /// When it was taken back.
    withdrawn_at: Option<Timestamp>,
}

impl From<Consent> for ConsentObject {
    fn from(recorded: Consent) -> Self {
        let Consent {
            consent,
            recorded_at,
            withdrawn_at,
        } = recorded;
        Self {
            user_id: consent.user_id,
            consent_type: ConsentType::PalmBiometric,
            version: consent.version,
            purposes: consent.purposes,
            granted: consent.granted,
            method: consent.method.0,
            recorded_at: Timestamp(recorded_at),
            withdrawn_at: withdrawn_at.map(Timestamp),
        }
    }
}

/// Records a user's answer to a request for consent. A refusal withdraws a consent that stands.
#[utoipa::path(post, path = "/v1/consent", tag = "consent", security(("bearer" = [])), request_body = ConsentAnswer,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "What was recorded", body = ConsentObject),
        (status = 404, description = "`user_not_found`", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn record(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    body: JsonBody<ConsentAnswer>,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::ConsentWrite)?;
    let (actor, sha256, given) = (caller.actor(), body.sha256(), body.value);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        if !(1..=MAX_PURPOSES).contains(&given.purposes.len()) {
            let rule = format!("must be 1 to {MAX_PURPOSES} purposes");
            return Err(Problem::invalid("purposes", rule));
        }
        let ConsentType::PalmBiometric = given.consent_type;
        let consent = NewConsent {
            tenant_id,
            user_id: given.user_id,
            version: given.version.into_string(),
            purposes: given.purposes.into_iter().map(Line::into_string).collect(),
            granted: given.granted,
            method: ConsentMethod(given.method.into_string()),
        };
        let recorded = Consent {
            consent: consent.clone(),
            recorded_at: context.now,
            withdrawn_at: None,
        };
        let answer = Answer::created(&ConsentObject::from(recorded))?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        app.store.record_consent(change, consent).await?;
        Ok(answer)
    })
    .await
}

/// Lists a user's answers to requests for consent, newest first.
#[utoipa::path(get, path = "/v1/users/{user_id}/consent", tag = "consent", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The answers", body = List<ConsentObject>),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Json<List<ConsentObject>>, Problem> {
    let tenant_id = caller.tenant(Right::ConsentRead)?;
    let user_id = super::user_id(&user_id)?;
    app.store
        .user(&tenant_id, &user_id)
        .await?
        .ok_or_else(super::not_found)?;
    let data = app.store.consents(&tenant_id, &user_id).await?;
    Ok(Json(List::of(
        Page { data, next: None },
        ConsentObject::from,
    )))
}

/// Withdraws a user's consent: enrolment is barred at once, what is open is canceled, and the palms
/// are erased at the palm server.
#[utoipa::path(delete, path = "/v1/users/{user_id}/consent/palm_biometric", tag = "consent", security(("bearer" = [])),
    params(("user_id" = String, Path)),
    responses(
        (status = 200, description = "The user", body = UserObject),
        (status = 404, description = "No such user, or no consent to withdraw", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn withdraw(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Path(user_id): Path<String>,
) -> Result<Json<UserObject>, Problem> {
    let tenant_id = caller.tenant(Right::ConsentWrite)?;
    let user_id = super::user_id(&user_id)?;
    let change = context.change(caller.actor());
    let user = app
        .store
        .withdraw_consent(change, &tenant_id, &user_id)
        .await;
    Ok(Json(user.map_err(super::refused)?.into()))
}
