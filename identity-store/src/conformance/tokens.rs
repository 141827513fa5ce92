use std::sync::Arc;

use identity_pki::TenantId;
use tokio::task::JoinSet;

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{AssertionSha256, ClientId, IssuedToken};

impl World {
    fn token(&self, tenant_id: &TenantId, client_id: &ClientId, seconds: i64) -> IssuedToken {
        IssuedToken {
            tenant_id: tenant_id.clone(),
            client_id: client_id.clone(),
            jti: format!("token-{}", self.draw()),
            expires_at: at(seconds),
        }
    }

    async fn stands(&self, token: &IssuedToken) -> bool {
        self.store.token_stands(token).await.unwrap()
    }

    async fn revoke(&self, token: &IssuedToken, told: Told) {
        self.commits(self.change(), told, async |change| {
            self.store.revoke_token(change, token).await
        })
        .await;
    }

    async fn uses(&self, tenant_id: &TenantId, client_id: &ClientId, byte: u8) -> bool {
        let assertion = AssertionSha256([byte; 32]);
        let used = self
            .store
            .use_assertion(tenant_id, client_id, assertion, at(60));
        used.await.unwrap()
    }
}

fn revoked() -> Told {
    Told::tenant(&["token_revoked"], &[])
}

pub async fn a_token_stands_until_it_is_revoked(world: World) {
    let tenant_id = world.tenant("acme").await;
    let client_id = world.client(&tenant_id).await.client_id;
    let token = world.token(&tenant_id, &client_id, 60);
    let other = world.token(&tenant_id, &client_id, 60);
    assert!(world.stands(&token).await);
    world.revoke(&token, revoked()).await;
    assert!(!world.stands(&token).await);
    assert!(world.stands(&other).await);
    world.revoke(&token, Told::nothing()).await;
    assert!(!world.stands(&token).await);
}

pub async fn a_token_stands_while_its_client_is_there_in_its_tenant(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let client_id = world.client(&acme).await.client_id;
    let token = world.token(&acme, &client_id, 60);
    let others = IssuedToken {
        tenant_id: other.clone(),
        ..token.clone()
    };
    assert!(!world.stands(&others).await);
    // Of two tenants' tokens with one id each is revoked by itself.
    world.revoke(&others, revoked()).await;
    assert!(world.stands(&token).await);
    let deleted = world
        .store
        .delete_client(world.change(), &acme, &client_id)
        .await;
    deleted.unwrap();
    assert!(!world.stands(&token).await);
}

pub async fn an_assertion_is_used_once_by_each_client(world: World) {
    let before = world.trail().await;
    let (acme, other) = (world.id("cli_"), world.id("cli_"));
    let tenants: [TenantId; 2] = ["acme", "other"].map(|slug| slug.parse().unwrap());
    for (tenant_id, client_id) in [
        (&tenants[0], &acme),
        (&tenants[0], &other),
        (&tenants[1], &acme),
    ] {
        assert!(world.uses(tenant_id, client_id, 1).await);
        assert!(!world.uses(tenant_id, client_id, 1).await);
        assert!(world.uses(tenant_id, client_id, 2).await);
    }
    assert_eq!(world.trail().await, before);
}

pub async fn of_many_that_use_one_assertion_at_once_one_is_first(world: World) {
    let (tenant_id, client_id): (TenantId, ClientId) = ("acme".parse().unwrap(), world.id("cli_"));
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let (store, tenant_id) = (Arc::clone(&world.store), tenant_id.clone());
        let client_id = client_id.clone();
        calls.spawn(async move {
            let assertion = AssertionSha256([7; 32]);
            let used = store.use_assertion(&tenant_id, &client_id, assertion, at(60));
            used.await.unwrap()
        });
    }
    let first = calls.join_all().await;
    assert_eq!(first.into_iter().filter(|first| *first).count(), 1);
}

pub async fn what_is_over_of_tokens_is_purged(world: World) {
    let tenant_id = world.tenant("acme").await;
    let client_id = world.client(&tenant_id).await.client_id;
    let [early, late] = [60, 61].map(|seconds| world.token(&tenant_id, &client_id, seconds));
    world.revoke(&early, revoked()).await;
    world.revoke(&late, revoked()).await;
    assert!(world.uses(&tenant_id, &client_id, 1).await);
    let purge = async |seconds| world.store.purge_tokens(at(seconds)).await.unwrap();
    assert_eq!(purge(59).await, 0);
    assert_eq!(purge(60).await, 2, "a token and an assertion");
    assert_eq!(purge(60).await, 0);
    assert!(!world.stands(&late).await);
    assert!(world.stands(&early).await, "nothing is known of it");
    assert!(world.uses(&tenant_id, &client_id, 1).await);
}
