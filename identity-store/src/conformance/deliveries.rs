use std::collections::BTreeSet;
use std::sync::Arc;

use time::Duration;
use tokio::task::JoinSet;

use super::fixtures::{World, at};
use super::webhooks::told;
use super::witness::{Told, walk};
use crate::{
    Chain, ClaimedDelivery, Delivery, DeliveryStatus, DeviceStatus, DisableReason, DisabledWebhook,
    Event, SecretBytes, Subject, TriedDelivery, Try, Verdict, WebhookId,
};

/// How long fixtures' claims last, in seconds.
const CLAIM: i64 = 30;

/// How long an endpoint may fail.
const PATIENCE: Duration = Duration::days(5);

impl World {
    /// Events of one subject in the owner's chain, without a place.
    pub(super) async fn records(&self, owner: &Chain, seconds: i64, count: usize) {
        for _ in 0..count {
            let event = Event::DeviceCreated {
                device_id: identity_pki::DeviceId::new("dev_same").unwrap(),
                status: DeviceStatus::PendingPairing,
            };
            let change = self.change_at(seconds);
            let recorded = self.store.record(change, owner.clone(), vec![event]);
            recorded.await.unwrap();
        }
    }

    /// Events of one subject, as deliveries that are due.
    pub(super) async fn falls_due(&self, owner: &Chain, count: usize) {
        self.falls_due_at(owner, 0, count).await;
    }

    pub(super) async fn falls_due_at(&self, owner: &Chain, seconds: i64, count: usize) {
        self.records(owner, seconds, count).await;
        self.store.seal_audit(u32::MAX).await.unwrap();
        let fanned_out = self.store.fan_out_events(at(seconds), u32::MAX >> 1).await;
        fanned_out.unwrap();
    }

    pub(super) async fn fan_out(&self) {
        self.store.seal_audit(u32::MAX).await.unwrap();
        let fanned_out = self.store.fan_out_events(at(0), u32::MAX >> 1).await;
        fanned_out.unwrap();
    }

    pub(super) async fn deliveries_to(&self, owner: &Chain, webhook: &WebhookId) -> Vec<Delivery> {
        let list = async |page| self.store.deliveries(owner, webhook, None, page).await;
        walk(200, list).await
    }

    /// What one replica gets at that second.
    pub(super) async fn claim(&self, seconds: i64, of_each: u32) -> Vec<ClaimedDelivery> {
        let until = at(seconds + CLAIM);
        let claimed = self
            .store
            .claim_deliveries(at(seconds), until, 100, of_each, Vec::new());
        claimed.await.unwrap()
    }

    pub(super) fn tried(
        &self,
        claimed: &ClaimedDelivery,
        verdict: Verdict,
        seconds: i64,
    ) -> TriedDelivery {
        let failed = verdict != Verdict::Delivered;
        TriedDelivery {
            delivery_id: claimed.delivery_id.clone(),
            webhook_id: claimed.webhook_id.clone(),
            owner: claimed.owner.clone(),
            claim: claimed.claim,
            tried: Try {
                at: at(seconds),
                response_status: Some(if failed { 500 } else { 204 }),
                response_body: failed.then(|| "no \u{263a}".to_owned()),
                error: failed.then(|| "HTTP status 500".to_owned()),
            },
            verdict,
        }
    }

    pub(super) async fn finish(
        &self,
        seconds: i64,
        tried: Vec<TriedDelivery>,
    ) -> Vec<DisabledWebhook> {
        let change = self.change_at(seconds);
        let finished = self.store.finish_deliveries(change, tried, PATIENCE);
        finished.await.unwrap()
    }

    /// Disables the owner's endpoints that have something pending, by an answer of 410 to one each.
    pub(super) async fn disable(&self, owner: &Chain) {
        self.disable_at(owner, 400).await;
    }

    pub(super) async fn disable_at(&self, owner: &Chain, seconds: i64) {
        for claimed in self.claim(seconds, 1).await {
            if claimed.owner == *owner {
                let gone = self.tried(&claimed, Verdict::Gone, seconds);
                assert_eq!(self.finish(seconds, vec![gone]).await.len(), 1);
            }
        }
    }
}

pub async fn an_event_is_delivered_to_each_endpoint_that_is_to_be_told_of_it(world: World) {
    let (acme, other) = (world.owner("acme").await, world.owner("other").await);
    let add = async |owner, events| world.add_webhook(owner, events).await;
    let all = add(&acme, &["*"]).await;
    let family = add(&acme, &["user.*", "device.*"]).await;
    let (users, others) = (add(&acme, &["user.*"]).await, add(&other, &["*"]).await);
    let platforms = add(&Chain::Platform, &["*"]).await;
    world.records(&acme, 1, 1).await;
    world.store.seal_audit(9).await.unwrap();
    let turn = world.store.fan_out_events(at(2), 9).await.unwrap();
    assert_eq!((turn.events, turn.deliveries), (1, 2));
    let event = world.outbox().await.remove(0);
    for webhook_id in [&all, &family] {
        let deliveries = world.deliveries_to(&acme, webhook_id).await;
        let [delivery] = &deliveries[..] else {
            panic!("{deliveries:?}");
        };
        let expected = Delivery {
            delivery_id: delivery.delivery_id.clone(),
            webhook_id: webhook_id.clone(),
            event_id: event.event_id.clone(),
            event_type: "device.created".to_owned(),
            status: DeliveryStatus::Pending,
            tries: 0,
            due_at: Some(at(2)),
            last_try: None,
            created_at: at(2),
            ended_at: None,
        };
        assert_eq!(*delivery, expected);
    }
    for (owner, webhook_id) in [
        (&acme, &users),
        (&other, &others),
        (&Chain::Platform, &platforms),
    ] {
        assert!(world.deliveries_to(owner, webhook_id).await.is_empty());
    }
    world.falls_due(&Chain::Platform, 1).await;
    let told = world.deliveries_to(&Chain::Platform, &platforms).await;
    assert_eq!(told.len(), 1);
    // A disabled one is told of nothing, and what happened before an endpoint was made is not told it.
    world.disable(&acme).await;
    let late = add(&acme, &["*"]).await;
    world.falls_due(&acme, 1).await;
    assert_eq!(world.deliveries_to(&acme, &all).await.len(), 1);
    assert_eq!(world.deliveries_to(&acme, &late).await.len(), 1);
}

pub async fn each_event_is_fanned_out_once_whoever_does_it(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    world.records(&owner, 1, 20).await;
    world.store.seal_audit(u32::MAX).await.unwrap();
    let mut turns = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&world.store);
        turns.spawn(async move { store.fan_out_events(at(2), 3).await.unwrap() });
    }
    let turns = turns.join_all().await;
    let events: u64 = turns.iter().map(|turn| turn.events).sum();
    assert_eq!(events, 20);
    let none = world.store.fan_out_events(at(2), 3).await.unwrap();
    assert_eq!((none.events, none.deliveries), (0, 0));
    let deliveries = world.deliveries_to(&owner, &webhook_id).await;
    let events: BTreeSet<_> = deliveries.iter().map(|it| &it.event_id).collect();
    assert_eq!((deliveries.len(), events.len()), (20, 20));
}

pub async fn a_delivery_is_claimed_by_one_at_a_time(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    world.falls_due_at(&owner, 10, 1).await;
    assert!(world.claim(9, 9).await.is_empty(), "it is not due");
    let claimed = world.claim(10, 9).await.remove(0);
    assert_eq!((&claimed.webhook_id, &claimed.owner), (&webhook_id, &owner));
    assert_eq!(claimed.url, "https://hooks.example/in");
    assert_eq!(claimed.event, world.outbox().await.remove(0));
    assert_eq!(claimed.tries, 0);
    assert_eq!(claimed.secrets.len(), 1);
    assert!(world.claim(10 + CLAIM - 1, 9).await.is_empty());
    // Whoever had it died.
    let again = world.claim(10 + CLAIM, 9).await.remove(0);
    assert_eq!(again.delivery_id, claimed.delivery_id);
    let late = world.tried(&claimed, Verdict::Delivered, 41);
    world.finish(41, vec![late]).await;
    let delivery = world.deliveries_to(&owner, &webhook_id).await.remove(0);
    assert_eq!(
        delivery.status,
        DeliveryStatus::Pending,
        "its claim was void"
    );
    assert_eq!(delivery.last_try, None);
    let tried = world.tried(&again, Verdict::Delivered, 42);
    world.finish(42, vec![tried.clone(), tried.clone()]).await;
    world.finish(43, vec![tried]).await;
    let delivery = world.deliveries_to(&owner, &webhook_id).await.remove(0);
    assert_eq!(
        (delivery.status, delivery.tries),
        (DeliveryStatus::Delivered, 1)
    );
    assert!(world.claim(9_000_000, 9).await.is_empty());
}

pub async fn of_many_that_claim_at_once_each_delivery_goes_to_one(world: World) {
    let owner = world.owner("acme").await;
    for _ in 0..3 {
        world.add_webhook(&owner, &["*"]).await;
    }
    world.falls_due(&owner, 10).await;
    let mut claims = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&world.store);
        claims.spawn(async move {
            let claimed = store.claim_deliveries(at(1), at(31), 100, 3, Vec::new());
            claimed.await.unwrap()
        });
    }
    let mut claimed: Vec<_> = claims.join_all().await.into_iter().flatten().collect();
    // Who finds a row that another is at passes it by.
    claimed.extend(world.claim(1, 100).await);
    let ids: BTreeSet<_> = claimed.iter().map(|it| &it.delivery_id).collect();
    assert_eq!((claimed.len(), ids.len()), (30, 30));
}

pub async fn no_endpoint_takes_the_turns_of_another(world: World) {
    let owner = world.owner("acme").await;
    let first = world.add_webhook(&owner, &["device.created"]).await;
    world.falls_due_at(&owner, 1, 20).await;
    let second = world.add_webhook(&owner, &["device.created"]).await;
    world.falls_due_at(&owner, 2, 20).await;
    let claim = async |limit, of_each, busy: &[&WebhookId]| {
        let busy = busy.iter().map(|&id| id.clone()).collect();
        let claimed = world
            .store
            .claim_deliveries(at(3), at(33), limit, of_each, busy)
            .await;
        let claimed = claimed.unwrap();
        let of = |id: &WebhookId| claimed.iter().filter(|it| it.webhook_id == *id).count();
        (of(&first), of(&second))
    };
    assert_eq!(
        claim(3, 2, &[]).await,
        (2, 1),
        "the one that waited longest first"
    );
    assert_eq!(claim(100, 4, &[]).await, (4, 4));
    assert_eq!(claim(100, 4, &[&first]).await, (0, 4));
    // One that is failing is tried by one at a time.
    let claimed = world.claim(100, 1).await;
    let failing = claimed.iter().find(|it| it.webhook_id == first).unwrap();
    let tried = world.tried(failing, Verdict::Again { at: at(900) }, 101);
    world.finish(101, vec![tried]).await;
    let webhook = world.read_webhook(&owner, &first).await;
    assert_eq!(webhook.failing_since, Some(at(101)));
    assert_eq!(claim(100, 4, &[]).await, (1, 4));
}

pub async fn what_came_of_a_try_is_noted(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    for (verdict, status, due_at, ended_at) in [
        (
            Verdict::Delivered,
            DeliveryStatus::Delivered,
            None,
            Some(at(7)),
        ),
        (
            Verdict::Again { at: at(600) },
            DeliveryStatus::Pending,
            Some(at(600)),
            None,
        ),
        (Verdict::GivenUp, DeliveryStatus::Failed, None, Some(at(7))),
    ] {
        world.falls_due(&owner, 1).await;
        let claimed = world.claim(6, 1).await.remove(0);
        let tried = world.tried(&claimed, verdict, 7);
        let disabled = world
            .commits(world.change_at(7), Told::nothing(), async |change| {
                let tried = vec![tried.clone()];
                world.store.finish_deliveries(change, tried, PATIENCE).await
            })
            .await;
        assert_eq!(disabled, []);
        let deliveries = world.deliveries_to(&owner, &webhook_id).await;
        let noted = deliveries
            .into_iter()
            .find(|it| it.delivery_id == claimed.delivery_id);
        let noted = noted.unwrap();
        assert_eq!((noted.status, noted.tries), (status, 1));
        assert_eq!((noted.due_at, noted.ended_at), (due_at, ended_at));
        assert_eq!(noted.last_try, Some(tried.tried));
    }
}

pub async fn an_endpoint_that_is_gone_is_disabled_at_once(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    world.falls_due(&owner, 2).await;
    let claimed = world.claim(1, 2).await;
    let tried = vec![
        world.tried(&claimed[0], Verdict::Gone, 2),
        world.tried(&claimed[1], Verdict::Delivered, 2),
    ];
    let disabled = world
        .commits(
            world.change_at(3),
            told(&owner, &["webhook_endpoint_disabled"]),
            async |change| {
                let tried = tried.clone();
                world.store.finish_deliveries(change, tried, PATIENCE).await
            },
        )
        .await;
    let expected = DisabledWebhook {
        webhook_id: webhook_id.clone(),
        owner: owner.clone(),
        reason: DisableReason::Gone,
    };
    assert_eq!(disabled, [expected]);
    let webhook = world.read_webhook(&owner, &webhook_id).await;
    assert_eq!(webhook.disabled, Some(DisableReason::Gone));
}

pub async fn an_endpoint_that_fails_for_too_long_is_disabled_and_an_alert(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    world.falls_due(&owner, 1).await;
    let days = PATIENCE.whole_seconds();
    // A success in between begins the time anew.
    for (seconds, verdict, disables) in [
        (0, Verdict::Again { at: at(1) }, false),
        (days - 100, Verdict::Again { at: at(1) }, false),
        (days - 50, Verdict::Delivered, false),
        (days, Verdict::Again { at: at(1) }, false),
        (2 * days - 1, Verdict::GivenUp, false),
        (2 * days, Verdict::GivenUp, true),
    ] {
        world.falls_due(&owner, 1).await;
        let claimed = world.claim(seconds, 1).await.remove(0);
        let tried = vec![world.tried(&claimed, verdict, seconds)];
        let telling = if disables {
            Told {
                platform: vec!["ops_alert".to_owned()],
                webhooks: vec!["platform.ops_alert".to_owned()],
                ..told(&owner, &["webhook_endpoint_disabled"])
            }
        } else {
            Told::nothing()
        };
        let disabled = world
            .commits(world.change_at(seconds), telling, async |change| {
                let tried = tried.clone();
                world.store.finish_deliveries(change, tried, PATIENCE).await
            })
            .await;
        let reasons: Vec<_> = disabled.iter().map(|it| it.reason).collect();
        let expected: &[_] = if disables {
            &[DisableReason::Failing]
        } else {
            &[]
        };
        assert_eq!(reasons, expected, "{seconds}");
    }
    let webhook = world.read_webhook(&owner, &webhook_id).await;
    assert_eq!(webhook.disabled, Some(DisableReason::Failing));
    let alert = world.outbox().await.pop().unwrap();
    assert_eq!(alert.tenant_id, None);
    assert_eq!(alert.data, serde_json::json!({"kind": "webhook_disabled"}));
}

pub async fn a_secret_that_ended_signs_nothing(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    let second = SecretBytes::new([7; 32]);
    let rotated =
        world
            .store
            .rotate_webhook_secret(world.change(), &owner, &webhook_id, second, at(100));
    rotated.await.unwrap();
    world.falls_due(&owner, 1).await;
    assert_eq!(world.claim(99, 1).await[0].secrets.len(), 2);
    let later = world.claim(99 + CLAIM, 1).await.remove(0);
    let [secret] = &later.secrets[..] else {
        panic!("{later:?}");
    };
    assert_eq!(secret.secret.expose(), [7; 32]);
}

pub async fn events_are_purged_with_their_deliveries_and_numbered_on(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    world.falls_due_at(&owner, 10, 2).await;
    world.falls_due_at(&owner, 30, 1).await;
    world.falls_due_at(&owner, 15, 1).await;
    assert_eq!(
        world
            .store
            .purge_events(at(10), Duration::DAY)
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        world
            .store
            .purge_events(at(20), Duration::DAY)
            .await
            .unwrap(),
        2
    );
    let numbers = async || {
        let events = world.store.events(&owner, "dev_same", 0, 9).await.unwrap();
        let numbers = events.iter().map(|event| event.sequence);
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(
        numbers().await,
        [3, 4],
        "one behind another that stays stays"
    );
    assert_eq!(world.deliveries_to(&owner, &webhook_id).await.len(), 2);
    assert_eq!(world.claim(50, 9).await.len(), 2);
    assert_eq!(
        world
            .store
            .purge_events(at(31), Duration::DAY)
            .await
            .unwrap(),
        2
    );
    assert!(numbers().await.is_empty());
    assert!(world.deliveries_to(&owner, &webhook_id).await.is_empty());
    // What is not fanned out stays.
    world.records(&owner, 40, 1).await;
    world.store.seal_audit(9).await.unwrap();
    assert_eq!(
        world
            .store
            .purge_events(at(50), Duration::DAY)
            .await
            .unwrap(),
        0
    );
    world.fan_out().await;
    assert_eq!(numbers().await, [5]);
    let position = world.outbox().await[0].position;
    assert_eq!(
        world
            .store
            .purge_events(at(50), Duration::DAY)
            .await
            .unwrap(),
        1
    );
    world.falls_due_at(&owner, 60, 2).await;
    assert_eq!(numbers().await, [6, 7]);
    let positions: Vec<_> = world.outbox().await.iter().map(|it| it.position).collect();
    assert_eq!(positions, [position + 1, position + 2]);
}

pub async fn the_number_of_an_erased_user_goes_with_their_last_event(world: World) {
    let owner = world.owner("acme").await;
    let user = Subject {
        user_id: "ada".parse().unwrap(),
        internal_id: world.id("usr_"),
    };
    let records = async |seconds, events: Vec<Event>| {
        let recorded = world
            .store
            .record(world.change_at(seconds), owner.clone(), events);
        recorded.await.unwrap();
        world.fan_out().await;
    };
    let purges = async |seconds, expected| {
        let purged = world.store.purge_events(at(seconds), Duration::DAY).await;
        assert_eq!(purged.unwrap(), expected);
    };
    let numbers = async || {
        let events = world.store.events(&owner, "ada", 0, 9).await.unwrap();
        let numbers = events.iter().map(|event| event.sequence);
        numbers.collect::<Vec<_>>()
    };
    let created = || Event::UserCreated { user: user.clone() };
    let deleted = || Event::UserDeleted {
        user: user.clone(),
        erasure_id: world.id("era_"),
        reason: "they asked for it".to_owned(),
    };
    records(0, vec![created()]).await;
    purges(1, 1).await;
    records(10, vec![created(), deleted()]).await;
    assert_eq!(numbers().await, [2, 3]);
    purges(11, 2).await;
    // Who has the id now is somebody else.
    records(20, vec![created(), deleted(), created()]).await;
    assert_eq!(numbers().await, [1, 2, 3]);
    purges(21, 3).await;
    records(30, vec![created()]).await;
    assert_eq!(numbers().await, [4], "they are not erased");
}

pub async fn a_clock_that_is_ahead_purges_a_step_at_a_time(world: World) {
    let owner = world.owner("acme").await;
    let purge = async |before, step| {
        let step = Duration::seconds(step);
        world.store.purge_events(at(before), step).await.unwrap()
    };
    assert_eq!(purge(1_000_000, 60).await, 0, "there is nothing");
    for seconds in [0, 100, 200] {
        world.falls_due_at(&owner, seconds, 1).await;
    }
    assert_eq!(purge(1_000_000, 0).await, 0);
    assert_eq!(purge(1_000_000, 60).await, 1);
    assert_eq!(purge(1_000_000, 60).await, 1);
    // A clock that is right again neither goes back nor on.
    assert_eq!(purge(110, 60).await, 0);
    assert_eq!(purge(1_000_000, 60).await, 0, "up to 180");
    assert_eq!(purge(1_000_000, 60).await, 1);
}
