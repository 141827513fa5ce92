use identity_store::{OperatorStore as _, Store as _};
use reference_server::clock::{Clock as _, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use time::Duration;

use crate::harness::{
    ADMIN, Api, Authenticator, Fresh, PASSWORD, Reply, embedded_store, key_beside,
    sign_in_for_the_first_time,
};
use crate::{Browser, cookie};

/// Sets one-time codes up for a console user; returns their authenticator and recovery codes.
pub(crate) async fn set_up(user: &Api) -> (Authenticator, Vec<String>) {
    let issued = user.post("/v1/auth/mfa/totp", json!({})).await;
    assert_eq!(issued.status, 200, "{}", issued.text);
    let secret = issued.json["secret"].as_str().expect("a secret");
    let uri = issued.json["otpauth_uri"].as_str().expect("a URI");
    assert!(uri.contains(&format!("secret={secret}")), "{uri}");
    let authenticator = Authenticator::new(secret);
    let confirmation = json!({"code": authenticator.code(0)});
    let confirmed = user.post("/v1/auth/mfa/totp/confirm", confirmation).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    let codes = confirmed.json["recovery_codes"].as_array().expect("codes");
    let codes = codes
        .iter()
        .map(|code| code.as_str().expect("text").to_owned());
    (authenticator, codes.collect())
}

pub(crate) async fn login(api: &Api, email: &str) -> Reply {
    let credentials = json!({"email": email, "password": PASSWORD});
    api.post("/v1/auth/login", credentials).await
}

/// The token of a sign-in that waits for a code.
pub(crate) async fn mfa_token(api: &Api, email: &str) -> Value {
    let waits = login(api, email).await;
    assert_eq!(waits.status, 200, "{}", waits.text);
    assert_eq!(waits.json["mfa_required"], true, "{}", waits.text);
    waits.json["mfa_token"].clone()
}

pub(crate) async fn complete(api: &Api, mfa_token: &Value, code: &str) -> Reply {
    let body = json!({"mfa_token": mfa_token, "code": code});
    api.post("/v1/auth/mfa", body).await
}

pub(crate) fn assert_refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!(
        (reply.status, reply.error()),
        (status, code),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn a_sign_in_asks_for_a_code_once_an_authenticator_is_confirmed() {
    let fresh = Fresh::start(&[("IDENTITY_LOG", "trace")]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let other = api.sign_in(ADMIN, PASSWORD).await;

    let confirm = "/v1/auth/mfa/totp/confirm";
    let none = admin.post(confirm, json!({"code": "123456"})).await;
    assert_refused(&none, 404, "not_found");
    let first = admin.post("/v1/auth/mfa/totp", json!({})).await.json;
    let first = Authenticator::new(first["secret"].as_str().expect("a secret"));
    let wrong = json!({"code": first.old_code()});
    assert_refused(&admin.post(confirm, wrong).await, 401, "mfa_code_invalid");
    let me = admin.get("/v1/auth/me").await;
    assert_eq!(me.json["mfa_enabled"], false, "not confirmed: {}", me.text);
    let open = login(&api, ADMIN).await;
    assert_eq!(
        open.json["mfa_required"], false,
        "not confirmed: {}",
        open.text
    );

    // The second secret takes the place of the first.
    let (authenticator, recovery_codes) = set_up(&admin).await;
    assert_eq!(recovery_codes.len(), 10);
    assert_eq!(other.get("/v1/auth/me").await.status, 401);
    let me = admin.get("/v1/auth/me").await;
    assert_eq!((me.status, &me.json["mfa_enabled"]), (200, &json!(true)));
    let again = admin.post("/v1/auth/mfa/totp", json!({})).await;
    assert_refused(&again, 409, "conflict");
    // Which is no place to try codes at.
    for code in [authenticator.code(1), authenticator.old_code()] {
        let again = admin.post(confirm, json!({"code": code})).await;
        assert_refused(&again, 409, "conflict");
    }

    let waits = login(&api, ADMIN).await;
    assert_eq!((waits.status, waits.header("set-cookie")), (200, None));
    assert!(waits.json.get("session").is_none(), "{}", waits.text);
    let token = &waits.json["mfa_token"];
    let used = authenticator.code(0);
    for code in [&authenticator.old_code(), &used, "", "no-such-code"] {
        assert_refused(&complete(&api, token, code).await, 401, "mfa_code_invalid");
    }
    let code = authenticator.code(1);
    let typed = format!(" {} {}", &code[..3], &code[3..]);
    let opened = complete(&api, token, &typed).await;
    assert_eq!(
        (opened.status, &opened.json["mfa_required"]),
        (200, &json!(false))
    );
    let session = opened.json["session"]["token"].as_str().expect("a token");
    assert!(cookie(&opened).ends_with(session));
    assert_eq!(
        api.with_bearer(session).get("/v1/auth/me").await.status,
        200
    );
    assert_refused(
        &complete(&api, token, &recovery_codes[0]).await,
        401,
        "mfa_token_invalid",
    );

    // The same code again, and another that was used, at another sign-in.
    let token = mfa_token(&api, ADMIN).await;
    assert_refused(
        &complete(&api, &token, &code).await,
        401,
        "mfa_code_invalid",
    );
    let typed = recovery_codes[0].to_uppercase().replace('-', " ");
    assert_eq!(complete(&api, &token, &typed).await.status, 200);
    let token = mfa_token(&api, ADMIN).await;
    for code in [&recovery_codes[0], &code] {
        assert_refused(&complete(&api, &token, code).await, 401, "mfa_code_invalid");
    }

    let log = fresh.process.terminate_and_read();
    assert!(log.iter().any(|line| line.contains("/v1/auth/mfa")));
    let secrets = [
        &recovery_codes[0],
        &recovery_codes[1],
        session,
        token.as_str().expect("text"),
    ];
    for secret in secrets {
        let told = log.iter().find(|line| line.contains(secret));
        assert!(told.is_none(), "{secret}: {told:?}");
    }
}

#[tokio::test]
async fn wrong_codes_lock_the_address_as_wrong_passwords_do() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let (authenticator, recovery_codes) = set_up(&admin).await;
    let token = mfa_token(&api, ADMIN).await;
    let wrong = authenticator.old_code();
    for _ in 0..10 {
        // Another sign-in does not start the count again.
        let token = mfa_token(&api, ADMIN).await;
        assert_refused(
            &complete(&api, &token, &wrong).await,
            401,
            "mfa_code_invalid",
        );
    }
    let good = &recovery_codes[0];
    assert_refused(&complete(&api, &token, good).await, 423, "account_locked");
    assert_refused(&login(&api, ADMIN).await, 423, "account_locked");
    // Who is signed in is not whom that keeps out.
    let removal = json!({"code": good});
    let removed = admin.post("/v1/auth/mfa/totp/remove", removal).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
}

#[tokio::test]
async fn a_stolen_session_guesses_codes_ten_times_and_ends() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let (authenticator, recovery_codes) = set_up(&admin).await;
    for _ in 0..10 {
        let wrong = json!({"code": authenticator.old_code()});
        let refused = admin.post("/v1/auth/mfa/totp/remove", wrong).await;
        assert_refused(&refused, 401, "mfa_code_invalid");
    }
    let good = json!({"code": recovery_codes[0]});
    let refused = admin.post("/v1/auth/mfa/totp/remove", good).await;
    assert_refused(&refused, 401, "unauthorized");
    let token = mfa_token(&api, ADMIN).await;
    let opened = complete(&api, &token, &recovery_codes[0]).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
}

/// Ten failures lock the address for a quarter of an hour, so that this takes days: here its rows go at
/// once.
#[tokio::test]
async fn after_a_hundred_wrong_codes_in_a_row_a_recovery_code_alone_is_good() {
    let fresh = Fresh::start(&[("IDENTITY_RATE_LIMITS", "off")]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let (authenticator, recovery_codes) = set_up(&admin).await;
    let database = fresh.directory.path().join("identity.db");
    let store = embedded_store(&database, key_beside(&database)).await;
    let (long_ago, later) = (
        SystemClock.now() - Duration::DAY,
        SystemClock.now() + Duration::DAY,
    );
    for _ in 0..10 {
        let token = mfa_token(&api, ADMIN).await;
        for _ in 0..10 {
            let refused = complete(&api, &token, &authenticator.old_code()).await;
            assert_refused(&refused, 401, "mfa_code_invalid");
        }
        let purged = store.purge_sign_ins(long_ago, later).await;
        purged.expect("the store");
    }
    let token = mfa_token(&api, ADMIN).await;
    let right = authenticator.next_code();
    assert_refused(&complete(&api, &token, &right).await, 423, "mfa_locked");
    let removal = json!({"code": right});
    let refused = admin.post("/v1/auth/mfa/totp/remove", removal).await;
    assert_refused(&refused, 423, "mfa_locked");
    let opened = complete(&api, &token, &recovery_codes[0]).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
    let token = mfa_token(&api, ADMIN).await;
    let opened = complete(&api, &token, &authenticator.next_code()).await;
    assert_eq!(opened.status, 200, "{}", opened.text);
    store.close().await;
}

#[tokio::test]
async fn codes_are_removed_by_their_user_with_one_or_by_an_administrator() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let mut browser = Browser::sign_in(&api, ADMIN, PASSWORD).await;
    let (authenticator, recovery_codes) = {
        let issued = browser.write("/v1/auth/mfa/totp", json!({})).await;
        let authenticator = Authenticator::new(issued.json["secret"].as_str().expect("a secret"));
        let code = json!({"code": authenticator.code(0)});
        let confirmed = browser.write("/v1/auth/mfa/totp/confirm", code).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.text);
        let before = browser.takes(&confirmed);
        let gone = before.send(Method::GET, "/v1/auth/me", &[]).await;
        assert_refused(&gone, 401, "unauthorized");
        (authenticator, confirmed.json["recovery_codes"].clone())
    };
    assert_eq!(
        admin.get("/v1/auth/me").await.status,
        401,
        "opened without a code"
    );

    let code = json!({"code": recovery_codes[0]});
    let removed = browser.write("/v1/auth/mfa/totp/remove", code).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
    browser.takes(&removed);
    let open = login(&api, ADMIN).await;
    assert_eq!(open.json["mfa_required"], false, "{}", open.text);
    let again = json!({"code": authenticator.code(1)});
    let again = browser.write("/v1/auth/mfa/totp/remove", again).await;
    assert_refused(&again, 404, "not_found");

    // Eve loses her telephone.
    let admin = api.sign_in(ADMIN, PASSWORD).await;
    let eve = json!({"email": "eve@example.com", "role": "platform_admin"});
    let made = admin.post("/v1/admin/console-users", eve).await.json;
    let first = made["initial_password"].as_str().expect("a password");
    let eve = api.sign_in("eve@example.com", first).await;
    let change = json!({"current_password": first, "new_password": PASSWORD});
    assert_eq!(eve.post("/v1/auth/password", change).await.status, 204);
    set_up(&eve).await;
    let path = format!(
        "/v1/admin/console-users/{}/mfa",
        made["id"].as_str().expect("an id")
    );
    assert_refused(&eve.delete(&path).await, 403, "forbidden");
    let token = mfa_token(&api, "eve@example.com").await;
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_refused(&admin.delete(&path).await, 404, "not_found");
    assert_eq!(eve.get("/v1/auth/me").await.status, 401, "her sessions end");
    assert_refused(
        &complete(&api, &token, "123456").await,
        401,
        "mfa_token_invalid",
    );
    let open = login(&api, "eve@example.com").await;
    assert_eq!(open.json["mfa_required"], false, "{}", open.text);
}

/// Word for word what `docs/OPERATIONS.md` says.
#[tokio::test]
async fn new_recovery_codes_come_with_a_new_secret_and_the_old_ones_are_dead() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let (old, old_codes) = set_up(&admin).await;
    let shown = json!({"code": old.code(1)});
    let removed = admin.post("/v1/auth/mfa/totp/remove", shown).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
    let (new, new_codes) = set_up(&admin).await;

    let token = mfa_token(&api, ADMIN).await;
    for dead in [&old_codes[0], &old_codes[9], &old.next_code()] {
        assert_refused(&complete(&api, &token, dead).await, 401, "mfa_code_invalid");
    }
    for live in [&new_codes[0], &new_codes[9], &new.next_code()] {
        let token = mfa_token(&api, ADMIN).await;
        let opened = complete(&api, &token, live).await;
        assert_eq!(opened.status, 200, "{}", opened.text);
    }
}
