//! Console users and what they prove: cookies and their CSRF tokens, passwords, one-time codes, told to
//! the real binary.

#![allow(clippy::expect_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;
mod reauthentication;
mod recovery;
mod second_factor;

use harness::{ADMIN, Api, PASSWORD, Platform, Reply};
use reqwest::Method;
use serde_json::{Value, json};

/// A browser that is signed in: it sends the session's cookie, and nothing else by itself.
struct Browser {
    api: Api,
    cookie: String,
}

impl Browser {
    async fn sign_in(api: &Api, email: &str, password: &str) -> Self {
        let credentials = json!({"email": email, "password": password});
        let reply = api.post("/v1/auth/login", credentials).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        Self {
            api: api.clone(),
            cookie: cookie(&reply),
        }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.api.request(method, path);
        let request = request.header("cookie", &self.cookie);
        let add = |request: reqwest::RequestBuilder, (name, value): &(&str, &str)| {
            request.header(*name, *value)
        };
        self.api.send(headers.iter().fold(request, add)).await
    }

    /// A request as the console's own pages make it.
    async fn write(&self, path: &str, body: Value) -> Reply {
        let token = self.csrf_token().await;
        let request = self.api.request(Method::POST, path).json(&body);
        let request = request.header("cookie", &self.cookie);
        self.api.send(request.header("x-csrf-token", token)).await
    }

    /// Takes up the cookie that an answer sets; returns the browser as it was.
    fn takes(&mut self, reply: &Reply) -> Self {
        let before = std::mem::replace(&mut self.cookie, cookie(reply));
        assert_ne!(before, self.cookie);
        Self {
            api: self.api.clone(),
            cookie: before,
        }
    }

    async fn csrf_token(&self) -> String {
        let me = self.send(Method::GET, "/v1/auth/me", &[]).await;
        assert_eq!((me.status, &me.json["email"]), (200, &json!(ADMIN)));
        me.json["csrf_token"].as_str().expect("a token").to_owned()
    }
}

/// The cookie that an answer sets, as the browser sends it back.
fn cookie(reply: &Reply) -> String {
    let set = reply.header("set-cookie").expect("a cookie");
    let (pair, _) = set.split_once(';').expect("attributes");
    pair.to_owned()
}

#[tokio::test]
async fn no_route_takes_a_write_for_a_cookie_alone() {
    let platform = Platform::first_run().await;
    let browser = Browser::sign_in(&platform.api(), ADMIN, PASSWORD).await;
    let described = platform.api().get("/openapi.json").await.json;
    let mut writes = 0;
    for (path, operations) in described["paths"].as_object().expect("paths") {
        let path = path.replace(['{', '}'], "");
        for (method, operation) in operations.as_object().expect("operations") {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let security = operation["security"].as_array();
            let by_cookie = security.is_some_and(|s| s.contains(&json!({"cookie": []})));
            if !by_cookie || method.is_safe() {
                continue;
            }
            writes += 1;
            let reply = browser.send(method.clone(), &path, &[]).await;
            let refused = (reply.status, reply.error());
            assert_eq!(refused, (403, "csrf_token_invalid"), "{method} {path}");
        }
    }
    assert!(writes > 20, "{writes}");
}

#[tokio::test]
async fn a_cookie_speaks_for_a_write_with_its_own_csrf_token() {
    let platform = Platform::first_run().await;
    let browser = Browser::sign_in(&platform.api(), ADMIN, PASSWORD).await;
    let another = Browser::sign_in(&platform.api(), ADMIN, PASSWORD).await;
    let logout = async |headers: &[(&str, &str)]| {
        browser.send(Method::POST, "/v1/auth/logout", headers).await
    };
    let (own, foreign) = (browser.csrf_token().await, another.csrf_token().await);
    for headers in [
        &[][..],
        &[("x-csrf-token", "")],
        &[("x-csrf-token", &foreign)],
    ] {
        let reply = logout(headers).await;
        assert_eq!((reply.status, reply.error()), (403, "csrf_token_invalid"));
    }
    let own = ("x-csrf-token", own.as_str());
    let reply = logout(&[own, ("sec-fetch-site", "same-site")]).await;
    assert_eq!((reply.status, reply.error()), (403, "cross_site_request"));
    let reply = logout(&[own, ("sec-fetch-site", "same-origin")]).await;
    assert_eq!(reply.status, 204, "{}", reply.text);
    let ended = browser.send(Method::GET, "/v1/auth/me", &[]).await;
    assert_eq!((ended.status, ended.error()), (401, "unauthorized"));
}

#[tokio::test]
async fn a_page_of_another_site_signs_nobody_in() {
    let platform = Platform::first_run().await;
    let api = platform.api();
    let right = json!({"email": ADMIN, "password": PASSWORD});
    let login = || api.request(Method::POST, "/v1/auth/login");
    let from_another = login().header("sec-fetch-site", "cross-site").json(&right);
    let reply = api.send(from_another).await;
    assert_eq!((reply.status, reply.error()), (403, "cross_site_request"));
    assert_eq!(reply.header("set-cookie"), None);
    // The types that a page's form can send, which a browser sends without asking first.
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let form = login().header("content-type", media_type);
        let reply = api.send(form.body(right.to_string())).await;
        let refused = (reply.status, reply.error());
        assert_eq!(refused, (415, "unsupported_media_type"), "{media_type}");
    }
}

#[tokio::test]
async fn a_cookie_goes_on_under_a_new_token_when_the_password_changes() {
    let platform = Platform::first_run().await;
    let mut browser = Browser::sign_in(&platform.api(), ADMIN, PASSWORD).await;
    let csrf_token = browser.csrf_token().await;
    let change = json!({"current_password": PASSWORD, "new_password": "another of the admin's"});
    let changed = browser.write("/v1/auth/password", change).await;
    assert_eq!(changed.status, 204, "{}", changed.text);
    let before = browser.takes(&changed);
    let gone = before.send(Method::GET, "/v1/auth/me", &[]).await;
    assert_eq!((gone.status, gone.error()), (401, "unauthorized"));
    assert_ne!(browser.csrf_token().await, csrf_token);
    let sessions = browser.send(Method::GET, "/v1/auth/sessions", &[]).await;
    let sessions = sessions.json["data"].as_array().expect("sessions").clone();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0]["current"], true);

    // A Bearer client has nothing that would take up another token, and keeps its own.
    let program = platform
        .api()
        .sign_in(ADMIN, "another of the admin's")
        .await;
    let change = json!({"current_password": "another of the admin's", "new_password": PASSWORD});
    let changed = program.post("/v1/auth/password", change).await;
    assert_eq!((changed.status, changed.header("set-cookie")), (204, None));
    assert_eq!(program.get("/v1/auth/me").await.status, 200);
}

#[tokio::test]
async fn a_password_that_would_be_tried_first_is_refused_by_the_rule_that_it_breaks() {
    let platform = Platform::first_run().await;
    let admin = &platform.admin;
    let poor = [
        ("short", "must have at least 12 characters"),
        ("PASSWORD1234", "must not be one of the commonest passwords"),
        (
            "I am Eve.Ning!",
            "must not contain the name in your address",
        ),
        ("Link Identity", "must not contain the product's name"),
    ];
    for (password, rule) in poor {
        let user = json!({
            "email": "eve.ning@example.com", "role": "platform_admin", "password": password,
        });
        let refused = admin.post("/v1/admin/console-users", user).await;
        assert_field(&refused, "password", rule);
    }
    let user = json!({"email": "eve.ning@example.com", "role": "platform_admin"});
    let made = admin.post("/v1/admin/console-users", user).await;
    let first = made.json["initial_password"].as_str().expect("shown once");
    let eve = platform.api().sign_in("eve.ning@example.com", first).await;
    for (password, rule) in poor {
        let change = json!({"current_password": first, "new_password": password});
        let refused = eve.post("/v1/auth/password", change).await;
        assert_field(&refused, "new_password", rule);
    }
    // A key of another kind of keyboard writes the same letter in two characters.
    let change = json!({"current_password": first, "new_password": "na\u{ef}ve enough"});
    assert_eq!(eve.post("/v1/auth/password", change).await.status, 204);
    let typed = "nai\u{308}ve enough";
    platform.api().sign_in("eve.ning@example.com", typed).await;
}

fn assert_field(reply: &Reply, path: &str, rule: &str) {
    assert_eq!((reply.status, reply.error()), (422, "validation_failed"));
    let field = &reply.json["fields"][0];
    assert_eq!(field["path"], path, "{}", reply.text);
    let reason = field["reason"].as_str().expect("a reason");
    assert!(reason.contains(rule), "{reason}");
}
