use serde_json::{Value, json};

use crate::harness::{ADMIN, Api, Fresh, PASSWORD, Reply, sign_in_for_the_first_time};

const NEXT: &str = "another of the admin's";

async fn login(api: &Api, password: &str) -> Reply {
    let credentials = json!({"email": ADMIN, "password": password});
    api.post("/v1/auth/login", credentials).await
}

async fn change_password(session: &Api, current: &str) -> Reply {
    let change = json!({"current_password": current, "new_password": NEXT});
    session.post("/v1/auth/password", change).await
}

fn assert_refused(reply: &Reply, status: u16, code: &str) {
    let refused = (reply.status, reply.error());
    assert_eq!(refused, (status, code), "{}", reply.text);
}

#[tokio::test]
async fn strangers_who_lock_the_address_do_not_keep_its_user_from_a_new_password() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    for _ in 0..10 {
        assert_refused(&login(&api, "a guess").await, 401, "invalid_credentials");
    }
    assert_refused(&login(&api, PASSWORD).await, 423, "account_locked");
    let changed = change_password(&admin, PASSWORD).await;
    assert_eq!(changed.status, 204, "{}", changed.text);
}

#[tokio::test]
async fn a_stolen_session_guesses_the_password_ten_times_and_ends() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let owner = sign_in_for_the_first_time(&api).await;
    let stolen = api.sign_in(ADMIN, PASSWORD).await;
    let totp = json!({"current_password": "a guess"});
    for turn in 0..10 {
        // Wherever it asks: they count together.
        let refused = match turn % 2 {
            0 => change_password(&stolen, "a guess").await,
            _ => stolen.post("/v1/auth/mfa/totp", totp.clone()).await,
        };
        assert_refused(&refused, 401, "invalid_credentials");
    }
    let right = change_password(&stolen, PASSWORD).await;
    assert_refused(&right, 401, "unauthorized");
    let me = owner.get("/v1/auth/me").await;
    assert_eq!(me.status, 200, "{}", me.text);
    assert_eq!(login(&api, PASSWORD).await.status, 200, "nothing is locked");
}

#[tokio::test]
async fn guesses_at_once_are_no_more_than_one_after_the_other() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    sign_in_for_the_first_time(&api).await;
    let stolen = api.sign_in(ADMIN, PASSWORD).await;
    let guesses = (0..40).map(|_| {
        let stolen = stolen.clone();
        tokio::spawn(async move { change_password(&stolen, "a guess").await })
    });
    let mut looked_at = 0;
    for guess in guesses.collect::<Vec<_>>() {
        let refused = guess.await.expect("no panic");
        looked_at += usize::from(refused.error() == "invalid_credentials");
        assert_eq!(refused.status, 401, "{}", refused.text);
    }
    // Four are looked at at once, and only what was counted is told.
    assert_eq!(looked_at, 10);
}

#[tokio::test]
async fn a_sign_in_just_now_is_given_a_secret_without_a_body() {
    let fresh = Fresh::start(&[]);
    let admin = sign_in_for_the_first_time(&fresh.api()).await;
    let ask = || admin.request(reqwest::Method::POST, "/v1/auth/mfa/totp");
    let no_body = [
        ask(),
        ask().header("content-type", "application/json"),
        ask().json(&json!({})),
        ask().json(&json!({"current_password": PASSWORD})),
    ];
    for request in no_body {
        let issued = admin.send(request).await;
        assert_eq!(issued.status, 200, "{}", issued.text);
        assert!(issued.json["secret"].is_string(), "{}", issued.text);
    }
    let unknown: Value = json!({"password": PASSWORD});
    let refused = admin.post("/v1/auth/mfa/totp", unknown).await;
    assert_refused(&refused, 422, "validation_failed");
}

#[tokio::test]
async fn the_products_name_is_one_in_authenticators_and_for_passwords() {
    let fresh = Fresh::start(&[("IDENTITY_PRODUCT_NAME", "Acme Palms")]);
    let admin = sign_in_for_the_first_time(&fresh.api()).await;
    let issued = admin.post("/v1/auth/mfa/totp", json!({})).await;
    let uri = issued.json["otpauth_uri"].as_str().expect("a URI");
    assert!(uri.starts_with("otpauth://totp/Acme%20Palms:"), "{uri}");
    assert!(uri.contains("&issuer=Acme%20Palms&"), "{uri}");
    for (password, status) in [("our acme-palms!", 422), ("link identity", 204)] {
        let change = json!({"current_password": PASSWORD, "new_password": password});
        let changed = admin.post("/v1/auth/password", change).await;
        assert_eq!(changed.status, status, "{}", changed.text);
    }
}
