//! The main story: a palm is enrolled after consent, and verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::calls::{capture, verification};
use crate::world::world;

#[tokio::test]
async fn a_palm_is_enrolled_after_consent_and_verified() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    let integrator = world.integrator();
    let user = json!({"user_id": "user_456", "display_name": "Ada", "email": "ada@example.com"});
    let user = integrator.post("/v1/users", user).await.expect(201);
    assert_eq!(
        user,
        json!({
            "user_id": "user_456", "display_name": "Ada", "status": "active",
            "palm_enrolled": false, "palms": [], "consent_status": "none", "kyc_status": "none",
            "created_at": "2026-11-22T12:00:00.000Z",
        })
    );
    let enroll = json!({"user_id": "user_456", "device_id": "dev_1", "type": "left"});
    integrator
        .post("/v1/enroll", enroll)
        .await
        .refused(403, "consent_required");
    world.consent("user_456", true).await.expect(201);
    let verify = verification("user_456", &scanner);
    integrator
        .post("/v1/verify", verify)
        .await
        .refused(400, "user_not_enrolled");

    let challenge = world.enroll("user_456", &scanner, "left").await;
    let pending = scanner.pending(5).await;
    assert_eq!(pending.len(), 1);
    assert_eq!(pending[0]["challenge_id"], challenge.as_str());
    assert_eq!(pending[0]["type"], "enroll");
    assert_eq!(pending[0]["user_id"], "user_456");
    assert_eq!(pending[0]["palm_type"], "left");
    let outcome = scanner
        .complete(&challenge, capture(7, 0))
        .await
        .expect(200);
    assert_eq!(
        outcome,
        json!({
            "status": "enrolled", "challenge_status": "completed", "user_id": "user_456",
            "enrolled_at": "2026-11-22T12:00:00.000Z",
        })
    );
    let user = integrator.get("/v1/users/user_456").await.expect(200);
    assert_eq!(user["palm_enrolled"], true);
    assert_eq!(user["palms"][0]["type"], "left");
    assert_eq!(user["palms"][0]["device_id"], "dev_1");

    let challenge = world.verify("user_456", &scanner).await;
    let pending = scanner.pending(5).await;
    assert_eq!(pending[0]["context"], "e_signature");
    assert!(pending[0].get("metadata").is_none() && pending[0].get("user_id").is_none());
    let outcome = scanner
        .complete(&challenge, capture(7, 1))
        .await
        .expect(200);
    assert_eq!(outcome["status"], "completed", "{outcome}");
    assert_eq!(outcome["challenge_status"], "completed");
    assert_eq!(outcome["user_id"], "user_456");
    assert_eq!(outcome["scores"].as_array().unwrap().len(), 4);
    let seen = world.challenge(&challenge).await;
    assert_eq!(seen["status"], "completed");
    assert_eq!(seen["status_reason"], "matched");
    assert_eq!(seen["metadata"], json!({"document_id": "doc_123"}));
    assert_eq!(seen["scores"], outcome["scores"]);
    assert_eq!(seen["receipt"], outcome["receipt"]);
    assert!(scanner.pending(0).await.is_empty());

    let users: Vec<Value> = world
        .palms
        .calls()
        .iter()
        .map(|call| call.metadata["user_id"].clone())
        .collect();
    let enrolled = [Value::Null, json!("acme:user_456")];
    let verified = [Value::Null];
    assert_eq!(users, [&enrolled[..], &verified].concat());
}

#[tokio::test]
async fn a_receipt_is_signed_by_the_platform_and_names_the_devices_certificate() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let challenge = world.verify("ada", &scanner).await;
    let outcome = scanner
        .complete(&challenge, capture(7, 1))
        .await
        .expect(200);
    let receipt = outcome["receipt"].as_str().unwrap();

    let jwks = world
        .app
        .secrets
        .tokens
        .get()
        .unwrap()
        .jwks(world.app.clock.now());
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_issuer(&["https://identity.example"]);
    validation.set_audience(&[world.client_id.as_str()]);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwks.keys[0]).unwrap();
    let verified = jsonwebtoken::decode::<Value>(receipt, &key, &validation).unwrap();
    assert_eq!(
        verified.header.typ.as_deref(),
        Some("verification-receipt+jwt")
    );
    let claims = verified.claims;
    assert_eq!(claims["sub"], "ada");
    assert_eq!(claims["jti"], challenge.as_str());
    assert_eq!(claims["tenant_id"], "acme");
    assert_eq!(claims["device_id"], "dev_1");
    assert_eq!(claims["verdict"], "match");
    let thumbprint = URL_SAFE_NO_PAD.encode(scanner.fingerprint.as_bytes());
    assert_eq!(claims["cnf"], json!({"x5t#S256": thumbprint}));
    assert!(claims.get("scores").is_none());
}
