//! A tenant's suspension, and what every replica answers from then on.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::administration::platform_admin;
use crate::clients::text;
use crate::harness::{Api, DeviceKey, PASSWORD, Reply};
use crate::invariants::Invariants;
use crate::stage::{Setting, Stage, TENANT};
use crate::template::Backend;

/// Whoever has a credential of the tenant from before its suspension.
struct Callers {
    /// The administrator's.
    session: String,
    /// The integrator's.
    token: String,
    client_id: String,
    client_secret: String,
    /// Each at its replica.
    device: Vec<Api>,
    /// A device that waits to be paired, and its code.
    waiting: (String, String),
}

impl Callers {
    async fn of(stage: &Stage) -> Self {
        let clients = &stage.clients;
        let scopes = json!(["devices.read", "challenges.read"]);
        let client = json!({"name": "Backend", "scopes": scopes});
        let client = clients.create("/v1/oauth-clients", &client).await;
        let client = client.expect(201);
        let mut callers = Self {
            session: clients.token.clone(),
            token: String::new(),
            client_id: text(&client["client_id"]),
            client_secret: text(&client["client_secret"]),
            device: clients.paired().await.holding.connections,
            waiting: clients.register().await,
        };
        clients.journal.hide(&callers.client_secret);
        let granted = callers.ask_for_token(&clients.replicas[0]).await;
        callers.token = text(&granted.json["access_token"]);
        clients.journal.hide(&callers.token);
        callers
    }

    async fn ask_for_token(&self, replica: &Api) -> Reply {
        let request = replica.request(Method::POST, "/v1/auth/token");
        let form = [("grant_type", "client_credentials")];
        let request = request.basic_auth(&self.client_id, Some(&self.client_secret));
        replica.send(request.form(&form)).await
    }

    /// What each of them is answered at a replica, but for the pairing.
    async fn ask(&self, stage: &Stage, replica: usize) -> Vec<(&'static str, Reply)> {
        let nobody = &stage.clients.replicas[replica];
        let (session, token) = (
            nobody.with_bearer(&self.session),
            nobody.with_bearer(&self.token),
        );
        let device = &self.device[replica];
        let sign_in =
            json!({"email": format!("tenant_admin@{TENANT}.example"), "password": PASSWORD});
        vec![
            ("a session", session.get("/v1/devices").await),
            ("who is signed in", session.get("/v1/auth/me").await),
            ("an access token", token.get("/v1/devices").await),
            ("a device", device.get("/v1/devices/self").await),
            ("its poll", device.get("/v1/challenges/pending").await),
            ("a sign-in", nobody.post("/v1/auth/login", sign_in).await),
            ("the token endpoint", self.ask_for_token(nobody).await),
        ]
    }
}

async fn set(stage: &Stage, action: &str) -> Value {
    let platform = platform_admin(stage).await;
    let path = format!("/v1/admin/tenants/{TENANT}/{action}");
    let set = platform.post(&path, json!({})).await;
    assert_eq!(set.status, 200, "{}", set.text);
    set.json
}

pub(crate) async fn a_tenant_that_is_suspended_at_one_replica_is_served_by_none() {
    // Tokens are of one issuer, whichever replica gave them.
    let mut stage = Stage::with(Setting {
        backend: Backend::Postgres,
        replicas: 2,
        variables: vec![("IDENTITY_PUBLIC_URL", "https://id.example".to_owned())],
        ..Setting::default()
    })
    .await;
    let clients = stage.clients.clone();
    let callers = Callers::of(&stage).await;
    let (scanner, user) = (clients.paired().await, clients.user().await);
    let challenge = json!({"user_id": user, "device_id": scanner.id, "type": "left"});
    let challenge = clients.create("/v1/enroll", &challenge).await.expect(201);
    let challenge = text(&challenge["challenge_id"]);

    // Who waits at the other replica is told.
    let integrator = clients.replicas[1].with_bearer(&callers.token);
    let own = clients.paired().await.holding.connections[1].clone();
    let read = format!("/v1/challenges/{challenge}?wait=25");
    let waits = |api: Api, path: String| tokio::spawn(async move { api.get(&path).await });
    let waiting = [
        waits(integrator, read),
        waits(own, "/v1/challenges/pending?wait=25".to_owned()),
    ];
    assert_eq!(set(&stage, "suspend").await["status"], "suspended");
    for waiting in waiting {
        is_suspended("who waited", &waiting.await.expect("no panic"));
    }
    let (id, code) = &callers.waiting;
    let key = Arc::new(DeviceKey::generate());
    let pairing = json!({"pairing_code": code, "csr": key.csr(), "device_info": {}});
    for replica in 0..2 {
        for (who, reply) in callers.ask(&stage, replica).await {
            if who == "the token endpoint" {
                let said = (reply.status, &reply.json["error"]);
                assert_eq!(said, (400, &json!("unauthorized_client")), "{}", reply.text);
            } else {
                is_suspended(who, &reply);
            }
        }
        let nobody = &clients.replicas[replica];
        let paired = nobody.post("/v1/devices/pair", pairing.clone()).await;
        is_suspended("a pairing", &paired);
        let renewal = callers.device[replica].request(Method::POST, "/v1/devices/renew");
        let renewal = renewal.json(&json!({"csr": key.csr()}));
        is_suspended("a renewal", &nobody.send(renewal).await);
    }

    // Nothing of it is lost.
    assert_eq!(set(&stage, "activate").await["status"], "active");
    for replica in 0..2 {
        for (who, reply) in callers.ask(&stage, replica).await {
            assert_eq!(reply.status, 200, "{who} at {replica}: {}", reply.text);
        }
    }
    clients.pair_with(id, code, key).await;
    let session = clients.replicas[1].with_bearer(&callers.session);
    let open = session.get(&format!("/v1/challenges/{challenge}")).await;
    assert_eq!(open.json["status"], "pending", "{}", open.text);
    Invariants::check(&mut stage).await;
}

#[track_caller]
fn is_suspended(who: &str, reply: &Reply) {
    let said = (reply.status, reply.error());
    assert_eq!(said, (403, "tenant_suspended"), "{who}: {}", reply.text);
}
