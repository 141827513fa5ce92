use http::Method;
use serde_json::{Value, json};

use crate::calls::{Answer, Caller, answer};
use crate::platform::{Platform, text};

async fn token(caller: &Caller, form: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let request = caller.request(Method::POST, "/v1/auth/token");
    answer(
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body),
    )
    .await
}

async fn client(platform: &Platform, scopes: Value) -> (String, String) {
    let body = json!({"name": "backend", "scopes": scopes});
    let made = platform
        .admin
        .post("/v1/oauth-clients", body)
        .await
        .expect(201);
    (text(&made["client_id"]), text(&made["client_secret"]))
}

#[tokio::test]
async fn a_client_gets_a_token_for_what_it_may_do() {
    let platform = Platform::start().await;
    let (id, secret) = client(&platform, json!(["devices.read", "devices.write"])).await;
    let credentials = [("client_id", &*id), ("client_secret", &*secret)];
    let grant = ("grant_type", "client_credentials");
    let form = [
        grant,
        credentials[0],
        credentials[1],
        ("scope", "devices.read"),
    ];
    let given = token(&platform.nobody, &form).await;
    assert_eq!(given.headers["cache-control"], "no-store");
    let given = given.expect(200);
    assert_eq!(
        (&given["token_type"], &given["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    assert_eq!(given["scope"], "devices.read");
    let integrator = platform.nobody.with_token(&given["access_token"]);
    integrator.get("/v1/devices").await.expect(200);
    let body = json!({"device_name": "X"});
    integrator
        .post("/v1/devices", body)
        .await
        .refused(403, "insufficient_scope");

    let basic = platform
        .nobody
        .request(Method::POST, "/v1/auth/token")
        .basic_auth(&id, Some(&secret));
    let form = "application/x-www-form-urlencoded";
    let basic = basic
        .header("content-type", form)
        .body("grant_type=client_credentials");
    assert_eq!(
        answer(basic).await.expect(200)["scope"],
        "devices.read devices.write"
    );
}

#[tokio::test]
async fn a_token_request_is_refused_in_oauths_words() {
    let platform = Platform::start().await;
    let (id, secret) = client(&platform, json!(["devices.read"])).await;
    let (id, secret) = (("client_id", &*id), ("client_secret", &*secret));
    let grant = ("grant_type", "client_credentials");
    for (form, status, error) in [
        (
            vec![grant, id, ("client_secret", "wrong")],
            401,
            "invalid_client",
        ),
        (
            vec![grant, ("client_id", "cli_unknown"), secret],
            401,
            "invalid_client",
        ),
        (vec![grant], 401, "invalid_client"),
        (vec![id, secret], 400, "invalid_request"),
        (
            vec![grant, id, secret, ("scope", "a"), ("scope", "b")],
            400,
            "invalid_request",
        ),
        (
            vec![("grant_type", "password"), id, secret],
            400,
            "unsupported_grant_type",
        ),
        (
            vec![grant, id, secret, ("scope", "devices.revoke")],
            400,
            "invalid_scope",
        ),
    ] {
        let refused = token(&platform.nobody, &form).await;
        assert_eq!(refused.headers["cache-control"], "no-store");
        let body = refused.expect(status);
        assert_eq!(body["error"], error, "{form:?}");
        assert!(body["error_description"].is_string());
    }
    platform
        .operator
        .post("/v1/admin/tenants/acme/suspend", json!({}))
        .await
        .expect(200);
    let suspended = token(&platform.nobody, &[grant, id, secret]).await;
    assert_eq!(suspended.expect(400)["error"], "unauthorized_client");
}

#[tokio::test]
async fn a_secret_is_replaced_without_a_pause_and_a_deleted_client_is_gone() {
    let platform = Platform::start().await;
    let (id, secret) = client(&platform, json!(["devices.read"])).await;
    let path = format!("/v1/oauth-clients/{id}");
    let secrets = format!("{path}/secrets");
    let next = platform.admin.post(&secrets, json!({})).await.expect(201);
    let next = text(&next["client_secret"]);
    let grant = ("grant_type", "client_credentials");
    for secret in [&secret, &next] {
        let form = [grant, ("client_id", &*id), ("client_secret", secret)];
        token(&platform.nobody, &form).await.expect(200);
    }
    let last = platform
        .admin
        .post(&secrets, json!({"overlap_seconds": 0}))
        .await
        .expect(201);
    let form = [grant, ("client_id", &*id), ("client_secret", &*next)];
    token(&platform.nobody, &form).await.expect(401);
    let listed = platform.admin.get("/v1/oauth-clients").await.expect(200);
    assert_eq!(listed["data"][0]["client_id"], id.as_str());
    assert!(!listed.to_string().contains(&secret));
    platform.admin.delete(&path).await.expect(204);
    platform.admin.delete(&path).await.refused(404, "not_found");
    let last = text(&last["client_secret"]);
    let form = [grant, ("client_id", &*id), ("client_secret", &*last)];
    token(&platform.nobody, &form).await.expect(401);
}

#[tokio::test]
async fn the_tokens_of_a_deleted_client_are_out_before_they_expire() {
    let platform = Platform::start().await;
    let (id, secret) = client(&platform, json!(["devices.read"])).await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &*id),
        ("client_secret", &*secret),
    ];
    let granted = token(&platform.nobody, &form).await.expect(200);
    let backend = platform.nobody.with_token(&granted["access_token"]);
    backend.get("/v1/devices").await.expect(200);
    let path = format!("/v1/oauth-clients/{id}");
    platform.admin.delete(&path).await.expect(204);
    backend
        .get("/v1/devices")
        .await
        .refused(401, "unauthorized");
}

#[tokio::test]
async fn the_metadata_tells_what_there_is_and_no_more() {
    let platform = Platform::start().await;
    let nobody = &platform.nobody;
    let metadata = nobody
        .get("/.well-known/oauth-authorization-server")
        .await
        .expect(200);
    assert_eq!(
        metadata["grant_types_supported"],
        json!(["client_credentials", "urn:openid:params:grant-type:ciba"])
    );
    assert_eq!(
        metadata["token_endpoint"],
        format!("{}/v1/auth/token", nobody.base)
    );
    let jwks = nobody.get("/.well-known/jwks.json").await;
    assert_eq!(jwks.headers["cache-control"], "max-age=300");
    let jwks = jwks.expect(200);
    assert_eq!(
        (&jwks["keys"][0]["crv"], &jwks["keys"][0]["d"]),
        (&json!("P-256"), &Value::Null)
    );
}
