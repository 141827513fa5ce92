//! Bodies of completions: what is taken for a capture, and which palm it is of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use biowave_client::simulator::palm_png;
use http::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::calls::{Answer, answer, capture};
use crate::world::{Device, World, world};

async fn enrolled_world() -> (World, Device, String) {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let challenge = world.verify("ada", &scanner).await;
    (world, scanner, challenge)
}

fn template(edit: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Value {
    let mut body = capture(7, 1);
    edit(body["palm_template"].as_object_mut().unwrap());
    body
}

#[tokio::test]
async fn images_are_there_and_are_images() {
    let (world, scanner, challenge) = enrolled_world().await;
    let calls_before = world.palms.calls().len();
    let no_points = {
        let mut png = palm_png(7, 1);
        png[16..20].fill(0);
        STANDARD.encode(png)
    };
    let jpeg = STANDARD.encode(b"\xff\xd8\xff\xe0 no PNG");
    for (body, error) in [
        (template(|t| drop(t.remove("image_rgb"))), "image_missing"),
        (template(|t| drop(t.remove("image_ir"))), "image_missing"),
        (template(|t| t["image_rgb"] = json!(null)), "image_missing"),
        (template(|t| t["image_rgb"] = json!("")), "image_missing"),
        (template(|t| t["image_rgb"] = json!("%%%")), "image_invalid"),
        (template(|t| t["image_ir"] = json!(jpeg)), "image_invalid"),
        (
            template(|t| t["image_ir"] = json!(no_points)),
            "image_invalid",
        ),
    ] {
        scanner.complete(&challenge, body).await.refused(400, error);
    }
    let unknown = template(|t| drop(t.insert("image".to_owned(), json!("x"))));
    scanner
        .complete(&challenge, unknown)
        .await
        .refused(422, "validation_failed");
    let features = template(|t| drop(t.insert("features_ir".to_owned(), json!("%"))));
    scanner
        .complete(&challenge, features)
        .await
        .refused(422, "validation_failed");
    assert_eq!(world.palms.calls().len(), calls_before, "nobody was asked");
    let seen = world.challenge(&challenge).await;
    assert_eq!(
        (&seen["status"], &seen["attempts_used"]),
        (&json!("pending"), &json!(0))
    );
}

#[tokio::test]
async fn features_go_along_untouched() {
    let (world, scanner, challenge) = enrolled_world().await;
    let body = template(|t| {
        t.insert(
            "features_rgb".to_owned(),
            json!(STANDARD.encode(b"rgb features")),
        );
        t.insert(
            "features_ir".to_owned(),
            json!(STANDARD.encode(b"ir features")),
        );
        t.insert("type".to_owned(), json!("left"));
    });
    let outcome = scanner.complete(&challenge, body).await.expect(200);
    assert_eq!(outcome["status"], "completed");
    let call = world.palms.calls().pop().unwrap();
    for part in [
        "features_rgb",
        "features_ir",
        "image_rgb",
        "image_ir",
        "metadata",
    ] {
        assert!(call.parts.iter().any(|name| name == part), "{part}");
    }
    assert_eq!(
        call.metadata,
        json!({"type": "left", "is_encrypted": false})
    );
}

fn form(parts: &[(&'static str, Vec<u8>)]) -> Form {
    parts.iter().fold(Form::new(), |form, (name, bytes)| {
        form.part(
            *name,
            Part::bytes(bytes.clone()).file_name(format!("{name}.bin")),
        )
    })
}

async fn send(scanner: &Device, challenge: &str, form: Form) -> Answer {
    let path = format!("/v1/challenges/{challenge}/complete");
    answer(scanner.caller.request(Method::POST, &path).multipart(form)).await
}

#[tokio::test]
async fn a_capture_may_come_as_multipart() {
    let (_world, scanner, challenge) = enrolled_world().await;
    let (rgb, ir) = (("image_rgb", palm_png(7, 1)), ("image_ir", palm_png(!7, 1)));
    let incomplete = form(std::slice::from_ref(&rgb));
    send(&scanner, &challenge, incomplete)
        .await
        .refused(400, "image_missing");
    let twice = form(&[rgb.clone(), rgb.clone(), ir.clone()]);
    send(&scanner, &challenge, twice)
        .await
        .refused(422, "validation_failed");
    let unknown = form(&[rgb.clone(), ir.clone(), ("note", b"x".to_vec())]);
    send(&scanner, &challenge, unknown)
        .await
        .refused(422, "validation_failed");
    let kind = form(&[rgb.clone(), ir.clone(), ("type", b"both".to_vec())]);
    send(&scanner, &challenge, kind)
        .await
        .refused(422, "validation_failed");
    let whole = form(&[("type", b"left".to_vec()), rgb, ir]);
    let outcome = send(&scanner, &challenge, whole).await.expect(200);
    assert_eq!(outcome["status"], "completed");
}

#[tokio::test]
async fn a_capture_has_at_most_eight_mebibytes() {
    const LIMIT: usize = 8 * 1024 * 1024;
    let (_world, scanner, challenge) = enrolled_world().await;
    let path = format!("/v1/challenges/{challenge}/complete");
    let sized = |bytes: usize| {
        let mut json = capture(7, 1).to_string();
        json.push_str(&" ".repeat(bytes - json.len()));
        let request = scanner.caller.request(Method::POST, &path);
        answer(
            request
                .header("content-type", "application/json")
                .body(json),
        )
    };
    sized(LIMIT + 1).await.refused(413, "payload_too_large");
    let large = form(&[("image_rgb", vec![0; LIMIT]), ("image_ir", palm_png(!7, 1))]);
    send(&scanner, &challenge, large)
        .await
        .refused(413, "payload_too_large");
    assert_eq!(sized(LIMIT).await.expect(200)["status"], "completed");
}

#[tokio::test]
async fn other_bodies_are_refused() {
    let (_world, scanner, challenge) = enrolled_world().await;
    let path = format!("/v1/challenges/{challenge}/complete");
    let sent = |media_type: &'static str, body: &'static str| {
        let request = scanner.caller.request(Method::POST, &path);
        answer(request.header("content-type", media_type).body(body))
    };
    sent("text/plain", "palm")
        .await
        .refused(415, "unsupported_media_type");
    sent("application/json", "{")
        .await
        .refused(400, "invalid_request");
    sent("application/json", "{}")
        .await
        .refused(422, "validation_failed");
    sent("multipart/form-data", "x")
        .await
        .refused(400, "invalid_request");
    sent("multipart/form-data; boundary=b", "x")
        .await
        .refused(400, "invalid_request");
}

/// A bomb is small on its way: nothing here makes it large.
#[tokio::test]
async fn a_body_in_a_content_coding_is_refused_as_it_came() {
    let (world, scanner, challenge) = enrolled_world().await;
    let path = format!("/v1/challenges/{challenge}/complete");
    let calls_before = world.palms.calls().len();
    // The head of a gzip file (RFC 1952 §2.3.1), whatever would come of it.
    let bomb = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff".as_slice(), &[0; 4096]].concat();
    let whole = capture(7, 1).to_string().into_bytes();
    for (coding, media_type, body) in [
        ("gzip", "application/json", bomb.clone()),
        ("gzip", "multipart/form-data; boundary=b", bomb),
        ("deflate", "application/json", whole.clone()),
        ("gzip, gzip", "application/json", whole.clone()),
    ] {
        let request = scanner.caller.request(Method::POST, &path);
        let request = request.header("content-encoding", coding);
        let sent = answer(request.header("content-type", media_type).body(body));
        sent.await.refused(415, "unsupported_media_type");
    }
    assert_eq!(world.palms.calls().len(), calls_before, "nobody was asked");
    let request = scanner.caller.request(Method::POST, &path);
    let request = request.header("content-encoding", "identity");
    let sent = answer(
        request
            .header("content-type", "application/json")
            .body(whole),
    );
    assert_eq!(sent.await.expect(200)["status"], "completed");
}

#[tokio::test]
async fn what_is_cut_off_or_there_twice_is_refused() {
    let (world, scanner, challenge) = enrolled_world().await;
    let path = format!("/v1/challenges/{challenge}/complete");
    let calls_before = world.palms.calls().len();
    let cut = |end: usize| STANDARD.encode(&palm_png(7, 1)[..end]);
    for end in [1, 8, 20, 32] {
        let body = template(|t| t["image_rgb"] = json!(cut(end)));
        let sent = scanner.complete(&challenge, body).await;
        sent.refused(400, "image_invalid");
    }
    let whole = capture(7, 1).to_string();
    let half = whole[..whole.len() / 2].to_owned();
    let twice = whole.replacen("{\"image_ir\"", "{\"image_rgb\":\"\",\"image_ir\"", 1);
    assert_ne!(twice, whole);
    let part = "--b\r\ncontent-disposition: form-data; name=\"image_rgb\"\r\n\r\nx";
    let form = "multipart/form-data; boundary=b";
    for (media_type, body, status, error) in [
        ("application/json", half, 400, "invalid_request"),
        ("application/json", twice, 422, "validation_failed"),
        (form, part.to_owned(), 400, "invalid_request"),
        (form, format!("{part}\r\n--b"), 400, "invalid_request"),
        (form, format!("{part}\r\n--b--\r\n"), 400, "image_invalid"),
    ] {
        let request = scanner.caller.request(Method::POST, &path);
        let sent = answer(request.header("content-type", media_type).body(body)).await;
        sent.refused(status, error);
    }
    assert_eq!(world.palms.calls().len(), calls_before, "nobody was asked");
    let seen = world.challenge(&challenge).await;
    assert_eq!(seen["attempts_used"], 0);
}

#[tokio::test]
async fn a_sample_is_of_the_palm_that_the_challenge_asks_for() {
    let (world, scanner, _) = enrolled_world().await;
    let right = |noise| {
        let mut body = capture(8, noise);
        body["palm_template"]["type"] = json!("right");
        body
    };
    let enroll = world.enroll("ada", &scanner, "right").await;
    let mut left = capture(8, 0);
    left["palm_template"]["type"] = json!("left");
    scanner
        .complete(&enroll, left)
        .await
        .refused(422, "palm_type_mismatch");
    let enrolled = scanner.complete(&enroll, right(0)).await.expect(200);
    assert_eq!(enrolled["status"], "enrolled");

    let verify = world.verify("ada", &scanner).await;
    scanner
        .complete(&verify, capture(8, 1))
        .await
        .refused(422, "palm_type_required");
    let policy = json!({"allowed_types": ["left"], "verification_enabled": true});
    world
        .integrator()
        .put("/v1/users/ada/palm-policy", policy)
        .await
        .expect(200);
    scanner
        .complete(&verify, right(1))
        .await
        .refused(403, "palm_type_restricted");
    let policy = json!({"allowed_types": ["left", "right"], "verification_enabled": true});
    world
        .integrator()
        .put("/v1/users/ada/palm-policy", policy)
        .await
        .expect(200);
    let matched = scanner.complete(&verify, right(1)).await.expect(200);
    assert_eq!(matched["status"], "completed");
}
