//! What is open before the platform is set up: all but what scanners call.

use reqwest::Method;
use serde_json::json;

use crate::described::{Route, routes};
use crate::harness::{Api, Exit, Fresh, Process, ServerKey, sign_in_for_the_first_time};
use crate::table::Who;

/// Whether scanners call it: with their certificates, and to get one.
fn is_scanners(route: &Route) -> bool {
    matches!(route.who, Who::Device | Who::Scanner) || route.path == "/v1/devices/pair"
}

/// Calls every route but the one that ends a session, each with a body that none of them takes.
async fn only_scanner_routes_are_shut(api: &Api, when: &str) {
    let mut shut = 0;
    for route in routes() {
        if route.path == "/v1/auth/logout" {
            continue;
        }
        let mut path = String::new();
        for segment in route.path.split('/').skip(1) {
            let segment = if segment.starts_with('{') {
                "nobody"
            } else {
                segment
            };
            path = format!("{path}/{segment}");
        }
        let request = api.request(route.method.clone(), &path);
        let request = if route.method == Method::GET {
            request
        } else {
            request.json(&json!({"no_such_member": 1}))
        };
        let reply = api.send(request).await;
        let told = (reply.status, reply.json["error"].as_str());
        let is_shut = told == (503, Some("mtls_not_configured"));
        let name = route.name();
        assert_eq!(
            is_shut,
            is_scanners(&route),
            "{name} {when}: {}",
            reply.text
        );
        assert!(
            is_shut || reply.status < 500,
            "{name} {when}: {}",
            reply.text
        );
        if is_shut {
            assert!(reply.header("retry-after").is_some(), "{name} {when}");
            shut += 1;
        }
    }
    assert!(shut > 5, "{shut} routes are shut {when}");
    let status = api.get("/v1/admin/ssl/status").await.json;
    assert_eq!(status["platform_ca_configured"], false, "{status}");
}

#[tokio::test]
async fn before_there_is_a_ca_only_what_scanners_call_is_shut() {
    let fresh = Fresh::start(&[("IDENTITY_RATE_LIMITS", "off")]);
    let admin = sign_in_for_the_first_time(&fresh.api()).await;
    only_scanner_routes_are_shut(&admin, "over plain HTTP").await;
    let server_key = ServerKey::generate();
    let uploaded = admin.upload(&server_key).await;
    assert_eq!(uploaded.status, 200, "{}", uploaded.text);
    let Fresh { directory, process } = fresh;
    assert_eq!(process.exit(), Exit::success());
    let variables = [("IDENTITY_RATE_LIMITS", "off")];
    let process = Process::start(directory.path(), "127.0.0.1:0", &variables);
    let admin = admin.moved_to_https(process.address, &server_key);
    only_scanner_routes_are_shut(&admin, "before a CA").await;
}
