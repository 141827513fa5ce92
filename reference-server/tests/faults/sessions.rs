//! Console sessions by a clock that goes on, by libfaketime.

use reqwest::Method;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::clock::library;
use crate::harness::{ADMIN, Api, Fresh, PASSWORD, Reply, sign_in_for_the_first_time};

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;

/// A server whose clock is so many seconds ahead as the file says.
struct Ahead {
    clock: NamedTempFile,
    fresh: Fresh,
}

impl Ahead {
    fn start() -> Self {
        let clock = NamedTempFile::new().unwrap();
        std::fs::write(clock.path(), "+0").unwrap();
        let fresh = Fresh::start(&[
            ("LD_PRELOAD", library().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", clock.path().to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
        Self { clock, fresh }
    }

    fn is_at(&self, seconds: u32) {
        std::fs::write(self.clock.path(), format!("+{seconds}")).unwrap();
    }
}

/// A program and a browser of one console user, each with a session of its own.
struct Both {
    program: Api,
    browser: Api,
    cookie: String,
}

impl Both {
    async fn sign_in(api: &Api) -> Self {
        let credentials = json!({"email": ADMIN, "password": PASSWORD});
        let reply = api.post("/v1/auth/login", credentials).await;
        let cookie = reply.header("set-cookie").unwrap();
        Self {
            program: api.sign_in(ADMIN, PASSWORD).await,
            browser: api.clone(),
            cookie: cookie.split(';').next().unwrap().to_owned(),
        }
    }

    async fn ask(&self) -> [Reply; 2] {
        let browser = self.browser.request(Method::GET, "/v1/auth/me");
        let browser = browser.header("cookie", &self.cookie);
        [
            self.program.get("/v1/auth/me").await,
            self.browser.send(browser).await,
        ]
    }

    async fn are_in(&self) {
        for reply in self.ask().await {
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
    }

    async fn are_out(&self) {
        for reply in self.ask().await {
            assert_eq!((reply.status, reply.error()), (401, "unauthorized"));
        }
    }
}

pub(crate) async fn a_session_ends_after_half_an_hour_without_use() {
    let ahead = Ahead::start();
    let api = ahead.fresh.api();
    sign_in_for_the_first_time(&api).await;
    let both = Both::sign_in(&api).await;
    for turn in 1..=3 {
        ahead.is_at(turn * 28 * MINUTE);
        both.are_in().await;
    }
    ahead.is_at(3 * 28 * MINUTE + 31 * MINUTE);
    both.are_out().await;
}

pub(crate) async fn a_session_ends_after_twelve_hours_however_much_it_is_used() {
    let ahead = Ahead::start();
    let api = ahead.fresh.api();
    sign_in_for_the_first_time(&api).await;
    let both = Both::sign_in(&api).await;
    for turn in 1..=28 {
        ahead.is_at(turn * 25 * MINUTE);
        both.are_in().await;
    }
    ahead.is_at(12 * HOUR - 10 * MINUTE);
    both.are_in().await;
    ahead.is_at(12 * HOUR + MINUTE);
    both.are_out().await;
}

pub(crate) async fn a_stolen_session_sets_up_no_authenticator() {
    let ahead = Ahead::start();
    let api = ahead.fresh.api();
    let session = sign_in_for_the_first_time(&api).await;
    let totp = "/v1/auth/mfa/totp";
    ahead.is_at(11 * MINUTE);
    let refused = session.post(totp, json!({})).await;
    let code = (refused.status, refused.error());
    assert_eq!(code, (403, "reauthentication_required"), "{}", refused.text);
    let wrong = json!({"current_password": "a guess"});
    let refused = session.post(totp, wrong).await;
    assert_eq!(
        (refused.status, refused.error()),
        (401, "invalid_credentials")
    );
    let right = json!({"current_password": PASSWORD});
    assert_eq!(session.post(totp, right).await.status, 200);
    let again = api.sign_in(ADMIN, PASSWORD).await;
    assert_eq!(again.post(totp, json!({})).await.status, 200);
}
