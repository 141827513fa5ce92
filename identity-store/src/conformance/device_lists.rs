use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::DeviceIdentity;

use super::fixtures::{VALIDITY, World, at};
use super::witness::walk;
use crate::{DeviceEdit, DeviceFilter, DeviceStatus, NewDevice};

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
