//! Many devices at once (contract §6): a job.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use identity_pki::{DeviceId, TenantId};
use identity_store::{DeviceAction, DeviceSelection};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::object::{Tags, is_tag_key};
use super::read::Criteria;
use crate::App;
use crate::http::jobs::{self, StartedJob};
use crate::http::{Caller, JsonBody, Problem, ProblemDocument, RequestContext, Right, idempotency};

/// The most devices that one request names.
const MAX_IDS: usize = 1000;

/// What is to be done, and to which devices: those of `device_ids` or those of `filter`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkRequest {
    #[schema(inline)]
    action: Action,
    /// An empty object means every device.
    filter: Option<Criteria>,
    /// At most 1000. Those that the tenant does not have are none of the matched.
    device_ids: Option<Vec<String>>,
    /// For `tag` an object, whose tags take the place of those of the same keys. For `untag` a list of keys,
    /// or an object with them, whatever the values.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    tags: Option<BulkTags>,
    /// Only tells how many devices it would be.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Action {
    Revoke,
    Tag,
    Untag,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "must be an object of at most 32 tags, or a list of their keys"
)]
enum BulkTags {
    Tags(Tags),
    Keys(BTreeSet<String>),
}

/// How many devices it would be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Matched {
    matched: u64,
}

/// Revokes, tags or untags devices of the tenant that are chosen now: a job. A device that would have more
/// than 32 tags stays as it is, and the job fails at that one alone.
#[utoipa::path(post, path = "/v1/devices/bulk", tag = "devices", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = BulkRequest,
    responses(
        (status = 200, description = "With `dry_run`: how many it would be", body = Matched),
        (status = 202, description = "The job", body = StartedJob),
        (status = "4XX", body = ProblemDocument),
    )
)]
pub(super) async fn bulk(
    State(app): State<Arc<App>>,
    request: RequestContext,
    caller: Caller,
    body: JsonBody<BulkRequest>,
) -> Result<Response, Problem> {
    let tenant_id = caller.tenant(match body.value.action {
        Action::Revoke => Right::DevicesRevoke,
        Action::Tag | Action::Untag => Right::DevicesTag,
    })?;
    let (sha256, wanted) = (body.sha256(), body.value);
    let action = action(wanted.action, wanted.tags)?;
    let devices = selection(&app, &request, &tenant_id, wanted.filter, wanted.device_ids).await?;
    if wanted.dry_run {
        let matched = app.store.selected_devices(&tenant_id, devices).await?;
        return Ok(Json(Matched { matched }).into_response());
    }
    let (app, request, actor) = (&app, &request, caller.actor());
    idempotency::run(app, request, &actor, sha256, |keep| {
        let asker = (actor.clone(), tenant_id);
        jobs::start_for_devices(app, request, keep, asker, action, devices)
    })
    .await
}

/// What is done to each device.
fn action(action: Action, tags: Option<BulkTags>) -> Result<DeviceAction, Problem> {
    let refused = |reason: &str| Err(Problem::invalid("tags", reason));
    match (action, tags) {
        (Action::Revoke, None) => Ok(DeviceAction::Revoke),
        (Action::Revoke, Some(_)) => refused("is for tag and untag alone"),
        (Action::Tag | Action::Untag, None) => refused("is missing"),
        (Action::Tag, Some(BulkTags::Keys(_))) => refused("must be an object"),
        (Action::Tag, Some(BulkTags::Tags(tags))) => match tags.into_map() {
            none if none.is_empty() => refused("must have a tag"),
            tags => Ok(DeviceAction::Tag(tags)),
        },
        (Action::Untag, Some(tags)) => {
            let keys = match tags {
                BulkTags::Keys(keys) => keys,
                BulkTags::Tags(tags) => tags.into_map().into_keys().collect(),
            };
            match keys.is_empty() || !keys.iter().all(|key| is_tag_key(key)) {
                true => refused("must have keys of 1 to 64 of A-Za-z0-9._-"),
                false => Ok(DeviceAction::Untag(keys)),
            }
        }
    }
}

async fn selection(
    app: &App,
    request: &RequestContext,
    tenant_id: &TenantId,
    filter: Option<Criteria>,
    ids: Option<Vec<String>>,
) -> Result<DeviceSelection, Problem> {
    match (filter, ids) {
        (Some(filter), None) => {
            let policy = super::policy(app, tenant_id).await?;
            let filter = filter.filter(policy, request.now)?;
            Ok(DeviceSelection::Filter(Box::new(filter)))
        }
        (None, Some(ids)) => named(&ids).map(DeviceSelection::Ids),
        (Some(_), Some(_)) => Err(Problem::invalid("filter", "cannot be with device_ids")),
        (None, None) => Err(Problem::invalid(
            "device_ids",
            "is missing, and so is filter",
        )),
    }
}

fn named(ids: &[String]) -> Result<BTreeSet<DeviceId>, Problem> {
    if ids.is_empty() || ids.len() > MAX_IDS {
        let reason = format!("must be 1 to {MAX_IDS} ids");
        return Err(Problem::invalid("device_ids", reason));
    }
    let ids = ids.iter().enumerate().map(|(place, id)| {
        let not_an_id = |_| Problem::invalid(format!("device_ids[{place}]"), "is no device id");
        DeviceId::new(id.as_str()).map_err(not_an_id)
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(action_of: Action, tags: Option<&str>) -> Option<DeviceAction> {
        let tags = tags.map(|json| serde_json::from_str(json).expect("tags"));
        action(action_of, tags).ok()
    }

    #[test]
    fn tags_are_an_object_and_what_is_taken_off_may_be_a_list() {
        let site = BTreeMap::from([("site".to_owned(), "Bern".to_owned())]);
        let key = BTreeSet::from(["site".to_owned()]);
        for (action, tags, expected) in [
            (Action::Revoke, None, Some(DeviceAction::Revoke)),
            (Action::Revoke, Some("{}"), None),
            (Action::Tag, None, None),
            (Action::Tag, Some("{}"), None),
            (Action::Tag, Some(r#"["site"]"#), None),
            (
                Action::Tag,
                Some(r#"{"site":"Bern"}"#),
                Some(DeviceAction::Tag(site)),
            ),
            (Action::Untag, None, None),
            (Action::Untag, Some("[]"), None),
            (Action::Untag, Some(r#"["a b"]"#), None),
            (
                Action::Untag,
                Some(r#"["site"]"#),
                Some(DeviceAction::Untag(key.clone())),
            ),
            (
                Action::Untag,
                Some(r#"{"site":"Bern"}"#),
                Some(DeviceAction::Untag(key)),
            ),
        ] {
            assert_eq!(read(action, tags), expected, "{action:?} {tags:?}");
        }
    }

    #[test]
    fn devices_are_named_by_ids_and_not_by_too_many() {
        assert!(named(&[]).is_err());
        assert!(named(&["dev_1".to_owned(), "a/b".to_owned()]).is_err());
        assert!(named(&vec!["dev_1".to_owned(); MAX_IDS + 1]).is_err());
        let one = named(&["dev_1".to_owned(), "dev_1".to_owned()]).expect("ids");
        assert_eq!(one.len(), 1);
    }
}
