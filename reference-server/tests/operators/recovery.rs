use std::process::Output;

use serde_json::json;

use crate::harness::{ADMIN, Fresh, PASSWORD, program, sign_in_for_the_first_time};
use crate::second_factor::{assert_refused, complete, login, mfa_token, set_up};

/// Runs `console-users recover` beside the server.
fn recover(fresh: &Fresh, email: &str) -> Output {
    let database = fresh.directory.path().join("identity.db");
    program()
        .args(["console-users", "recover", email])
        .env("DATABASE_URL", format!("sqlite://{}", database.display()))
        .output()
        .expect("the command runs")
}

#[tokio::test]
async fn the_last_administrator_who_lost_everything_is_let_in_again() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let (authenticator, recovery_codes) = set_up(&admin).await;
    let waits = mfa_token(&api, ADMIN).await;
    for _ in 0..10 {
        let wrong = json!({"email": ADMIN, "password": "a forgotten one"});
        let refused = api.post("/v1/auth/login", wrong).await;
        assert_refused(&refused, 401, "invalid_credentials");
    }
    assert_refused(&login(&api, ADMIN).await, 423, "account_locked");

    let recovered = recover(&fresh, " Root@Example.com ");
    let said = String::from_utf8_lossy(&recovered.stderr);
    assert!(recovered.status.success() && said.is_empty(), "{said}");
    let printed = String::from_utf8(recovered.stdout).expect("text");
    let temporary = printed.trim_end();
    assert!(temporary.len() >= 20 && !temporary.contains(char::is_whitespace));

    let me = admin.get("/v1/auth/me").await;
    assert_refused(&me, 401, "unauthorized");
    for code in [&authenticator.next_code(), &recovery_codes[0]] {
        let refused = complete(&api, &waits, code).await;
        assert_refused(&refused, 401, "mfa_token_invalid");
    }
    assert_refused(&login(&api, ADMIN).await, 401, "invalid_credentials");
    let admin = api.sign_in(ADMIN, temporary).await;
    let early = admin.get("/v1/admin/console-users").await;
    assert_refused(&early, 403, "password_change_required");
    let same = json!({"current_password": temporary, "new_password": temporary});
    assert_eq!(admin.post("/v1/auth/password", same).await.status, 422);
    let change = json!({"current_password": temporary, "new_password": PASSWORD});
    assert_eq!(admin.post("/v1/auth/password", change).await.status, 204);
    let me = admin.get("/v1/auth/me").await.json;
    assert_eq!(
        (&me["mfa_enabled"], &me["email"]),
        (&json!(false), &json!(ADMIN))
    );
    assert_eq!(admin.get("/v1/admin/console-users").await.status, 200);
    let dead = json!({"email": ADMIN, "password": temporary});
    let dead = api.post("/v1/auth/login", dead).await;
    assert_refused(&dead, 401, "invalid_credentials");

    let rows = loop {
        let rows = admin.get("/v1/audit?action=console_user_recovered").await;
        // Until it has its place in the chain.
        if rows.json["data"] != json!([]) {
            break rows;
        }
    };
    let row = &rows.json["data"][0];
    assert_eq!(row["severity"], "high", "{row}");
    assert_eq!(row["request_id"], "command:console-users-recover", "{row}");
    assert!(!rows.text.contains(temporary));
    let log = fresh.process.terminate_and_read();
    assert!(log.iter().all(|line| !line.contains(temporary)));
}

#[tokio::test]
async fn nobody_else_is_recovered_and_nothing_changes() {
    let fresh = Fresh::start(&[]);
    let api = fresh.api();
    let admin = sign_in_for_the_first_time(&api).await;
    let tenant = json!({"tenant_id": "acme", "name": "Acme"});
    assert_eq!(admin.post("/v1/admin/tenants", tenant).await.status, 201);
    let eve = json!({"email": "eve@example.com", "role": "tenant_admin", "tenant_id": "acme",
                     "password": PASSWORD});
    let made = admin.post("/v1/admin/console-users", eve).await;
    assert_eq!(made.status, 201, "{}", made.text);
    for (email, why) in [
        (
            "eve@example.com",
            "is no platform administrator: one of those deletes",
        ),
        (
            "nobody@example.com",
            "no console user has the address nobody@example.com",
        ),
        ("root", "must be an e-mail address"),
    ] {
        let refused = recover(&fresh, email);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && refused.stdout.is_empty());
        assert!(said.contains(why), "{said}");
    }
    for email in [ADMIN, "eve@example.com"] {
        api.sign_in(email, PASSWORD).await;
    }
}
