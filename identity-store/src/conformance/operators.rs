use super::fixtures::{World, at};
use super::witness::{Told, walk};
use crate::{
    Conflict, Entity, KeptSession, NewOperator, NewPassword, NewSession, Operator, OperatorEdit,
    PasswordHash, Role, SessionTokenHash,
};

impl World {
    pub(super) fn new_admin(&self, email: &str) -> NewOperator {
        NewOperator {
            operator_id: self.id("adm_"),
            email: email.to_owned(),
            role: Role::PlatformAdmin,
            tenant_id: None,
            password: PasswordHash("$argon2id$v=19$first".to_owned()),
        }
    }

    pub(super) async fn admin(&self, email: &str) -> Operator {
        let new = self.new_admin(email);
        let made = self.store.create_operator(self.change(), new).await;
        made.unwrap()
    }

    pub(super) async fn operator(&self, operator: &Operator) -> Operator {
        let read = self.store.operator(&operator.operator_id).await.unwrap();
        read.unwrap()
    }
}

pub async fn the_first_operator_is_seeded_once(world: World) {
    let new = world.new_admin("root@example.org");
    let told = Told::platform(&["console_user_created"]);
    let seeded = world
        .commits(world.change_at(2), told, async |change| {
            world.store.seed_operator(change, new.clone()).await
        })
        .await;
    let expected = Operator {
        operator_id: new.operator_id,
        email: Some(new.email),
        role: Role::PlatformAdmin,
        tenant_id: None,
        password: new.password,
        must_change_password: true,
        created_at: at(2),
    };
    assert_eq!(seeded.as_ref(), Some(&expected));
    assert_eq!(world.operator(&expected).await, expected);
    let second = world.new_admin("second@example.org");
    let seeded = world
        .commits(world.change(), Told::nothing(), async |change| {
            world.store.seed_operator(change, second).await
        })
        .await;
    assert_eq!(seeded, None);
    let found = world.store.operator_by_email("second@example.org").await;
    assert_eq!(found.unwrap(), None);
}

pub async fn an_operator_is_made_and_found_by_address(world: World) {
    let tenant_id = world.tenant("acme").await;
    let new = NewOperator {
        role: Role::TenantOperator,
        tenant_id: Some(tenant_id.clone()),
        ..world.new_admin("eve@example.org")
    };
    let told = Told::platform(&["console_user_created"]);
    let made = world
        .commits(world.change(), told, async |change| {
            world.store.create_operator(change, new.clone()).await
        })
        .await;
    assert_eq!(made.tenant_id, Some(tenant_id));
    assert_eq!(made.role, Role::TenantOperator);
    assert!(made.must_change_password);
    let found = world.store.operator_by_email("eve@example.org").await;
    assert_eq!(found.unwrap(), Some(made.clone()));
    assert_eq!(world.operator(&made).await, made);
    let unknown = world.store.operator(&world.id("adm_")).await.unwrap();
    assert_eq!(unknown, None);
}

pub async fn an_operator_that_cannot_be_is_refused(world: World) {
    let tenant_id = world.tenant("acme").await;
    let taken = world.admin("root@example.org").await;
    let new = || world.new_admin("eve@example.org");
    let admin_of_a_tenant = NewOperator {
        tenant_id: Some(tenant_id),
        ..new()
    };
    let operator_of_none = NewOperator {
        role: Role::TenantAdmin,
        ..new()
    };
    let same_id = NewOperator {
        operator_id: taken.operator_id.clone(),
        ..new()
    };
    for (new, conflict) in [
        (admin_of_a_tenant, Conflict::RoleScope),
        (operator_of_none, Conflict::RoleScope),
        (
            world.new_admin(taken.email.as_deref().unwrap()),
            Conflict::OperatorExists,
        ),
        (same_id, Conflict::IdTaken),
    ] {
        world
            .conflicts(world.change(), conflict, async |change| {
                world.store.create_operator(change, new).await
            })
            .await;
    }
    let of_nobody = NewOperator {
        role: Role::TenantAdmin,
        tenant_id: Some("nobody".parse().unwrap()),
        ..new()
    };
    world
        .misses(world.change(), Entity::Tenant, async |change| {
            world.store.create_operator(change, of_nobody).await
        })
        .await;
    let found = world.store.operator_by_email("eve@example.org").await;
    assert_eq!(found.unwrap(), None);
    assert_eq!(world.operator(&taken).await, taken);
}

pub async fn the_platforms_administrators_are_found_first_made_first(world: World) {
    let tenant_id = world.tenant("acme").await;
    for (seconds, email) in [(2, "b"), (1, "a"), (3, "c")] {
        let new = world.new_admin(email);
        let made = world.store.create_operator(world.change_at(seconds), new);
        made.await.unwrap();
    }
    let of_a_tenant = NewOperator {
        role: Role::TenantAdmin,
        tenant_id: Some(tenant_id),
        ..world.new_admin("d")
    };
    let made = world.store.create_operator(world.change(), of_a_tenant);
    made.await.unwrap();
    let admins = world.store.platform_admins().await.unwrap();
    let emails: Vec<_> = admins.iter().filter_map(|it| it.email.as_deref()).collect();
    assert_eq!(emails, ["a", "b", "c"]);
    assert!(admins.iter().all(|it| it.role == Role::PlatformAdmin));
}

pub async fn operators_are_listed_newest_first_each_once(world: World) {
    for (seconds, email) in [(1, "a"), (2, "b"), (2, "c"), (3, "d")] {
        let new = world.new_admin(email);
        let made = world.store.create_operator(world.change_at(seconds), new);
        made.await.unwrap();
    }
    for limit in [1, 2, 3, 200] {
        let listed = walk(limit, async |page| world.store.operators(page).await).await;
        assert!(listed.is_sorted_by(|newer, older| newer.created_at >= older.created_at));
        let mut emails: Vec<_> = listed.into_iter().map(|operator| operator.email).collect();
        emails.sort_unstable();
        assert_eq!(
            emails,
            ["a", "b", "c", "d"].map(|email| Some(email.to_owned()))
        );
    }
}

pub async fn a_new_role_ends_the_sessions_and_a_new_address_does_not(world: World) {
    let tenant_id = world.tenant("acme").await;
    let new = NewOperator {
        role: Role::TenantOperator,
        tenant_id: Some(tenant_id),
        ..world.new_admin("eve@example.org")
    };
    let made = world.store.create_operator(world.change(), new).await;
    let before = made.unwrap();
    let session = NewSession {
        session_id: world.id("ses_"),
        operator_id: before.operator_id.clone(),
        password: before.password.clone(),
        token_hash: SessionTokenHash(world.digest()),
        expires_at: at(1000),
    };
    let opened = world.store.create_session(world.change(), session);
    opened.await.unwrap();
    let address = OperatorEdit {
        email: Some("eva@example.org".to_owned()),
        role: None,
    };
    let same_role = OperatorEdit {
        email: None,
        role: Some(Role::TenantOperator),
    };
    let new_role = OperatorEdit {
        email: None,
        role: Some(Role::TenantAdmin),
    };
    for (edit, role, sessions) in [
        (address, Role::TenantOperator, 1),
        (same_role, Role::TenantOperator, 1),
        (new_role, Role::TenantAdmin, 0),
    ] {
        let told = Told::platform(&["console_user_updated"]);
        let edited = world
            .commits(world.change(), told, async |change| {
                let operator_id = &before.operator_id;
                world.store.update_operator(change, operator_id, edit).await
            })
            .await;
        let expected = Operator {
            email: Some("eva@example.org".to_owned()),
            role,
            ..before.clone()
        };
        assert_eq!(edited, expected);
        assert_eq!(world.operator(&before).await, expected);
        let open = world.store.sessions(&before.operator_id, at(1)).await;
        assert_eq!(open.unwrap().len(), sessions);
    }
    let old = world.store.operator_by_email("eve@example.org").await;
    assert_eq!(old.unwrap(), None);
}

pub async fn an_operator_keeps_their_scope_and_an_address_its_owner(world: World) {
    let tenant_id = world.tenant("acme").await;
    let admin = world.admin("root@example.org").await;
    world.admin("second@example.org").await;
    let new = NewOperator {
        role: Role::TenantAdmin,
        tenant_id: Some(tenant_id),
        ..world.new_admin("eve@example.org")
    };
    let made = world.store.create_operator(world.change(), new).await;
    let eve = made.unwrap();
    let role = |role| OperatorEdit {
        email: None,
        role: Some(role),
    };
    let address = OperatorEdit {
        email: admin.email.clone(),
        role: None,
    };
    for (operator, edit, conflict) in [
        (&admin, role(Role::TenantAdmin), Conflict::RoleScope),
        (&eve, role(Role::PlatformAdmin), Conflict::RoleScope),
        (&eve, address, Conflict::OperatorExists),
    ] {
        world
            .conflicts(world.change(), conflict, async |change| {
                let operator_id = &operator.operator_id;
                world.store.update_operator(change, operator_id, edit).await
            })
            .await;
        assert_eq!(world.operator(operator).await, *operator);
    }
}

pub async fn the_last_platform_administrator_stays(world: World) {
    let first = world.admin("first@example.org").await;
    let second = world.admin("second@example.org").await;
    let told = Told::platform(&["console_user_deleted"]);
    world
        .commits(world.change(), told, async |change| {
            world
                .store
                .delete_operator(change, &first.operator_id)
                .await
        })
        .await;
    let gone = world.store.operator(&first.operator_id).await.unwrap();
    assert_eq!(gone, None);
    let last = Conflict::LastPlatformAdmin;
    world
        .conflicts(world.change(), last, async |change| {
            let operator_id = &second.operator_id;
            world.store.delete_operator(change, operator_id).await
        })
        .await;
    world
        .conflicts(world.change(), last, async |change| {
            let edit = OperatorEdit {
                email: None,
                role: Some(Role::TenantAdmin),
            };
            let operator_id = &second.operator_id;
            world.store.update_operator(change, operator_id, edit).await
        })
        .await;
    assert_eq!(world.operator(&second).await, second);
}

pub async fn of_two_administrators_who_delete_each_other_one_stays(world: World) {
    let admins = [
        world.admin("first@example.org").await,
        world.admin("second@example.org").await,
    ];
    let mut calls = tokio::task::JoinSet::new();
    for admin in admins {
        let store = std::sync::Arc::clone(&world.store);
        let change = world.change();
        calls.spawn(async move { store.delete_operator(change, &admin.operator_id).await });
    }
    let done = calls.join_all().await;
    assert_eq!(done.iter().filter(|deleted| deleted.is_ok()).count(), 1);
    let left = walk(5, async |page| world.store.operators(page).await).await;
    assert_eq!(left.len(), 1);
}

pub async fn an_unknown_operator_is_not_changed(world: World) {
    let admin = world.admin("root@example.org").await;
    let unknown = world.id("adm_");
    let (store, missing) = (&world.store, Entity::Operator);
    world
        .misses(world.change(), missing, async |change| {
            let edit = OperatorEdit::default();
            store.update_operator(change, &unknown, edit).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            store.delete_operator(change, &unknown).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let new = NewPassword {
                operator_id: unknown.clone(),
                verified: admin.password.clone(),
                password: PasswordHash("$argon2id$x".to_owned()),
                keep: KeptSession {
                    session_id: world.id("ses_"),
                    token_hash: None,
                },
            };
            store.set_password(change, new).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let session = NewSession {
                session_id: world.id("ses_"),
                operator_id: unknown.clone(),
                password: admin.password.clone(),
                token_hash: SessionTokenHash(world.digest()),
                expires_at: at(9),
            };
            store.create_session(change, session).await
        })
        .await;
    assert_eq!(world.operator(&admin).await, admin);
}
