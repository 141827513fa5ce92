use std::sync::Arc;

use super::fixtures::{World, at};
use super::second_factor::{STEP, code, recovery_code};
use super::witness::Told;
use crate::{Conflict, Entity, Error, LoginRefusal, NewOperator, Operator, PasswordHash, Role};

fn temporary() -> PasswordHash {
    PasswordHash("$argon2id$v=19$temporary".to_owned())
}

fn recovered(operator: &Operator) -> Operator {
    Operator {
        password: temporary(),
        must_change_password: true,
        ..operator.clone()
    }
}

pub async fn an_administrator_who_lost_password_and_codes_is_let_in_again(world: World) {
    let store = &world.store;
    let (email, refusal) = ("root@example.org", LoginRefusal::Code);
    let (operator, totp_id) = world.guarded(email).await;
    let operator_id = &operator.operator_id;
    let (other, other_totp) = world.guarded("second@example.org").await;
    let waiting = world.waiting(&operator).await;
    let opened = world.waiting(&operator).await;
    let session = world.new_session(&operator);
    let token = session.token_hash;
    let shown = code(&totp_id, STEP + 1);
    world.complete(&opened, shown, session).await.unwrap();
    for address in [email, "second@example.org"] {
        for _ in 0..3 {
            let wrong = (address == email).then(|| operator_id.clone());
            let noted = store.record_login_failure(world.change(), address, wrong, refusal);
            noted.await.unwrap();
        }
    }
    assert!(world.opens(&token, 1, 0).await);

    let told = Told::platform(&["console_user_recovered"]);
    world
        .commits(world.change(), told, async |change| {
            let password = temporary();
            store
                .recover_platform_admin(change, operator_id, password)
                .await
        })
        .await;
    assert_eq!(world.operator(&operator).await, recovered(&operator));
    assert!(store.totp(operator_id).await.unwrap().is_none());
    assert!(!world.opens(&token, 1, 0).await);
    assert_eq!(store.sessions(operator_id, at(1)).await.unwrap(), []);
    assert_eq!(store.sign_in(&waiting, at(1)).await.unwrap(), None);
    assert_eq!(world.failures(email, 0).await.count, 0);
    let waits = world.waiting(&recovered(&operator)).await;
    for stale in [code(&totp_id, STEP + 2), recovery_code(1), recovery_code(2)] {
        let session = world.new_session(&recovered(&operator));
        let refused = world.complete(&waits, stale, session).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::Conflict(Conflict::CodeRefused)));
    }
    world.session(&recovered(&operator), 2).await;

    // Nobody else notices.
    assert_eq!(world.operator(&other).await, other);
    let kept = store.totp(&other.operator_id).await.unwrap().unwrap();
    assert_eq!((kept.totp_id, kept.confirmed), (other_totp, true));
    let open = store.sessions(&other.operator_id, at(1)).await.unwrap();
    assert_eq!(open.len(), 1);
    let failures = world.failures("second@example.org", 0).await;
    assert_eq!(failures.count, 3);
}

pub async fn nobody_but_a_platform_administrator_is_recovered(world: World) {
    let tenant_id = world.tenant("acme").await;
    for role in [Role::TenantAdmin, Role::TenantOperator] {
        let new = NewOperator {
            role,
            tenant_id: Some(tenant_id.clone()),
            ..world.new_admin(&format!("{role:?}@example.org"))
        };
        let made = world.store.create_operator(world.change(), new).await;
        let operator = made.unwrap();
        let (_, token) = world.session(&operator, 0).await;
        world
            .conflicts(world.change(), Conflict::NotPlatformAdmin, async |change| {
                let operator_id = &operator.operator_id;
                world
                    .store
                    .recover_platform_admin(change, operator_id, temporary())
                    .await
            })
            .await;
        assert_eq!(world.operator(&operator).await, operator);
        assert!(world.opens(&token, 1, 0).await);
    }
    let unknown = world.id("adm_");
    world
        .misses(world.change(), Entity::Operator, async |change| {
            world
                .store
                .recover_platform_admin(change, &unknown, temporary())
                .await
        })
        .await;
}

pub async fn no_sign_in_that_was_under_way_outlives_a_recovery(world: World) {
    let (operator, totp_id) = world.guarded("root@example.org").await;
    let mut calls = tokio::task::JoinSet::new();
    for step in 1..=4 {
        let waits = world.waiting(&operator).await;
        let session = world.new_session(&operator);
        let (store, change) = (Arc::clone(&world.store), world.change_at(1));
        let shown = match step {
            1 => recovery_code(1),
            step => code(&totp_id, STEP + step),
        };
        // Whether it came before or behind, nothing of it is left.
        calls.spawn(async move {
            let _ = store.complete_sign_in(change, &waits, shown, session).await;
        });
    }
    let (store, change) = (Arc::clone(&world.store), world.change());
    let operator_id = operator.operator_id.clone();
    calls.spawn(async move {
        let recovered = store.recover_platform_admin(change, &operator_id, temporary());
        recovered.await.unwrap();
    });
    calls.join_all().await;
    let sessions = world.store.sessions(&operator.operator_id, at(1)).await;
    assert_eq!(sessions.unwrap(), []);
    assert_eq!(world.operator(&operator).await, recovered(&operator));
}
