use std::sync::Arc;

use tokio::task::JoinSet;

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{DevicePolicy, Error, TenantConfig};

fn days(validity_days: u32, renewal_window_days: u32) -> DevicePolicy {
    DevicePolicy {
        validity_days,
        renewal_window_days,
        clock_skew_seconds: 60,
    }
}

fn own_days(validity: Option<u32>, window: Option<u32>) -> TenantConfig {
    TenantConfig {
        certificate_validity_days: validity,
        renewal_window_days: window,
        ..TenantConfig::default()
    }
}

pub async fn the_platforms_policy_is_the_default_one_until_another_is_set(world: World) {
    let policy = async || world.store.device_policy().await.unwrap();
    assert_eq!(policy().await, DevicePolicy::default());
    for (set, told) in [
        (DevicePolicy::default(), &[][..]),
        (days(45, 15), &["device_policy_changed"]),
        (days(45, 15), &[]),
        (days(1, 0), &["device_policy_changed"]),
    ] {
        let told = Told::platform(told);
        let answered = world
            .commits(world.change(), told, async |change| {
                world.store.set_device_policy(change, set).await
            })
            .await;
        assert_eq!(answered, set);
        assert_eq!(policy().await, set);
    }
}

pub async fn a_tenants_settings_override_the_platforms_policy(world: World) {
    let (own, other) = (world.tenant("own").await, world.tenant("other").await);
    let set = world.store.set_device_policy(world.change(), days(45, 15));
    set.await.unwrap();
    world.configure(&own, own_days(Some(20), None)).await;
    for (tenant_id, expected) in [(&own, days(20, 15)), (&other, days(45, 15))] {
        let policy = world.store.tenant_device_policy(tenant_id).await;
        assert_eq!(policy.unwrap(), Some(expected));
        let (_, code) = world.pending_device(tenant_id).await;
        let candidate = world.store.pairing_candidate(&code, at(0));
        assert_eq!(candidate.await.unwrap().unwrap().device_policy, expected);
    }
    let unknown = "unknown".parse().unwrap();
    let policy = world.store.tenant_device_policy(&unknown).await;
    assert_eq!(policy.unwrap(), None);
}

pub async fn no_change_leads_to_a_policy_that_is_not_sound(world: World) {
    let set = async |policy| {
        let refused = world
            .refuses(world.change(), async |change| {
                world.store.set_device_policy(change, policy).await
            })
            .await;
        let Error::RenewalWindow { tenant_id, policy } = refused else {
            panic!("{refused:?}");
        };
        (tenant_id, policy)
    };
    assert_eq!(set(days(30, 30)).await, (None, days(30, 30)));
    let tenant_id = world.tenant("acme").await;
    world.configure(&tenant_id, own_days(None, Some(60))).await;
    let of_acme = days(60, 60);
    assert_eq!(set(days(60, 10)).await, (Some(tenant_id.clone()), of_acme));
    let policy = world.store.device_policy().await.unwrap();
    assert_eq!(policy, DevicePolicy::default());
    for config in [own_days(None, Some(90)), own_days(Some(30), None)] {
        let refused = world
            .refuses(world.change(), async |change| {
                let config = config.clone();
                let set = world.store.set_tenant_config(change, &tenant_id, config);
                set.await
            })
            .await;
        let Error::RenewalWindow { tenant_id: of, .. } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(of.as_ref(), Some(&tenant_id));
    }
    let tenant = world.store.tenant(&tenant_id).await.unwrap().unwrap();
    assert_eq!(tenant.config, own_days(None, Some(60)));
}

pub async fn of_two_changes_at_once_that_do_not_suit_one_another_one_is_refused(world: World) {
    for round in 0..8 {
        let tenant_id = world.tenant(&format!("acme-{round}")).await;
        let (policy, config) = (days(60, 10), own_days(None, Some(60)));
        let mut changes = JoinSet::new();
        let (store, change) = (Arc::clone(&world.store), world.change());
        changes.spawn(async move { store.set_device_policy(change, policy).await.is_ok() });
        let (store, change, of) = (Arc::clone(&world.store), world.change(), tenant_id.clone());
        changes.spawn(async move { store.set_tenant_config(change, &of, config).await.is_ok() });
        let made = changes.join_all().await;
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
        let policy = world.store.tenant_device_policy(&tenant_id).await;
        assert!(policy.unwrap().unwrap().is_sound());
        world.configure(&tenant_id, TenantConfig::default()).await;
        let back = world
            .store
            .set_device_policy(world.change(), DevicePolicy::default());
        back.await.unwrap();
    }
}
