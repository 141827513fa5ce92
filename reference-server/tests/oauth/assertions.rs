//! Clients that prove themselves by assertions (RFC 7523), and what is none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use libtest_mimic::Trial;
use reference_server::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::client::{ASSERTION_TYPE, GRANT, SigningKey, World, refusal, text};
use crate::trial;

const TOKEN: &str = "/v1/auth/token";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_client_gets_a_token_by_a_signature_of_any_kind", any_kind),
        trial("an_assertion_is_used_once_at_whatever_endpoint", used_once),
        trial("what_is_no_assertion_of_the_clients_is_refused", refused),
        trial("a_client_proves_itself_in_one_way", one_way),
        trial("a_client_replaces_its_keys_without_a_pause", replaced),
        trial("keys_that_are_no_good_are_not_registered", not_registered),
    ]
}

async fn any_kind() {
    use Algorithm::{ES256, ES384, EdDSA, PS256, RS256};
    let world = World::start().await;
    let keys = [ES256, ES384, EdDSA, RS256, PS256].map(SigningKey::generate);
    let client = world.keyed(&keys.each_ref()).await;
    for key in &keys {
        let token_endpoint = format!("{}{TOKEN}", client.api.base());
        for audience in [json!(client.api.base()), json!([token_endpoint])] {
            let mut claims = client.claims();
            claims["aud"] = audience;
            let assertion = key.sign(&claims);
            let granted = client
                .post_with_assertion(TOKEN, &assertion, &[GRANT])
                .await;
            assert_eq!(granted.status, 200, "{:?}: {}", key.algorithm, granted.text);
            let token = text(&granted.json["access_token"]);
            let devices = client.api.with_bearer(&token).get("/v1/devices").await;
            assert_eq!(devices.status, 200, "{}", devices.text);
        }
    }
    let listed = world.admin.get("/v1/oauth-clients").await.json;
    let listed = &listed["data"][0];
    assert_eq!(listed["jwks"]["keys"].as_array().map(Vec::len), Some(5));
    assert_eq!(listed["secrets"], json!([]));
}

async fn used_once() {
    let world = World::start().await;
    let key = SigningKey::generate(Algorithm::ES256);
    let (client, other) = (world.keyed(&[&key]).await, world.keyed(&[&key]).await);
    let claims = client.claims();
    let assertion = key.sign(&claims);
    let granted = client
        .post_with_assertion(TOKEN, &assertion, &[GRANT])
        .await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    let token = ("token", "none");
    for (path, form) in [
        (TOKEN, &[GRANT][..]),
        ("/v1/auth/revoke", &[token]),
        ("/v1/auth/introspect", &[token]),
    ] {
        // Signed anew it is another JWT, of the same id.
        for assertion in [&assertion, &key.sign(&claims)] {
            let replayed = client.post_with_assertion(path, assertion, form).await;
            assert_eq!(refusal(&replayed), (401, "invalid_client"), "{path}");
            let why = text(&replayed.json["error_description"]);
            assert!(why.contains("jti"), "{why}");
        }
    }
    // The id is the client's own.
    let mut theirs = other.claims();
    theirs["jti"] = claims["jti"].clone();
    let granted = other
        .post_with_assertion(TOKEN, &key.sign(&theirs), &[GRANT])
        .await;
    assert_eq!(granted.status, 200, "{}", granted.text);
}

async fn refused() {
    let world = World::start().await;
    let (key, stranger) = (
        SigningKey::generate(Algorithm::ES256),
        SigningKey::generate(Algorithm::ES256),
    );
    let client = world.keyed(&[&key]).await;
    let with_secret = world.client().await;
    let with = |name: &str, value: Value| {
        let mut claims = client.claims();
        claims[name] = value;
        claims
    };
    let now = SystemClock.now().unix_timestamp();
    let nobody = "cli_01arz3ndektsv4rrffq69g5fav";
    let under_kid = |kid: &Value| {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(text(kid));
        stranger.sign_under(&header, &client.claims())
    };
    let unsigned = |header: Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&header), part(&client.claims()))
    };
    // As HMAC takes bytes: the public key as it is registered.
    let hmac = EncodingKey::from_secret(key.public.to_string().as_bytes());
    let mut hmac_header = Header::new(Algorithm::HS256);
    hmac_header.kid = Some(text(&key.public["kid"]));
    let hmac = jsonwebtoken::encode(&hmac_header, &client.claims(), &hmac).unwrap();
    let mut of_nobody = client.claims();
    of_nobody["iss"] = json!(nobody);
    of_nobody["sub"] = json!(nobody);
    let signed = key.sign(&client.claims());
    for (what, assertion) in [
        ("over", key.sign(&with("exp", json!(now - 1)))),
        ("for too long", key.sign(&with("exp", json!(now + 7200)))),
        ("yet to come", key.sign(&with("nbf", json!(now + 600)))),
        (
            "for another",
            key.sign(&with("aud", json!("https://other.example"))),
        ),
        ("of another issuer", key.sign(&with("iss", json!(nobody)))),
        ("of another client", key.sign(&with_secret.claims())),
        ("of nobody", key.sign(&of_nobody)),
        ("without an id", key.sign(&with("jti", Value::Null))),
        ("of an unknown key", stranger.sign(&client.claims())),
        ("of another key", under_kid(&key.public["kid"])),
        ("unsigned", unsigned(json!({"alg": "none"}))),
        (
            "unsigned, with a kid",
            unsigned(json!({"alg": "none", "kid": key.public["kid"]})),
        ),
        (
            "with its key",
            unsigned(json!({"alg": "ES256", "jwk": stranger.public})),
        ),
        ("under HMAC", hmac),
        ("cut", signed[..signed.len() - 2].to_owned()),
        ("no JWT", "none-at-all".to_owned()),
        ("large", "a".repeat(20_000)),
    ] {
        let answer = client
            .post_with_assertion(TOKEN, &assertion, &[GRANT])
            .await;
        assert_eq!(refusal(&answer), (401, "invalid_client"), "{what}");
        assert!(!answer.text.contains(&assertion), "{what}");
    }
    let granted = client.post_with_assertion(TOKEN, &signed, &[GRANT]).await;
    assert_eq!(
        granted.status, 200,
        "what was refused used nothing up: {}",
        granted.text
    );
}

async fn one_way() {
    let world = World::start().await;
    let key = SigningKey::generate(Algorithm::ES256);
    let (client, keyed) = (world.client().await, world.keyed(&[&key]).await);
    let assertion = &*key.sign(&keyed.claims());
    let (id, keyed_id) = (
        ("client_id", &*client.client_id),
        ("client_id", &*keyed.client_id),
    );
    let secret = ("client_secret", &*client.secret);
    let kind = ("client_assertion_type", ASSERTION_TYPE);
    let assertion = ("client_assertion", assertion);
    for (what, form, expected) in [
        (
            "a secret too",
            vec![GRANT, keyed_id, secret, kind, assertion],
            (400, "invalid_request"),
        ),
        ("no type", vec![GRANT, assertion], (400, "invalid_request")),
        ("a type alone", vec![GRANT, kind], (400, "invalid_request")),
        (
            "another type",
            vec![GRANT, ("client_assertion_type", "urn:other"), assertion],
            (400, "invalid_request"),
        ),
        (
            "twice",
            vec![GRANT, kind, assertion, assertion],
            (400, "invalid_request"),
        ),
        (
            "a secret twice",
            vec![GRANT, id, secret, secret],
            (400, "invalid_request"),
        ),
        (
            "another's id",
            vec![GRANT, id, kind, assertion],
            (401, "invalid_client"),
        ),
        (
            "a client with keys",
            vec![GRANT, keyed_id, secret],
            (401, "invalid_client"),
        ),
        ("no secret", vec![GRANT, keyed_id], (401, "invalid_client")),
    ] {
        let answer = client.post(TOKEN, &form).await;
        assert_eq!(refusal(&answer), expected, "{what}");
    }
    for path in [TOKEN, "/v1/auth/revoke", "/v1/auth/introspect"] {
        for form in [vec![GRANT, id, secret], vec![GRANT, kind, assertion]] {
            let request = client.api.request(reqwest::Method::POST, path).form(&form);
            let basic = request.basic_auth(&client.client_id, Some(&client.secret));
            let answer = client.api.send(basic).await;
            assert_eq!(refusal(&answer), (400, "invalid_request"), "{path}");
        }
    }
    let named = vec![GRANT, keyed_id, kind, assertion];
    let granted = client.post(TOKEN, &named).await;
    assert_eq!(granted.status, 200, "{}", granted.text);
}

async fn replaced() {
    let world = World::start().await;
    let [old, new] = [(); 2].map(|()| SigningKey::generate(Algorithm::ES256));
    let client = world.keyed(&[&old]).await;
    let path = format!("/v1/oauth-clients/{}/jwks", client.client_id);
    let works = async |key: &SigningKey| {
        let assertion = key.sign(&client.claims());
        let answer = client
            .post_with_assertion(TOKEN, &assertion, &[GRANT])
            .await;
        answer.status == 200
    };
    assert!(works(&old).await && !works(&new).await);
    for (keys, expected) in [
        (vec![&old.public, &new.public], (true, true)),
        (vec![&new.public], (false, true)),
    ] {
        let put = world.admin.put(&path, json!({"keys": keys})).await;
        assert_eq!(put.status, 200, "{}", put.text);
        assert_eq!((works(&old).await, works(&new).await), expected);
    }
    let secrets = format!("/v1/oauth-clients/{}/secrets", client.client_id);
    let refused = world.admin.post(&secrets, json!({})).await;
    assert_eq!((refused.status, refused.error()), (409, "conflict"));

    // A client with a secret changes over, and its secret ends.
    let client = world.client().await;
    let path = format!("/v1/oauth-clients/{}/jwks", client.client_id);
    client.token().await;
    let put = world.admin.put(&path, json!({"keys": [new.public]})).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let refused = client.post_with_secret(TOKEN, &[GRANT]).await;
    assert_eq!(refusal(&refused), (401, "invalid_client"));
    let assertion = new.sign(&client.claims());
    let granted = client
        .post_with_assertion(TOKEN, &assertion, &[GRANT])
        .await;
    assert_eq!(granted.status, 200, "{}", granted.text);
}

async fn not_registered() {
    let world = World::start().await;
    let key = SigningKey::generate(Algorithm::ES256);
    let private = key.private.clone().expect("a key on P-256");
    let client = world.client().await;
    let path = format!("/v1/oauth-clients/{}/jwks", client.client_id);
    for jwks in [
        json!({"keys": [private]}),
        json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}),
        json!({"keys": [key.public, key.public]}),
        json!({"keys": []}),
        json!(key.public),
        json!({"keys": vec![&key.public; 50]}),
    ] {
        let body = json!({"name": "backend", "scopes": ["devices.read"], "jwks": jwks});
        let made = world.admin.post("/v1/oauth-clients", body).await;
        let put = world.admin.put(&path, jwks).await;
        for refused in [made, put] {
            let answer = (refused.status, refused.error());
            assert_eq!(answer, (422, "validation_failed"), "{}", refused.text);
            let number = private["d"].as_str().expect("a number");
            assert!(!refused.text.contains(number));
        }
    }
    let listed = world.admin.get("/v1/oauth-clients").await.json;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    client.token().await;
}
