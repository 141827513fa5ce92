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
}

fn answer(key: IdempotencyKey, status: u16) -> StoredAnswer {
    StoredAnswer {
        key,
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
    let kept = answer(key, 200);
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
    world.rename("First", answer(key, 201)).await.unwrap();
    let before = world.trail().await;
    let second = world.rename("Second", answer(key, 202)).await.unwrap_err();
    assert!(
        matches!(second, crate::Error::Conflict(Conflict::RequestAnswered)),
        "{second:?}"
    );
    assert_eq!(world.trail().await, before);
    let tenant = world.store.tenant(&"acme".parse().unwrap()).await.unwrap();
    assert_eq!(tenant.unwrap().name, "First");
    let again = world.reserve_at(key, BODY, 61).await;
    assert_eq!(again, Reservation::Answered(answer(key, 201)));
}

pub async fn a_run_whose_key_was_given_back_does_not_commit(world: World) {
    world.tenant("acme").await;
    let key = world.request_key();
    world.reserve_at(key, BODY, 0).await;
    world.store.release(key, at(60)).await.unwrap();
    let run = world.rename("Late", answer(key, 201)).await.unwrap_err();
    assert!(
        matches!(run, crate::Error::Conflict(Conflict::RequestAnswered)),
        "{run:?}"
    );
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
