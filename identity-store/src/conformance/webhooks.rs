use crate::{
    Chain, Conflict, DeliveryStatus, DisableReason, Entity, EventPattern, MAX_WEBHOOK_SECRETS,
    MAX_WEBHOOKS, NewWebhook, SecretBytes, Verdict, Webhook, WebhookId, WebhookSettings,
};

use super::fixtures::{World, at};
use super::witness::{Told, walk};

/// What is told in the owner's chain.
pub(super) fn told(owner: &Chain, actions: &[&str]) -> Told {
    match owner {
        Chain::Platform => Told::platform(actions),
        Chain::Tenant(_) => Told::tenant(actions, &[]),
    }
}

impl World {
    /// The chain of a tenant that is there.
    pub(super) async fn owner(&self, slug: &str) -> Chain {
        Chain::Tenant(self.tenant(slug).await)
    }

    pub(super) fn new_webhook(&self, owner: &Chain, events: &[&str]) -> NewWebhook {
        let events = events.iter().map(|pattern| pattern.parse().unwrap());
        NewWebhook {
            webhook_id: self.id("whe_"),
            owner: owner.clone(),
            settings: WebhookSettings {
                url: "https://hooks.example/in".to_owned(),
                events: events.collect(),
                description: Some("the shop".to_owned()),
            },
            secret: SecretBytes::new(self.digest()),
        }
    }

    pub(super) async fn add_webhook(&self, owner: &Chain, events: &[&str]) -> WebhookId {
        let new = self.new_webhook(owner, events);
        let made = self.store.create_webhook(self.change(), new).await;
        made.unwrap().webhook_id
    }

    pub(super) async fn read_webhook(&self, owner: &Chain, webhook_id: &WebhookId) -> Webhook {
        let read = self.store.webhook(owner, webhook_id).await.unwrap();
        read.unwrap()
    }
}

/// Secrets with their ends.
fn shown(webhook: &Webhook) -> Vec<(Vec<u8>, Option<time::OffsetDateTime>)> {
    let secrets = webhook.secrets.iter();
    secrets
        .map(|secret| (secret.secret.expose().to_vec(), secret.expires_at))
        .collect()
}

pub async fn an_endpoint_is_made_with_one_secret(world: World) {
    for owner in [world.owner("acme").await, Chain::Platform] {
        let new = world.new_webhook(&owner, &["verification.*", "user.created"]);
        let told = told(&owner, &["webhook_endpoint_created"]);
        let made = world
            .commits(world.change_at(4), told, async |change| {
                world.store.create_webhook(change, new.clone()).await
            })
            .await;
        let read = world.read_webhook(&owner, &new.webhook_id).await;
        for webhook in [made, read] {
            assert_eq!(webhook.webhook_id, new.webhook_id);
            assert_eq!(webhook.owner, owner);
            assert_eq!(webhook.url, new.settings.url);
            assert_eq!(webhook.events, new.settings.events);
            assert_eq!(webhook.description, new.settings.description);
            let secret = (new.secret.expose().to_vec(), None);
            assert_eq!(shown(&webhook), [secret]);
            assert_eq!((webhook.disabled, webhook.failing_since), (None, None));
            assert_eq!(webhook.created_at, at(4));
        }
        world
            .conflicts(world.change(), Conflict::IdTaken, async |change| {
                world.store.create_webhook(change, new).await
            })
            .await;
    }
}

pub async fn an_endpoint_needs_a_tenant_which_has_a_few(world: World) {
    let nobody = Chain::Tenant("nobody".parse().unwrap());
    world
        .misses(world.change(), Entity::Tenant, async |change| {
            let new = world.new_webhook(&nobody, &["*"]);
            world.store.create_webhook(change, new).await
        })
        .await;
    let owner = world.owner("acme").await;
    for _ in 0..MAX_WEBHOOKS {
        world.add_webhook(&owner, &["*"]).await;
    }
    world
        .conflicts(world.change(), Conflict::TooManyWebhooks, async |change| {
            let new = world.new_webhook(&owner, &["*"]);
            world.store.create_webhook(change, new).await
        })
        .await;
    world.add_webhook(&Chain::Platform, &["*"]).await;
}

pub async fn endpoints_are_listed_newest_first_each_once_with_their_owner(world: World) {
    let acme = world.owner("acme").await;
    for owner in [&acme, &Chain::Platform] {
        let mut expected = Vec::new();
        for seconds in [1, 2, 2, 3] {
            let new = world.new_webhook(owner, &["*"]);
            let made = world.store.create_webhook(world.change_at(seconds), new);
            expected.push(made.await.unwrap().webhook_id);
        }
        expected.sort();
        for limit in [1, 3, 200] {
            let list = async |page| world.store.webhooks(owner, page).await;
            let listed = walk(limit, list).await;
            assert!(listed.is_sorted_by(|newer, older| newer.created_at >= older.created_at));
            let mut ids: Vec<_> = listed.into_iter().map(|it| it.webhook_id).collect();
            ids.sort();
            assert_eq!(ids, expected);
        }
    }
}

pub async fn an_endpoints_settings_are_replaced_whole(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    let before = world.read_webhook(&owner, &webhook_id).await;
    let pattern: EventPattern = "challenge.*".parse().unwrap();
    let settings = WebhookSettings {
        url: "https://other.example/".to_owned(),
        events: [pattern].into(),
        description: None,
    };
    let told = told(&owner, &["webhook_endpoint_updated"]);
    let updated = world
        .commits(world.change_at(9), told, async |change| {
            let settings = settings.clone();
            world
                .store
                .update_webhook(change, &owner, &webhook_id, settings)
                .await
        })
        .await;
    for webhook in [updated, world.read_webhook(&owner, &webhook_id).await] {
        assert_eq!(webhook.url, settings.url);
        assert_eq!(webhook.events, settings.events);
        assert_eq!(webhook.description, None);
        assert_eq!(shown(&webhook), shown(&before));
        assert_eq!(webhook.created_at, before.created_at);
    }
}

pub async fn a_rotated_secret_signs_until_its_end_beside_the_new_one(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    let first = shown(&world.read_webhook(&owner, &webhook_id).await);
    let first = first[0].0.clone();
    let rotate = async |seconds, until| {
        let secret = world.digest();
        let told = told(&owner, &["webhook_endpoint_secret_rotated"]);
        let rotated = world
            .commits(world.change_at(seconds), told, async |change| {
                let secret = SecretBytes::new(secret);
                world
                    .store
                    .rotate_webhook_secret(change, &owner, &webhook_id, secret, at(until))
                    .await
            })
            .await;
        let read = world.read_webhook(&owner, &webhook_id).await;
        assert_eq!(shown(&rotated), shown(&read));
        (secret.to_vec(), shown(&rotated))
    };
    let (second, secrets) = rotate(10, 100).await;
    assert_eq!(
        secrets,
        [(first.clone(), Some(at(100))), (second.clone(), None)]
    );
    // An earlier end stays, a later one is drawn in.
    let (third, secrets) = rotate(20, 200).await;
    let expected = [
        (first, Some(at(100))),
        (second.clone(), Some(at(200))),
        (third.clone(), None),
    ];
    assert_eq!(secrets, expected);
    let (fourth, secrets) = rotate(100, 150).await;
    let expected = [
        (second, Some(at(150))),
        (third, Some(at(150))),
        (fourth, None),
    ];
    assert_eq!(secrets, expected);
    for _ in 0..MAX_WEBHOOK_SECRETS {
        let (_, secrets) = rotate(110, 10_000).await;
        assert!(secrets.len() <= MAX_WEBHOOK_SECRETS);
    }
    let (last, secrets) = rotate(110, 110).await;
    assert_eq!(secrets, [(last, None)]);
}

pub async fn an_endpoint_is_deleted_with_its_deliveries(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    let other = world.add_webhook(&owner, &["*"]).await;
    world.falls_due(&owner, 1).await;
    let told = told(&owner, &["webhook_endpoint_deleted"]);
    world
        .commits(world.change(), told, async |change| {
            world
                .store
                .delete_webhook(change, &owner, &webhook_id)
                .await
        })
        .await;
    let read = world.store.webhook(&owner, &webhook_id).await.unwrap();
    assert!(read.is_none());
    assert!(world.deliveries_to(&owner, &webhook_id).await.is_empty());
    assert_eq!(world.deliveries_to(&owner, &other).await.len(), 1);
    let claimed = world.claim(0, 10).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].webhook_id, other);
}

pub async fn an_endpoint_is_enabled_again(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    world.falls_due(&owner, 2).await;
    world.disable(&owner).await;
    let disabled = world.read_webhook(&owner, &webhook_id).await;
    assert_eq!(disabled.disabled, Some(DisableReason::Gone));
    assert!(world.claim(500, 9).await.is_empty());
    for news in [&["webhook_endpoint_enabled"][..], &[]] {
        let enabled = world
            .commits(world.change(), told(&owner, news), async |change| {
                world
                    .store
                    .enable_webhook(change, &owner, &webhook_id)
                    .await
            })
            .await;
        for webhook in [enabled, world.read_webhook(&owner, &webhook_id).await] {
            assert_eq!((webhook.disabled, webhook.failing_since), (None, None));
        }
    }
    // What was pending goes on, and new events come.
    assert_eq!(world.claim(500, 9).await.len(), 1);
    world.falls_due(&owner, 1).await;
    assert_eq!(world.claim(500, 9).await.len(), 1);
}

pub async fn a_test_goes_to_one_endpoint_whatever_it_subscribes_to(world: World) {
    let owner = world.owner("acme").await;
    let tested = world.add_webhook(&owner, &["user.created"]).await;
    let other = world.add_webhook(&owner, &["*"]).await;
    let told = Told::tenant(&["webhook_endpoint_tested"], &["webhook.test"]);
    world
        .commits(world.change(), told, async |change| {
            world.store.test_webhook(change, &owner, &tested).await
        })
        .await;
    world.fan_out().await;
    let deliveries = world.deliveries_to(&owner, &tested).await;
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].event_type, "webhook.test");
    assert!(world.deliveries_to(&owner, &other).await.is_empty());
    world.disable(&owner).await;
    world
        .conflicts(world.change(), Conflict::WebhookDisabled, async |change| {
            world.store.test_webhook(change, &owner, &tested).await
        })
        .await;
}

pub async fn another_owners_endpoint_is_not_found(world: World) {
    let (acme, other) = (world.owner("acme").await, world.owner("other").await);
    let webhook_id = &world.add_webhook(&acme, &["*"]).await;
    world.falls_due(&acme, 1).await;
    let delivery = world.deliveries_to(&acme, webhook_id).await.remove(0);
    let store = &world.store;
    for owner in [&other, &Chain::Platform] {
        let read = store.webhook(owner, webhook_id).await.unwrap();
        assert!(read.is_none());
        assert!(world.deliveries_to(owner, webhook_id).await.is_empty());
        macro_rules! misses {
            ($run:expr) => {
                world.misses(world.change(), Entity::Webhook, $run).await
            };
        }
        misses!(async |change| {
            let settings = world.new_webhook(owner, &["*"]).settings;
            store
                .update_webhook(change, owner, webhook_id, settings)
                .await
        });
        misses!(async |change| store.delete_webhook(change, owner, webhook_id).await);
        misses!(async |change| {
            let secret = SecretBytes::new(world.digest());
            store
                .rotate_webhook_secret(change, owner, webhook_id, secret, at(9))
                .await
        });
        misses!(async |change| store.enable_webhook(change, owner, webhook_id).await);
        misses!(async |change| store.test_webhook(change, owner, webhook_id).await);
        misses!(async |change| {
            store
                .recover_deliveries(change, owner, webhook_id, at(0), 9)
                .await
        });
        world
            .misses(world.change(), Entity::Delivery, async |change| {
                store
                    .resend_delivery(change, owner, &delivery.delivery_id)
                    .await
            })
            .await;
    }
    assert_eq!(world.deliveries_to(&acme, webhook_id).await, [delivery]);
}

pub async fn deliveries_are_listed_newest_first_by_their_status(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    let mut expected = Vec::new();
    for seconds in 1..=4 {
        world.records(&owner, seconds, 1).await;
        let now = at(seconds);
        world.store.seal_audit(u32::MAX).await.unwrap();
        world.store.fan_out_events(now, 100).await.unwrap();
    }
    for (claimed, verdict) in world.claim(4, 9).await.into_iter().zip([
        Verdict::Delivered,
        Verdict::GivenUp,
        Verdict::Again { at: at(60) },
    ]) {
        let tried = world.tried(&claimed, verdict, 5);
        world.finish(5, vec![tried]).await;
    }
    for limit in [1, 3, 200] {
        let list = async |page| {
            world
                .store
                .deliveries(&owner, &webhook_id, None, page)
                .await
        };
        let all = walk(limit, list).await;
        assert_eq!(all.len(), 4);
        assert!(all.is_sorted_by(|newer, older| newer.created_at >= older.created_at));
        expected = all;
    }
    for (status, count) in [
        (DeliveryStatus::Pending, 2),
        (DeliveryStatus::Delivered, 1),
        (DeliveryStatus::Failed, 1),
    ] {
        let list = async |page| {
            world
                .store
                .deliveries(&owner, &webhook_id, Some(status), page)
                .await
        };
        let listed = walk(1, list).await;
        assert_eq!(listed.len(), count, "{status:?}");
        let of_status = expected.iter().filter(|delivery| delivery.status == status);
        assert!(listed.iter().eq(of_status), "{status:?}");
    }
}

pub async fn a_delivery_is_sent_again_with_all_its_tries(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["*"]).await;
    world.falls_due(&owner, 1).await;
    for verdict in [
        Verdict::Delivered,
        Verdict::GivenUp,
        Verdict::Again { at: at(9000) },
    ] {
        let claimed = world.claim(10, 1).await.remove(0);
        assert_eq!(claimed.tries, 0);
        let tried = world.tried(&claimed, verdict, 11);
        world.finish(11, vec![tried]).await;
        let told = told(&owner, &["webhook_delivery_resent"]);
        let resent = world
            .commits(world.change_at(5), told, async |change| {
                world
                    .store
                    .resend_delivery(change, &owner, &claimed.delivery_id)
                    .await
            })
            .await;
        assert_eq!(resent.status, DeliveryStatus::Pending);
        assert_eq!(
            (resent.tries, resent.due_at, resent.ended_at),
            (0, Some(at(5)), None)
        );
        assert_eq!(world.deliveries_to(&owner, &webhook_id).await, [resent]);
    }
    // What comes of a try that was under way counts no longer.
    let claimed = world.claim(10, 1).await.remove(0);
    let resent = world
        .store
        .resend_delivery(world.change_at(6), &owner, &claimed.delivery_id);
    resent.await.unwrap();
    let late = world.tried(&claimed, Verdict::Delivered, 12);
    world.finish(12, vec![late]).await;
    let deliveries = world.deliveries_to(&owner, &webhook_id).await;
    assert_eq!(deliveries[0].status, DeliveryStatus::Pending);
    assert_eq!(deliveries[0].due_at, Some(at(6)));
    world.falls_due(&owner, 1).await;
    world.disable(&owner).await;
    world
        .conflicts(world.change(), Conflict::WebhookDisabled, async |change| {
            world
                .store
                .resend_delivery(change, &owner, &claimed.delivery_id)
                .await
        })
        .await;
    world
        .misses(world.change(), Entity::Delivery, async |change| {
            let nothing = world.id("dlv_");
            world.store.resend_delivery(change, &owner, &nothing).await
        })
        .await;
}

pub async fn what_an_endpoint_missed_is_recovered(world: World) {
    let owner = world.owner("acme").await;
    let webhook_id = world.add_webhook(&owner, &["device.created"]).await;
    // One before, then one that is given up, one that is delivered, one that stays pending.
    world.falls_due_at(&owner, 10, 1).await;
    world.falls_due_at(&owner, 20, 3).await;
    let verdicts = [Verdict::GivenUp, Verdict::GivenUp, Verdict::Delivered];
    for (claimed, verdict) in world.claim(30, 3).await.into_iter().zip(verdicts) {
        let tried = world.tried(&claimed, verdict, 31);
        world.finish(31, vec![tried]).await;
    }
    // And two while it is disabled.
    world.disable_at(&owner, 32).await;
    world.falls_due_at(&owner, 40, 2).await;
    world
        .conflicts(world.change(), Conflict::WebhookDisabled, async |change| {
            world
                .store
                .recover_deliveries(change, &owner, &webhook_id, at(0), 9)
                .await
        })
        .await;
    let enabled = world
        .store
        .enable_webhook(world.change(), &owner, &webhook_id);
    enabled.await.unwrap();
    // The one that was pending was given up by what disabled the endpoint.
    for (limit, events, more) in [(1, 1, true), (9, 3, false), (9, 0, false)] {
        let told = told(&owner, &["webhook_endpoint_recovered"]);
        let recovered = world
            .commits(world.change_at(50), told, async |change| {
                world
                    .store
                    .recover_deliveries(change, &owner, &webhook_id, at(20), limit)
                    .await
            })
            .await;
        assert_eq!(
            (recovered.events, recovered.more),
            (events, more),
            "{limit}"
        );
    }
    let deliveries = world.deliveries_to(&owner, &webhook_id).await;
    let of = |status| {
        let found = deliveries.iter().filter(move |it| it.status == status);
        found.map(|it| it.tries).collect::<Vec<_>>()
    };
    assert_eq!(of(DeliveryStatus::Pending), [0, 0, 0, 0]);
    assert_eq!(of(DeliveryStatus::Delivered), [1]);
    assert_eq!(of(DeliveryStatus::Failed), [1], "from before");
    assert_eq!(world.claim(50, 9).await.len(), 4);
}

pub async fn the_events_of_a_subject_are_read_from_a_number_on(world: World) {
    let (acme, other) = (world.owner("acme").await, world.owner("other").await);
    for owner in [&acme, &other, &acme, &acme] {
        world.records(owner, 1, 1).await;
    }
    world.store.seal_audit(u32::MAX).await.unwrap();
    let events = async |owner, after, limit| {
        let events = world.store.events(owner, "dev_same", after, limit).await;
        let events = events.unwrap().into_iter();
        events
            .map(|event| (event.tenant_id, event.sequence))
            .collect::<Vec<_>>()
    };
    let of = |owner: &Chain, number| (owner.tenant_id().cloned(), number);
    let all = [of(&acme, 1), of(&acme, 2), of(&acme, 3)];
    assert_eq!(events(&acme, 0, 9).await, all);
    assert_eq!(events(&acme, 1, 1).await, all[1..2]);
    assert_eq!(events(&other, 0, 9).await, [of(&other, 1)]);
    assert!(events(&acme, 3, 9).await.is_empty());
    let none = world.store.events(&acme, "dev_other", 0, 9).await;
    assert!(none.unwrap().is_empty());
}
