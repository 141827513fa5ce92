use super::fixtures::{World, at};
use crate::{Conflict, IdempotencyKey, Reservation, StoredAnswer};

const BODY: [u8; 32] = [1; 32];
const OTHER_BODY: [u8; 32] = [2; 32];

impl World {
    /// Reserves a key with a lease of a minute, kept for ten.
    async fn reserve_at(
        &self,
        key: IdempotencyKey,
        body_sha256: [u8; 32],
        seconds: i64,
    ) -> Reservation {
        let reserved = self
            .store
            .reserve(
                key,
                body_sha256,
                at(seconds),
                at(seconds + 60),
                at(seconds + 600),
            )
            .await;
        reserved.unwrap()
    }

    async fn rename(&self, name: &str, answer: StoredAnswer) -> crate::Result<crate::Tenant> {
        let tenant_id = "acme".parse().unwrap();
        let change = self.change().answering(answer);
        let renamed = self
            .store
            .rename_tenant(change, &tenant_id, name.to_owned());
        renamed.await
    }

    /// Runs a change whose key is another's, which tells nothing.
    async fn is_late(&self, answer: StoredAnswer) {
        let before = self.trail().await;
        let late = self.rename("Late", answer).await.unwrap_err();
        let answered = crate::Error::Conflict(Conflict::RequestAnswered);
        assert_eq!(late.to_string(), answered.to_string());
        assert_eq!(self.trail().await, before);
    }

    async fn name(&self) -> String {
        let tenant = self.store.tenant(&"acme".parse().unwrap()).await;
        tenant.unwrap().unwrap().name
    }
}

/// The answer to a request that reserved its key at second 0.
fn answer(key: IdempotencyKey, status: u16) -> StoredAnswer {
    answer_of(0, key, status)
}

/// The answer to a request that reserved its key at that second.
fn answer_of(seconds: i64, key: IdempotencyKey, status: u16) -> StoredAnswer {
    StoredAnswer {
        key,
        lease_until: at(seconds + 60),
        status,
        body: vec![0, 255, 123],
    }
}

pub async fn a_key_is_reserved_once_while_its_lease_runs(world: World) {
    let key = world.request_key();
    let unrelated = world.request_key();
    for (seconds, body, expected) in [
        (0, BODY, Reservation::Fresh),
        (59, BODY, Reservation::InProgress),
        (59, OTHER_BODY, Reservation::OtherBody),
        (60, OTHER_BODY, Reservation::Fresh),
        (61, BODY, Reservation::OtherBody),
        (119, OTHER_BODY, Reservation::InProgress),
    ] {
        assert_eq!(
            world.reserve_at(key, body, seconds).await,
            expected,
            "{seconds}"
        );
    }
    let fresh = world.reserve_at(unrelated, BODY, 0).await;
    assert_eq!(fresh, Reservation::Fresh);
}

pub async fn of_many_that_reserve_one_key_one_goes_on(world: World) {
    let key = world.request_key();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let store = std::sync::Arc::clone(&world.store);
        calls.spawn(async move {
            let reserved = store.reserve(key, BODY, at(0), at(60), at(600)).await;
            reserved.unwrap() == Reservation::Fresh
        });
    }
    let fresh = calls.join_all().await.into_iter().filter(|fresh| *fresh);
    assert_eq!(fresh.count(), 1);
}

pub async fn an_answer_is_repeated_until_its_time_is_over(world: World) {
    let key = world.request_key();
    world.reserve_at(key, BODY, 0).await;
    let kept = answer(key, 409);
    world.store.keep_answer(kept.clone()).await.unwrap();
    let second = answer(key, 201);
    world.store.keep_answer(second).await.unwrap();
    for (seconds, body, expected) in [
        (1, BODY, Reservation::Answered(kept.clone())),
        (599, BODY, Reservation::Answered(kept.clone())),
        (599, OTHER_BODY, Reservation::OtherBody),
        (600, OTHER_BODY, Reservation::Fresh),
    ] {
        assert_eq!(
            world.reserve_at(key, body, seconds).await,
            expected,
            "{seconds}"
        );
    }
}

pub async fn an_answer_without_a_reservation_is_not_kept(world: World) {
    let key = world.request_key();
    world.store.keep_answer(answer(key, 200)).await.unwrap();
    assert_eq!(world.reserve_at(key, BODY, 0).await, Reservation::Fresh);
}

pub async fn a_key_is_given_back_unanswered(world: World) {
    let key = world.request_key();
    let release = async |key, lease_until| world.store.release(key, lease_until).await.unwrap();
    world.reserve_at(key, BODY, 0).await;
    release(key, at(60)).await;
    assert_eq!(
        world.reserve_at(key, OTHER_BODY, 1).await,
        Reservation::Fresh
    );
    // The first request once more, whose key is another's now.
    release(key, at(60)).await;
    let again = world.reserve_at(key, OTHER_BODY, 2).await;
    assert_eq!(again, Reservation::InProgress);
    let kept = answer_of(1, key, 200);
    world.store.keep_answer(kept.clone()).await.unwrap();
    release(key, at(61)).await;
    let again = world.reserve_at(key, OTHER_BODY, 3).await;
    assert_eq!(again, Reservation::Answered(kept));
    release(world.request_key(), at(60)).await;
}

pub async fn a_purge_takes_what_is_past_its_time(world: World) {
    let (answered, abandoned, later) = (
        world.request_key(),
        world.request_key(),
        world.request_key(),
    );
    for (key, seconds) in [(answered, 0), (abandoned, 0), (later, 1)] {
        world.reserve_at(key, BODY, seconds).await;
    }
    world
        .store
        .keep_answer(answer(answered, 200))
        .await
        .unwrap();
    for (seconds, purged) in [(599, 0), (600, 2), (600, 0), (601, 1)] {
        let count = world.store.purge_answers(at(seconds)).await.unwrap();
        assert_eq!(count, purged, "{seconds}");
    }
    assert_eq!(
        world.reserve_at(answered, BODY, 1).await,
        Reservation::Fresh
    );
}

pub async fn of_two_runs_of_a_request_one_commits(world: World) {
    world.tenant("acme").await;
    let key = world.request_key();
    world.reserve_at(key, BODY, 0).await;
    // The first run's lease ends before it does, and a second run takes over.
    assert_eq!(world.reserve_at(key, BODY, 60).await, Reservation::Fresh);
    world.is_late(answer(key, 201)).await;
    let second = answer_of(60, key, 202);
    world.rename("Second", second.clone()).await.unwrap();
    world.is_late(second.clone()).await;
    assert_eq!(world.name().await, "Second");
    let again = world.reserve_at(key, BODY, 61).await;
    assert_eq!(again, Reservation::Answered(second));
}

pub async fn a_late_run_leaves_its_key_to_the_request_that_took_it(world: World) {
    world.tenant("acme").await;
    let key = world.request_key();
    world.reserve_at(key, BODY, 0).await;
    assert_eq!(
        world.reserve_at(key, OTHER_BODY, 60).await,
        Reservation::Fresh
    );
    world.is_late(answer(key, 201)).await;
    world.store.keep_answer(answer(key, 422)).await.unwrap();
    let again = world.reserve_at(key, OTHER_BODY, 61).await;
    assert_eq!(again, Reservation::InProgress);
    let other = answer_of(60, key, 200);
    world.rename("Other", other.clone()).await.unwrap();
    let again = world.reserve_at(key, OTHER_BODY, 61).await;
    assert_eq!(again, Reservation::Answered(other));
    assert_eq!(world.name().await, "Other");
}

pub async fn a_run_whose_key_was_given_back_does_not_commit(world: World) {
    world.tenant("acme").await;
    let key = world.request_key();
    world.reserve_at(key, BODY, 0).await;
    world.store.release(key, at(60)).await.unwrap();
    world.is_late(answer(key, 201)).await;
    assert_eq!(world.reserve_at(key, BODY, 1).await, Reservation::Fresh);
}

pub async fn keys_of_a_process_that_died_are_given_back_and_answers_stay(world: World) {
    let (answered, unanswered) = (world.request_key(), world.request_key());
    for key in [answered, unanswered] {
        assert_eq!(world.reserve_at(key, BODY, 0).await, Reservation::Fresh);
    }
    let kept = answer(answered, 422);
    world.store.keep_answer(kept.clone()).await.unwrap();
    for given_back in [1, 0] {
        assert_eq!(world.store.release_all().await.unwrap(), given_back);
    }
    let again = world.reserve_at(answered, BODY, 1).await;
    assert_eq!(again, Reservation::Answered(kept));
    let again = world.reserve_at(unanswered, BODY, 1).await;
    assert_eq!(again, Reservation::Fresh);
}
