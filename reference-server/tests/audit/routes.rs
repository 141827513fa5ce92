//! The trail as callers of the real binary read it.

use identity_store::{Chain, ChainWalk, SealedRow};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::harness::{Api, Platform, Reply};

const READ: &str = "/v1/audit";
const EXPORT: &str = "/v1/audit/export";
const VERIFY: &str = "/v1/audit/verify";

/// What the verification says once everything that happened before has its place.
async fn settled(api: &Api, query: &str) -> Value {
    loop {
        let reply = api.get(&format!("{VERIFY}{query}")).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        if reply.json["unsealed"] == 0 {
            return reply.json;
        }
    }
}

async fn rows(api: &Api, query: &str) -> Vec<Value> {
    let reply = api.get(&format!("{READ}?{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {}", reply.text);
    reply.json["data"].as_array().unwrap().clone()
}

/// All rows, page by page.
async fn walk(api: &Api, limit: u32) -> Vec<Value> {
    let mut all = Vec::new();
    let mut query = format!("limit={limit}");
    loop {
        let page = api.get(&format!("{READ}?{query}")).await.json;
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("limit={limit}&cursor={cursor}"),
            None => return all,
        }
    }
}

/// Makes the user `ada` known, suspends her and lets her come back.
async fn something_happens(admin: &Api) {
    let ada = json!({"user_id": "ada", "display_name": "Ada"});
    assert_eq!(admin.post("/v1/users", ada).await.status, 201);
    for what in ["suspend", "reactivate"] {
        let path = format!("/v1/users/ada/{what}");
        assert_eq!(admin.post(&path, json!({})).await.status, 200);
    }
    let device = json!({"device_name": "Desk"});
    assert_eq!(admin.post("/v1/devices", device).await.status, 201);
}

fn actions(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["action"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_tenant_finds_what_happened_to_whom_and_by_whom() {
    let platform = Platform::first_run().await;
    let (acme, other) = (
        platform.tenant("acme").await,
        platform.tenant("other").await,
    );
    something_happens(&acme).await;
    something_happens(&other).await;
    settled(&acme, "").await;
    let all = rows(&acme, "").await;
    let newest_first = [
        "device_created",
        "user_reactivated",
        "user_suspended",
        "user_created",
    ];
    assert_eq!(actions(&all)[..4], newest_first);
    assert!(all.iter().all(|row| row["tenant_id"] == "acme"));
    assert_eq!(walk(&acme, 1).await, all);

    let of_ada = rows(&acme, "subject=ada").await;
    assert_eq!(actions(&of_ada), newest_first[1..]);
    let internal = of_ada[0]["subject"].as_str().unwrap();
    assert!(internal.starts_with("usr_"));
    assert_eq!(rows(&acme, &format!("subject={internal}")).await, of_ada);
    assert!(!format!("{all:?}").contains("Ada"));

    let (id, at) = (&all[0]["actor"]["id"], &all[2]["at"]);
    let by_the_administrator = format!("actor={}", id.as_str().unwrap());
    let theirs = rows(&acme, &by_the_administrator).await;
    assert!(theirs.len() >= 4 && theirs.iter().all(|row| row["actor"]["id"] == *id));
    let created = rows(&acme, "action=user_created&severity=info").await;
    assert_eq!(actions(&created), ["user_created"]);
    assert_eq!(rows(&acme, "severity=critical").await, [] as [Value; 0]);
    let since = rows(&acme, &format!("from={}", at.as_str().unwrap())).await;
    assert!(since.contains(&all[2]) && since.iter().all(|row| row["at"].as_str() >= at.as_str()));
    let before = rows(&acme, &format!("to={}", at.as_str().unwrap())).await;
    assert_eq!(since.len() + before.len(), all.len());
    for bad in [
        "from=yesterday",
        "severity=low",
        "limit=0",
        "cursor=x",
        "who=me",
        "action=a%00b",
    ] {
        let refused = acme.get(&format!("{READ}?{bad}")).await;
        assert_eq!(
            (refused.status, refused.error()),
            (422, "validation_failed"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn an_administrator_of_the_platform_reads_its_trail_and_is_seen_reading_a_tenants() {
    let platform = Platform::first_run().await;
    let acme = platform.tenant("acme").await;
    something_happens(&acme).await;
    settled(&acme, "").await;
    let admin = &platform.admin;
    let own = rows(admin, "limit=200").await;
    assert!(own.iter().all(|row| row["tenant_id"].is_null()));
    assert!(actions(&own).contains(&"platform_ca_generated"));
    assert!(!actions(&own).contains(&"audit_read"));
    assert_eq!(rows(admin, "tenant_id=acme").await, rows(&acme, "").await);
    assert_eq!(settled(admin, "?tenant_id=acme").await["ok"], true);
    settled(admin, "").await;
    let seen = rows(admin, "action=audit_read&subject=acme").await;
    assert!(seen.len() >= 2);
    assert_eq!(seen[0]["actor"]["type"], "operator");
    for path in [READ, EXPORT, VERIFY] {
        let path = |tenant_id| match path {
            EXPORT => format!("{path}?format=ndjson&tenant_id={tenant_id}"),
            _ => format!("{path}?tenant_id={tenant_id}"),
        };
        let missing = admin.get(&path("nobody")).await;
        assert_eq!((missing.status, missing.error()), (404, "not_found"));
        let refused = acme.get(&path("acme")).await;
        assert_eq!((refused.status, refused.error()), (403, "forbidden"));
    }
}

/// The rows of an export, which has to be a whole chain.
fn verified(chain: Chain, export: &str) -> Vec<SealedRow> {
    let mut walk = ChainWalk::of(chain);
    let lines = export.lines().zip(1..);
    let rows = lines.map(|(line, position)| SealedRow::from_json(position, line).unwrap());
    let rows: Vec<_> = rows.collect();
    rows.iter().for_each(|row| walk.step(row).unwrap());
    walk.finish().unwrap();
    rows
}

async fn export(api: &Api, query: &str) -> Reply {
    let reply = api.get(&format!("{EXPORT}?{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply
}

#[tokio::test]
async fn an_export_is_the_chain_and_is_told_of_in_it() {
    let platform = Platform::first_run().await;
    let acme = platform.tenant("acme").await;
    something_happens(&acme).await;
    let verification = settled(&acme, "").await;
    let exported = export(&acme, "format=ndjson").await;
    assert_eq!(
        exported.header("content-type"),
        Some("application/x-ndjson")
    );
    let name = "attachment; filename=\"audit-tenant-acme.ndjson\"";
    assert_eq!(exported.header("content-disposition"), Some(name));
    let chain = || Chain::Tenant("acme".parse().unwrap());
    let rows_of_it = verified(chain(), &exported.text);
    let last = rows_of_it.last().unwrap();
    assert_eq!(verification["checked"], rows_of_it.len());
    assert_eq!(verification["head"], hex::encode(last.hash));
    let lines = exported.text.lines().rev();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines, walk(&acme, 200).await);

    // One by an administrator of the platform is told of in the platform's chain.
    let twin = export(&platform.admin, "format=ndjson&tenant_id=acme").await;
    assert!(twin.text.starts_with(&exported.text));
    settled(&acme, "").await;
    settled(&platform.admin, "").await;
    let own = rows(&acme, "action=data_export").await;
    let format = json!({"format": "ndjson", "tenant_id": "acme"});
    assert_eq!((own.len(), &own[0]["metadata"]), (1, &format));
    let other = rows(&platform.admin, "action=data_export").await;
    assert_eq!((other.len(), &other[0]["metadata"]), (1, &format));
    for bad in ["?format=xml", "?format=csv&limit=1"] {
        let refused = acme.get(&format!("{EXPORT}{bad}")).await;
        assert_eq!(
            (refused.status, refused.error()),
            (422, "validation_failed"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn no_cell_of_an_export_is_a_formula() {
    let platform = Platform::first_run().await;
    let admin = &platform.admin;
    let tenant = json!({"tenant_id": "acme", "name": "Acme"});
    let request = admin
        .request(Method::POST, "/v1/admin/tenants")
        .json(&tenant);
    let request = request.header("x-request-id", "-2-3");
    assert_eq!(admin.send(request).await.status, 201);
    settled(&platform.admin, "").await;
    let exported = export(&platform.admin, "format=csv").await;
    let media_type = exported.header("content-type").unwrap();
    assert!(media_type.starts_with("text/csv"), "{media_type}");
    let mut lines = exported.text.split_terminator("\r\n");
    let header = "id,at,tenant_id,actor_type,actor_id,action,outcome,severity,subject,request_id,ip,\
                  metadata,prev_hash,hash";
    assert_eq!(lines.next(), Some(header));
    let made: Vec<_> = lines.filter(|it| it.contains("tenant_created")).collect();
    let cells = ",acme,\"'-2-3\",127.0.0.1,\"{\"\"tenant_id\"\":\"\"acme\"\"}\",";
    assert!(made.len() == 1 && made[0].contains(cells), "{made:?}");
}

#[tokio::test]
async fn a_trail_that_was_edited_is_not_whole() {
    let platform = Platform::first_run().await;
    let acme = platform.tenant("acme").await;
    something_happens(&acme).await;
    let whole = settled(&acme, "").await;
    assert_eq!(whole["ok"], true);
    assert!(whole["first_bad_id"].is_null() && whole["reason"].is_null());
    let suspended = rows(&acme, "action=user_suspended").await;
    let edit = "UPDATE audit_rows SET actor_id = 'adm_somebody_else'
                WHERE tenant_id = 'acme' AND action = 'user_suspended'";
    let options =
        SqliteConnectOptions::new().filename(platform.directory.path().join("identity.db"));
    let mut raw = options.connect().await.unwrap();
    sqlx::query(edit).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let broken = settled(&acme, "").await;
    assert_eq!(broken["ok"], false);
    assert_eq!(broken["first_bad_id"], suspended[0]["id"]);
    let (checked, all) = (broken["checked"].as_u64(), whole["checked"].as_u64());
    assert!(checked < all, "{broken}");
    let reason = broken["reason"].as_str().unwrap();
    assert!(reason.ends_with("was edited"), "{reason}");
    // Nobody else's is the worse for it.
    assert_eq!(settled(&platform.admin, "").await["ok"], true);
}
