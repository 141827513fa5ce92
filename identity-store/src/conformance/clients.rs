use std::collections::BTreeSet;

use identity_pki::TenantId;

use super::fixtures::{World, at};
use super::witness::{Told, walk};
use crate::{ClientCredential, ClientSecret, Conflict, Entity, NewClient, OAuthClient, SecretHash};

impl World {
    fn new_client(&self, tenant_id: &TenantId) -> NewClient {
        NewClient {
            client_id: self.id("cli_"),
            tenant_id: tenant_id.clone(),
            name: "Shop".to_owned(),
            scopes: BTreeSet::from(["users.read".to_owned(), "devices.read".to_owned()]),
            credential: ClientCredential::Secret(SecretHash(self.digest())),
            notification_endpoint: Some("https://shop.example/told".to_owned()),
        }
    }

    pub(super) async fn client(&self, tenant_id: &TenantId) -> OAuthClient {
        let new = self.new_client(tenant_id);
        self.store.create_client(self.change(), new).await.unwrap()
    }
}

pub async fn a_client_is_made_with_one_secret(world: World) {
    let tenant_id = world.tenant("acme").await;
    let new = world.new_client(&tenant_id);
    let ClientCredential::Secret(hash) = new.credential else {
        panic!("{new:?}");
    };
    let told = Told::tenant(&["oauth_client_created"], &[]);
    let client = world
        .commits(world.change_at(4), told, async |change| {
            world.store.create_client(change, new.clone()).await
        })
        .await;
    let expected = OAuthClient {
        client_id: new.client_id.clone(),
        tenant_id,
        name: new.name.clone(),
        scopes: new.scopes.clone(),
        secrets: vec![ClientSecret {
            hash,
            expires_at: None,
        }],
        jwks: None,
        notification_endpoint: new.notification_endpoint.clone(),
        created_at: at(4),
    };
    assert_eq!(client, expected);
    let read = world.store.client(&client.client_id).await.unwrap();
    assert_eq!(read, Some(expected));
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            world.store.create_client(change, new).await
        })
        .await;
}

pub async fn a_client_needs_a_tenant(world: World) {
    let new = world.new_client(&"nobody".parse().unwrap());
    let client_id = new.client_id.clone();
    world
        .misses(world.change(), Entity::Tenant, async |change| {
            world.store.create_client(change, new).await
        })
        .await;
    assert_eq!(world.store.client(&client_id).await.unwrap(), None);
}

pub async fn clients_are_listed_newest_first_each_once_in_their_tenant(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    world.client(&other).await;
    let mut expected = Vec::new();
    for seconds in [1, 2, 2, 3] {
        let new = world.new_client(&acme);
        let made = world.store.create_client(world.change_at(seconds), new);
        expected.push(made.await.unwrap().client_id);
    }
    expected.sort();
    for limit in [1, 2, 3, 200] {
        let clients = walk(limit, async |page| world.store.clients(&acme, page).await).await;
        assert!(clients.is_sorted_by(|newer, older| newer.created_at >= older.created_at));
        let mut ids: Vec<_> = clients.into_iter().map(|client| client.client_id).collect();
        ids.sort();
        assert_eq!(ids, expected);
    }
}

pub async fn a_new_secret_ends_the_ones_before_it(world: World) {
    let tenant_id = world.tenant("acme").await;
    let first = world.client(&tenant_id).await;
    let client_id = &first.client_id;
    let add = async |seconds, others_until| {
        let secret = SecretHash(world.digest());
        let told = Told::tenant(&["oauth_client_secret_added"], &[]);
        let client = world
            .commits(world.change_at(seconds), told, async |change| {
                let until = at(others_until);
                world
                    .store
                    .add_client_secret(change, &tenant_id, client_id, secret, until)
                    .await
            })
            .await;
        let read = world.store.client(client_id).await.unwrap();
        assert_eq!(read.as_ref(), Some(&client));
        let mut secrets: Vec<_> = client
            .secrets
            .into_iter()
            .map(|secret| (secret.hash.0, secret.expires_at))
            .collect();
        secrets.sort_unstable();
        (secret.0, secrets)
    };
    let first = first.secrets[0].hash.0;
    let (second, secrets) = add(10, 100).await;
    assert_eq!(secrets, [(first, Some(at(100))), (second, None)]);
    // An earlier end stays, a later one is drawn in.
    let (third, secrets) = add(20, 200).await;
    let expected = [
        (first, Some(at(100))),
        (second, Some(at(200))),
        (third, None),
    ];
    assert_eq!(secrets, expected);
    let (fourth, secrets) = add(100, 150).await;
    let expected = [
        (second, Some(at(150))),
        (third, Some(at(150))),
        (fourth, None),
    ];
    assert_eq!(secrets, expected);
    let (fifth, secrets) = add(150, 150).await;
    assert_eq!(secrets, [(fifth, None)]);
}

pub async fn a_client_has_keys_in_place_of_a_secret(world: World) {
    let tenant_id = world.tenant("acme").await;
    let new = NewClient {
        credential: ClientCredential::Jwks("first keys".to_owned()),
        ..world.new_client(&tenant_id)
    };
    let keyed = world
        .store
        .create_client(world.change(), new)
        .await
        .unwrap();
    let with_secret = world.client(&tenant_id).await;
    assert_eq!(keyed.jwks.as_deref(), Some("first keys"));
    assert_eq!((keyed.secrets.len(), with_secret.secrets.len()), (0, 1));
    for client in [keyed, with_secret] {
        let client_id = &client.client_id;
        let told = Told::tenant(&["oauth_client_keys_replaced"], &[]);
        let replaced = world
            .commits(world.change(), told, async |change| {
                let jwks = "next keys".to_owned();
                world
                    .store
                    .replace_client_keys(change, &tenant_id, client_id, jwks)
                    .await
            })
            .await;
        let expected = OAuthClient {
            secrets: Vec::new(),
            jwks: Some("next keys".to_owned()),
            ..client.clone()
        };
        assert_eq!(replaced, expected);
        let read = world.store.client(client_id).await.unwrap();
        assert_eq!(read, Some(expected));
        world
            .conflicts(world.change(), Conflict::ClientHasKeys, async |change| {
                let secret = SecretHash(world.digest());
                world
                    .store
                    .add_client_secret(change, &tenant_id, client_id, secret, at(9))
                    .await
            })
            .await;
    }
}

pub async fn a_client_is_deleted(world: World) {
    let tenant_id = world.tenant("acme").await;
    let client_id = world.client(&tenant_id).await.client_id;
    let told = Told::tenant(&["oauth_client_deleted"], &[]);
    world
        .commits(world.change(), told, async |change| {
            world
                .store
                .delete_client(change, &tenant_id, &client_id)
                .await
        })
        .await;
    assert_eq!(world.store.client(&client_id).await.unwrap(), None);
    world
        .misses(world.change(), Entity::Client, async |change| {
            world
                .store
                .delete_client(change, &tenant_id, &client_id)
                .await
        })
        .await;
}

pub async fn another_tenants_client_is_not_found(world: World) {
    let (acme, other) = (world.tenant("acme").await, world.tenant("other").await);
    let client = world.client(&acme).await;
    let client_id = &client.client_id;
    world
        .misses(world.change(), Entity::Client, async |change| {
            let secret = SecretHash(world.digest());
            world
                .store
                .add_client_secret(change, &other, client_id, secret, at(9))
                .await
        })
        .await;
    world
        .misses(world.change(), Entity::Client, async |change| {
            let jwks = "keys".to_owned();
            world
                .store
                .replace_client_keys(change, &other, client_id, jwks)
                .await
        })
        .await;
    world
        .misses(world.change(), Entity::Client, async |change| {
            world.store.delete_client(change, &other, client_id).await
        })
        .await;
    // The look-up of a token request knows no tenant.
    let read = world.store.client(client_id).await.unwrap();
    assert_eq!(read, Some(client));
}
