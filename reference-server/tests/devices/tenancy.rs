use serde_json::json;

use crate::platform::Platform;

#[tokio::test]
async fn a_suspended_tenant_is_not_served() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let (_, code) = platform.register().await;
    let operator = &platform.operator;
    let suspended = operator
        .post("/v1/admin/tenants/acme/suspend", json!({}))
        .await
        .expect(200);
    assert_eq!(suspended["status"], "suspended");
    platform
        .admin
        .get("/v1/devices")
        .await
        .refused(403, "tenant_suspended");
    let device = platform.connect(&scanner, None);
    for path in ["/v1/devices/self", "/v1/challenges/pending"] {
        device.get(path).await.refused(403, "tenant_suspended");
    }
    let csr = crate::platform::Key::new().csr();
    platform
        .pair(&code, &csr)
        .await
        .refused(403, "tenant_suspended");
    operator
        .post("/v1/admin/tenants/acme/activate", json!({}))
        .await
        .expect(200);
    device.get("/v1/devices/self").await.expect(200);
    platform.pair(&code, &csr).await.expect(200);
}

#[tokio::test]
async fn a_tenants_settings_are_read_edited_and_kept() {
    let platform = Platform::start().await;
    let path = "/v1/admin/tenants/acme/config";
    let mut config = platform.operator.get(path).await.expect(200);
    config["certificate_validity_days"] = json!(10);
    let refused = platform.operator.put(path, config.clone()).await;
    let refused = refused.refused(422, "validation_failed");
    assert_eq!(refused["fields"][0]["path"], "renewal_window_days");
    config["renewal_window_days"] = json!(9);
    assert_eq!(
        platform
            .operator
            .put(path, config.clone())
            .await
            .expect(200),
        config
    );
    assert_eq!(platform.operator.get(path).await.expect(200), config);
    let scanner = platform.scanner().await;
    let own = platform
        .connect(&scanner, None)
        .get("/v1/devices/self")
        .await
        .expect(200);
    let seconds = |member: &str| {
        let format = &time::format_description::well_known::Rfc3339;
        time::OffsetDateTime::parse(own[member].as_str().unwrap(), format).unwrap()
    };
    assert_eq!(
        seconds("expires_at") - seconds("renew_after"),
        time::Duration::days(9)
    );
    assert!(seconds("expires_at") - seconds("server_time") <= time::Duration::days(10));
    let taken = json!({"tenant_id": "acme", "name": "Again"});
    platform
        .operator
        .post("/v1/admin/tenants", taken)
        .await
        .refused(409, "conflict");
    platform
        .operator
        .get("/v1/admin/tenants/nobody/config")
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn the_platforms_administrator_reads_any_tenants_devices_and_it_is_audited() {
    let platform = Platform::start().await;
    let scanner = platform.scanner().await;
    let operator = &platform.operator;
    let path = format!("/v1/devices/{}", scanner.device_id);
    let (list, one) = (
        "/v1/devices?tenant_id=acme",
        format!("{path}?tenant_id=acme"),
    );
    let listed = operator.get(list).await.expect(200);
    let read = operator.get(&one).await.expect(200);
    assert_eq!(read["device_id"], scanner.device_id.as_str());
    assert_eq!(listed["data"], json!([read]));
    let stranger = platform.tenant("other").await;
    for refused in [list, &one] {
        stranger.get(refused).await.refused(403, "forbidden");
    }
    let edit = json!({"device_name": "X"});
    operator.put(&path, edit).await.refused(403, "forbidden");
    operator.get(&path).await.refused(403, "forbidden");
    let nobody = "/v1/devices?tenant_id=nobody";
    operator.get(nobody).await.refused(404, "not_found");

    let mut told = platform.audit().await;
    told.retain(|row| row.action == "devices_read");
    let told: Vec<_> = told
        .into_iter()
        .map(|row| (row.subject, row.metadata))
        .collect();
    let tells = |device_id: Option<&str>| {
        let said = json!({"tenant_id": "acme", "device_id": device_id});
        ("acme".to_owned(), said)
    };
    assert_eq!(told, [tells(None), tells(Some(&scanner.device_id))]);
}
