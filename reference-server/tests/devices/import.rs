use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};

use crate::calls::{Answer, Caller, answer};
use crate::platform::{Key, Platform};

const TABLE: &str = "\
serial,device_name,location,device_class,bound_product,bound_action
SN-1,Front desk,Hall,,,
SN-2,Gate,,gate,access,enter
";

fn import(caller: &Caller, query: &str, table: &str) -> reqwest::RequestBuilder {
    let request = caller.request(Method::POST, &format!("/v1/devices/import{query}"));
    request
        .header("content-type", "text/csv")
        .body(table.to_owned())
}

/// The rows of an answer, each by the names of its columns.
async fn rows(request: reqwest::RequestBuilder) -> Vec<BTreeMap<String, String>> {
    let response = request.send().await.unwrap();
    let media_type = response.headers()["content-type"].clone();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert_eq!(status, 200, "{text}");
    assert_eq!(media_type, "text/csv; charset=utf-8; header=present");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

async fn pair(platform: &Platform, secret: &str, serial: Option<&str>, key: &Key) -> Answer {
    let body = json!({
        "enrollment_secret": secret, "csr": key.csr(), "device_info": {"serial": serial},
    });
    platform.nobody.post("/v1/devices/pair", body).await
}

#[tokio::test]
async fn an_imported_device_pairs_with_its_secret_and_its_serial_number() {
    let platform = Platform::start().await;
    let told = rows(import(&platform.admin, "?valid_days=7", TABLE)).await;
    let serials: Vec<_> = told.iter().map(|row| &*row["serial"]).collect();
    assert_eq!(serials, ["SN-1", "SN-2"]);
    let listed = platform.admin.get("/v1/devices").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    let path = |row: &BTreeMap<String, String>| format!("/v1/devices/{}", row["device_id"]);
    let gate = platform.admin.get(&path(&told[1])).await.expect(200);
    assert_eq!(gate["status"], "pending_pairing");
    assert_eq!(
        (&gate["device_class"], &gate["bound_action"]),
        (&json!("gate"), &json!("enter"))
    );

    let (key, secret) = (Key::new(), &told[0]["enrollment_secret"]);
    let wrong = pair(&platform, secret, Some("SN-2"), &key).await;
    wrong.refused(401, "pairing_code_invalid");
    let another = pair(&platform, &told[1]["enrollment_secret"], Some("SN-1"), &key).await;
    another.refused(401, "pairing_code_invalid");
    let nameless = pair(&platform, secret, None, &key).await;
    let nameless = nameless.refused(422, "validation_failed");
    assert_eq!(nameless["fields"][0]["path"], "device_info.serial");
    let paired = pair(&platform, secret, Some("SN-1"), &key)
        .await
        .expect(200);
    assert_eq!(paired["device_id"], told[0]["device_id"].as_str());
    let again = pair(&platform, secret, Some("SN-1"), &key)
        .await
        .expect(200);
    assert_eq!(again["certificate"], paired["certificate"]);
    let thief = pair(&platform, secret, Some("SN-1"), &Key::new()).await;
    thief.refused(401, "pairing_code_invalid");
    let device = platform.admin.get(&path(&told[0])).await.expect(200);
    assert_eq!(
        (&device["status"], &device["location"]),
        (&json!("paired"), &json!("Hall"))
    );
    assert_eq!(device["device_info"]["serial"], "SN-1");

    let both = json!({
        "enrollment_secret": secret, "pairing_code": "K7M2P9XQ4", "csr": key.csr(),
        "device_info": {"serial": "SN-1"},
    });
    let both = platform.nobody.post("/v1/devices/pair", both).await;
    both.refused(422, "validation_failed");
}

#[tokio::test]
async fn a_table_with_a_fault_registers_nothing() {
    let platform = Platform::start().await;
    let table = format!("{TABLE}SN-1,,,toaster,,\n");
    let refused = answer(import(&platform.admin, "", &table)).await;
    let refused = refused.refused(422, "validation_failed");
    let fields: Vec<&Value> = refused["fields"].as_array().unwrap().iter().collect();
    let places: Vec<&Value> = fields.iter().map(|field| &field["path"]).collect();
    assert_eq!(places, ["rows[4].device_name", "rows[4].device_class"]);
    for days in ["0", "31", "300", "x"] {
        let refused = answer(import(
            &platform.admin,
            &format!("?valid_days={days}"),
            TABLE,
        ))
        .await;
        refused.refused(422, "validation_failed");
    }
    let huge = format!("{TABLE}{}", " ".repeat(256 * 1024));
    let refused = answer(import(&platform.admin, "", &huge)).await;
    refused.refused(413, "payload_too_large");
    let request = platform.admin.request(Method::POST, "/v1/devices/import");
    let json = answer(request.json(&json!({}))).await;
    json.refused(415, "unsupported_media_type");
    let listed = platform.admin.get("/v1/devices").await.expect(200);
    assert_eq!(listed["data"], json!([]));
}

#[tokio::test]
async fn a_repeated_import_is_the_same_one() {
    let platform = Platform::start().await;
    let once = |query: &str| {
        let request = import(&platform.admin, query, TABLE);
        request.header("idempotency-key", "one")
    };
    let first = rows(once("")).await;
    assert_eq!(rows(once("")).await, first);
    let other = answer(once("?valid_days=3")).await;
    other.refused(422, "idempotency_key_reused");
    let listed = platform.admin.get("/v1/devices").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
}

/// Neither in the database nor in what is told of it.
#[tokio::test]
async fn a_secret_is_stored_as_its_hash_alone() {
    let platform = Platform::start().await;
    let told = rows(import(&platform.admin, "", TABLE)).await;
    let folder = platform.folder();
    for row in &told {
        let secret = row["enrollment_secret"].as_bytes();
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap_or_default();
            let holds = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!holds, "{}", path.display());
        }
    }
}
