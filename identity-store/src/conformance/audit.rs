use identity_pki::{DeviceId, Fingerprint, TenantId};

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{
    Actor, AuditRow, Chain, ChainHead, Change, Event, Outcome, Severity, TenantConfig, audit_hash,
};

fn ca_generated() -> Event {
    Event::PlatformCaGenerated {
        fingerprint: Fingerprint::from_bytes([9; 32]),
        expires_at: at(99),
    }
}

fn superseded(device_id: &str) -> Event {
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
    async fn record(&self, chain: &Chain, events: Vec<Event>) {
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
fn verify(rows: &[AuditRow]) -> ChainHead {
    let mut head = ChainHead {
        length: 0,
        hash: [0; 32],
    };
    for row in rows {
        assert_eq!(row.prev_hash, Some(head.hash), "{row:?}");
        let hash = audit_hash(&head.hash, row).unwrap();
        assert_eq!(row.hash, Some(hash), "{row:?}");
        head = ChainHead {
            length: head.length + 1,
            hash,
        };
    }
    head
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
        let sealed = world.audit(chain).await;
        let head = verify(&sealed);
        assert_eq!(head.length, rows);
        assert_eq!(world.store.chain_head(chain).await.unwrap(), head);
        assert!(
            sealed
                .iter()
                .all(|row| row.tenant_id.as_ref() == chain.tenant_id())
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
    let empty = ChainHead {
        length: 0,
        hash: [0; 32],
    };
    assert_eq!(world.store.chain_head(&nobody).await.unwrap(), empty);
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
        let seen = world.store.sealed_audit(&acme, None, 9).await.unwrap();
        assert!(seen.iter().all(|row| row.hash.is_some()));
        assert_eq!(world.store.seal_audit(limit).await.unwrap(), sealed);
        assert_eq!(length(&Chain::Platform).await, platform);
        assert_eq!(length(&acme).await, tenant);
    }
    verify(&world.audit(&Chain::Platform).await);
    verify(&world.audit(&acme).await);
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
    let sealed: u64 = calls.join_all().await.into_iter().sum();
    assert_eq!(sealed, 41);
    assert_eq!(verify(&world.audit(&acme).await).length, 40);
}

pub async fn a_chain_is_read_on_from_where_a_reader_stopped(world: World) {
    let acme = Chain::Tenant(world.tenant("acme").await);
    for n in 0..5 {
        let id = format!("dev_{n}");
        world.record(&acme, vec![superseded(&id)]).await;
    }
    let all = world.audit(&acme).await;
    let mut read: Vec<AuditRow> = Vec::new();
    loop {
        let after = read.last().map(|row| row.id.clone());
        let rows = world.store.sealed_audit(&acme, after.as_ref(), 2).await;
        let rows = rows.unwrap();
        assert!(rows.len() <= 2);
        if rows.is_empty() {
            break;
        }
        read.extend(rows);
    }
    assert_eq!(read, all);
}

pub async fn an_edited_row_no_longer_fits_its_hash(world: World) {
    world.tenant("acme").await;
    let row = world.audit(&Chain::Platform).await.remove(0);
    let previous = row.prev_hash.unwrap();
    let edited = AuditRow {
        request_id: "req-forged".to_owned(),
        ..row.clone()
    };
    assert_eq!(audit_hash(&previous, &row).ok(), row.hash);
    assert_ne!(audit_hash(&previous, &edited).ok(), row.hash);
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
    }
    calls.join_all().await;
    let outbox = world.outbox().await;
    let sequences: Vec<u64> = outbox.iter().map(|event| event.sequence).collect();
    assert_eq!(sequences, (1..=32).collect::<Vec<u64>>());
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
