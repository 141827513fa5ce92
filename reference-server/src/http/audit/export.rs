use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use identity_pki::TenantId;
use identity_store::{Chain, Event, SealedRow, rfc3339};

use crate::App;
use crate::audit::rows_up_to;
use crate::http::download::{ExportQuery, Format};
use crate::http::{Caller, Problem, ProblemDocument, Query, RequestContext, Right, csv};

const HEADER: [&str; 14] = [
    "id",
    "at",
    "tenant_id",
    "actor_type",
    "actor_id",
    "action",
    "outcome",
    "severity",
    "subject",
    "request_id",
    "ip",
    "metadata",
    "prev_hash",
    "hash",
];

/// Exports an audit trail: every row that is in the database and had its place when the export began,
/// in the order of the chain. Pieces that were archived and dropped are in their archives. Anyone can verify
/// the NDJSON form: each row's `hash` is the SHA-256 of `prev_hash` and the RFC 8785 form of the row
/// without `prev_hash` and `hash`, and its `prev_hash` is the `hash` of the row before, 32 zero bytes
/// before the first. In the CSV form a cell that a spreadsheet would take for a formula begins with an
/// apostrophe. An export that breaks off ends without the end of its body. It is audited as `data_export`.
#[utoipa::path(get, path = "/v1/audit/export", tag = "audit", security(("bearer" = [])), params(ExportQuery), responses(
    (status = 200, description = "The rows", content(
        (String = "application/x-ndjson"),
        (String = "text/csv"),
    )),
    (status = "4XX", body = ProblemDocument),
))]
pub(super) async fn export(
    State(app): State<Arc<App>>,
    context: RequestContext,
    caller: Caller,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let format = query.format;
    let is_own = query.tenant_id.is_none();
    let chain = super::chain(&app, &caller, Right::AuditExport, query.tenant_id).await?;
    let exported = Event::AuditExported {
        tenant_id: chain.tenant_id().cloned(),
        format: format.as_str(),
    };
    let told_in = if is_own { &chain } else { &Chain::Platform };
    let change = context.change(caller.actor());
    app.store
        .record(change, told_in.clone(), vec![exported])
        .await?;
    let download = format.download(&format!("audit-{}", crate::audit::file_stem(&chain)));
    let end = app.store.chain_head(&chain).await?.length;
    Ok(download.write(|mut body| async move {
        if format == Format::Csv {
            body.text(&csv::record(HEADER)).await?;
        }
        let mut rows = rows_up_to(&*app.store, &chain, end);
        while let Some(row) = rows.next().await? {
            let text = match format {
                Format::Csv => cells(&row),
                Format::Ndjson => row.to_json().map(|line| line + "\n"),
            };
            body.text(&text?).await?;
        }
        body.finish().await
    }))
}

/// A row as a record of CSV.
fn cells(sealed: &SealedRow) -> identity_store::Result<String> {
    let row = &sealed.row;
    let word = |value: serde_json::Result<String>| {
        let unwritable = |_| identity_store::Error::ExportedRow;
        value.map_err(unwritable)
    };
    let outcome = word(serde_json::to_string(&row.outcome))?;
    let severity = word(serde_json::to_string(&row.severity))?;
    Ok(csv::record([
        row.id.as_str(),
        &rfc3339(row.at),
        row.tenant_id.as_ref().map_or("", TenantId::as_str),
        &row.actor.kind,
        &row.actor.id,
        &row.action,
        outcome.trim_matches('"'),
        severity.trim_matches('"'),
        &row.subject,
        &row.request_id,
        &row.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        &row.metadata.to_string(),
        &hex::encode(sealed.prev_hash),
        &hex::encode(sealed.hash),
    ]))
}
