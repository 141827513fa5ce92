use super::fixtures::{World, at};
use super::witness::{Told, walk};
use crate::{
    Conflict, Cursor, Entity, Error, PageRequest, PalmDuplicateAction, TenantConfig, TenantStatus,
};

pub async fn a_tenant_is_made_active_with_default_settings(world: World) {
    let told = Told::platform(&["tenant_created"]);
    let made = world
        .commits(world.change(), told, async |change| {
            let name = "Acme".to_owned();
            world
                .store
                .create_tenant(change, "acme".parse().unwrap(), name)
                .await
        })
        .await;
    assert_eq!(made.name, "Acme");
    assert_eq!(made.status, TenantStatus::Active);
    assert_eq!(made.config, TenantConfig::default());
    assert_eq!(made.created_at, at(0));
    assert_eq!(
        world.store.tenant(&made.tenant_id).await.unwrap(),
        Some(made)
    );
    let unknown = world.store.tenant(&"other".parse().unwrap()).await;
    assert_eq!(unknown.unwrap(), None);
}

pub async fn a_tenant_id_is_taken_once(world: World) {
    let tenant_id = world.tenant("acme").await;
    world
        .conflicts(world.change(), Conflict::TenantExists, async |change| {
            let name = "Another".to_owned();
            world
                .store
                .create_tenant(change, tenant_id.clone(), name)
                .await
        })
        .await;
    let tenant = world.store.tenant(&tenant_id).await.unwrap().unwrap();
    assert_eq!(tenant.name, "The acme company");
}

pub async fn tenants_are_listed_newest_first_each_once(world: World) {
    for (seconds, slug) in [(1, "aa"), (3, "bb"), (2, "cc"), (3, "dd"), (3, "ee")] {
        let made = world.store.create_tenant(
            world.change_at(seconds),
            slug.parse().unwrap(),
            slug.to_owned(),
        );
        made.await.unwrap();
    }
    for limit in [1, 2, 4, 5, 200] {
        let listed = walk(limit, async |page| world.store.tenants(page).await).await;
        let mut times: Vec<_> = listed.iter().map(|tenant| tenant.created_at).collect();
        assert!(
            times.is_sorted_by(|newer, older| newer >= older),
            "{times:?}"
        );
        let mut names: Vec<_> = listed.iter().map(|tenant| tenant.name.as_str()).collect();
        assert_eq!(&names[3..], ["cc", "aa"]);
        names.sort_unstable();
        names.dedup();
        times.dedup();
        assert_eq!((names.len(), times.len()), (5, 3));
    }
}

pub async fn a_cursor_that_no_page_gave_is_refused(world: World) {
    world.tenant("acme").await;
    let after = Some(Cursor::after("not a cursor"));
    let listed = world.store.tenants(PageRequest { limit: 5, after }).await;
    assert!(matches!(listed, Err(Error::Cursor)), "{listed:?}");
}

pub async fn a_tenant_is_renamed(world: World) {
    let tenant_id = world.tenant("acme").await;
    let told = Told::platform(&["tenant_updated"]);
    let renamed = world
        .commits(world.change_at(5), told, async |change| {
            let name = "Acme & Sons".to_owned();
            world.store.rename_tenant(change, &tenant_id, name).await
        })
        .await;
    assert_eq!(renamed.name, "Acme & Sons");
    assert_eq!(renamed.created_at, at(0));
    let read = world.store.tenant(&tenant_id).await.unwrap();
    assert_eq!(read, Some(renamed));
}

pub async fn a_suspension_is_told_when_it_changes_something(world: World) {
    let tenant_id = world.tenant("acme").await;
    let steps = [
        (TenantStatus::Active, &[][..]),
        (TenantStatus::Suspended, &["tenant_suspended"]),
        (TenantStatus::Suspended, &[]),
        (TenantStatus::Active, &["tenant_activated"]),
    ];
    for (status, actions) in steps {
        let tenant = world
            .commits(world.change(), Told::platform(actions), async |change| {
                let set = world.store.set_tenant_status(change, &tenant_id, status);
                set.await
            })
            .await;
        assert_eq!(tenant.status, status);
        let read = world.store.tenant(&tenant_id).await.unwrap();
        assert_eq!(read, Some(tenant));
    }
}

pub async fn a_tenants_settings_are_replaced_whole(world: World) {
    let tenant_id = world.tenant("acme").await;
    let config = TenantConfig {
        audit_enabled: false,
        certificate_validity_days: Some(30),
        renewal_window_days: Some(7),
        renewal_grace_seconds: 60,
        kyc_required_for_enrollment: true,
        max_open_challenges_per_device: 1,
        palm_duplicate_action: PalmDuplicateAction::Flag,
        ..TenantConfig::default()
    };
    for config in [config, TenantConfig::default()] {
        // Settings are the platform's business, also of a tenant without an audit trail.
        let told = Told::platform(&["tenant_updated"]);
        world
            .commits(world.change(), told, async |change| {
                let config = config.clone();
                world
                    .store
                    .set_tenant_config(change, &tenant_id, config)
                    .await
            })
            .await;
        let read = world.store.tenant(&tenant_id).await.unwrap().unwrap();
        assert_eq!(read.config, config);
    }
}

pub async fn an_unknown_tenant_is_not_changed(world: World) {
    world.tenant("acme").await;
    let unknown = "other".parse().unwrap();
    let (store, missing) = (&world.store, Entity::Tenant);
    world
        .misses(world.change(), missing, async |change| {
            store.rename_tenant(change, &unknown, "X".to_owned()).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let status = TenantStatus::Suspended;
            store.set_tenant_status(change, &unknown, status).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let config = TenantConfig::default();
            store.set_tenant_config(change, &unknown, config).await
        })
        .await;
}
