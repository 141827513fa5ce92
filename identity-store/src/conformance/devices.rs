use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::DeviceIdentity;

use super::fixtures::{CODE_LIFE, ENROLL_LEFT, World, at};
use super::witness::{Told, walk};
use crate::{
    Conflict, Device, DeviceEdit, DeviceFilter, DeviceInfo, DeviceStanding, DeviceStatus, Entity,
    NewDevice, TenantStatus,
};

pub async fn a_device_is_registered_and_waits_to_be_paired(world: World) {
    let tenant_id = world.tenant("acme").await;
    let new = NewDevice {
        location: Some("Hall".to_owned()),
        binding: DeviceBinding::new(DeviceClass::Pos, Some("wallet"), Some("pay")).unwrap(),
        ..world.new_device(&tenant_id, "Till")
    };
    let told = Told::tenant(&["device_created"], &["device.created"]);
    let device = world
        .commits(world.change_at(1), told, async |change| {
            world.store.create_device(change, new.clone()).await
        })
        .await;
    let expected = Device {
        identity: new.identity.clone(),
        name: "Till".to_owned(),
        location: Some("Hall".to_owned()),
        binding: new.binding,
        tags: new.tags,
        status: DeviceStatus::PendingPairing,
        info: DeviceInfo::default(),
        certificate: None,
        pairing_expires_at: Some(at(CODE_LIFE)),
        paired_at: None,
        revoked_at: None,
        revoked_by: None,
        last_seen_at: None,
        created_at: at(1),
    };
    assert_eq!(device, expected);
    assert_eq!(world.device(&new.identity).await, expected);
}

pub async fn a_device_needs_a_tenant(world: World) {
    let elsewhere = "other".parse().unwrap();
    let new = world.new_device(&elsewhere, "Scanner");
    world
        .misses(world.change(), Entity::Tenant, async |change| {
            world.store.create_device(change, new.clone()).await
        })
        .await;
    let read = world.store.device(&new.identity, at(0)).await.unwrap();
    assert_eq!(read, None);
}

pub async fn an_id_or_a_code_that_is_taken_is_drawn_again(world: World) {
    let tenant_id = world.tenant("acme").await;
    let first = world.new_device(&tenant_id, "First");
    let created = world.store.create_device(world.change(), first.clone());
    created.await.unwrap();
    let same_id = NewDevice {
        identity: first.identity.clone(),
        ..world.new_device(&tenant_id, "Second")
    };
    let same_code = NewDevice {
        pairing: first.pairing.clone(),
        ..world.new_device(&tenant_id, "Second")
    };
    for new in [same_id, same_code] {
        world
            .conflicts(world.change(), Conflict::IdTaken, async |change| {
                world.store.create_device(change, new).await
            })
            .await;
    }
    assert_eq!(world.device(&first.identity).await.name, "First");
}

pub async fn devices_are_registered_together_or_not_at_all(world: World) {
    let tenant_id = world.tenant("acme").await;
    let new = ["First", "Second"].map(|name| world.new_device(&tenant_id, name));
    let told = Told::tenant(
        &["device_created", "device_created"],
        &["device.created", "device.created"],
    );
    world
        .commits(world.change_at(1), told, async |change| {
            world.store.create_devices(change, new.to_vec()).await
        })
        .await;
    for new in &new {
        let device = world.device(&new.identity).await;
        assert_eq!((device.name, device.created_at), (new.name.clone(), at(1)));
        assert_eq!(device.status, DeviceStatus::PendingPairing);
        let candidate = world.store.pairing_candidate(&new.pairing.code_hash, at(2));
        let candidate = candidate.await.unwrap().unwrap();
        assert_eq!(candidate.identity, new.identity);
    }
    let third = world.new_device(&tenant_id, "Third");
    let with_taken = vec![third.clone(), new[0].clone()];
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            world.store.create_devices(change, with_taken).await
        })
        .await;
    let elsewhere = world.new_device(&"other".parse().unwrap(), "Elsewhere");
    let with_nobodys = vec![third.clone(), elsewhere];
    world
        .misses(world.change(), Entity::Tenant, async |change| {
            world.store.create_devices(change, with_nobodys).await
        })
        .await;
    let read = world.store.device(&third.identity, at(0)).await.unwrap();
    assert_eq!(read, None);
}

pub async fn an_unused_code_runs_out_at_its_moment(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, _) = world.pending_device(&tenant_id).await;
    let moments = [
        (CODE_LIFE - 1, DeviceStatus::PendingPairing),
        (CODE_LIFE, DeviceStatus::Expired),
    ];
    for (seconds, status) in moments {
        let now = at(seconds);
        let device = world.store.device(&identity, now).await.unwrap().unwrap();
        assert_eq!(device.status, status);
        assert_eq!(device.pairing_expires_at, Some(at(CODE_LIFE)));
        let standing = world.store.device_standing(&identity, now).await.unwrap();
        assert_eq!(standing.unwrap().status, status);
        for wanted in [DeviceStatus::PendingPairing, DeviceStatus::Expired] {
            let filter = DeviceFilter {
                status: Some(wanted),
                ..DeviceFilter::all(now)
            };
            let found = world
                .store
                .devices(&tenant_id, filter, crate::PageRequest::first(5))
                .await
                .unwrap();
            assert_eq!(found.data.len(), usize::from(wanted == status));
        }
    }
}

pub async fn a_device_is_edited_field_by_field(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, _) = world.pending_device(&tenant_id).await;
    let mut expected = world.device(&identity).await;
    let edits = [
        DeviceEdit::default(),
        DeviceEdit {
            name: Some("Door".to_owned()),
            ..DeviceEdit::default()
        },
        DeviceEdit {
            location: Some(Some("Cellar".to_owned())),
            tags: Some([("k".to_owned(), "v".to_owned())].into()),
            ..DeviceEdit::default()
        },
        DeviceEdit {
            location: Some(None),
            tags: Some([].into()),
            ..DeviceEdit::default()
        },
    ];
    for edit in edits {
        expected.name = edit.name.clone().unwrap_or(expected.name);
        expected.location = edit.location.clone().unwrap_or(expected.location);
        expected.tags = edit.tags.clone().unwrap_or(expected.tags);
        let told = Told::tenant(&["device_updated"], &["device.updated"]);
        let edited = world
            .commits(world.change_at(9), told, async |change| {
                world.store.update_device(change, &identity, edit).await
            })
            .await;
        assert_eq!(edited, expected);
        assert_eq!(world.device(&identity).await, expected);
    }
}

pub async fn a_device_keeps_its_class_and_may_change_its_binding(world: World) {
    let tenant_id = world.tenant("acme").await;
    let bound = |class, product| DeviceBinding::new(class, Some(product), Some("pay")).unwrap();
    let new = NewDevice {
        binding: bound(DeviceClass::Pos, "wallet"),
        ..world.new_device(&tenant_id, "Till")
    };
    let identity = new.identity.clone();
    let created = world.store.create_device(world.change(), new).await;
    let before = created.unwrap();
    let edit = |binding| DeviceEdit {
        name: Some("Other".to_owned()),
        binding: Some(binding),
        ..DeviceEdit::default()
    };
    let gate = edit(bound(DeviceClass::Gate, "wallet"));
    world
        .conflicts(world.change(), Conflict::DeviceClassFixed, async |change| {
            world.store.update_device(change, &identity, gate).await
        })
        .await;
    assert_eq!(world.device(&identity).await, before);
    let rebound = edit(bound(DeviceClass::Pos, "tickets"));
    let edited = world
        .store
        .update_device(world.change(), &identity, rebound);
    assert_eq!(edited.await.unwrap().binding.product(), Some("tickets"));
}

pub async fn another_tenants_device_is_not_found(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let device = world.paired_device(&acme).await;
    let foreign = DeviceIdentity::new(other.clone(), device.identity.device_id().clone());
    let (store, missing) = (&world.store, Entity::Device);
    assert_eq!(store.device(&foreign, at(0)).await.unwrap(), None);
    assert_eq!(store.device_standing(&foreign, at(0)).await.unwrap(), None);
    assert_eq!(store.device_work(&foreign, at(0)).await.unwrap(), None);
    let everything = DeviceFilter::all(at(0));
    let listed = walk(5, async |page| {
        store.devices(&other, everything.clone(), page).await
    });
    assert_eq!(listed.await, []);
    world
        .misses(world.change(), missing, async |change| {
            let edit = DeviceEdit::default();
            store.update_device(change, &foreign, edit).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let offer = world.offer();
            store
                .issue_pairing_code(change, &foreign, offer, true)
                .await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            store.revoke_device(change, &foreign).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let renewal = crate::RenewDevice {
                presented: device.certificate.clone().unwrap().tbs_sha256,
                certificate: world.certificate(&foreign),
            };
            store.renew_device(change, renewal).await
        })
        .await;
    store.touch_devices(vec![(foreign, at(9))]).await.unwrap();
    assert_eq!(world.device(&device.identity).await, device);
}

pub async fn the_latest_sight_of_a_device_stays(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (identity, _) = world.pending_device(&tenant_id).await;
    let unknown = world.identity(&tenant_id);
    let before = world.trail().await;
    for (seconds, latest) in [(20, 20), (10, 20), (30, 30)] {
        let seen = vec![(unknown.clone(), at(99)), (identity.clone(), at(seconds))];
        world.store.touch_devices(seen).await.unwrap();
        let device = world.device(&identity).await;
        assert_eq!(device.last_seen_at, Some(at(latest)));
    }
    let twice = [at(50), at(40)].map(|moment| (identity.clone(), moment));
    world.store.touch_devices(twice.to_vec()).await.unwrap();
    let device = world.device(&identity).await;
    assert_eq!(device.last_seen_at, Some(at(50)), "of two in one list");
    assert_eq!(world.trail().await, before);
    assert_eq!(world.store.device(&unknown, at(0)).await.unwrap(), None);
}

pub async fn a_device_stands_as_it_and_its_tenant_stand(world: World) {
    let tenant_id = world.tenant("acme").await;
    let unknown = world.identity(&tenant_id);
    let standing = world.store.device_standing(&unknown, at(0)).await;
    assert_eq!(standing.unwrap(), None);
    assert_eq!(
        world.store.device_work(&unknown, at(0)).await.unwrap(),
        None
    );
    let device = world.paired_device(&tenant_id).await;
    let user = world.consenting_user(&tenant_id, "ada").await;
    let mut open = vec![
        world.open_at(1, &user, &device, ENROLL_LEFT).await,
        world.open_at(2, &user, &device, ENROLL_LEFT).await,
    ];
    let mut expected = DeviceStanding {
        status: DeviceStatus::Paired,
        active_tbs_sha256: device.certificate.as_ref().map(|active| active.tbs_sha256),
        class: DeviceClass::PersonalScanner,
        tenant_status: TenantStatus::Active,
        renewal_grace: None,
    };
    let standing = async || {
        let (store, identity) = (&world.store, &device.identity);
        let alone = store.device_standing(identity, at(3)).await.unwrap();
        let work = store.device_work(identity, at(3)).await.unwrap().unwrap();
        assert_eq!(alone.as_ref(), Some(&work.standing));
        (work.standing, work.open_challenges)
    };
    assert_eq!(standing().await, (expected.clone(), open.clone()));
    let suspended = TenantStatus::Suspended;
    let set = world
        .store
        .set_tenant_status(world.change(), &tenant_id, suspended);
    set.await.unwrap();
    expected.tenant_status = suspended;
    assert_eq!(standing().await, (expected.clone(), open.clone()));
    let revoked = world.store.revoke_device(world.change(), &device.identity);
    revoked.await.unwrap();
    expected.status = DeviceStatus::Revoked;
    expected.active_tbs_sha256 = None;
    open.clear();
    assert_eq!(standing().await, (expected, open));
}
