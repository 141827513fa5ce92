use serde_json::json;

use crate::harness::Fresh;
use crate::world::{World, tenant, text, webhook};

pub(crate) async fn a_webhook_is_made_read_edited_and_deleted() {
    let world = World::start().await;
    let (api, url) = (&world.acme, world.sink.url("/ok"));
    let new =
        json!({"url": url, "events": ["device.*", "user.created"], "description": "The shop"});
    let made = api.post_once("/v1/webhooks", "once", new.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let again = api.post_once("/v1/webhooks", "once", new).await;
    assert_eq!((again.status, &again.json), (201, &made.json));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let secret = text(&made.json["secret"]);
    assert!(secret.starts_with("whsec_"), "{secret}");

    let id = text(&made.json["webhook_id"]);
    let path = format!("/v1/webhooks/{id}");
    let read = api.get(&path).await;
    assert_eq!(read.status, 200, "{}", read.text);
    assert!(!read.text.contains(&secret), "a secret is shown once");
    let mut expected = made.json.clone();
    expected.as_object_mut().unwrap().remove("secret");
    assert_eq!(read.json, expected);
    assert_eq!(read.json["scope"], "tenant");
    assert_eq!(read.json["enabled"], true);
    let listed = api.get("/v1/webhooks").await;
    assert_eq!(listed.json["data"], json!([expected]));

    let url = world.sink.url("/other");
    let settings = json!({"url": url, "events": ["*"]});
    let edited = api.put(&path, settings).await;
    assert_eq!(edited.status, 200, "{}", edited.text);
    expected["url"] = json!(url);
    expected["events"] = json!(["*"]);
    expected["description"] = json!(null);
    assert_eq!(edited.json, expected);

    let rotated = api
        .post(
            &format!("{path}/secret/rotate"),
            json!({"grace_seconds": 60}),
        )
        .await;
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    assert_ne!(rotated.json["secret"], json!(secret));
    let read = api.get(&path).await.json;
    let ends = [
        &read["secrets"][0]["expires_at"],
        &read["secrets"][1]["expires_at"],
    ];
    assert_eq!(ends, [&rotated.json["others_expire_at"], &json!(null)]);

    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.error(), "not_found");
    assert_eq!(api.delete(&path).await.error(), "not_found");
}

pub(crate) async fn a_url_that_leads_inside_is_refused() {
    let fresh = Fresh::start(&[]);
    let platform = crate::harness::sign_in_for_the_first_time(&fresh.api()).await;
    let acme = tenant(&fresh, &platform, "acme").await;
    // An address, so that no name has to be looked up.
    let (id, _) = webhook(&acme, "https://1.1.1.1/in", &["user.locked"]).await;
    for url in [
        "http://1.1.1.1/in",
        "https://127.0.0.1/in",
        "https://localhost/in",
        "https://2130706433/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fe80::1]/",
        "https://me:secret@1.1.1.1/",
        "https://1.1.1.1/#part",
        "https://nowhere.invalid/",
        "not a url",
    ] {
        let settings = json!({"url": url, "events": ["*"]});
        let refused = [
            acme.post("/v1/webhooks", settings.clone()).await,
            acme.put(&format!("/v1/webhooks/{id}"), settings).await,
        ];
        for refused in refused {
            assert_eq!(refused.status, 422, "{url}: {}", refused.text);
            assert_eq!(refused.error(), "webhook_url_forbidden", "{url}");
            assert_eq!(refused.json["fields"][0]["path"], "url", "{url}");
            assert!(!refused.text.contains("secret"), "{}", refused.text);
        }
    }
    let kept = acme.get("/v1/webhooks").await.json;
    assert_eq!(kept["data"].as_array().unwrap().len(), 1);
    assert_eq!(kept["data"][0]["url"], "https://1.1.1.1/in");
}

pub(crate) async fn what_is_no_good_is_refused_with_its_member() {
    let world = World::start().await;
    let (api, url) = (&world.acme, world.sink.url("/ok"));
    for (body, member) in [
        (json!({"events": ["*"]}), "url"),
        (json!({"url": url}), "events"),
        (json!({"url": url, "events": []}), "events"),
        (json!({"url": url, "events": ["device"]}), "events"),
        (json!({"url": url, "events": ["user.made"]}), "events"),
        (json!({"url": url, "events": ["platform.*"]}), "events"),
        (json!({"url": url, "events": ["*.created"]}), "events"),
        (
            json!({"url": url, "events": ["*"], "scope": "mine"}),
            "scope",
        ),
        (json!({"url": url, "events": ["*"], "x": 1}), "x"),
    ] {
        let refused = api.post("/v1/webhooks", body.clone()).await;
        assert_eq!(refused.status, 422, "{body}: {}", refused.text);
        assert_eq!(refused.error(), "validation_failed", "{body}");
        assert_eq!(refused.json["fields"][0]["path"], member, "{body}");
    }
    let (id, _) = world.webhook(api, "/ok", &["*"]).await;
    for (route, body) in [
        ("secret/rotate", json!({"grace_seconds": 604_801})),
        ("recover", json!({"since": "yesterday"})),
        ("recover", json!({})),
    ] {
        let refused = api.post(&format!("/v1/webhooks/{id}/{route}"), body).await;
        assert_eq!(refused.error(), "validation_failed", "{route}");
    }
    for query in [
        "",
        "?subject=x&after_sequence=-1",
        "?subject=x&cursor=x",
        "?subject=x&limit=0",
    ] {
        let refused = api.get(&format!("/v1/events{query}")).await;
        assert_eq!(refused.error(), "validation_failed", "{query}");
    }
    // A tenant makes none of the platform's, and the platform none of a tenant's.
    let scoped = |scope, events| json!({"url": url, "events": [events], "scope": scope});
    let refused = api.post("/v1/webhooks", scoped("platform", "*")).await;
    assert_eq!(refused.error(), "forbidden");
    let refused = world
        .platform
        .post("/v1/webhooks", scoped("tenant", "*"))
        .await;
    assert_eq!(refused.error(), "forbidden");
    let made = world
        .platform
        .post("/v1/webhooks", scoped("platform", "platform.*"))
        .await;
    assert_eq!(
        (made.status, &made.json["scope"]),
        (201, &json!("platform"))
    );
}
