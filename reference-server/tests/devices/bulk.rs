//! Many devices of a tenant at once.

use serde_json::{Value, json};

use crate::ca_rotation::is_over;
use crate::platform::{Platform, text};

const BULK: &str = "/v1/devices/bulk";

async fn shown(platform: &Platform, device_id: &str) -> Value {
    let path = format!("/v1/devices/{device_id}");
    platform.admin.get(&path).await.expect(200)
}

/// The tenant's job once it has ended.
async fn ended(platform: &Platform, job: &Value) -> Value {
    let path = format!("/v1/jobs/{}", text(&job["job_id"]));
    loop {
        let job = platform.admin.get(&path).await.expect(200);
        if !job["ended_at"].is_null() {
            return job;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn devices_are_tagged_untagged_and_revoked_by_a_job() {
    let platform = Platform::start().await;
    let [one, two, stays] = [
        platform.scanner().await,
        platform.scanner().await,
        platform.scanner().await,
    ];
    let both = json!([one.device_id, two.device_id]);
    let tag = json!({"action": "tag", "device_ids": both, "tags": {"site": "Bern"}});
    let mut rehearsal = tag.clone();
    rehearsal["dry_run"] = json!(true);
    let rehearsal = platform.admin.post(BULK, rehearsal).await.expect(200);
    assert_eq!(rehearsal, json!({"matched": 2}));
    assert_eq!(
        shown(&platform, &one.device_id).await["tags"]["site"],
        Value::Null
    );

    let job = platform.admin.post(BULK, tag).await.expect(202);
    assert_eq!(job["matched"], 2);
    let job = ended(&platform, &job).await;
    assert_eq!(
        (&job["kind"], &job["status"]),
        (&json!("tag_devices"), &json!("succeeded"))
    );
    assert_eq!((&job["total"], &job["done"]), (&json!(2), &json!(2)));
    for (scanner, site) in [
        (&one, json!("Bern")),
        (&two, json!("Bern")),
        (&stays, Value::Null),
    ] {
        assert_eq!(
            shown(&platform, &scanner.device_id).await["tags"]["site"],
            site
        );
    }

    let untag = json!({"action": "untag", "device_ids": [two.device_id], "tags": ["site"]});
    let job = platform.admin.post(BULK, untag).await.expect(202);
    ended(&platform, &job).await;
    assert_eq!(
        shown(&platform, &two.device_id).await["tags"]["site"],
        Value::Null
    );

    let open = [platform.connect(&one, None), platform.connect(&stays, None)];
    for connection in &open {
        connection.get("/v1/devices/self").await.expect(200);
    }
    let revoke = json!({"action": "revoke", "filter": {"tag": "site:Bern", "status": "paired"}});
    let job = platform.admin.post(BULK, revoke).await.expect(202);
    assert_eq!(job["matched"], 1);
    assert_eq!(ended(&platform, &job).await["done"], 1);
    is_over(&open[0]).await;
    open[1].get("/v1/devices/self").await.expect(200);
    assert_eq!(shown(&platform, &one.device_id).await["status"], "revoked");
    assert_eq!(shown(&platform, &two.device_id).await["status"], "paired");
}

#[tokio::test]
async fn what_is_no_bulk_request_is_refused_whole() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let tags = json!({"site": "Bern"});
    for (body, path) in [
        (json!({"action": "revoke"}), "device_ids"),
        (json!({"action": "revoke", "device_ids": []}), "device_ids"),
        (
            json!({"action": "revoke", "device_ids": ["a b"]}),
            "device_ids[0]",
        ),
        (
            json!({"action": "revoke", "device_ids": ["dev_1"], "filter": {}}),
            "filter",
        ),
        (
            json!({"action": "revoke", "filter": {}, "tags": tags}),
            "tags",
        ),
        (
            json!({"action": "revoke", "filter": {"colour": "red"}}),
            "filter.colour",
        ),
        (json!({"action": "tag", "filter": {}}), "tags"),
        (
            json!({"action": "tag", "filter": {}, "tags": {"a b": "c"}}),
            "tags",
        ),
        (json!({"action": "destroy", "filter": {}}), "action"),
    ] {
        let refused = platform.admin.post(BULK, body.clone()).await;
        let refused = refused.refused(422, "validation_failed");
        assert_eq!(refused["fields"][0]["path"], path, "{body}");
    }
    assert_eq!(
        shown(&platform, &scanner.device_id).await["status"],
        "paired"
    );
    let nobody = json!({"action": "revoke", "device_ids": ["dev_nobody"]});
    let job = platform.admin.post(BULK, nobody).await.expect(202);
    assert_eq!(job["matched"], 0);
    assert_eq!(ended(&platform, &job).await["status"], "succeeded");
}
