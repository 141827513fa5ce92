use super::fixtures::{World, at};
use super::witness::Told;
use crate::{NamedSecret, NextTokenKey, SecretBytes, TokenKeys};

impl World {
    fn next_key(&self, published: i64, active: i64) -> NextTokenKey {
        NextTokenKey {
            key_id: format!("key-{}", self.draw()),
            secret: SecretBytes::new(self.digest()),
            published_at: at(published),
            active_from: at(active),
        }
    }

    async fn token_keys(&self) -> TokenKeys {
        self.store.token_keys().await.unwrap()
    }

    /// The key that signs, in the way that it was asked for before there was another.
    async fn signing_key(&self) -> Vec<u8> {
        let name = NamedSecret::TokenSigningKey;
        let secret = self.store.known_secret(name).await.unwrap().unwrap();
        assert_eq!(active(&self.token_keys().await), secret.expose());
        secret.expose().to_vec()
    }

    async fn first_key(&self) -> SecretBytes {
        let (name, fresh) = (
            NamedSecret::TokenSigningKey,
            SecretBytes::new(self.digest()),
        );
        self.store.named_secret(name, fresh).await.unwrap()
    }

    async fn publishes(&self, key: &NextTokenKey) {
        let told = Told::platform(&["token_key_published"]);
        self.commits(self.change(), told, async |change| {
            self.store.publish_token_key(change, key.clone()).await
        })
        .await;
    }

    async fn activates(&self, seconds: i64, retired: &str) -> bool {
        let change = self.change_at(seconds);
        let (key_id, jwk) = (retired.to_owned(), format!("{{\"kid\":\"{retired}\"}}"));
        let activated = self.store.activate_token_key(change, key_id, jwk).await;
        activated.unwrap()
    }
}

fn active(keys: &TokenKeys) -> &[u8] {
    keys.active.as_ref().unwrap().expose()
}

fn next(keys: &TokenKeys) -> Option<(&str, &[u8])> {
    let next = keys.next.as_ref()?;
    Some((&next.key_id, next.secret.expose()))
}

pub async fn a_key_signs_from_its_first_need_on_and_its_age_is_noted_once(world: World) {
    assert!(world.token_keys().await.active.is_none());
    world.store.date_token_key(at(1)).await.unwrap();
    let first = world.first_key().await;
    let keys = world.token_keys().await;
    assert_eq!((active(&keys), keys.active_since), (first.expose(), None));
    for seconds in [5, 6] {
        world.store.date_token_key(at(seconds)).await.unwrap();
        assert_eq!(world.token_keys().await.active_since, Some(at(5)));
    }
    assert_eq!(next(&keys), None);
    assert_eq!(keys.retired, []);
}

pub async fn the_next_key_is_published_before_it_signs(world: World) {
    let first = world.first_key().await;
    let (dropped, published) = (world.next_key(10, 500), world.next_key(20, 100));
    world.publishes(&dropped).await;
    world.publishes(&published).await;
    let keys = world.token_keys().await;
    let expected = (&*published.key_id, published.secret.expose());
    assert_eq!(next(&keys), Some(expected), "in the other's place");
    let next = keys.next.as_ref().unwrap();
    assert_eq!((next.published_at, next.active_from), (at(20), at(100)));
    assert!(!world.activates(99, "first").await);
    assert_eq!(world.signing_key().await, first.expose());

    let told = Told::platform(&["token_key_activated"]);
    let activated = world
        .commits(world.change_at(100), told, async |change| {
            let (key_id, jwk) = ("first".to_owned(), "the first JWK".to_owned());
            world.store.activate_token_key(change, key_id, jwk).await
        })
        .await;
    assert!(activated);
    assert_eq!(world.signing_key().await, published.secret.expose());
    let keys = world.token_keys().await;
    assert_eq!(keys.active_since, Some(at(100)));
    assert!(keys.next.is_none());
    assert!(!world.activates(101, "second").await, "once");
}

pub async fn the_public_keys_of_those_before_stay(world: World) {
    world.first_key().await;
    for (round, retired) in (1..).zip(["first", "second", "third"]) {
        world.publishes(&world.next_key(0, round * 100)).await;
        assert!(world.activates(round * 100, retired).await);
    }
    let keys = world.token_keys().await;
    let retired = keys.retired.iter();
    let retired: Vec<_> = retired
        .map(|key| (&*key.key_id, &*key.public_jwk, key.retired_at))
        .collect();
    let expected = [
        ("first", "{\"kid\":\"first\"}", at(100)),
        ("second", "{\"kid\":\"second\"}", at(200)),
        ("third", "{\"kid\":\"third\"}", at(300)),
    ];
    assert_eq!(retired, expected);
}
