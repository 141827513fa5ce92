use std::sync::Arc;

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{
    Chain, ConfirmTotp, Conflict, Entity, Error, KeptSession, NewPassword, NewSession, NewSignIn,
    NewTotp, Operator, OperatorEdit, PasswordHash, RecoveryCodeHash, RemoveTotp, Role,
    SecondFactor, SecretBytes, Session, SignInTokenHash, TotpId,
};

/// The step of the code that confirmed a fixture's secret.
pub(super) const STEP: i64 = 59_000_000;

impl World {
    fn new_totp(&self, operator: &Operator) -> NewTotp {
        NewTotp {
            totp_id: self.id("otp_"),
            operator_id: operator.operator_id.clone(),
            secret: SecretBytes::new(self.digest()),
        }
    }

    pub(super) async fn issue(&self, operator: &Operator) -> TotpId {
        let new = self.new_totp(operator);
        let totp_id = new.totp_id.clone();
        self.store.issue_totp(self.change(), new).await.unwrap();
        totp_id
    }

    pub(super) fn confirmation(&self, keep: &Session, totp_id: &TotpId) -> ConfirmTotp {
        ConfirmTotp {
            operator_id: keep.operator.operator_id.clone(),
            totp_id: totp_id.clone(),
            step: STEP,
            recovery_codes: vec![RecoveryCodeHash([1; 32]), RecoveryCodeHash([2; 32])],
            keep: KeptSession {
                session_id: keep.session_id.clone(),
                token_hash: None,
            },
        }
    }

    /// A console user whose sign-ins ask for a code.
    pub(super) async fn guarded(&self, email: &str) -> (Operator, TotpId) {
        let operator = self.admin(email).await;
        let (session, _) = self.session(&operator, 0).await;
        let totp_id = self.issue(&operator).await;
        let confirm = self.confirmation(&session, &totp_id);
        let confirmed = self.store.confirm_totp(self.change(), confirm);
        confirmed.await.unwrap();
        (operator, totp_id)
    }

    fn new_sign_in(&self, operator: &Operator) -> NewSignIn {
        NewSignIn {
            operator_id: operator.operator_id.clone(),
            password: operator.password.clone(),
            token_hash: SignInTokenHash(self.digest()),
            expires_at: at(300),
        }
    }

    /// A sign-in that waits for a code.
    pub(super) async fn waiting(&self, operator: &Operator) -> SignInTokenHash {
        let new = self.new_sign_in(operator);
        let token = new.token_hash;
        self.store.begin_sign_in(self.change(), new).await.unwrap();
        token
    }

    async fn waits(&self, token: &SignInTokenHash) -> bool {
        self.store.sign_in(token, at(1)).await.unwrap().is_some()
    }

    pub(super) async fn complete(
        &self,
        token: &SignInTokenHash,
        shown: SecondFactor,
        session: NewSession,
    ) -> crate::Result<Session> {
        let change = self.change_at(1);
        let store = &self.store;
        store.complete_sign_in(change, token, shown, session).await
    }

    async fn open_sessions(&self, operator: &Operator) -> usize {
        let sessions = self.store.sessions(&operator.operator_id, at(1)).await;
        sessions.unwrap().len()
    }
}

pub(super) fn code(totp_id: &TotpId, step: i64) -> SecondFactor {
    SecondFactor::Totp {
        totp_id: totp_id.clone(),
        step,
    }
}

pub(super) fn recovery_code(number: u8) -> SecondFactor {
    SecondFactor::RecoveryCode(RecoveryCodeHash([number; 32]))
}

pub(super) fn removal(operator: &Operator, shown: Option<SecondFactor>) -> RemoveTotp {
    RemoveTotp {
        operator_id: operator.operator_id.clone(),
        shown,
        keep: None,
    }
}

pub async fn a_secret_is_issued_until_it_is_confirmed(world: World) {
    let operator = world.admin("root@example.org").await;
    let operator_id = &operator.operator_id;
    assert!(world.store.totp(operator_id).await.unwrap().is_none());
    for _ in 0..2 {
        let new = world.new_totp(&operator);
        let (totp_id, secret) = (new.totp_id.clone(), new.secret.expose().to_vec());
        let told = Told::platform(&["console_user_totp_issued"]);
        world
            .commits(world.change(), told, async |change| {
                world.store.issue_totp(change, new).await
            })
            .await;
        let read = world.store.totp(operator_id).await.unwrap().unwrap();
        assert_eq!(read.totp_id, totp_id);
        assert_eq!(read.secret.unwrap().expose(), secret);
        assert!(!read.confirmed);
    }
    // Sign-ins do not ask for a code yet.
    let (session, _) = world.session(&operator, 0).await;
    let totp_id = world.issue(&operator).await;
    let confirm = world.confirmation(&session, &totp_id);
    let confirmed = world.store.confirm_totp(world.change(), confirm);
    confirmed.await.unwrap();
    assert!(
        world
            .store
            .totp(operator_id)
            .await
            .unwrap()
            .unwrap()
            .confirmed
    );
    world
        .conflicts(world.change(), Conflict::TotpConfirmed, async |change| {
            let new = world.new_totp(&operator);
            world.store.issue_totp(change, new).await
        })
        .await;
    let read = world.store.totp(operator_id).await.unwrap().unwrap();
    assert_eq!(read.totp_id, totp_id);
}

pub async fn a_confirmation_is_of_the_secret_that_was_shown(world: World) {
    let operator = world.admin("root@example.org").await;
    let (session, _) = world.session(&operator, 0).await;
    let never = world.id("otp_");
    let earlier = world.issue(&operator).await;
    let totp_id = world.issue(&operator).await;
    for other in [&never, &earlier] {
        world
            .misses(world.change(), Entity::Totp, async |change| {
                let confirm = world.confirmation(&session, other);
                world.store.confirm_totp(change, confirm).await
            })
            .await;
    }
    let confirm = || world.confirmation(&session, &totp_id);
    let confirmed = world.store.confirm_totp(world.change(), confirm());
    confirmed.await.unwrap();
    world
        .conflicts(world.change(), Conflict::TotpConfirmed, async |change| {
            world.store.confirm_totp(change, confirm()).await
        })
        .await;
}

pub async fn a_confirmation_ends_the_other_sessions_and_asks_for_codes(world: World) {
    let operator = world.admin("root@example.org").await;
    let (kept, before) = world.session(&operator, 0).await;
    let (_, ended) = world.session(&operator, 0).await;
    let totp_id = world.issue(&operator).await;
    let fresh = crate::SessionTokenHash(world.digest());
    let mut confirm = world.confirmation(&kept, &totp_id);
    confirm.keep.token_hash = Some(fresh);
    let told = Told::platform(&["console_user_totp_confirmed"]);
    world
        .commits(world.change(), told, async |change| {
            world.store.confirm_totp(change, confirm).await
        })
        .await;
    assert!(world.opens(&fresh, 1, 0).await);
    for token in [before, ended] {
        assert!(!world.opens(&token, 1, 0).await);
    }
    world
        .conflicts(world.change(), Conflict::CodeRequired, async |change| {
            let session = world.new_session(&operator);
            world.store.create_session(change, session).await
        })
        .await;
    // Another's are not asked for.
    let other = world.admin("other@example.org").await;
    world.session(&other, 1).await;
}

pub async fn a_sign_in_waits_for_its_code(world: World) {
    let (operator, totp_id) = world.guarded("root@example.org").await;
    let new = world.new_sign_in(&operator);
    let token = new.token_hash;
    let told = Told::platform(&["login_attempt"]);
    world
        .commits(world.change(), told, async |change| {
            world.store.begin_sign_in(change, new.clone()).await
        })
        .await;
    let row = world.audit(&Chain::Platform).await.pop().unwrap();
    assert_eq!(row.metadata["reason"], "mfa_required");
    assert_eq!(row.subject, operator.operator_id.as_str());
    world
        .conflicts(world.change(), Conflict::IdTaken, async |change| {
            world.store.begin_sign_in(change, new).await
        })
        .await;
    let found = world.store.sign_in(&token, at(299)).await.unwrap();
    assert_eq!(found, Some(operator.clone()));
    assert_eq!(world.store.sign_in(&token, at(300)).await.unwrap(), None);
    let unknown = SignInTokenHash(world.digest());
    assert_eq!(world.store.sign_in(&unknown, at(1)).await.unwrap(), None);

    world
        .misses(world.change_at(300), Entity::SignIn, async |change| {
            let (shown, session) = (code(&totp_id, STEP + 1), world.new_session(&operator));
            let store = &world.store;
            store.complete_sign_in(change, &token, shown, session).await
        })
        .await;
    world.fail("root@example.org", 1).await;
    let session = world.new_session(&operator);
    let told = Told::platform(&["login_attempt"]);
    let opened = world
        .commits(world.change_at(299), told, async |change| {
            let (shown, session) = (code(&totp_id, STEP + 1), session.clone());
            let store = &world.store;
            store.complete_sign_in(change, &token, shown, session).await
        })
        .await;
    assert_eq!(opened.session_id, session.session_id);
    assert_eq!((opened.created_at, opened.operator), (at(299), operator));
    assert!(world.opens(&session.token_hash, 300, 0).await);
    assert_eq!(world.failures("root@example.org", 0).await.count, 0);
}

pub async fn a_sign_in_is_completed_once_and_by_its_own_user(world: World) {
    let (operator, totp_id) = world.guarded("root@example.org").await;
    let (other, _) = world.guarded("other@example.org").await;
    let token = world.waiting(&operator).await;
    world
        .misses(world.change(), Entity::SignIn, async |change| {
            let (shown, session) = (recovery_code(1), world.new_session(&other));
            let store = &world.store;
            store.complete_sign_in(change, &token, shown, session).await
        })
        .await;
    let session = || world.new_session(&operator);
    let opened = world.complete(&token, code(&totp_id, STEP + 1), session());
    opened.await.unwrap();
    assert!(!world.waits(&token).await);
    world
        .misses(world.change(), Entity::SignIn, async |change| {
            let shown = code(&totp_id, STEP + 2);
            let store = &world.store;
            store
                .complete_sign_in(change, &token, shown, session())
                .await
        })
        .await;
}

pub async fn a_code_is_used_once_and_none_before_it(world: World) {
    let (operator, totp_id) = world.guarded("root@example.org").await;
    let unknown = world.id("otp_");
    for (shown, good) in [
        // What confirmed the secret is used.
        (code(&totp_id, STEP), false),
        (code(&totp_id, STEP + 5), true),
        (code(&totp_id, STEP + 5), false),
        (code(&totp_id, STEP + 4), false),
        (code(&unknown, STEP + 7), false),
        (code(&totp_id, STEP + 6), true),
    ] {
        let token = world.waiting(&operator).await;
        let session = world.new_session(&operator);
        if good {
            let opened = world.complete(&token, shown, session);
            opened.await.unwrap();
            continue;
        }
        world
            .conflicts(world.change_at(1), Conflict::CodeRefused, async |change| {
                let store = &world.store;
                store.complete_sign_in(change, &token, shown, session).await
            })
            .await;
        assert!(world.waits(&token).await, "a refused one waits on");
    }
}

pub async fn of_many_sign_ins_at_once_with_one_code_one_opens_a_session(world: World) {
    let (operator, totp_id) = world.guarded("root@example.org").await;
    for (round, shown) in [code(&totp_id, STEP + 1), recovery_code(1)]
        .iter()
        .enumerate()
    {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let token = world.waiting(&operator).await;
            let (store, change) = (Arc::clone(&world.store), world.change_at(1));
            let (shown, session) = (shown.clone(), world.new_session(&operator));
            calls
                .spawn(async move { store.complete_sign_in(change, &token, shown, session).await });
        }
        let (opened, refused): (Vec<_>, Vec<_>) =
            calls.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(opened.len(), 1);
        for refusal in refused {
            let refusal = refusal.unwrap_err();
            let expected = matches!(refusal, Error::Conflict(Conflict::CodeRefused));
            assert!(expected, "{refusal:?}");
        }
        // Beside the one that confirmed the secret.
        assert_eq!(world.open_sessions(&operator).await, round + 2);
    }
}

pub async fn a_recovery_code_is_used_once(world: World) {
    let (operator, _) = world.guarded("root@example.org").await;
    let (other, _) = world.guarded("other@example.org").await;
    let told = || Told::platform(&["console_user_recovery_code_used", "login_attempt"]);
    for number in [1, 2] {
        let token = world.waiting(&operator).await;
        world
            .commits(world.change_at(1), told(), async |change| {
                let (shown, session) = (recovery_code(number), world.new_session(&operator));
                let store = &world.store;
                store.complete_sign_in(change, &token, shown, session).await
            })
            .await;
    }
    let token = world.waiting(&operator).await;
    for used_or_unknown in [1, 2, 3] {
        world
            .conflicts(world.change_at(1), Conflict::CodeRefused, async |change| {
                let shown = recovery_code(used_or_unknown);
                let session = world.new_session(&operator);
                let store = &world.store;
                store.complete_sign_in(change, &token, shown, session).await
            })
            .await;
    }
    // The same code of another is their own.
    let token = world.waiting(&other).await;
    let opened = world.complete(&token, recovery_code(1), world.new_session(&other));
    opened.await.unwrap();
}

pub async fn what_ends_sessions_ends_sign_ins(world: World) {
    let (operator, totp_id) = world.guarded("root@example.org").await;
    let (other, _) = world.guarded("other@example.org").await;
    let foreign = world.waiting(&other).await;
    let token = world.waiting(&operator).await;
    let password = PasswordHash("$argon2id$v=19$second".to_owned());
    let sessions = world.store.sessions(&operator.operator_id, at(1)).await;
    let keep = KeptSession {
        session_id: sessions.unwrap()[0].session_id.clone(),
        token_hash: None,
    };
    let new = NewPassword {
        operator_id: operator.operator_id.clone(),
        verified: operator.password.clone(),
        password,
        keep,
    };
    world.store.set_password(world.change(), new).await.unwrap();
    assert!(!world.waits(&token).await);
    let changed = Conflict::PasswordChanged;
    world
        .conflicts(world.change(), changed, async |change| {
            let store = &world.store;
            store
                .begin_sign_in(change, world.new_sign_in(&operator))
                .await
        })
        .await;
    world
        .conflicts(world.change(), changed, async |change| {
            let (shown, session) = (code(&totp_id, STEP + 1), world.new_session(&operator));
            let store = &world.store;
            store.complete_sign_in(change, &token, shown, session).await
        })
        .await;
    assert!(world.waits(&foreign).await);
    for (now, purged) in [(299, 0), (300, 1)] {
        let purge = world.store.purge_sign_ins(at(now), at(0)).await;
        assert_eq!(purge.unwrap(), purged, "{now}");
    }
}

pub async fn codes_are_taken_away_by_who_shows_one_or_by_an_administrator(world: World) {
    let (operator, totp_id) = world.guarded("root@example.org").await;
    let operator_id = &operator.operator_id;
    let used = code(&totp_id, STEP);
    world
        .conflicts(world.change(), Conflict::CodeRefused, async |change| {
            let remove = removal(&operator, Some(used));
            world.store.remove_totp(change, remove).await
        })
        .await;
    assert!(world.store.totp(operator_id).await.unwrap().is_some());
    let token = world.waiting(&operator).await;
    let told = Told::platform(&[
        "console_user_recovery_code_used",
        "console_user_totp_removed",
    ]);
    let open = world.store.sessions(operator_id, at(1)).await.unwrap();
    let fresh = crate::SessionTokenHash(world.digest());
    world
        .commits(world.change(), told, async |change| {
            let remove = RemoveTotp {
                keep: Some(KeptSession {
                    session_id: open[0].session_id.clone(),
                    token_hash: Some(fresh),
                }),
                ..removal(&operator, Some(recovery_code(1)))
            };
            world.store.remove_totp(change, remove).await
        })
        .await;
    assert!(world.store.totp(operator_id).await.unwrap().is_none());
    assert!(world.opens(&fresh, 1, 0).await);
    assert!(!world.waits(&token).await);
    world.session(&operator, 1).await;
    world
        .misses(world.change(), Entity::Totp, async |change| {
            world
                .store
                .remove_totp(change, removal(&operator, None))
                .await
        })
        .await;

    // Codes of a secret that is gone are gone with it.
    let (session, _) = world.session(&operator, 1).await;
    let totp_id = world.issue(&operator).await;
    let confirm = ConfirmTotp {
        recovery_codes: vec![RecoveryCodeHash([3; 32])],
        ..world.confirmation(&session, &totp_id)
    };
    let confirmed = world.store.confirm_totp(world.change(), confirm);
    confirmed.await.unwrap();
    let token = world.waiting(&operator).await;
    world
        .conflicts(world.change_at(1), Conflict::CodeRefused, async |change| {
            let (shown, session) = (recovery_code(2), world.new_session(&operator));
            let store = &world.store;
            store.complete_sign_in(change, &token, shown, session).await
        })
        .await;
    let told = Told::platform(&["console_user_totp_removed"]);
    world
        .commits(world.change(), told, async |change| {
            world
                .store
                .remove_totp(change, removal(&operator, None))
                .await
        })
        .await;
    assert_eq!(world.open_sessions(&operator).await, 0);
    assert!(!world.waits(&token).await);
}

pub async fn codes_and_sign_ins_go_with_their_user(world: World) {
    world.admin("root@example.org").await;
    let (leaver, _) = world.guarded("leaver@example.org").await;
    let token = world.waiting(&leaver).await;
    let deleted = world
        .store
        .delete_operator(world.change(), &leaver.operator_id);
    deleted.await.unwrap();
    assert!(!world.waits(&token).await);
    let totp = world.store.totp(&leaver.operator_id).await.unwrap();
    assert!(totp.is_none());

    // And another role ends sign-ins.
    let tenant_id = world.tenant("acme").await;
    let new = crate::NewOperator {
        role: Role::TenantOperator,
        tenant_id: Some(tenant_id),
        ..world.new_admin("eve@example.org")
    };
    let made = world.store.create_operator(world.change(), new).await;
    let eve = made.unwrap();
    let token = world.waiting(&eve).await;
    for (role, waits) in [(None, true), (Some(Role::TenantAdmin), false)] {
        let edit = OperatorEdit { email: None, role };
        let store = &world.store;
        let edited = store.update_operator(world.change(), &eve.operator_id, edit);
        edited.await.unwrap();
        assert_eq!(world.waits(&token).await, waits);
    }
}

pub async fn no_session_is_opened_without_a_code_once_they_are_confirmed(world: World) {
    for round in 0..20 {
        let operator = world.admin(&format!("{round}@example.org")).await;
        let (kept, _) = world.session(&operator, 0).await;
        let totp_id = world.issue(&operator).await;
        let mut sign_ins = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let (store, change) = (Arc::clone(&world.store), world.change());
            let session = world.new_session(&operator);
            sign_ins.spawn(async move { store.create_session(change, session).await });
        }
        let confirm = world.confirmation(&kept, &totp_id);
        let confirmed = world.store.confirm_totp(world.change(), confirm);
        confirmed.await.unwrap();
        for opened in sign_ins.join_all().await {
            assert!(matches!(
                opened,
                Ok(_) | Err(Error::Conflict(Conflict::CodeRequired))
            ));
        }
        let left = world.store.sessions(&operator.operator_id, at(1)).await;
        let left: Vec<_> = left.unwrap().into_iter().map(|s| s.session_id).collect();
        assert_eq!(left, [kept.session_id]);
    }
}

pub async fn an_unknown_operator_has_no_second_factor(world: World) {
    let admin = world.admin("root@example.org").await;
    let unknown = Operator {
        operator_id: world.id("adm_"),
        ..admin.clone()
    };
    let (session, _) = world.session(&admin, 0).await;
    let (store, missing) = (&world.store, Entity::Operator);
    assert!(store.totp(&unknown.operator_id).await.unwrap().is_none());
    world
        .misses(world.change(), missing, async |change| {
            store.issue_totp(change, world.new_totp(&unknown)).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let confirm = ConfirmTotp {
                operator_id: unknown.operator_id.clone(),
                ..world.confirmation(&session, &world.id("otp_"))
            };
            store.confirm_totp(change, confirm).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            store.remove_totp(change, removal(&unknown, None)).await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            store
                .begin_sign_in(change, world.new_sign_in(&unknown))
                .await
        })
        .await;
    world
        .misses(world.change(), missing, async |change| {
            let token = SignInTokenHash(world.digest());
            let session = world.new_session(&unknown);
            store
                .complete_sign_in(change, &token, recovery_code(1), session)
                .await
        })
        .await;
}
