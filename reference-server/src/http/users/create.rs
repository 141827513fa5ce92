use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use identity_challenge::UserThrottle;
use identity_store::{
    ConsentStatus, InternalUserId, Kyc, NewUser, User, UserId, UserPalmPolicy, UserStatus, new_ulid,
};
use serde::Deserialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::contact::{EmailAddress, Mobile};
use super::object::UserObject;
use crate::http::text::Line;
use crate::http::{
    Answer, Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right, idempotency,
};
use crate::{App, clock};

/// A user to make known.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Creation {
    /// The integrator's own id, 1 to 128 of `A-Za-z0-9._~-`; one is made when there is none.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    display_name: Option<Line<200>>,
    #[schema(value_type = Option<String>)]
    email: Option<EmailAddress>,
    #[schema(value_type = Option<String>)]
    mobile: Option<Mobile>,
}

/// Makes a user known.
#[utoipa::path(post, path = "/v1/users", tag = "users", security(("bearer" = [])), request_body = Creation,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses(
        (status = 201, description = "The user", body = UserObject),
        (status = 409, description = "`conflict`: the id is taken", body = ProblemDocument),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    body: JsonBody<Creation>,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(Right::UsersWrite)?;
    let (actor, sha256, creation) = (caller.actor(), body.sha256(), body.value);
    idempotency::run(&app, &context, &actor, sha256, async |keep| {
        let user = NewUser {
            tenant_id,
            user_id: creation
                .user_id
                .map_or_else(|| fresh_user_id(context.now), Ok)?,
            internal_id: InternalUserId::generate(context.now, &mut clock::entropy()),
            display_name: creation.display_name.map(Line::into_string),
            email: creation.email.map(EmailAddress::into_string),
            mobile: creation.mobile.map(Mobile::into_string),
        };
        let answer = Answer::created(&UserObject::from(as_created(user.clone(), context.now)))?;
        let change = keep.answer(context.change(actor.clone()), &answer);
        app.store.create_user(change, user).await?;
        Ok(answer)
    })
    .await
}

fn fresh_user_id(now: OffsetDateTime) -> Result<UserId, Problem> {
    let id = format!("usr_{}", new_ulid(now, &mut clock::entropy()));
    id.parse().map_err(Problem::internal)
}

/// The user that comes of `new`: the answer is committed together with it.
fn as_created(new: NewUser, now: OffsetDateTime) -> User {
    User {
        tenant_id: new.tenant_id,
        user_id: new.user_id,
        internal_id: new.internal_id,
        display_name: new.display_name,
        email: new.email,
        mobile: new.mobile,
        status: UserStatus::Active,
        palms: Vec::new(),
        consent_status: ConsentStatus::None,
        kyc: Kyc::default(),
        palm_policy: UserPalmPolicy::default(),
        throttle: UserThrottle::default(),
        created_at: now,
    }
}
