//! Users who are erased, and the palm server that has to answer.

use std::time::Duration;

use biowave_client::Operation;
use biowave_client::simulator::Fault;
use http::Method;
use serde_json::{Value, json};

use crate::calls::{Answer, answer};
use crate::world::{Setting, World, world};

impl World {
    async fn erase(&self, user_id: &str) -> Answer {
        let path = format!("/v1/users/{user_id}");
        let request = self.integrator().request(Method::DELETE, &path);
        answer(request.json(&json!({"reason": "they asked for it"}))).await
    }

    async fn erasure(&self, erasure_id: &str) -> Value {
        let path = format!("/v1/erasures/{erasure_id}");
        self.integrator().get(&path).await.expect(200)
    }

    fn deletions(&self) -> usize {
        let calls = self.palms.calls();
        let deletions = calls.iter().filter(|it| it.operation == Operation::Delete);
        deletions.count()
    }

    /// The erasure when it is completed. Whatever the palm server leaves open is over soon after.
    async fn is_erased(&self, erasure_id: &str) -> Value {
        let mut seen = 0;
        loop {
            let erasure = self.erasure(erasure_id).await;
            if erasure["status"] == "completed" {
                return erasure;
            }
            if self.deletions() > seen {
                seen = self.deletions();
                self.clock.advance(Duration::from_secs(10));
            }
        }
    }

    /// What webhooks tell, of these types.
    async fn told(&self, types: &[&str]) -> Vec<Value> {
        self.app.store.seal_audit(1000).await.unwrap();
        let events = self.app.store.outbox(0, 1000).await.unwrap();
        let wanted = events
            .into_iter()
            .filter(|it| types.contains(&it.event_type.as_str()));
        wanted.map(|event| event.data).collect()
    }
}

#[tokio::test]
async fn a_user_is_erased_everywhere_and_a_receipt_says_so() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    world.enrolled("bob", &scanner, 8).await;
    let open = world.verify("ada", &scanner).await;
    let begun = world.erase("ada").await.expect(202);
    let erasure_id = begun["erasure_id"].as_str().unwrap();
    let integrator = world.integrator();
    integrator
        .get("/v1/users/ada")
        .await
        .refused(404, "not_found");
    integrator
        .get("/v1/users/ada/data")
        .await
        .refused(404, "not_found");
    let verify = json!({"user_id": "ada", "device_id": "dev_1", "context": "x"});
    let refused = integrator.post("/v1/verify", verify).await;
    refused.refused(404, "user_not_found");
    let listed = integrator.get("/v1/users").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);

    let erasure = world.is_erased(erasure_id).await;
    assert_eq!(world.palms.template_count(), 1, "bob's");
    let challenge = integrator.get(&format!("/v1/challenges/{open}")).await;
    challenge.refused(404, "not_found");
    let steps = erasure["steps"].as_array().unwrap();
    let answered: Vec<_> = steps
        .iter()
        .map(|it| (&it["store"], &it["status"]))
        .collect();
    let (palms, database, erased) = (json!("palm_server"), json!("database"), json!("erased"));
    assert_eq!(answered, [(&palms, &erased), (&database, &erased)]);
    assert!(steps.iter().all(|step| step["at"].is_string()));
    let receipt = erasure["receipt"].as_str().unwrap();
    let tokens = world.app.secrets.tokens.get().unwrap();
    let claims: Value = tokens.verify("erasure-receipt+jwt", receipt).unwrap();
    assert_eq!(claims["jti"], erasure_id);
    assert_eq!(claims["aud"], "acme");
    assert!(claims["sub"].as_str().unwrap().starts_with("usr_"));
    assert_eq!(claims["stores"].as_array().unwrap().len(), 2);
    assert!(!claims.to_string().contains("ada"));
    let told = world.told(&["user.deleted", "erasure.completed"]).await;
    let expected = [
        json!({"user_id": "ada", "erasure_id": erasure_id}),
        json!({"erasure_id": erasure_id, "receipt": receipt}),
    ];
    assert_eq!(told, expected);
    let rows = integrator
        .get("/v1/audit?action=user_deleted")
        .await
        .expect(200);
    let metadata = &rows["data"][0]["metadata"];
    assert_eq!(metadata["user_id"], claims["sub"]);
    assert_eq!(metadata["reason"], "they asked for it");

    // Somebody else has the id now, and nothing of the first one.
    world.user("ada").await;
    let successor = integrator.get("/v1/users/ada").await.expect(200);
    assert_eq!(successor["palm_enrolled"], false);
    let challenges = integrator
        .get("/v1/challenges?user_id=ada")
        .await
        .expect(200);
    assert_eq!(challenges["data"], json!([]));
    let again = world.erasure(erasure_id).await;
    assert_eq!(again, erasure, "it stays as it was");
}

#[tokio::test]
async fn an_id_is_taken_while_the_palm_server_may_know_somebody_by_it() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    for _ in 0..3 {
        world.palms.inject(Operation::Delete, Fault::Code(50_000));
    }
    let begun = world.erase("ada").await.expect(202);
    let again = world.erase("ada").await.expect(202);
    assert_eq!(again, begun, "an erasure is begun once");
    while world.deletions() == 0 {
        tokio::task::yield_now().await;
    }
    let erasure_id = begun["erasure_id"].as_str().unwrap();
    let erasure = world.erasure(erasure_id).await;
    assert_eq!(erasure["status"], "running");
    assert_eq!(erasure["receipt"], Value::Null);
    assert_eq!(erasure["steps"][0]["status"], "waiting");
    let successor = json!({"user_id": "ada"});
    let refused = world.integrator().post("/v1/users", successor).await;
    let said = refused.refused(409, "conflict");
    assert!(
        said["detail"].as_str().unwrap().contains("being erased"),
        "{said}"
    );
    world.is_erased(erasure_id).await;
    assert_eq!(world.palms.template_count(), 0);
    world.user("ada").await;
    let told = world.told(&["user.deleted"]).await;
    assert_eq!(told.len(), 1);
}

/// What may go wrong with a deletion.
fn faults() -> Vec<Fault> {
    let page = || "<html>another page</html>".to_owned();
    let of_another = r#"{"code":0,"msg":"ok","data":{"user_id":"acme:bob"}}"#;
    let answer = |status, body| Fault::Answer { status, body };
    vec![
        Fault::Code(50_000),
        Fault::Code(77_777),
        answer(503, page()),
        answer(200, page()),
        answer(200, of_another.to_owned()),
        Fault::Late(Duration::from_millis(900)),
        Fault::Slow(Duration::from_millis(900)),
        Fault::Silence { carried_out: false },
        Fault::Silence { carried_out: true },
        Fault::Close { carried_out: false },
        Fault::Close { carried_out: true },
        Fault::CutAnswer,
    ]
}

async fn world_with(fault: Fault) -> World {
    let setting = Setting {
        palm_timeout_ms: Some(300),
        ..Setting::default()
    };
    let world = World::start(setting).await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    world.palms.inject(Operation::Delete, fault);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_erased_whatever_the_palm_server_does_first() {
    let mut stories = tokio::task::JoinSet::new();
    for fault in faults() {
        stories.spawn(async move {
            let world = world_with(fault.clone()).await;
            let begun = world.erase("ada").await.expect(202);
            world.is_erased(begun["erasure_id"].as_str().unwrap()).await;
            assert_eq!(world.palms.template_count(), 0, "{fault:?}");
        });
    }
    stories.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_palm_that_was_taken_back_is_erased_whatever_the_palm_server_does_first() {
    let mut stories = tokio::task::JoinSet::new();
    for fault in faults() {
        stories.spawn(async move {
            let world = world_with(fault.clone()).await;
            let path = "/v1/users/ada/consent/palm_biometric";
            world.integrator().delete(path).await.expect(200);
            let mut seen = 0;
            while !world
                .app
                .store
                .due_palm_erasures(9)
                .await
                .unwrap()
                .is_empty()
            {
                if world.deletions() > seen {
                    seen = world.deletions();
                    world.clock.advance(Duration::from_secs(10));
                }
                tokio::task::yield_now().await;
            }
            assert_eq!(world.palms.template_count(), 0, "{fault:?}");
        });
    }
    stories.join_all().await;
}

#[tokio::test]
async fn nobody_is_erased_by_a_request_that_is_not_good() {
    let world = world().await;
    world.user("ada").await;
    let delete = |path: &str, body: Value| {
        answer(world.integrator().request(Method::DELETE, path).json(&body))
    };
    for bad in [
        json!({}),
        json!({"reason": ""}),
        json!({"reason": "x", "when": "now"}),
    ] {
        let refused = delete("/v1/users/ada", bad).await;
        refused.refused(422, "validation_failed");
    }
    for nobody in ["/v1/users/bob", "/v1/users/a%20b"] {
        let refused = delete(nobody, json!({"reason": "x"})).await;
        refused.refused(404, "not_found");
    }
    for unknown in ["era_01jd8z6m3w0000000000000000", "x"] {
        let path = format!("/v1/erasures/{unknown}");
        world
            .integrator()
            .get(&path)
            .await
            .refused(404, "not_found");
    }
    world.integrator().get("/v1/users/ada").await.expect(200);
}

#[tokio::test]
async fn a_repeated_erasure_is_answered_as_the_first_even_when_it_is_over() {
    let world = world().await;
    world.user("ada").await;
    let erase = || {
        let request = world.integrator().request(Method::DELETE, "/v1/users/ada");
        let request = request.header("idempotency-key", "one");
        answer(request.json(&json!({"reason": "they asked for it"})))
    };
    let begun = erase().await.expect(202);
    world.is_erased(begun["erasure_id"].as_str().unwrap()).await;
    world.user("ada").await;
    assert_eq!(erase().await.expect(202), begun);
    world.integrator().get("/v1/users/ada").await.expect(200);
}

#[tokio::test]
async fn what_is_held_of_a_user_is_exported_without_templates() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    world.clock.advance(Duration::from_secs(1));
    let integrator = world.integrator();
    let edit = json!({"display_name": "Ada", "email": "ada@example.org", "mobile": "+41 22 555"});
    integrator.put("/v1/users/ada", edit).await.expect(200);
    let kyc = json!({"status": "verified", "provider": "idv", "level": "high"});
    integrator
        .put("/v1/users/ada/kyc", kyc.clone())
        .await
        .expect(200);
    let verify = json!({
        "user_id": "ada", "device_id": "dev_1", "context": "at the counter",
        "metadata": {"order": 7}, "binding_message": "BLUE",
    });
    let asked = integrator.post("/v1/verify", verify).await.expect(201);
    let exported = integrator.get("/v1/users/ada/data").await;
    assert_eq!(
        exported.headers["content-disposition"],
        "attachment; filename=\"ada.json\""
    );
    let data = exported.expect(200);
    let user = integrator.get("/v1/users/ada").await.expect(200);
    assert_eq!(data["user"], user);
    assert_eq!(user["kyc_status"], "verified");
    assert_eq!(data["email"], "ada@example.org");
    assert_eq!(data["mobile"], "+41 22 555");
    assert_eq!(data["kyc"], kyc);
    let consents = integrator.get("/v1/users/ada/consent").await.expect(200);
    assert_eq!(data["consents"], consents["data"]);
    let challenges = data["challenges"].as_array().unwrap();
    let kinds: Vec<_> = challenges.iter().map(|it| &it["type"]).collect();
    assert_eq!(kinds, ["verify", "enroll"]);
    assert_eq!(challenges[0]["challenge_id"], asked["challenge_id"]);
    assert_eq!(challenges[0]["metadata"], json!({"order": 7}));
    assert_eq!(challenges[0]["binding_message"], "BLUE");
    for biometric in ["feature", "template", "image"] {
        assert!(!data.to_string().contains(biometric), "{biometric}");
    }
    world.app.store.seal_audit(1000).await.unwrap();
    let told = integrator
        .get("/v1/audit?action=data_export")
        .await
        .expect(200);
    assert_eq!(told["data"][0]["subject"], data["internal_id"]);
}

#[tokio::test]
async fn a_long_life_is_exported_to_its_end() {
    let world = world().await;
    let scanner = world.scanner("dev_1").await;
    world.enrolled("ada", &scanner, 7).await;
    let integrator = world.integrator();
    for _ in 0..205 {
        let challenge = world.verify("ada", &scanner).await;
        let cancel = format!("/v1/challenges/{challenge}/cancel");
        integrator.post(&cancel, json!({})).await.expect(200);
    }
    let data = integrator.get("/v1/users/ada/data").await.expect(200);
    let challenges = data["challenges"].as_array().unwrap();
    let ids: std::collections::BTreeSet<_> = challenges
        .iter()
        .map(|it| it["challenge_id"].as_str().unwrap())
        .collect();
    assert_eq!((challenges.len(), ids.len()), (206, 206));
}
