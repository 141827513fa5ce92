//! A client asks for a user's palm by the backchannel (CIBA Core 1.0), and polls for what came of it.

use std::time::Duration;

use http::Method;
use identity_pki::TenantId;
use identity_store::{
    Actor, Change, ClientCredential, ClientId, NewClient, SecretHash, TenantStatus,
};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reference_server::clock::entropy;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::calls::{Answer, answer, capture, verification};
use crate::world::{Device, World, world, world_with_rate_limits};

const SECRET: &str = "the client's secret";
const GRANT: &str = "urn:openid:params:grant-type:ciba";

/// A tenant with a client, a scanner, and a user whose left palm is number 7.
struct Scene {
    world: World,
    client_id: ClientId,
    scanner: Device,
}

async fn scene() -> Scene {
    Scene::in_world(world().await).await
}

impl World {
    async fn client(&self, tenant_id: &TenantId, scopes: &[&str]) -> ClientId {
        let client = NewClient {
            client_id: ClientId::generate(self.clock_now(), &mut entropy()),
            tenant_id: tenant_id.clone(),
            name: "The Shop".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            credential: ClientCredential::Secret(SecretHash(Sha256::digest(SECRET).into())),
            notification_endpoint: None,
        };
        let client_id = client.client_id.clone();
        let made = self.app.store.create_client(self.change(), client);
        made.await.unwrap();
        client_id
    }

    async fn post_form(&self, path: &str, client: &ClientId, form: &[(&str, &str)]) -> Answer {
        let request = self.nobody().request(Method::POST, path);
        answer(request.basic_auth(client, Some(SECRET)).form(form)).await
    }
}

impl Scene {
    async fn in_world(world: World) -> Self {
        let scanner = world.scanner("dev_1").await;
        world.enrolled("ada", &scanner, 7).await;
        let client_id = world.client(&world.tenant, &["challenges.write"]).await;
        Self {
            world,
            client_id,
            scanner,
        }
    }

    /// Asks for the user's palm, with these parameters in place of the usual ones; without a value, one is
    /// left out.
    async fn ask_with(&self, other: &[(&str, &str)]) -> Answer {
        let usual = [
            ("scope", "openid"),
            ("login_hint", "ada"),
            ("device_id", "dev_1"),
        ];
        let is_usual = |(name, _): &&(&str, &str)| !other.iter().any(|(it, _)| it == name);
        let usual = usual.iter().filter(is_usual);
        let form: Vec<_> = usual.chain(other).copied().collect();
        let path = "/v1/bc-authorize";
        self.world.post_form(path, &self.client_id, &form).await
    }

    async fn ask(&self) -> String {
        let asked = self.ask_with(&[]).await.expect(200);
        asked["auth_req_id"].as_str().unwrap().to_owned()
    }

    async fn poll_as(&self, client: &ClientId, auth_req_id: &str) -> Answer {
        let form = [("grant_type", GRANT), ("auth_req_id", auth_req_id)];
        self.world.post_form("/v1/auth/token", client, &form).await
    }

    async fn poll(&self, auth_req_id: &str) -> Answer {
        self.poll_as(&self.client_id, auth_req_id).await
    }

    /// Polls in its time, and is refused.
    async fn is_told(&self, auth_req_id: &str, error: &str) {
        self.world.clock.advance(Duration::from_secs(5));
        refused(&self.poll(auth_req_id).await, 400, error);
    }

    /// The one challenge that is open.
    async fn challenge(&self) -> Value {
        let pending = self.scanner.pending(0).await;
        assert_eq!(pending.len(), 1);
        pending[0].clone()
    }

    async fn matches(&self, noise: u64) -> String {
        let challenge = self.challenge().await["challenge_id"].clone();
        let challenge = challenge.as_str().unwrap();
        let outcome = self.scanner.complete(challenge, capture(7, noise)).await;
        assert_eq!(outcome.expect(200)["status"], "completed");
        challenge.to_owned()
    }

    async fn verified(&self, id_token: &str) -> Value {
        let keys = self.world.nobody().get("/.well-known/jwks.json").await;
        let keys: JwkSet = serde_json::from_value(keys.expect(200)).unwrap();
        let header = jsonwebtoken::decode_header(id_token).unwrap();
        assert_eq!(
            (header.alg, &*header.typ.unwrap()),
            (Algorithm::ES256, "JWT")
        );
        let key = DecodingKey::from_jwk(keys.find(&header.kid.unwrap()).unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_audience(&[&self.client_id]);
        validation.set_issuer(&["https://identity.example"]);
        // The story has a clock of its own.
        validation.validate_exp = false;
        let token = jsonwebtoken::decode(id_token, &key, &validation);
        token.unwrap().claims
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status.as_u16(), &answer.body["error"]),
        (status, &json!(error)),
        "{}",
        answer.body
    );
    assert!(answer.body["error_description"].is_string());
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn a_client_learns_by_a_palm_who_the_user_is() {
    let scene = scene().await;
    let message = ("binding_message", "Order 4711");
    let asked = scene.ask_with(&[message, ("requested_expiry", "60")]).await;
    assert_eq!(asked.headers["cache-control"], "no-store");
    let asked = asked.expect(200);
    assert_eq!(
        (&asked["expires_in"], &asked["interval"]),
        (&json!(60), &json!(5))
    );
    let auth_req_id = asked["auth_req_id"].as_str().unwrap();
    assert_eq!(auth_req_id.len(), 43, "256 bits");

    let shown = scene.challenge().await;
    assert_eq!(shown["binding_message"], "Order 4711");
    assert_eq!(
        (&shown["type"], &shown["context"]),
        (&json!("verify"), &json!("The Shop"))
    );
    assert_eq!(shown["expires_at"], "2026-11-22T12:01:00.000Z");
    scene.is_told(auth_req_id, "authorization_pending").await;
    let challenge = scene.matches(1).await;
    let matched_at = scene.world.clock_now().unix_timestamp();
    scene.world.clock.advance(Duration::from_secs(2));

    let granted = scene.poll(auth_req_id).await;
    assert_eq!(granted.headers["cache-control"], "no-store");
    let granted = granted.expect(200);
    assert_eq!(
        (&granted["token_type"], &granted["scope"]),
        (&json!("Bearer"), &json!("openid"))
    );
    assert_eq!(granted["expires_in"], 900);
    let access_token = granted["access_token"].as_str().unwrap();
    let claims = scene.verified(granted["id_token"].as_str().unwrap()).await;
    let digest = Sha256::digest(access_token);
    use base64::Engine as _;
    let at_hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest[..16]);
    assert_eq!(
        claims,
        json!({
            "iss": "https://identity.example", "sub": "ada", "aud": scene.client_id,
            "exp": matched_at + 902, "iat": matched_at + 2, "auth_time": matched_at,
            "amr": ["palm", "hwk"], "at_hash": at_hash, "tenant_id": "acme",
            "urn:openid:params:jwt:claim:auth_req_id": auth_req_id,
        })
    );
    refused(&scene.poll(auth_req_id).await, 400, "invalid_grant");

    // The access token is about the user, and opens nothing.
    let opened = scene.world.nobody().with_token(access_token.to_owned());
    let devices = opened.get("/v1/devices").await;
    devices.refused(403, "insufficient_scope");
    let token = [("token", access_token)];
    let path = "/v1/auth/introspect";
    let told = scene.world.post_form(path, &scene.client_id, &token).await;
    let told = told.expect(200);
    assert_eq!(
        (&told["active"], &told["sub"]),
        (&json!(true), &json!("ada"))
    );
    assert_eq!(
        (&told["scope"], &told["client_id"]),
        (&json!("openid"), &json!(scene.client_id))
    );

    let seen = scene.world.challenge(&challenge).await;
    assert!(
        seen["receipt"].is_string(),
        "the integrator has a receipt as well"
    );
}

#[tokio::test]
async fn who_polls_too_often_is_slowed_down() {
    let scene = scene().await;
    let auth_req_id = scene.ask().await;
    let told = async |seconds, error| {
        scene.world.clock.advance(Duration::from_secs(seconds));
        refused(&scene.poll(&auth_req_id).await, 400, error);
    };
    told(0, "authorization_pending").await;
    told(5, "authorization_pending").await;
    told(1, "slow_down").await;
    told(5, "slow_down").await;
    told(15, "authorization_pending").await;
    scene.matches(1).await;
    scene.poll(&auth_req_id).await.expect(200);
}

#[tokio::test]
async fn how_a_challenge_ends_is_how_its_request_does() {
    let scene = scene().await;
    let device = |step: &str| (scene.scanner.caller.clone(), step.to_owned());
    let integrator = |step: &str| (scene.world.integrator(), step.to_owned());
    for (caller, step) in [device("deny"), integrator("cancel")] {
        let auth_req_id = scene.ask().await;
        let challenge = scene.challenge().await["challenge_id"].clone();
        let path = format!("/v1/challenges/{}/{step}", challenge.as_str().unwrap());
        let reason = json!({"reason": "it was not me"});
        let body = if step == "deny" { reason } else { json!({}) };
        caller.post(&path, body).await.expect(200);
        scene.is_told(&auth_req_id, "access_denied").await;
    }

    let tried_in_vain = scene.ask().await;
    let challenge = scene.challenge().await["challenge_id"].clone();
    for noise in 0..3 {
        let challenge = challenge.as_str().unwrap();
        let outcome = scene.scanner.complete(challenge, capture(99, noise)).await;
        assert_eq!(outcome.expect(200)["status"], "failed");
    }
    scene.is_told(&tried_in_vain, "access_denied").await;

    let late = scene.ask().await;
    scene.world.clock.advance(Duration::from_secs(110));
    scene.is_told(&late, "authorization_pending").await;
    scene.is_told(&late, "expired_token").await;
    scene.is_told(&late, "expired_token").await;

    let at_revoked = scene.ask().await;
    let path = "/v1/devices/dev_1";
    scene.world.integrator().delete(path).await.expect(200);
    scene.is_told(&at_revoked, "access_denied").await;
}

#[tokio::test]
async fn a_user_who_is_erased_before_the_token_is_fetched_is_not_told_of() {
    let scene = scene().await;
    let auth_req_id = scene.ask().await;
    scene.matches(1).await;
    let users = scene.world.integrator();
    let erased = users.request(Method::DELETE, "/v1/users/ada");
    let erased = answer(erased.json(&json!({"reason": "they asked for it"}))).await;
    let erased = erased.expect(202);
    let told = scene.poll(&auth_req_id).await;
    let error = told.body["error"].as_str().unwrap().to_owned();
    // Denied until the challenge is gone.
    assert!(
        error == "access_denied" || error == "invalid_grant",
        "{error}"
    );
    let path = format!("/v1/erasures/{}", erased["erasure_id"].as_str().unwrap());
    while users.get(&path).await.expect(200)["status"] != "completed" {
        tokio::task::yield_now().await;
    }
    refused(&scene.poll(&auth_req_id).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_request_is_its_clients_and_its_tenants_while_that_is_served() {
    let scene = scene().await;
    let world = &scene.world;
    let auth_req_id = scene.ask().await;
    scene.matches(1).await;
    let colleague = world.client(&world.tenant, &["challenges.write"]).await;
    let elsewhere = TenantId::new("other").unwrap();
    let store = &world.app.store;
    let change = || Change::new(world.clock_now(), Actor::System("test"), "seed");
    let made = store.create_tenant(change(), elsewhere.clone(), "Other".to_owned());
    made.await.unwrap();
    let stranger = world.client(&elsewhere, &["challenges.write"]).await;
    for other in [&colleague, &stranger] {
        let told = scene.poll_as(other, &auth_req_id).await;
        refused(&told, 400, "invalid_grant");
    }
    refused(&scene.poll("no request").await, 400, "invalid_grant");
    let suspend = async |status| {
        let set = store.set_tenant_status(change(), &world.tenant, status);
        set.await.unwrap();
    };
    suspend(TenantStatus::Suspended).await;
    refused(&scene.poll(&auth_req_id).await, 400, "unauthorized_client");
    refused(&scene.ask_with(&[]).await, 400, "unauthorized_client");
    suspend(TenantStatus::Active).await;
    scene.poll(&auth_req_id).await.expect(200);
}

#[tokio::test]
async fn requests_that_cannot_be_are_refused_in_cibas_words() {
    let scene = scene().await;
    let world = &scene.world;
    world.user("bob").await;
    world.enrolled("eve", &scene.scanner, 8).await;
    let path = "/v1/users/eve/suspend";
    world.integrator().post(path, json!({})).await.expect(200);
    let long = "x".repeat(129);
    for (parameter, value, status, error) in [
        ("scope", "", 400, "invalid_request"),
        ("scope", "profile", 400, "invalid_scope"),
        ("scope", "openid profile", 400, "invalid_scope"),
        ("login_hint", "", 400, "invalid_request"),
        ("login_hint", "nobody", 400, "unknown_user_id"),
        ("login_hint", "no id", 400, "unknown_user_id"),
        ("login_hint_token", "a.b.c", 400, "invalid_request"),
        ("id_token_hint", "a.b.c", 400, "invalid_request"),
        ("request", "a.b.c", 400, "invalid_request"),
        ("device_id", "", 400, "invalid_request"),
        ("device_id", "dev_2", 400, "invalid_request"),
        ("device_id", "no id", 400, "invalid_request"),
        ("binding_message", " padded", 400, "invalid_binding_message"),
        (
            "binding_message",
            "two\nlines",
            400,
            "invalid_binding_message",
        ),
        ("binding_message", &long, 400, "invalid_binding_message"),
        ("requested_expiry", "0", 400, "invalid_request"),
        ("requested_expiry", "soon", 400, "invalid_request"),
        ("login_hint", "bob", 403, "access_denied"),
        ("login_hint", "eve", 403, "access_denied"),
    ] {
        let told = scene.ask_with(&[(parameter, value)]).await;
        assert_eq!(told.body["error"], error, "{parameter}={value}");
        refused(&told, status, error);
    }
    assert!(
        scene.scanner.pending(0).await.is_empty(),
        "nobody was asked"
    );
    let without = world.client(&world.tenant, &["challenges.read"]).await;
    let form = [
        ("scope", "openid"),
        ("login_hint", "ada"),
        ("device_id", "dev_1"),
    ];
    let told = world.post_form("/v1/bc-authorize", &without, &form).await;
    refused(&told, 400, "unauthorized_client");
    let no_id = [("grant_type", GRANT)];
    let told = world.post_form("/v1/auth/token", &scene.client_id, &no_id);
    refused(&told.await, 400, "invalid_request");
    let nobody = world.nobody().request(Method::POST, "/v1/bc-authorize");
    refused(&answer(nobody.form(&form)).await, 401, "invalid_client");

    world
        .configure(|config| config.max_open_challenges_per_device = 1)
        .await;
    let body = verification("ada", &scene.scanner);
    world
        .integrator()
        .post("/v1/verify", body)
        .await
        .expect(201);
    refused(&scene.ask_with(&[]).await, 403, "access_denied");
}

#[tokio::test]
async fn no_client_has_a_users_scope() {
    let scene = scene().await;
    let form = [("grant_type", "client_credentials"), ("scope", "openid")];
    let told = scene
        .world
        .post_form("/v1/auth/token", &scene.client_id, &form);
    refused(&told.await, 400, "invalid_scope");
    let metadata = "/.well-known/oauth-authorization-server";
    let metadata = scene.world.nobody().get(metadata).await.expect(200);
    let scopes = metadata["scopes_supported"].as_array().unwrap();
    assert!(scopes.contains(&json!("openid")));
    assert_eq!(
        metadata["grant_types_supported"],
        json!(["client_credentials", GRANT])
    );
    let endpoint = "https://identity.example/v1/bc-authorize";
    assert_eq!(metadata["backchannel_authentication_endpoint"], endpoint);
}

#[tokio::test]
async fn polls_do_not_count_against_the_limit_of_their_source() {
    let scene = Scene::in_world(world_with_rate_limits().await).await;
    let auth_req_id = scene.ask().await;
    for _ in 0..40 {
        scene.poll(&auth_req_id).await;
    }
    refused(&scene.poll(&auth_req_id).await, 400, "slow_down");
    let wrong = async || {
        let request = scene.world.nobody().request(Method::POST, "/v1/auth/token");
        let form = [("grant_type", GRANT), ("auth_req_id", &auth_req_id)];
        answer(
            request
                .basic_auth(&scene.client_id, Some("wrong"))
                .form(&form),
        )
        .await
    };
    for _ in 0..30 {
        refused(&wrong().await, 401, "invalid_client");
    }
    assert_eq!(
        wrong().await.status,
        429,
        "those of whoever proves nothing do"
    );
}
