//! Tokens that are revoked (RFC 7009) and asked about (RFC 7662).

use libtest_mimic::Trial;
use serde_json::json;

use crate::client::{Client, World, refusal};
use crate::harness::Reply;
use crate::trial;

const REVOKE: &str = "/v1/auth/revoke";
const INTROSPECT: &str = "/v1/auth/introspect";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_revoked_token_is_refused_from_then_on", revoked),
        trial("a_client_revokes_its_own_tokens_alone", own_alone),
        trial("a_token_is_told_of_in_its_tenant_alone", in_its_tenant),
        trial("requests_about_tokens_are_refused_in_oauths_words", bad),
        trial("metadata_names_what_there_is", metadata),
        trial("the_next_key_is_published_before_it_signs", next_key),
    ]
}

async fn about(client: &Client, path: &str, token: &str) -> Reply {
    client.post_with_secret(path, &[("token", token)]).await
}

async fn is_active(client: &Client, token: &str) -> bool {
    let answer = about(client, INTROSPECT, token).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let active = answer.json["active"] == true;
    assert!(
        active || answer.json == json!({"active": false}),
        "{}",
        answer.text
    );
    active
}

async fn status(client: &Client, token: &str) -> u16 {
    client
        .api
        .with_bearer(token)
        .get("/v1/devices")
        .await
        .status
}

async fn revoked() {
    let mut world = World::start().await;
    let client = world.client().await;
    let (first, second) = (client.token().await, client.token().await);
    assert_eq!(status(&client, &first).await, 200);
    let answer = about(&client, REVOKE, &first).await;
    assert_eq!((answer.status, &*answer.text), (200, ""));
    assert_eq!(status(&client, &first).await, 401);
    assert_eq!(status(&client, &second).await, 200, "each by itself");
    assert!(!is_active(&client, &first).await);
    let again = about(&client, REVOKE, &first).await;
    assert_eq!(again.status, 200, "{}", again.text);
    world.platform.restart();
    assert_eq!(status(&client, &first).await, 401, "it is written down");
    assert_eq!(status(&client, &second).await, 200);
}

async fn own_alone() {
    let world = World::start().await;
    let (client, other) = (world.client().await, world.client().await);
    let token = client.token().await;
    let refused = about(&other, REVOKE, &token).await;
    assert_eq!(refusal(&refused), (400, "unauthorized_client"));
    assert_eq!(status(&client, &token).await, 200);
    let mut altered = token.clone();
    altered.pop();
    for nothing in ["no token", "a.b.c", &altered, client.api.base()] {
        let answer = about(&client, REVOKE, nothing).await;
        assert_eq!((answer.status, &*answer.text), (200, ""), "{nothing}");
    }
    assert_eq!(status(&client, &token).await, 200);
}

async fn in_its_tenant() {
    let world = World::start().await;
    let (client, colleague) = (world.client().await, world.client().await);
    let elsewhere = world.platform.tenant("other").await;
    let stranger = world.client_of(&elsewhere).await;
    let token = client.token().await;
    assert!(is_active(&client, &token).await && is_active(&colleague, &token).await);
    assert!(!is_active(&stranger, &token).await);
    let session = world.admin.token();
    for nothing in ["no token", "a.b.c", session] {
        assert!(!is_active(&client, nothing).await, "{nothing}");
    }
    let told = about(&colleague, INTROSPECT, &token).await.json;
    assert_eq!(told["token_type"], "Bearer");
    assert_eq!(told["scope"], "devices.read users.read");
    assert_eq!(
        (&told["client_id"], &told["sub"]),
        (&json!(client.client_id), &json!(client.client_id))
    );
    assert_eq!(
        (&told["iss"], &told["aud"]),
        (&json!(client.api.base()), &json!(client.api.base()))
    );
    assert_eq!(told["tenant_id"], "acme");
    let life = told["exp"].as_i64().zip(told["iat"].as_i64());
    assert_eq!(life.map(|(exp, iat)| exp - iat), Some(900));
    let path = format!("/v1/oauth-clients/{}", client.client_id);
    assert_eq!(world.admin.delete(&path).await.status, 204);
    assert!(!is_active(&colleague, &token).await, "its client is gone");
}

async fn bad() {
    let world = World::start().await;
    let client = world.client().await;
    let token = ("token", &*client.token().await.leak());
    for path in [REVOKE, INTROSPECT] {
        let nobody = client.post(path, &[token]).await;
        assert_eq!(refusal(&nobody), (401, "invalid_client"), "{path}");
        let wrong = [
            token,
            ("client_id", &client.client_id),
            ("client_secret", "wrong"),
        ];
        let wrong = client.post(path, &wrong).await;
        assert_eq!(refusal(&wrong), (401, "invalid_client"), "{path}");
        let without = client.post_with_secret(path, &[]).await;
        assert_eq!(refusal(&without), (400, "invalid_request"), "{path}");
        let twice = client.post_with_secret(path, &[token, token]).await;
        assert_eq!(refusal(&twice), (400, "invalid_request"), "{path}");
        let hint = ("token_type_hint", "refresh_token");
        let hinted = client.post_with_secret(path, &[token, hint]).await;
        assert_eq!(hinted.status, 200, "a hint is one: {}", hinted.text);
    }
    let suspend = "/v1/admin/tenants/acme/suspend";
    let suspended = world.platform.admin.post(suspend, json!({})).await;
    assert_eq!(suspended.status, 200, "{}", suspended.text);
    for path in [REVOKE, INTROSPECT] {
        let refused = client.post_with_secret(path, &[token]).await;
        assert_eq!(refusal(&refused), (400, "unauthorized_client"), "{path}");
    }
}

async fn metadata() {
    let world = World::start().await;
    let api = world.platform.api();
    let metadata = api
        .get("/.well-known/oauth-authorization-server")
        .await
        .json;
    let base = api.base();
    for (name, path) in [
        ("token_endpoint", "/v1/auth/token"),
        ("revocation_endpoint", REVOKE),
        ("introspection_endpoint", INTROSPECT),
        ("jwks_uri", "/.well-known/jwks.json"),
    ] {
        assert_eq!(metadata[name], format!("{base}{path}"));
    }
    for endpoint in ["token", "revocation", "introspection"] {
        let methods = &metadata[format!("{endpoint}_endpoint_auth_methods_supported")];
        let all = json!([
            "client_secret_basic",
            "client_secret_post",
            "private_key_jwt"
        ]);
        assert_eq!(*methods, all);
        let name = format!("{endpoint}_endpoint_auth_signing_alg_values_supported");
        assert_eq!(
            metadata[name],
            json!(["ES256", "ES384", "EdDSA", "RS256", "PS256"])
        );
    }
}

async fn next_key() {
    let mut world = World::start().await;
    let client = world.client().await;
    let api = world.platform.api();
    let published = async |path: &str| api.get(path).await.json["keys"].take();
    let jwks = "/.well-known/jwks.json";
    let first = published(jwks).await[0]["kid"].take();
    let before = client.token().await;
    let admin = world.platform.admin.clone();
    let rotated = admin.post("/v1/admin/token-keys/rotate", json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let [active, next] = &rotated.json["data"].as_array().unwrap()[..] else {
        panic!("{}", rotated.text);
    };
    assert_eq!(
        (&active["state"], &active["key_id"]),
        (&json!("active"), &first)
    );
    assert_eq!(next["state"], "next");
    let again = admin.post("/v1/admin/token-keys/rotate", json!({})).await;
    assert_eq!(again.json["data"][1], *next, "it is on its way already");
    for restart in [false, true] {
        if restart {
            world.platform.restart();
        }
        let keys = published(jwks).await;
        let kids: Vec<_> = keys
            .as_array()
            .unwrap()
            .iter()
            .map(|key| &key["kid"])
            .collect();
        assert_eq!(kids, [&first, &next["key_id"]]);
        let receipts = published("/.well-known/receipt-keys.json").await;
        assert_eq!(receipts, keys, "none has signed its last");
        assert!(keys.to_string().find("\"d\"").is_none());
        let token = client.token().await;
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!(
            header.kid.as_deref(),
            first.as_str(),
            "it waits for its hour"
        );
        assert_eq!(status(&client, &before).await, 200);
        assert_eq!(status(&client, &token).await, 200);
    }
    let listed = admin.get("/v1/admin/token-keys").await.json;
    assert_eq!(listed["data"][1], *next);
}
