use std::sync::Arc;

use identity_challenge::{AdmissionRefusal, ChallengeKind};
use identity_pki::TenantId;
use tokio::task::JoinSet;

use super::fixtures::{World, at};
use super::scene::{Scene, scene};
use super::verdicts::{matched, not_found};
use super::witness::Told;
use crate::{
    AuthRequestAnswer, AuthRequestSha256, ChallengeFilter, ChallengeStep, ClaimedNotification,
    ClientId, Conflict, Error, NewChallenge, PageRequest, SecretBytes, StoredChallenge, User,
};

/// A request of a client's, and its challenge.
struct Asked {
    request: AuthRequestSha256,
    client_id: ClientId,
    challenge: StoredChallenge,
}

impl Scene {
    fn wanted(&self) -> NewChallenge {
        let (user, device) = (&self.user, &self.device);
        self.world
            .new_challenge(user, device, ChallengeKind::Verify)
    }

    /// A request of a client of its own, made at the beginning for two minutes.
    async fn asked(&self) -> Asked {
        self.asked_with(None).await
    }

    async fn asked_with(&self, notification: Option<&[u8]>) -> Asked {
        let notification = notification.map(SecretBytes::new);
        let (new, request) = (self.wanted(), AuthRequestSha256(self.world.digest()));
        let told = Told::tenant(&["challenge_created"], &["challenge.created"]);
        let challenge = self
            .world
            .commits(self.world.change(), told, async |change| {
                self.world
                    .store
                    .create_auth_request(change, new, request, notification)
                    .await
            })
            .await;
        Asked {
            request,
            client_id: challenge.client_id.clone().unwrap(),
            challenge,
        }
    }

    /// What the client of a request is told that polls after so many seconds.
    async fn poll(&self, asked: &Asked, seconds: i64, told: Told) -> AuthRequestAnswer {
        let (tenant_id, client_id) = (&self.tenant_id, &asked.client_id);
        self.world
            .commits(self.world.change_at(seconds), told, async |change| {
                self.world
                    .store
                    .poll_auth_request(change, tenant_id, client_id, asked.request)
                    .await
            })
            .await
    }

    async fn is_told(&self, asked: &Asked, seconds: i64, answer: AuthRequestAnswer) {
        let told = self.poll(asked, seconds, Told::nothing()).await;
        assert_eq!(told, answer, "after {seconds} s");
    }

    async fn matches(&self, asked: &Asked, seconds: i64) {
        let verdict = self.world.attempt(&asked.challenge, seconds, matched());
        verdict.await;
    }

    async fn is_granted(&self, asked: &Asked, seconds: i64) {
        let told = Told::tenant(&["token_issued"], &[]);
        let granted = self.poll(asked, seconds, told).await;
        let record = self.world.challenge(&asked.challenge).await;
        assert_eq!(granted, AuthRequestAnswer::Granted(Box::new(record)));
    }

    /// Claims what is due after so many seconds.
    async fn notified(
        &self,
        seconds: i64,
        until: i64,
        expected: &[&str],
    ) -> Vec<ClaimedNotification> {
        let store = &self.world.store;
        let claimed = store.claim_auth_notifications(at(seconds), at(until), 9);
        let claimed = claimed.await.unwrap();
        assert_eq!(texts(&claimed), expected, "after {seconds} s");
        claimed
    }

    async fn suspends(&self, user: &User) {
        let (store, change) = (&self.world.store, self.world.change_at(3));
        let suspended = store.set_user_suspended(change, &user.tenant_id, &user.user_id, true);
        suspended.await.unwrap();
    }
}

fn texts(claimed: &[ClaimedNotification]) -> Vec<String> {
    let text = |claimed: &ClaimedNotification| {
        let notification = claimed.notification.as_ref().unwrap();
        String::from_utf8(notification.expose().to_vec()).unwrap()
    };
    let mut texts: Vec<_> = claimed.iter().map(text).collect();
    texts.sort();
    texts
}

pub async fn an_auth_request_is_made_with_its_challenge_or_not_at_all(world: World) {
    let scene = scene(world).await;
    let world = &scene.world;
    let asked = scene.asked().await;
    assert_eq!(world.challenge(&asked.challenge).await, asked.challenge);
    let again = scene.wanted();
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            let request = asked.request;
            world
                .store
                .create_auth_request(change, again, request, None)
                .await
        })
        .await;
    let all = world.store.challenges(
        &scene.tenant_id,
        ChallengeFilter::default(),
        PageRequest::first(9),
    );
    let verifications = all.await.unwrap().data.into_iter();
    let verifications = verifications.filter(|it| it.challenge.kind() == ChallengeKind::Verify);
    assert_eq!(verifications.collect::<Vec<_>>(), [asked.challenge]);

    let nobody = NewChallenge {
        user_id: "nobody".parse().unwrap(),
        ..scene.wanted()
    };
    let client_id = nobody.client_id.clone().unwrap();
    let request = AuthRequestSha256(world.digest());
    let refused = world
        .refuses(world.change(), async |change| {
            world
                .store
                .create_auth_request(change, nobody, request, None)
                .await
        })
        .await;
    let expected = AdmissionRefusal::UserNotFound;
    assert!(matches!(refused, Error::Admission(it) if it == expected));
    let polled =
        world
            .store
            .poll_auth_request(world.change(), &scene.tenant_id, &client_id, request);
    assert_eq!(polled.await.unwrap(), AuthRequestAnswer::Unknown);
}

pub async fn a_client_is_told_of_its_own_requests_alone(world: World) {
    let scene = scene(world).await;
    let asked = scene.asked().await;
    let other = scene.world.tenant("other").await;
    let stranger: ClientId = scene.world.id("cli_");
    let unknown = AuthRequestSha256(scene.world.digest());
    let poll = async |tenant_id: &TenantId, client_id: &ClientId, request| {
        let store = &scene.world.store;
        let polled = store.poll_auth_request(scene.world.change(), tenant_id, client_id, request);
        polled.await.unwrap()
    };
    scene.matches(&asked, 1).await;
    for (tenant_id, client_id, request) in [
        (&other, &asked.client_id, asked.request),
        (&scene.tenant_id, &stranger, asked.request),
        (&scene.tenant_id, &asked.client_id, unknown),
    ] {
        let told = poll(tenant_id, client_id, request).await;
        assert_eq!(told, AuthRequestAnswer::Unknown);
    }
    scene.is_granted(&asked, 2).await;
}

pub async fn who_polls_too_soon_is_slowed_down_by_five_seconds_each_time(world: World) {
    use AuthRequestAnswer::{Pending, SlowDown};
    let scene = scene(world).await;
    let asked = scene.asked().await;
    // Between polls 5 s are to pass, then 10, then 15.
    for (seconds, answer) in [
        (0, Pending),
        (5, Pending),
        (9, SlowDown),
        (18, SlowDown),
        (33, Pending),
        (47, SlowDown),
        (67, Pending),
    ] {
        scene.is_told(&asked, seconds, answer).await;
    }
    let another = scene.asked().await;
    scene.is_told(&another, 67, Pending).await;
    // Who polls on is told at once how it ended.
    scene.matches(&asked, 68).await;
    scene.is_granted(&asked, 68).await;
}

pub async fn a_client_is_told_how_its_challenge_ended(world: World) {
    use AuthRequestAnswer::{Denied, Expired, Pending};
    let scene = scene(world).await;
    let world = &scene.world;
    let [denied, canceled, failed, overdue] = [
        scene.asked().await,
        scene.asked().await,
        scene.asked().await,
        scene.asked().await,
    ];
    let deny = ChallengeStep::Deny {
        reason: "not me".to_owned(),
    };
    let id = &denied.challenge.challenge_id;
    let step = world
        .store
        .transition_challenge(world.change_at(1), &scene.tenant_id, id, deny);
    step.await.unwrap();
    scene.cancel(&canceled.challenge).await;
    for tries in 0..3 {
        scene.is_told(&failed, tries * 5, Pending).await;
        let tried = world.attempt(&failed.challenge, tries * 5 + 1, not_found());
        tried.await;
    }
    for over in [&denied, &canceled, &failed] {
        scene.is_told(over, 12, Denied).await;
        scene.is_told(over, 12, Denied).await;
    }
    scene.is_told(&overdue, 119, Pending).await;
    scene.is_told(&overdue, 120, Expired).await;
    let swept = world.store.expire_challenges(world.change_at(121), 9);
    assert_eq!(swept.await.unwrap().len(), 1);
    scene.is_told(&overdue, 121, Expired).await;
}

pub async fn a_match_is_granted_once(world: World) {
    let scene = scene(world).await;
    let asked = scene.asked().await;
    scene.is_told(&asked, 1, AuthRequestAnswer::Pending).await;
    scene.matches(&asked, 2).await;
    scene.is_granted(&asked, 3).await;
    for seconds in [3, 60, 400] {
        scene
            .is_told(&asked, seconds, AuthRequestAnswer::Unknown)
            .await;
    }
    let chain = crate::Chain::Tenant(scene.tenant_id.clone());
    let rows = scene.world.audit(&chain).await;
    let issued = rows.iter().find(|row| row.action == "token_issued");
    let expected = serde_json::json!({
        "client_id": asked.client_id, "scope": "openid",
        "challenge_id": asked.challenge.challenge_id,
    });
    assert_eq!(issued.unwrap().metadata, expected);
}

pub async fn of_many_that_poll_at_once_one_is_granted(world: World) {
    let scene = scene(world).await;
    let asked = scene.asked().await;
    scene.matches(&asked, 1).await;
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let (store, tenant_id) = (Arc::clone(&scene.world.store), scene.tenant_id.clone());
        let (change, client_id) = (scene.world.change_at(2), asked.client_id.clone());
        let request = asked.request;
        calls.spawn(async move {
            let polled = store.poll_auth_request(change, &tenant_id, &client_id, request);
            polled.await.unwrap()
        });
    }
    let answers = calls.join_all().await;
    let is_granted = |it: &&AuthRequestAnswer| matches!(it, AuthRequestAnswer::Granted(_));
    let (granted, others): (Vec<_>, Vec<_>) = answers.iter().partition(is_granted);
    assert_eq!(granted.len(), 1);
    assert!(others.iter().all(|it| **it == AuthRequestAnswer::Unknown));
}

pub async fn of_many_that_poll_too_soon_at_once_each_is_slowed_down(world: World) {
    use AuthRequestAnswer::{Pending, SlowDown};
    let scene = scene(world).await;
    let asked = scene.asked().await;
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let (store, tenant_id) = (Arc::clone(&scene.world.store), scene.tenant_id.clone());
        let (change, client_id) = (scene.world.change(), asked.client_id.clone());
        let request = asked.request;
        calls.spawn(async move {
            let polled = store.poll_auth_request(change, &tenant_id, &client_id, request);
            polled.await.unwrap()
        });
    }
    let mut answers = calls.join_all().await;
    answers.sort_by_key(|answer| *answer == SlowDown);
    assert_eq!(answers, [Pending, SlowDown, SlowDown, SlowDown]);
    // Three times five seconds longer.
    scene.is_told(&asked, 19, SlowDown).await;
    scene.is_told(&asked, 44, Pending).await;
}

pub async fn a_token_can_be_fetched_for_a_minute_after_the_match(world: World) {
    let scene = scene(world).await;
    let [early, in_time, late] = [
        scene.asked().await,
        scene.asked().await,
        scene.asked().await,
    ];
    scene.matches(&early, 1).await;
    for asked in [&in_time, &late] {
        scene.matches(asked, 110).await;
    }
    scene.is_granted(&early, 119).await;
    scene.is_granted(&in_time, 169).await;
    scene.is_told(&late, 170, AuthRequestAnswer::Expired).await;
}

pub async fn a_request_at_a_device_that_is_revoked_is_denied(world: World) {
    let scene = scene(world).await;
    let open = scene.asked().await;
    let revoked = scene
        .world
        .store
        .revoke_device(scene.world.change_at(1), &scene.device.identity);
    revoked.await.unwrap();
    scene.is_told(&open, 2, AuthRequestAnswer::Denied).await;
}

pub async fn a_match_of_a_user_who_is_suspended_since_is_denied(world: World) {
    let scene = scene(world).await;
    let asked = scene.asked().await;
    scene.matches(&asked, 1).await;
    scene.suspends(&scene.user).await;
    scene.is_told(&asked, 4, AuthRequestAnswer::Denied).await;
}

pub async fn an_auth_request_goes_with_its_erased_user(world: World) {
    let scene = scene(world).await;
    let world = &scene.world;
    let asked = scene.asked().await;
    scene.matches(&asked, 1).await;
    let begun = world.store.begin_erasure(
        world.change_at(2),
        &scene.tenant_id,
        &scene.user.user_id,
        world.id("era_"),
        "they asked for it".to_owned(),
    );
    let tombstone = begun.await.unwrap().tombstone;
    scene.is_told(&asked, 3, AuthRequestAnswer::Denied).await;
    let erased = world.store.erase_challenges(&tombstone, at(4), 9).await;
    assert_eq!(erased.unwrap(), 2, "the enrolment, and the verification");
    scene.is_told(&asked, 5, AuthRequestAnswer::Unknown).await;
}

pub async fn a_challenges_end_makes_its_notification_due(world: World) {
    let scene = scene(world).await;
    let world = &scene.world;
    let mut ended = Vec::new();
    for text in ["matched", "denied", "canceled", "expired"] {
        ended.push(scene.asked_with(Some(text.as_bytes())).await);
    }
    scene.asked().await;
    scene.notified(1, 31, &[]).await;
    scene.matches(&ended[0], 1).await;
    scene.notified(1, 31, &["matched"]).await;
    let deny = ChallengeStep::Deny {
        reason: "not me".to_owned(),
    };
    let id = &ended[1].challenge.challenge_id;
    let step = world
        .store
        .transition_challenge(world.change_at(1), &scene.tenant_id, id, deny);
    step.await.unwrap();
    world.cancel_at(&ended[2].challenge, 2).await;
    scene.notified(2, 32, &["canceled", "denied"]).await;
    let swept = world.store.expire_challenges(world.change_at(120), 9);
    assert_eq!(
        swept.await.unwrap().len(),
        2,
        "that without a notification too"
    );
    let due = ["canceled", "denied", "expired", "matched"];
    scene.notified(120, 150, &due).await;
    scene.is_granted(&ended[0], 61).await;
}

pub async fn a_notification_is_claimed_by_one_until_it_is_over(world: World) {
    let scene = scene(world).await;
    let store = &scene.world.store;
    let asked = scene.asked_with(Some(b"told")).await;
    scene.matches(&asked, 1).await;
    let before = scene.world.trail().await;
    let first = scene.notified(1, 31, &["told"]).await.remove(0);
    assert_eq!((first.tries, &first.tenant_id), (1, &scene.tenant_id));
    assert_eq!(first.challenge_id, asked.challenge.challenge_id);
    scene.notified(30, 60, &[]).await;
    let second = scene.notified(31, 61, &["told"]).await.remove(0);
    assert_eq!(second.tries, 2);
    // The first one's claim is void.
    for again in [None, Some(at(40))] {
        let finished = store.finish_auth_notification(first.clone(), again);
        finished.await.unwrap();
        scene.notified(60, 90, &[]).await;
    }
    let finished = store.finish_auth_notification(second, Some(at(50)));
    finished.await.unwrap();
    scene.notified(49, 79, &[]).await;
    let third = scene.notified(50, 80, &["told"]).await.remove(0);
    let finished = store.finish_auth_notification(third, None);
    finished.await.unwrap();
    scene.notified(999, 1029, &[]).await;
    assert_eq!(scene.world.trail().await, before);
    scene.is_granted(&asked, 60).await;
}

pub async fn notifications_due_longest_are_claimed_first_by_one_of_many(world: World) {
    let scene = scene(world).await;
    let world = &scene.world;
    let [late, early] = [
        scene.asked_with(Some(b"late")).await,
        scene.asked_with(Some(b"early")).await,
    ];
    world.cancel_at(&early.challenge, 1).await;
    world.cancel_at(&late.challenge, 2).await;
    let first = world.store.claim_auth_notifications(at(3), at(33), 1);
    let first = first.await.unwrap();
    assert_eq!(texts(&first), ["early"]);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&world.store);
        calls.spawn(async move { store.claim_auth_notifications(at(3), at(33), 9).await });
    }
    let claimed = calls.join_all().await.into_iter();
    let claimed: Vec<_> = claimed.flat_map(Result::unwrap).collect();
    assert_eq!(texts(&claimed), ["late"]);
}

pub async fn what_is_over_of_auth_requests_is_purged(world: World) {
    let scene = scene(world).await;
    let asked = scene.asked().await;
    let purge = async |seconds| {
        let purged = scene.world.store.purge_auth_requests(at(seconds)).await;
        purged.unwrap()
    };
    assert_eq!(purge(119).await, 0);
    scene.is_told(&asked, 119, AuthRequestAnswer::Pending).await;
    assert_eq!(purge(120).await, 1);
    assert_eq!(purge(120).await, 0);
    scene.is_told(&asked, 121, AuthRequestAnswer::Unknown).await;
    let kept = scene.world.challenge(&asked.challenge).await;
    assert_eq!(kept, asked.challenge);
}
