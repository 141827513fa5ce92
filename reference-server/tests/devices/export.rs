use http::Method;
use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::{DeviceId, DeviceIdentity, PairingCodeHash, TenantId};
use identity_store::{Actor, Chain, Change, DeviceStore as _, NewDevice, PairingOffer, Store as _};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::calls::Caller;
use crate::platform::Platform;

/// More than are read at once.
const MANY: u8 = 201;

/// Devices of `acme` that nobody registered over HTTP.
async fn add_many(platform: &Platform) {
    let store = platform.store().await;
    let now = OffsetDateTime::UNIX_EPOCH;
    for number in 0..MANY {
        let tenant_id = TenantId::new("acme").unwrap();
        let device_id = DeviceId::new(format!("dev_{number:03}")).unwrap();
        let device = NewDevice {
            identity: DeviceIdentity::new(tenant_id, device_id),
            name: format!("Counter {number}"),
            location: None,
            binding: DeviceBinding::new(DeviceClass::PersonalScanner, None, None).unwrap(),
            tags: [].into(),
            pairing: PairingOffer {
                code_hash: PairingCodeHash::from_bytes([number; 32]),
                expires_at: now,
            },
        };
        let change = Change::new(now, Actor::System("test"), "req_test");
        store.create_device(change, device).await.unwrap();
    }
    store.close().await;
}

/// A file, and what its answer says it is.
async fn file(caller: &Caller, query: &str) -> (String, String) {
    let request = caller.request(Method::GET, &format!("/v1/devices/export{query}"));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.content_length(), None, "it is sent as it is made");
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let said = [header("content-type"), header("content-disposition")];
    (said.join("; "), response.text().await.unwrap())
}

#[tokio::test]
async fn devices_are_exported_whole_and_in_order() {
    let platform = Platform::start().await;
    add_many(&platform).await;
    let scanner = platform.scanner().await;
    let named =
        json!({"device_name": "=1+1", "location": "Hall, \"A\"", "tags": {"site": "Berlin"}});
    let named = platform.admin.post("/v1/devices", named).await.expect(201);
    let stranger = platform.tenant("other").await;
    let body = json!({"device_name": "another's"});
    stranger.post("/v1/devices", body).await.expect(201);

    let mut ids = vec![named["device_id"].clone(), json!(scanner.device_id)];
    let earlier = (0..MANY)
        .rev()
        .map(|number| json!(format!("dev_{number:03}")));
    ids.extend(earlier);
    let (said, text) = file(&platform.admin, "?format=ndjson").await;
    assert_eq!(
        said,
        "application/x-ndjson; attachment; filename=\"devices-acme.ndjson\""
    );
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let exported: Vec<_> = lines
        .iter()
        .map(|device| device["device_id"].clone())
        .collect();
    assert_eq!(exported, ids);
    let listed = platform.admin.get("/v1/devices").await.expect(200);
    let members = |device: &Value| {
        let members = device.as_object().unwrap().keys().cloned();
        members.collect::<Vec<_>>()
    };
    assert_eq!(members(&lines[0]), members(&listed["data"][0]));
    assert_eq!(lines[0]["device_name"], "=1+1");

    let (said, text) = file(&platform.admin, "?format=csv").await;
    assert_eq!(
        said,
        "text/csv; charset=utf-8; header=present; attachment; filename=\"devices-acme.csv\""
    );
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let cell = |row: &csv::StringRecord, name: &str| {
        let place = names.iter().position(|column| column == name).unwrap();
        row[place].to_owned()
    };
    let exported: Vec<_> = rows
        .iter()
        .map(|row| json!(cell(row, "device_id")))
        .collect();
    assert_eq!(exported, ids);
    for (name, expected) in [
        ("device_name", "'=1+1"),
        ("location", "Hall, \"A\""),
        ("tags", r#"{"site":"Berlin"}"#),
        ("status", "pending_pairing"),
        ("paired_at", ""),
    ] {
        assert_eq!(cell(&rows[0], name), expected, "{name}");
    }
    assert_eq!(cell(&rows[1], "status"), "paired");
    assert_eq!(
        cell(&rows[1], "fingerprint"),
        lines[1]["fingerprint"].as_str().unwrap()
    );
}

#[tokio::test]
async fn an_export_is_audited_where_its_reader_acts() {
    let platform = Platform::start().await;
    for refused in ["?format=xml", "?colour=red"] {
        let path = format!("/v1/devices/export{refused}");
        platform
            .admin
            .get(&path)
            .await
            .refused(422, "validation_failed");
    }
    platform
        .operator
        .get("/v1/devices/export")
        .await
        .refused(403, "forbidden");
    let another = "/v1/devices/export?tenant_id=acme";
    platform.admin.get(another).await.refused(403, "forbidden");
    file(&platform.admin, "?format=csv").await;
    file(&platform.operator, "?format=ndjson&tenant_id=acme").await;
    let told = |rows: Vec<identity_store::AuditRow>| {
        let rows = rows
            .into_iter()
            .filter(|row| row.action == "devices_exported");
        rows.map(|row| row.metadata).collect::<Vec<_>>()
    };
    let acme = Chain::Tenant(TenantId::new("acme").unwrap());
    let of = |format: &str| json!({"tenant_id": "acme", "format": format});
    assert_eq!(told(platform.audit().await), [of("ndjson")]);
    assert_eq!(told(platform.audit_of(&acme).await), [of("csv")]);
}
