use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::DeviceIdentity;

use super::fixtures::{CODE_LIFE, VALIDITY, World, at};
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
    assert_eq!(store.open_challenges(&foreign, at(0)).await.unwrap(), []);
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

pub async fn devices_are_listed_newest_first_each_once(world: World) {
    let tenant_id = world.tenant("acme").await;
    let mut identities = Vec::new();
    for seconds in [1, 2, 2, 2, 3] {
        let new = world.new_device(&tenant_id, "Scanner");
        identities.push(new.identity.clone());
        let created = world.store.create_device(world.change_at(seconds), new);
        created.await.unwrap();
    }
    for limit in [1, 2, 3, 5, 200] {
        let filter = DeviceFilter::all(at(9));
        let listed = walk(limit, async |page| {
            world.store.devices(&tenant_id, filter.clone(), page).await
        })
        .await;
        assert!(listed.is_sorted_by(|newer, older| newer.created_at >= older.created_at));
        let mut found: Vec<_> = listed.into_iter().map(|device| device.identity).collect();
        found.sort();
        identities.sort();
        assert_eq!(found, identities);
    }
}

/// The names of the devices that a filter finds, in alphabetical order, read page by page.
async fn found(world: &World, filter: DeviceFilter) -> Vec<String> {
    let tenant_id = "acme".parse().unwrap();
    let devices = walk(1, async |page| {
        world.store.devices(&tenant_id, filter.clone(), page).await
    });
    let mut names: Vec<String> = devices
        .await
        .into_iter()
        .map(|device| device.name)
        .collect();
    names.sort_unstable();
    names
}

pub async fn filters_find_devices_by_what_they_are(world: World) {
    let tenant_id = world.tenant("acme").await;
    let pos = DeviceBinding::new(DeviceClass::Pos, Some("wallet"), Some("pay")).unwrap();
    let red = ("colour".to_owned(), "red".to_owned());
    let till = NewDevice {
        binding: pos,
        tags: [red.clone(), ("floor".to_owned(), "3".to_owned())].into(),
        location: Some("100% Hall_A".to_owned()),
        ..world.new_device(&tenant_id, "Till")
    };
    let till_id = till.identity.device_id().as_str().to_owned();
    world
        .store
        .create_device(world.change(), till)
        .await
        .unwrap();
    let door = world.new_device(&tenant_id, "Door");
    world
        .store
        .create_device(world.change(), door)
        .await
        .unwrap();
    let all = || DeviceFilter::all(at(0));
    let class = |class| DeviceFilter {
        class: Some(class),
        ..all()
    };
    assert_eq!(found(&world, all()).await, ["Door", "Till"]);
    assert_eq!(found(&world, class(DeviceClass::Pos)).await, ["Till"]);
    assert_eq!(found(&world, class(DeviceClass::Kiosk)).await, [""; 0]);
    let tag = |key: &str, value: &str| DeviceFilter {
        tag: Some((key.to_owned(), value.to_owned())),
        ..all()
    };
    assert_eq!(found(&world, tag("colour", "red")).await, ["Till"]);
    assert_eq!(found(&world, tag("floor", "3")).await, ["Door", "Till"]);
    assert_eq!(found(&world, tag("floor", "red")).await, [""; 0]);
    assert_eq!(found(&world, tag("red", "colour")).await, [""; 0]);
    let text = |text: &str| DeviceFilter {
        text: Some(text.to_owned()),
        ..all()
    };
    for there in ["tILL", "i", "hall_a", "0% H", &till_id.to_ascii_uppercase()] {
        let names = found(&world, text(there)).await;
        assert!(names.contains(&"Till".to_owned()), "{there}: {names:?}");
    }
    // No character of a search is a pattern.
    for absent in ["T%l", "1_0", "hall.a", "", "nowhere"] {
        let names = found(&world, text(absent)).await;
        let expected = if absent.is_empty() { 2 } else { 0 };
        assert_eq!(names.len(), expected, "{absent}: {names:?}");
    }
    let both = DeviceFilter {
        class: Some(DeviceClass::Pos),
        ..text("door")
    };
    assert_eq!(found(&world, both).await, [""; 0]);
}

pub async fn filters_find_devices_by_their_life(world: World) {
    let tenant_id = world.tenant("acme").await;
    let rename = async |identity: &DeviceIdentity, name: &str| {
        let edit = DeviceEdit {
            name: Some(name.to_owned()),
            ..DeviceEdit::default()
        };
        let renamed = world.store.update_device(world.change(), identity, edit);
        renamed.await.unwrap();
    };
    let paired = world.paired_device(&tenant_id).await.identity;
    let revoked = world.paired_device(&tenant_id).await.identity;
    let (waiting, _) = world.pending_device(&tenant_id).await;
    rename(&paired, "paired").await;
    rename(&revoked, "revoked").await;
    rename(&waiting, "waiting").await;
    let revocation = world.store.revoke_device(world.change(), &revoked);
    revocation.await.unwrap();
    let seen = vec![(paired.clone(), at(100)), (waiting.clone(), at(50))];
    world.store.touch_devices(seen).await.unwrap();

    let all = || DeviceFilter::all(at(0));
    let status = |status| DeviceFilter {
        status: Some(status),
        ..all()
    };
    assert_eq!(
        found(&world, status(DeviceStatus::Paired)).await,
        ["paired"]
    );
    assert_eq!(
        found(&world, status(DeviceStatus::Revoked)).await,
        ["revoked"]
    );
    let pending = status(DeviceStatus::PendingPairing);
    assert_eq!(found(&world, pending).await, ["waiting"]);
    let seen_since = |seconds| DeviceFilter {
        seen_since: Some(at(seconds)),
        ..all()
    };
    assert_eq!(found(&world, seen_since(50)).await, ["paired", "waiting"]);
    assert_eq!(found(&world, seen_since(51)).await, ["paired"]);
    assert_eq!(found(&world, seen_since(101)).await, [""; 0]);
    let unseen_since = |seconds| DeviceFilter {
        unseen_since: Some(at(seconds)),
        ..all()
    };
    assert_eq!(found(&world, unseen_since(50)).await, ["revoked"]);
    assert_eq!(
        found(&world, unseen_since(51)).await,
        ["revoked", "waiting"]
    );
    let has_certificate = |wanted| DeviceFilter {
        has_certificate: Some(wanted),
        ..all()
    };
    assert_eq!(found(&world, has_certificate(true)).await, ["paired"]);
    let without = found(&world, has_certificate(false)).await;
    assert_eq!(without, ["revoked", "waiting"]);
    let expires_after = |seconds| DeviceFilter {
        expires_after: Some(at(seconds)),
        ..all()
    };
    assert_eq!(found(&world, expires_after(VALIDITY - 1)).await, ["paired"]);
    assert_eq!(found(&world, expires_after(VALIDITY)).await, [""; 0]);
    let expires_until = |seconds| DeviceFilter {
        expires_until: Some(at(seconds)),
        ..all()
    };
    assert_eq!(found(&world, expires_until(VALIDITY)).await, ["paired"]);
    assert_eq!(found(&world, expires_until(VALIDITY - 1)).await, [""; 0]);
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
    assert_eq!(world.trail().await, before);
    assert_eq!(world.store.device(&unknown, at(0)).await.unwrap(), None);
}

pub async fn a_device_stands_as_it_and_its_tenant_stand(world: World) {
    let tenant_id = world.tenant("acme").await;
    let unknown = world.identity(&tenant_id);
    let standing = world.store.device_standing(&unknown, at(0)).await;
    assert_eq!(standing.unwrap(), None);
    let device = world.paired_device(&tenant_id).await;
    let mut expected = DeviceStanding {
        status: DeviceStatus::Paired,
        active_serial: device.certificate.map(|certificate| certificate.serial),
        class: DeviceClass::PersonalScanner,
        tenant_status: TenantStatus::Active,
    };
    let standing = async || {
        let read = world.store.device_standing(&device.identity, at(0)).await;
        read.unwrap().unwrap()
    };
    assert_eq!(standing().await, expected);
    let suspended = TenantStatus::Suspended;
    let set = world
        .store
        .set_tenant_status(world.change(), &tenant_id, suspended);
    set.await.unwrap();
    expected.tenant_status = suspended;
    assert_eq!(standing().await, expected);
    let revoked = world.store.revoke_device(world.change(), &device.identity);
    revoked.await.unwrap();
    expected.status = DeviceStatus::Revoked;
    expected.active_serial = None;
    assert_eq!(standing().await, expected);
}
