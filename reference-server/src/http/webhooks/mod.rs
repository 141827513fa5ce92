//! Webhooks and events (contract §10): a tenant's for the tenant's callers, the platform's own for its
//! administrators.

mod deliveries;
mod edit;
mod events;
mod object;
mod secret;

use std::sync::Arc;

use identity_store::{Chain, EventPattern};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, ErrorCode, Problem, Right};
use crate::App;

/// The routes of this module.
pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(edit::list, edit::create))
        .routes(routes!(edit::read, edit::update, edit::delete))
        .routes(routes!(secret::rotate))
        .routes(routes!(edit::enable))
        .routes(routes!(deliveries::test))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::recover))
        .routes(routes!(deliveries::resend))
        .routes(routes!(events::list))
}

/// Whose webhooks a caller means: the platform's administrators have the platform's own, everybody else the
/// tenant's.
fn owner(caller: &Caller, right: Right) -> Result<Chain, Problem> {
    match caller.platform(Right::PlatformWebhooks) {
        Ok(_) => Ok(Chain::Platform),
        Err(_) => Ok(Chain::Tenant(caller.tenant(right)?)),
    }
}

/// Refuses patterns that name no event which the owner's endpoints are told of: nothing would ever come.
fn check_patterns<'p>(
    owner: &Chain,
    patterns: impl IntoIterator<Item = &'p EventPattern>,
) -> Result<(), Problem> {
    let is_platforms = *owner == Chain::Platform;
    for pattern in patterns {
        let mut types = identity_store::Event::WEBHOOK_TYPES.iter();
        let is_told =
            |name: &&str| name.starts_with("platform.") == is_platforms && pattern.matches(name);
        if !types.any(is_told) {
            let scope = if is_platforms { "platform" } else { "tenant" };
            let reason = format!("`{pattern}` names no event of scope {scope}");
            return Err(Problem::invalid("events", reason));
        }
    }
    Ok(())
}

/// Refuses a URL, the value of `member`, that nothing is sent to.
pub(super) async fn check_url(app: &App, member: &str, url: &str) -> Result<(), Problem> {
    match app.webhooks.sender.check(url).await {
        Ok(_) => Ok(()),
        Err(refusal) => {
            let detail = format!("The URL {refusal}.");
            let problem = Problem::new(ErrorCode::WebhookUrlForbidden, detail);
            Err(problem.field(member, refusal.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_something_that_its_owner_is_told_of() {
        let tenant = Chain::Tenant("acme".parse().expect("a tenant"));
        for (owner, pattern, good) in [
            (&tenant, "*", true),
            (&tenant, "verification.*", true),
            (&tenant, "user.created", true),
            (&tenant, "platform.*", false),
            (&tenant, "platform.ops_alert", false),
            (&tenant, "verifications.*", false),
            (&tenant, "user.made", false),
            (&tenant, "webhook.test", false),
            (&Chain::Platform, "*", true),
            (&Chain::Platform, "platform.server_cert.*", true),
            (&Chain::Platform, "user.created", false),
        ] {
            let pattern = pattern.parse().expect("a pattern");
            let checked = check_patterns(owner, [&pattern]);
            assert_eq!(checked.is_ok(), good, "{owner} {pattern}");
        }
    }
}
