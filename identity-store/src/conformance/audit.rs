use identity_pki::{DeviceId, Fingerprint, TenantId};

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{
    Actor, Chain, ChainHead, ChainState, ChainWalk, Change, Event, OutboxEvent, Outcome, Sealed,
    SealedRow, Severity, SignedHead, TenantConfig,
};

fn ca_generated() -> Event {
    Event::PlatformCaGenerated {
        fingerprint: Fingerprint::from_bytes([9; 32]),
        expires_at: at(99),
    }
}

pub(super) fn superseded(device_id: &str) -> Event {
    Event::SupersededCertificateUsed {
        device_id: DeviceId::new(device_id).unwrap(),
        old_fingerprint: Fingerprint::from_bytes([8; 32]),
    }
}

fn revoked(device_id: &str) -> Event {
    Event::DeviceRevoked {
        device_id: DeviceId::new(device_id).unwrap(),
        revoked_by: "adm_x".to_owned(),
        fingerprint: None,
    }
}

impl World {
    pub(super) async fn record(&self, chain: &Chain, events: Vec<Event>) {
        let recorded = self.store.record(self.change(), chain.clone(), events);
        recorded.await.unwrap();
    }

    async fn silence(&self, tenant_id: &TenantId) {
        let config = TenantConfig {
            audit_enabled: false,
            ..TenantConfig::default()
        };
        self.configure(tenant_id, config).await;
    }
}

pub async fn events_are_recorded_in_the_chain_that_is_named(world: World) {
    let tenant_id = world.tenant("acme").await;
    let told = Told::tenant(
        &["superseded_certificate_used", "device_revoked"],
        &["device.revoked"],
    );
    world
        .commits(world.change_at(3), told, async |change| {
            let chain = Chain::Tenant(tenant_id.clone());
            let events = vec![superseded("dev_1"), revoked("dev_1")];
            world.store.record(change, chain, events).await
        })
        .await;
    let told = Told::platform(&["device_paired", "platform_ca_generated"]);
    world
        .commits(world.change_at(4), told, async |change| {
            let events = vec![Event::PairingRefused, ca_generated()];
            world.store.record(change, Chain::Platform, events).await
        })
        .await;
    let row = &world.audit(&Chain::Tenant(tenant_id.clone())).await[0];
    assert_eq!(row.tenant_id, Some(tenant_id));
    assert_eq!(row.severity, Severity::High);
    assert_eq!(row.outcome, Outcome::Failed);
    assert_eq!(row.subject, "dev_1");
    let rows = world.audit(&Chain::Platform).await;
    assert!(rows.iter().all(|row| row.tenant_id.is_none()));
}

pub async fn a_silenced_tenant_has_no_rows_and_still_its_webhooks(world: World) {
    let (silent, audited) = (world.tenant("silent").await, world.tenant("audited").await);
    world.silence(&silent).await;
    let told = Told {
        webhooks: vec!["device.created".to_owned()],
        ..Told::nothing()
    };
    world
        .commits(world.change(), told, async |change| {
            let new = world.new_device(&silent, "Scanner");
            world.store.create_device(change, new).await
        })
        .await;
    let told = Told::tenant(&["device_created"], &["device.created"]);
    world
        .commits(world.change(), told, async |change| {
            let new = world.new_device(&audited, "Scanner");
            world.store.create_device(change, new).await
        })
        .await;
    // The platform's chain and the ledger know no switch.
    let told = Told::platform(&["tenant_suspended"]);
    world
        .commits(world.change(), told, async |change| {
            let status = crate::TenantStatus::Suspended;
            world.store.set_tenant_status(change, &silent, status).await
        })
        .await;
    let device = world.paired_device(&silent).await;
    let serial = device.certificate.unwrap().serial;
    assert!(world.store.issuance(&serial).await.unwrap().is_some());
    world.configure(&silent, TenantConfig::default()).await;
    let told = Told::tenant(&["superseded_certificate_used"], &[]);
    world
        .commits(world.change(), told, async |change| {
            let chain = Chain::Tenant(silent.clone());
            let events = vec![superseded("dev_1")];
            world.store.record(change, chain, events).await
        })
        .await;
}

pub async fn rows_say_who_did_what_from_where_and_when(world: World) {
    let tenant_id = world.tenant("acme").await;
    let device = world.paired_device(&tenant_id).await;
    let actors = [
        (Actor::Anonymous, "anonymous", ""),
        (Actor::System("sweeper"), "system", "sweeper"),
        (
            Actor::Device(device.identity.clone()),
            "device",
            device.identity.device_id().as_str(),
        ),
    ];
    for (actor, kind, id) in actors {
        // Finer than a millisecond: cut off.
        let moment = at(5) + time::Duration::nanoseconds(7_654_321);
        let change = Change::new(moment, actor, "req-1");
        let recorded = world
            .store
            .record(change, Chain::Platform, vec![ca_generated()]);
        recorded.await.unwrap();
        let row = world.audit(&Chain::Platform).await.pop().unwrap();
        assert_eq!(row.at, at(5) + time::Duration::milliseconds(7));
        assert_eq!((row.actor.kind.as_str(), row.actor.id.as_str()), (kind, id));
        assert_eq!(row.request_id, "req-1");
        assert_eq!(row.ip, None);
        assert_eq!(row.severity, Severity::Info);
        assert_eq!(row.outcome, Outcome::Succeeded);
        assert_eq!(row.subject, "platform_ca");
        assert_eq!(row.metadata["expires_at"], "2026-11-22T10:01:39.000Z");
    }
}

/// Checks a chain as anyone could who got an export of it; returns its head.
fn verify(chain: &Chain, rows: &[SealedRow]) -> ChainHead {
    let mut walk = ChainWalk::of(chain.clone());
    for (row, position) in rows.iter().zip(1..) {
        assert_eq!(row.position, position);
        let exported = row.to_json().unwrap();
        let read = SealedRow::from_json(position, &exported).unwrap();
        assert_eq!(&read, row, "{exported}");
        walk.step(&read).unwrap();
    }
    walk.finish().unwrap()
}

pub async fn sealed_rows_form_a_chain_for_each_tenant_and_one_for_the_platform(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let (acme, other) = (Chain::Tenant(acme), Chain::Tenant(other));
    for n in 0..3 {
        let id = format!("dev_{n}");
        world
            .record(&acme, vec![superseded(&id), revoked(&id)])
            .await;
        world.record(&other, vec![superseded(&id)]).await;
        world.record(&Chain::Platform, vec![ca_generated()]).await;
    }
    for (chain, rows) in [(&acme, 6), (&other, 3), (&Chain::Platform, 5)] {
        let sealed = world.sealed(chain).await;
        let head = verify(chain, &sealed);
        assert_eq!(head.length, rows);
        assert_eq!(world.store.chain_head(chain).await.unwrap(), head);
        assert!(
            sealed
                .iter()
                .all(|sealed| sealed.row.tenant_id.as_ref() == chain.tenant_id())
        );
    }
    let subjects: Vec<String> = world
        .audit(&acme)
        .await
        .into_iter()
        .map(|row| row.subject)
        .collect();
    let expected = ["dev_0", "dev_0", "dev_1", "dev_1", "dev_2", "dev_2"];
    assert_eq!(subjects, expected);
    let nobody = Chain::Tenant("nobody".parse().unwrap());
    let head = world.store.chain_head(&nobody).await.unwrap();
    assert_eq!(head, ChainHead::EMPTY);
    assert_eq!(world.audit(&nobody).await, []);
}

pub async fn rows_are_sealed_a_few_at_a_time_in_the_order_of_commits(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    world.record(&acme, vec![superseded("dev_1")]).await;
    world.record(&Chain::Platform, vec![ca_generated()]).await;
    world.record(&acme, vec![superseded("dev_2")]).await;
    let length = async |chain: &Chain| world.store.chain_head(chain).await.unwrap().length;
    // The first row is that of the tenant's creation.
    for (sealed, platform, tenant) in [(2, 1, 1), (1, 2, 1), (1, 2, 2), (0, 2, 2)] {
        let limit = u32::try_from(sealed).unwrap().max(1);
        let unsealed = world.store.unsealed_audit(None).await.unwrap();
        let turn = world.store.seal_audit(limit).await.unwrap();
        assert_eq!(
            turn,
            Sealed {
                rows: sealed,
                events: 0
            }
        );
        let left = world.store.unsealed_audit(None).await.unwrap();
        assert_eq!(left, unsealed - sealed);
        assert_eq!(length(&Chain::Platform).await, platform);
        assert_eq!(length(&acme).await, tenant);
    }
    verify(&Chain::Platform, &world.sealed(&Chain::Platform).await);
    verify(&acme, &world.sealed(&acme).await);
}

pub async fn two_sealers_give_each_row_one_place(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    for n in 0..40 {
        let id = format!("dev_{n}");
        world.record(&acme, vec![superseded(&id)]).await;
    }
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = std::sync::Arc::clone(&world.store);
        calls.spawn(async move { store.seal_audit(7).await.unwrap() });
    }
    let sealed = calls.join_all().await.into_iter().map(|turn| turn.rows);
    assert_eq!(sealed.sum::<u64>(), 41);
    assert_eq!(verify(&acme, &world.sealed(&acme).await).length, 40);
}

pub async fn a_chain_is_read_on_from_where_a_reader_stopped(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    for n in 0..5 {
        let id = format!("dev_{n}");
        world.record(&acme, vec![superseded(&id)]).await;
    }
    let all = world.sealed(&acme).await;
    let mut read: Vec<SealedRow> = Vec::new();
    loop {
        let after = read.last().map_or(0, |sealed| sealed.position);
        let rows = world.store.sealed_audit(&acme, after, 2).await.unwrap();
        assert!(rows.len() <= 2);
        if rows.is_empty() {
            break;
        }
        read.extend(rows);
    }
    assert_eq!(read, all);
}

pub async fn the_chains_are_listed_with_their_heads(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let (acme, other) = (Chain::Tenant(acme), Chain::Tenant(other));
    world.record(&other, vec![superseded("dev_1")]).await;
    world.store.seal_audit(u32::MAX).await.unwrap();
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|(chain, _)| chain);
        let page = world.store.chains(after, 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        for state in &page {
            assert_eq!(state.signed, None);
            let alone = world.store.chain_state(&state.chain).await.unwrap();
            assert_eq!(alone, *state);
        }
        listed.extend(page.into_iter().map(|state| (state.chain, state.head)));
    }
    let mut expected = Vec::new();
    for (chain, length) in [(Chain::Platform, 2), (acme, 0), (other, 1)] {
        let head = world.store.chain_head(&chain).await.unwrap();
        assert_eq!(head.length, length);
        expected.push((chain, head));
    }
    assert_eq!(listed, expected);
}

pub async fn a_head_is_signed_once_and_again_when_its_chain_grew(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    world.record(&acme, vec![superseded("dev_1")]).await;
    let unsigned = async |limit| world.store.unsigned_heads(limit).await.unwrap();
    let signed = async || {
        let chains = world.store.chains(Some(&Chain::Platform), 9).await;
        chains.unwrap().remove(0).signed
    };
    assert_eq!(unsigned(9).await, [], "nothing is sealed");
    world.store.seal_audit(u32::MAX).await.unwrap();
    let heads = unsigned(9).await;
    assert_eq!(heads.len(), 2);
    assert_eq!(unsigned(1).await.len(), 1);
    let sign = |chain: &Chain, head: ChainHead| SignedHead {
        chain: chain.clone(),
        head,
        signature: format!("signature.of.{}", head.length),
    };
    let both: Vec<_> = heads
        .iter()
        .map(|state| sign(&state.chain, state.head))
        .collect();
    world.store.keep_signed_heads(both).await.unwrap();
    assert_eq!(unsigned(9).await, []);
    let first = world.store.chain_head(&acme).await.unwrap();
    assert_eq!(signed().await, Some(sign(&acme, first)));

    world.record(&acme, vec![superseded("dev_2")]).await;
    world.store.seal_audit(u32::MAX).await.unwrap();
    let second = world.store.chain_head(&acme).await.unwrap();
    let grown = ChainState {
        chain: acme.clone(),
        head: second,
        signed: signed().await,
    };
    assert_eq!(world.store.chain_state(&acme).await.unwrap(), grown);
    assert_eq!(unsigned(9).await, [grown]);
    for head in [second, first] {
        // The earlier head comes late: it does not replace the later one.
        let kept = world.store.keep_signed_heads(vec![sign(&acme, head)]).await;
        kept.unwrap();
        assert_eq!(signed().await, Some(sign(&acme, second)));
    }
    assert_eq!(unsigned(9).await, []);
}

pub async fn the_outbox_is_in_order_and_counts_each_subjects_events(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let (acme, other) = (Chain::Tenant(acme), Chain::Tenant(other));
    world
        .record(&acme, vec![revoked("dev_1"), revoked("dev_2")])
        .await;
    world.record(&other, vec![revoked("dev_1")]).await;
    // What has no webhook takes no number.
    world
        .record(&acme, vec![superseded("dev_1"), revoked("dev_1")])
        .await;
    let alert = || Event::OpsAlert {
        kind: "license_capacity",
    };
    world.record(&Chain::Platform, vec![alert(), alert()]).await;
    let outbox = world.outbox().await;
    let told: Vec<_> = outbox
        .iter()
        .map(|event| {
            let tenant = event.tenant_id.as_ref().map_or("", |id| id.as_str());
            (tenant, event.subject.as_str(), event.sequence)
        })
        .collect();
    let expected = [
        ("acme", "dev_1", 1),
        ("acme", "dev_2", 1),
        ("other", "dev_1", 1),
        ("acme", "dev_1", 2),
        ("", "license_capacity", 1),
        ("", "license_capacity", 2),
    ];
    assert_eq!(told, expected);
    let places: Vec<_> = outbox.iter().map(|event| event.position).collect();
    assert_eq!(places, [1, 2, 3, 4, 5, 6]);
    assert_eq!(outbox[0].data["device_id"], "dev_1");
    let mut ids: Vec<_> = outbox.iter().map(|event| &event.event_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), outbox.len());
    let read = async |after, limit| world.store.outbox(after, limit).await.unwrap();
    assert_eq!(read(0, 2).await, outbox[..2]);
    assert_eq!(read(2, 3).await, outbox[2..5]);
    assert_eq!(read(5, 9).await, outbox[5..]);
    assert_eq!(read(6, 9).await, []);
}

pub async fn events_at_once_are_numbered_without_a_gap(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let store = std::sync::Arc::clone(&world.store);
        let (change, chain) = (world.change(), acme.clone());
        calls.spawn(async move {
            let recorded = store.record(change, chain, vec![revoked("dev_1")]);
            recorded.await.unwrap();
        });
        // The sealer's turns come between.
        let store = std::sync::Arc::clone(&world.store);
        calls.spawn(async move {
            store.seal_audit(3).await.unwrap();
        });
    }
    calls.join_all().await;
    let outbox = world.outbox().await;
    let count = |number: fn(&OutboxEvent) -> u64| outbox.iter().map(number).collect::<Vec<_>>();
    assert_eq!(count(|event| event.sequence), (1..=32).collect::<Vec<_>>());
    assert_eq!(count(|event| event.position), (1..=32).collect::<Vec<_>>());
}

pub async fn an_event_is_delivered_once_it_has_its_place(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    for n in 0..5 {
        world
            .record(&acme, vec![revoked(&format!("dev_{n}"))])
            .await;
    }
    let subjects = async |after| {
        let events = world.store.outbox(after, 9).await.unwrap();
        events
            .into_iter()
            .map(|event| event.subject)
            .collect::<Vec<_>>()
    };
    assert!(subjects(0).await.is_empty());
    for (events, seen) in [(2, 2), (2, 4), (1, 5), (0, 5)] {
        let turn = world.store.seal_audit(2).await.unwrap();
        assert_eq!(
            (turn.events, turn.is_full(2)),
            (events, seen < 5 || turn.rows == 2)
        );
        assert_eq!(subjects(0).await.len(), seen);
    }
    assert_eq!(subjects(3).await, ["dev_3", "dev_4"]);
}

/// A user's changes, one after the other, while the sealer takes its turns.
pub async fn what_follows_one_another_stays_in_order(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    let mut calls = tokio::task::JoinSet::new();
    for device in 0..4 {
        let store = std::sync::Arc::clone(&world.store);
        let changes: Vec<_> = (0..8).map(|n| world.change_at(n)).collect();
        let chain = acme.clone();
        calls.spawn(async move {
            for change in changes {
                let event = revoked(&format!("dev_{device}"));
                store
                    .record(change, chain.clone(), vec![event])
                    .await
                    .unwrap();
            }
        });
        let store = std::sync::Arc::clone(&world.store);
        calls.spawn(async move {
            for _ in 0..8 {
                store.seal_audit(3).await.unwrap();
            }
        });
    }
    calls.join_all().await;
    let (outbox, rows) = (world.outbox().await, world.audit(&acme).await);
    for device in 0..4 {
        let subject = format!("dev_{device}");
        let events = outbox.iter().filter(|event| event.subject == subject);
        let told: Vec<_> = events.map(|event| (event.sequence, event.at)).collect();
        let expected: Vec<_> = (0..8_u32)
            .map(|n| (u64::from(n) + 1, at(n.into())))
            .collect();
        assert_eq!(told, expected);
        let rows = rows.iter().filter(|row| row.subject == subject);
        let times: Vec<_> = rows.map(|row| row.at).collect();
        assert!(times.is_sorted() && times.len() == 8, "{times:?}");
    }
}

pub async fn a_user_is_named_by_the_internal_id_in_the_audit_trail(world: World) {
    let tenant_id = world.tenant("acme").await;
    let user = world.consenting_user(&tenant_id, "ada-lovelace").await;
    let rows = world.audit(&Chain::Tenant(tenant_id)).await;
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(row.subject, user.internal_id.as_str());
        let text = serde_json::to_string(&row).unwrap();
        for private in ["lovelace", "Ada", "ada@example.org"] {
            assert!(!text.contains(private), "{text}");
        }
    }
    for event in world.outbox().await {
        assert_eq!(event.subject, "ada-lovelace");
    }
}
