use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::object::EventObject;
use super::owner;
use crate::App;
use crate::http::{Caller, List, Problem, ProblemDocument, Query, Right, page_request};

/// Of what events are read.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// The `subject` of the events: a challenge's, a user's or a device's id, for example.
    #[param(required = true)]
    subject: Option<String>,
    /// The last number that the reader has; 0, unless told otherwise.
    #[serde(default)]
    #[param(default = 0)]
    after_sequence: u64,
    /// 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Reads the events of a subject in the order of their numbers, to fill a gap in what came. Events are kept for
/// 30 days.
#[utoipa::path(get, path = "/v1/events", tag = "webhooks", security(("bearer" = [])), params(Search), responses(
    (status = 200, description = "A page of events, oldest first", body = List<EventObject>),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(search): Query<Search>,
) -> Result<Json<List<EventObject>>, Problem> {
    let owner = owner(&caller, Right::WebhooksRead)?;
    let missing = || Problem::invalid("subject", "is missing");
    let subject = search.subject.ok_or_else(missing)?;
    let limit = page_request(search.limit, None)?.limit;
    let after = match search.cursor {
        None => search.after_sequence,
        Some(cursor) => {
            let unknown = |_| Problem::invalid("cursor", "is not one that an earlier page gave");
            cursor.parse().map_err(unknown)?
        }
    };
    let mut events = app.store.events(&owner, &subject, after, limit + 1).await?;
    let page = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = events.len() > page;
    events.truncate(page);
    let last = events.last().filter(|_| more);
    Ok(Json(List {
        next_cursor: last.map(|event| event.sequence.to_string()),
        data: events.into_iter().map(EventObject::from).collect(),
    }))
}
