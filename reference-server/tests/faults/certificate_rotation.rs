//! The server's certificate and the CA, replaced at two replicas while devices poll both and renew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::administration::platform_admin;
use crate::clients::{Clients, Device, text};
use crate::harness::{Api, DeviceKey, ServerKey};
use crate::invariants::Invariants;
use crate::replicas::two;
use crate::retry::until;
use crate::rounds;
use crate::stage::Stage;

/// So many devices poll.
const DEVICES: usize = 6;
/// A device renews when it has polled both replicas so often.
const POLLS: usize = 3;

/// Devices that poll and renew at both replicas. One that is refused anything, or gets no answer, panics.
struct Load {
    /// How often each device has renewed.
    renewals: Vec<Arc<AtomicUsize>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Load {
    async fn start(clients: &Arc<Clients>) -> Self {
        let mut load = Self {
            renewals: Vec::new(),
            stop: Arc::default(),
            tasks: JoinSet::new(),
        };
        for number in 0..DEVICES {
            let device = clients.paired().await;
            let renewals = Arc::<AtomicUsize>::default();
            load.renewals.push(Arc::clone(&renewals));
            let (clients, stop) = (Arc::clone(clients), Arc::clone(&load.stop));
            load.tasks.spawn(async move {
                let mut polling = Polling {
                    clients,
                    device,
                    connects_anew: number % 2 == 0,
                };
                while !stop.load(Ordering::Relaxed) {
                    let turn = renewals.load(Ordering::Relaxed);
                    polling.polls().await;
                    polling.renews((number + turn) % 2).await;
                    renewals.store(turn + 1, Ordering::Relaxed);
                }
            });
        }
        load
    }

    /// Waits until each device has begun and ended a renewal, with its polls before.
    async fn goes_on(&self) {
        let count = || self.renewals.iter().map(|n| n.load(Ordering::Relaxed));
        let before: Vec<usize> = count().collect();
        until("every device renews", async || {
            assert_eq!(self.tasks.len(), DEVICES, "a device has failed");
            count().zip(&before).all(|(now, before)| now >= before + 2)
        })
        .await;
    }

    async fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no request failed");
        }
    }
}

struct Polling {
    clients: Arc<Clients>,
    device: Device,
    /// Whether each poll has a handshake of its own.
    connects_anew: bool,
}

impl Polling {
    async fn polls(&self) {
        for turn in 0..POLLS {
            for replica in 0..2 {
                let connection = self.connection(replica);
                // The last one is under way for a second.
                let wait = usize::from(turn + 1 == POLLS);
                let pending = format!("/v1/challenges/pending?wait={wait}");
                let polled = connection.get(&pending).await;
                assert_eq!(polled.status, 200, "{}", polled.text);
                let heartbeat = connection.post("/v1/device/heartbeat", json!({})).await;
                assert_eq!(heartbeat.status, 200, "{}", heartbeat.text);
            }
        }
    }

    async fn renews(&mut self, replica: usize) {
        let key = Arc::new(DeviceKey::generate());
        let renewal = json!({"csr": key.csr()});
        let connection = self.connection(replica);
        let renewed = connection.post("/v1/devices/renew", renewal).await;
        assert_eq!(renewed.status, 200, "{}", renewed.text);
        let certificate = &renewed.json["certificate"];
        self.device = self.clients.received(&self.device.id, key, certificate);
    }

    fn connection(&self, replica: usize) -> Api {
        let holding = &self.device.holding;
        if self.connects_anew {
            self.clients.replicas[replica].with_certificate(&holding.key, &holding.certificate)
        } else {
            holding.connections[replica].clone()
        }
    }
}

pub(crate) async fn certificates_are_replaced_under_devices_that_poll_two_replicas_and_no_request_fails()
 {
    let mut stage = two().await;
    let (first, next) = (Arc::clone(&stage.first_run), ServerKey::generate());
    let roots = format!("{}{}", first.server_key.root_pem(), next.root_pem());
    let trusting = stage.replicas.iter().map(|replica| {
        let address = replica.front.address;
        Api::trusting(address, roots.clone())
    });
    let clients = stage.clients.turned_to(trusting.collect()).await;
    let admin = platform_admin(&stage).await;
    let admins: Vec<Api> = clients
        .replicas
        .iter()
        .map(|replica| replica.with_bearer(admin.token()))
        .collect();
    let load = Load::start(&clients).await;
    for round in 0..rounds(1) {
        // There and back.
        let server_keys = [&next, &first.server_key];
        for (place, key) in server_keys.into_iter().enumerate() {
            load.goes_on().await;
            let uploaded = admins[(round + place) % 2].upload(key).await;
            assert_eq!(uploaded.status, 200, "{}", uploaded.text);
            until("both show it", async || is_shown(&stage, key).await).await;
        }
        load.goes_on().await;
        replace_ca(&stage, &admins, round, &load).await;
    }
    load.finish().await;
    Invariants::check(&mut stage).await;
}

/// Whether both replicas show this certificate, to who trusts nothing else.
async fn is_shown(stage: &Stage, key: &ServerKey) -> bool {
    for replica in &stage.replicas {
        let strict = Api::https(replica.front.address, key);
        if strict.try_get("/healthz").await.is_err() {
            return false;
        }
    }
    true
}

/// As the operators' manual says, each step at another replica than the one before.
async fn replace_ca(stage: &Stage, admins: &[Api], round: usize, load: &Load) {
    let at = |step: usize| &admins[(round + step) % 2];
    let old = text(&ca(at(0)).await["fingerprint"]);
    let body = json!({"activate": false});
    let prepared = at(0).post("/v1/admin/ssl/ca-cert/generate", body).await;
    assert_eq!(prepared.status, 201, "{}", prepared.text);
    let new = text(&prepared.json["fingerprint"]);
    until("both trust it", async || trusted(stage).await == [2, 2]).await;
    load.goes_on().await;
    let activate = format!("/v1/admin/ssl/ca-certs/{new}/activate");
    let activated = at(1).post(&activate, json!({})).await;
    assert_eq!(activated.status, 200, "{}", activated.text);
    let retire = format!("/v1/admin/ssl/ca-certs/{old}/retire");
    loop {
        let retired = at(2).post(&retire, json!({})).await;
        if retired.status == 200 {
            break;
        }
        assert_eq!(retired.error(), "ca_in_use", "{}", retired.text);
        load.goes_on().await;
    }
    until("both trust it no more", async || {
        trusted(stage).await == [1, 1]
    })
    .await;
    load.goes_on().await;
    let issuing = ca(at(3)).await;
    assert_eq!(issuing["fingerprint"], *new);
    let previous = issuing["previous"].as_array().expect("earlier CAs");
    let previous = previous.iter().find(|ca| ca["fingerprint"] == *old);
    let previous = previous.expect("the earlier one");
    let left = (&previous["state"], &previous["active_devices"]);
    assert_eq!(left, (&json!("retired"), &json!(0)));
}

async fn ca(admin: &Api) -> Value {
    let ca = admin.get("/v1/admin/ssl/ca-cert").await;
    assert_eq!(ca.status, 200, "{}", ca.text);
    ca.json
}

/// How many CAs each replica trusts.
async fn trusted(stage: &Stage) -> [u64; 2] {
    let series = "platform_cas_trusted";
    [
        stage.counted(0, series).await,
        stage.counted(1, series).await,
    ]
}
