use super::fixtures::{World, at};
use super::witness::Told;
use crate::{
    Chain, Conflict, Entity, Error, KeptSession, LoginFailures, LoginRefusal, NewPassword,
    NewSession, Operator, Outcome, PasswordHash, Session, SessionTokenHash,
};

impl World {
    pub(super) fn new_session(&self, operator: &Operator) -> NewSession {
        NewSession {
            session_id: self.id("ses_"),
            operator_id: operator.operator_id.clone(),
            password: operator.password.clone(),
            token_hash: SessionTokenHash(self.digest()),
            expires_at: at(1000),
        }
    }

    pub(super) async fn session(
        &self,
        operator: &Operator,
        seconds: i64,
    ) -> (Session, SessionTokenHash) {
        let new = self.new_session(operator);
        let token = new.token_hash;
        let opened = self.store.create_session(self.change_at(seconds), new);
        (opened.await.unwrap(), token)
    }

    /// Whether a token opens a session at `seconds`, when it may have been idle since `idle_since`.
    pub(super) async fn opens(
        &self,
        token: &SessionTokenHash,
        seconds: i64,
        idle_since: i64,
    ) -> bool {
        let used = self
            .store
            .use_session(token, at(seconds), at(idle_since))
            .await;
        used.unwrap().is_some()
    }

    pub(super) async fn fail(&self, email: &str, seconds: i64) {
        let (change, refusal) = (self.change_at(seconds), LoginRefusal::Credentials);
        let noted = self
            .store
            .record_login_failure(change, email, None, refusal);
        noted.await.unwrap();
    }

    pub(super) async fn failures(&self, email: &str, since: i64) -> LoginFailures {
        self.store.login_failures(email, at(since)).await.unwrap()
    }
}

pub async fn a_session_opens_with_its_token(world: World) {
    let operator = world.admin("root@example.org").await;
    let new = world.new_session(&operator);
    let told = Told::platform(&["login_attempt"]);
    let session = world
        .commits(world.change_at(3), told, async |change| {
            world.store.create_session(change, new.clone()).await
        })
        .await;
    let expected = Session {
        session_id: new.session_id.clone(),
        operator,
        created_at: at(3),
        last_used_at: at(3),
        expires_at: at(1000),
    };
    assert_eq!(session, expected);
    let row = world.audit(&Chain::Platform).await.pop().unwrap();
    assert_eq!(row.outcome, Outcome::Succeeded);
    assert_eq!(row.subject, session.operator.operator_id.as_str());

    let before = world.trail().await;
    let used = world
        .store
        .use_session(&new.token_hash, at(63), at(0))
        .await;
    let expected = Session {
        last_used_at: at(63),
        ..expected
    };
    assert_eq!(used.unwrap(), Some(expected));
    assert_eq!(world.trail().await, before);
    let wrong = SessionTokenHash(world.digest());
    assert!(!world.opens(&wrong, 63, 0).await);
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            let token_hash = SessionTokenHash(world.digest());
            let same_id = NewSession { token_hash, ..new };
            world.store.create_session(change, same_id).await
        })
        .await;
}

pub async fn a_session_ends_with_its_life_or_when_it_lies_idle(world: World) {
    let operator = world.admin("root@example.org").await;
    let (_, token) = world.session(&operator, 0).await;
    assert!(world.opens(&token, 100, 0).await);
    // Used at 100: idle since then.
    assert!(world.opens(&token, 200, 100).await);
    assert!(!world.opens(&token, 300, 201).await);
    assert!(world.opens(&token, 300, 200).await);
    // A look that comes late does not turn the use back.
    assert!(world.opens(&token, 250, 0).await);
    assert!(world.opens(&token, 400, 300).await);
    assert!(world.opens(&token, 999, 0).await);
    assert!(!world.opens(&token, 1000, 0).await);
}

pub async fn the_use_of_a_session_is_noted_once_a_minute(world: World) {
    let operator = world.admin("root@example.org").await;
    let (_, token) = world.session(&operator, 0).await;
    for (seconds, noted) in [(1, 0), (59, 0), (60, 60), (119, 60), (120, 120), (100, 120)] {
        let used = world.store.use_session(&token, at(seconds), at(0)).await;
        let used = used.unwrap().unwrap();
        assert_eq!(used.last_used_at, at(noted), "{seconds}");
    }
    // Used at 179, and noted at 120: it seems idle that much too early.
    assert!(world.opens(&token, 179, 0).await);
    assert!(!world.opens(&token, 190, 121).await);
    assert!(world.opens(&token, 190, 120).await);
}

pub async fn sessions_are_listed_newest_first_while_they_live(world: World) {
    let operator = world.admin("root@example.org").await;
    let other = world.admin("other@example.org").await;
    let (first, _) = world.session(&operator, 1).await;
    let (second, _) = world.session(&operator, 2).await;
    world.session(&other, 3).await;
    let listed = world.store.sessions(&operator.operator_id, at(999)).await;
    assert_eq!(listed.unwrap(), [second, first]);
    let listed = world.store.sessions(&operator.operator_id, at(1000)).await;
    assert_eq!(listed.unwrap(), []);
}

pub async fn a_session_is_ended_by_its_owner_alone(world: World) {
    let operator = world.admin("root@example.org").await;
    let other = world.admin("other@example.org").await;
    let (session, token) = world.session(&operator, 0).await;
    let session_id = &session.session_id;
    world
        .misses(world.change(), Entity::Session, async |change| {
            let operator_id = &other.operator_id;
            world
                .store
                .end_session(change, operator_id, session_id)
                .await
        })
        .await;
    assert!(world.opens(&token, 1, 0).await);
    let told = Told::platform(&["console_user_session_ended"]);
    world
        .commits(world.change(), told, async |change| {
            let operator_id = &operator.operator_id;
            world
                .store
                .end_session(change, operator_id, session_id)
                .await
        })
        .await;
    assert!(!world.opens(&token, 1, 0).await);
    let row = world.audit(&Chain::Platform).await.pop().unwrap();
    assert_eq!(row.subject, operator.operator_id.as_str());
    assert_eq!(row.metadata["session_id"], session_id.as_str());
    world
        .misses(world.change(), Entity::Session, async |change| {
            let operator_id = &operator.operator_id;
            world
                .store
                .end_session(change, operator_id, session_id)
                .await
        })
        .await;
}

fn new_password(operator: &Operator, keep: &Session, password: &PasswordHash) -> NewPassword {
    NewPassword {
        operator_id: operator.operator_id.clone(),
        verified: operator.password.clone(),
        password: password.clone(),
        keep: KeptSession {
            session_id: keep.session_id.clone(),
            token_hash: None,
        },
    }
}

pub async fn a_new_password_ends_the_other_sessions(world: World) {
    let operator = world.admin("root@example.org").await;
    let other = world.admin("other@example.org").await;
    let (kept, kept_token) = world.session(&operator, 0).await;
    let (_, ended_token) = world.session(&operator, 0).await;
    let (_, foreign_token) = world.session(&other, 0).await;
    let password = PasswordHash("$argon2id$v=19$second".to_owned());
    let told = Told::platform(&["console_user_password_changed"]);
    world
        .commits(world.change(), told, async |change| {
            let new = new_password(&operator, &kept, &password);
            world.store.set_password(change, new).await
        })
        .await;
    assert!(world.opens(&kept_token, 1, 0).await);
    assert!(!world.opens(&ended_token, 1, 0).await);
    assert!(world.opens(&foreign_token, 1, 0).await);
    let read = world.store.operator(&operator.operator_id).await.unwrap();
    let read = read.unwrap();
    assert_eq!(read.password, password);
    assert!(!read.must_change_password);
}

pub async fn a_session_that_is_kept_under_a_new_token_is_not_found_by_the_one_before(world: World) {
    let operator = world.admin("root@example.org").await;
    let other = world.admin("other@example.org").await;
    let (kept, before) = world.session(&operator, 0).await;
    let (foreign, foreign_token) = world.session(&other, 0).await;
    let fresh = SessionTokenHash(world.digest());
    let set = async |operator: &Operator, keep: &Session, token| {
        let password = PasswordHash(format!("$argon2id${}", world.draw()));
        let mut new = new_password(operator, keep, &password);
        new.keep.token_hash = Some(token);
        let set = world.store.set_password(world.change(), new);
        set.await.unwrap();
    };
    set(&operator, &kept, fresh).await;
    assert!(!world.opens(&before, 1, 0).await);
    assert!(world.opens(&fresh, 1, 0).await);
    let listed = world.store.sessions(&operator.operator_id, at(1)).await;
    let expected = Session {
        operator: world.operator(&operator).await,
        ..kept
    };
    assert_eq!(listed.unwrap(), [expected], "its life stays as it was");
    // Nobody keeps or renames another's session.
    let operator = world.operator(&operator).await;
    set(&operator, &foreign, SessionTokenHash(world.digest())).await;
    assert!(!world.opens(&fresh, 1, 0).await);
    assert!(world.opens(&foreign_token, 1, 0).await);
}

pub async fn whoever_knew_the_password_before_can_neither_sign_in_nor_change_it(world: World) {
    let before = world.admin("root@example.org").await;
    let (kept, _) = world.session(&before, 0).await;
    let (ended, _) = world.session(&before, 0).await;
    let second = PasswordHash("$argon2id$v=19$second".to_owned());
    let new = new_password(&before, &kept, &second);
    let set = world.store.set_password(world.change(), new);
    set.await.unwrap();
    // Both were verified before that, and come after it.
    let changed = Conflict::PasswordChanged;
    world
        .conflicts(world.change(), changed, async |change| {
            let session = world.new_session(&before);
            world.store.create_session(change, session).await
        })
        .await;
    let third = PasswordHash("$argon2id$v=19$third".to_owned());
    world
        .conflicts(world.change(), changed, async |change| {
            let new = new_password(&before, &ended, &third);
            world.store.set_password(change, new).await
        })
        .await;
    let listed = world.store.sessions(&before.operator_id, at(1)).await;
    assert_eq!(
        listed.unwrap(),
        [Session {
            operator: world.operator(&before).await,
            ..kept
        }]
    );
    assert_eq!(world.operator(&before).await.password, second);
}

pub async fn no_session_opened_by_a_password_outlives_its_change(world: World) {
    for round in 0..20 {
        let operator = world.admin(&format!("{round}@example.org")).await;
        let (kept, _) = world.session(&operator, 0).await;
        let password = PasswordHash("$argon2id$v=19$second".to_owned());
        let new = new_password(&operator, &kept, &password);
        let mut sign_ins = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (store, change) = (std::sync::Arc::clone(&world.store), world.change());
            let session = world.new_session(&operator);
            sign_ins.spawn(async move { store.create_session(change, session).await });
        }
        let set = world.store.set_password(world.change(), new);
        set.await.unwrap();
        for opened in sign_ins.join_all().await {
            assert!(matches!(
                opened,
                Ok(_) | Err(Error::Conflict(Conflict::PasswordChanged))
            ));
        }
        let left = world.store.sessions(&operator.operator_id, at(1)).await;
        let left: Vec<_> = left.unwrap().into_iter().map(|s| s.session_id).collect();
        assert_eq!(left, [kept.session_id]);
    }
}

pub async fn a_deleted_operator_has_no_sessions(world: World) {
    world.admin("root@example.org").await;
    let leaver = world.admin("leaver@example.org").await;
    let (_, token) = world.session(&leaver, 0).await;
    let deleted = world
        .store
        .delete_operator(world.change(), &leaver.operator_id);
    deleted.await.unwrap();
    assert!(!world.opens(&token, 1, 0).await);
    let listed = world.store.sessions(&leaver.operator_id, at(1)).await;
    assert_eq!(listed.unwrap(), []);
}

pub async fn failed_sign_ins_count_within_a_window(world: World) {
    for seconds in [10, 20, 20, 30] {
        world.fail("root@example.org", seconds).await;
    }
    world.fail("other@example.org", 40).await;
    for (since, count, oldest) in [
        (0, 4, Some(at(10))),
        (10, 4, Some(at(10))),
        (11, 3, Some(at(20))),
        (30, 1, Some(at(30))),
        (31, 0, None),
    ] {
        let failures = world.failures("root@example.org", since).await;
        assert_eq!(failures, LoginFailures { count, oldest }, "{since}");
    }
}

pub async fn a_failed_sign_in_is_told_without_the_address(world: World) {
    let operator = world.admin("root@example.org").await;
    for (operator_id, refusal, reason) in [
        (
            Some(operator.operator_id.clone()),
            LoginRefusal::Credentials,
            "invalid_credentials",
        ),
        (
            Some(operator.operator_id.clone()),
            LoginRefusal::Code,
            "invalid_code",
        ),
        (None, LoginRefusal::Credentials, "invalid_credentials"),
    ] {
        let subject = operator_id.as_ref().map_or("", |id| id.as_str()).to_owned();
        let told = Told::platform(&["login_attempt"]);
        world
            .commits(world.change(), told, async |change| {
                world
                    .store
                    .record_login_failure(change, "root@example.org", operator_id, refusal)
                    .await
            })
            .await;
        let row = world.audit(&Chain::Platform).await.pop().unwrap();
        assert_eq!(row.outcome, Outcome::Failed);
        assert_eq!(row.subject, subject);
        assert_eq!(row.metadata["reason"], reason);
        let row = serde_json::to_string(&row).unwrap();
        assert!(!row.contains("example.org"), "{row}");
    }
}

pub async fn a_success_forgets_the_failures_before_it(world: World) {
    let operator = world.admin("root@example.org").await;
    for email in ["root@example.org", "other@example.org"] {
        world.fail(email, 1).await;
    }
    world.session(&operator, 2).await;
    assert_eq!(world.failures("root@example.org", 0).await.count, 0);
    assert_eq!(world.failures("other@example.org", 0).await.count, 1);
    world.fail("root@example.org", 3).await;
    assert_eq!(world.failures("root@example.org", 0).await.count, 1);
}

pub async fn what_is_over_of_sign_ins_is_purged(world: World) {
    let operator = world.admin("root@example.org").await;
    let (session, token) = world.session(&operator, 0).await;
    for seconds in [10, 20] {
        world.fail("root@example.org", seconds).await;
    }
    for (now, failed_before, purged) in [(999, 10, 0), (999, 11, 1), (1000, 11, 1), (2000, 20, 0)] {
        let purge = world.store.purge_sign_ins(at(now), at(failed_before));
        assert_eq!(purge.await.unwrap(), purged, "{now}");
        assert_eq!(world.opens(&token, 1, 0).await, now < 1000);
    }
    assert_eq!(world.failures("root@example.org", 0).await.count, 1);
    let operator_id = &session.operator.operator_id;
    assert_eq!(world.store.sessions(operator_id, at(1)).await.unwrap(), []);
}
