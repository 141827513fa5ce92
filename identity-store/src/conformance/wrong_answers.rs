use super::fixtures::{World, at};
use super::second_factor::{code, recovery_code, removal};
use super::witness::Told;
use crate::{
    Chain, Conflict, Entity, LoginRefusal, MAX_REAUTHENTICATION_FAILURES, MAX_WRONG_CODES,
    Operator, Outcome, Session, Severity,
};

/// After the step of the code that confirmed a fixture's secret.
const STEP: i64 = super::second_factor::STEP + 1;

impl World {
    async fn answers_wrongly(&self, session: &Session, refusal: LoginRefusal) {
        let operator_id = &session.operator.operator_id;
        let noted = self.store.record_reauthentication_failure(
            self.change(),
            operator_id,
            &session.session_id,
            refusal,
        );
        noted.await.unwrap();
    }

    async fn shows_wrong_codes(&self, operator: &Operator, times: u32) {
        for _ in 0..times {
            let operator_id = Some(operator.operator_id.clone());
            let (change, refusal) = (self.change(), LoginRefusal::Code);
            let store = &self.store;
            let noted =
                store.record_login_failure(change, "root@example.org", operator_id, refusal);
            noted.await.unwrap();
        }
    }

    async fn is_locked(&self, operator: &Operator) -> bool {
        let totp = self.store.totp(&operator.operator_id).await.unwrap();
        totp.unwrap().locked
    }
}

pub async fn a_session_ends_with_the_last_wrong_answer_and_no_other_with_it(world: World) {
    let operator = world.admin("root@example.org").await;
    let (other, other_token) = world.session(&operator, 0).await;
    let (session, token) = world.session(&operator, 0).await;
    let (operator_id, session_id) = (&operator.operator_id, &session.session_id);
    let credentials = LoginRefusal::Credentials;
    for left in (0..MAX_REAUTHENTICATION_FAILURES).rev() {
        assert!(world.opens(&token, 1, 0).await);
        let failed = "console_user_reauthentication_failed";
        let told = match left {
            0 => Told::platform(&[failed, "console_user_session_ended"]),
            _ => Told::platform(&[failed]),
        };
        world
            .commits(world.change(), told, async |change| {
                let store = &world.store;
                store
                    .record_reauthentication_failure(change, operator_id, session_id, credentials)
                    .await
            })
            .await;
    }
    assert!(!world.opens(&token, 1, 0).await);
    assert!(world.opens(&other_token, 1, 0).await);
    let mut rows = world.audit(&Chain::Platform).await;
    let row = rows.remove(rows.len() - 2);
    assert_eq!(row.outcome, Outcome::Failed);
    assert_eq!(row.subject, operator_id.as_str());
    assert_eq!(row.metadata["session_id"], session_id.as_str());
    assert_eq!(row.metadata["reason"], "invalid_credentials");
    world
        .misses(world.change(), Entity::Session, async |change| {
            let store = &world.store;
            store
                .record_reauthentication_failure(change, operator_id, session_id, credentials)
                .await
        })
        .await;
    // Nobody answers for another's session.
    let eve = world.admin("eve@example.org").await;
    world
        .misses(world.change(), Entity::Session, async |change| {
            let (store, other) = (&world.store, &other.session_id);
            store
                .record_reauthentication_failure(change, &eve.operator_id, other, credentials)
                .await
        })
        .await;
}

pub async fn failed_sign_ins_and_wrong_answers_of_a_session_count_apart(world: World) {
    let operator = world.admin("root@example.org").await;
    let (session, token) = world.session(&operator, 0).await;
    for _ in 0..2 * MAX_REAUTHENTICATION_FAILURES {
        world.fail("root@example.org", 1).await;
    }
    for _ in 1..MAX_REAUTHENTICATION_FAILURES {
        world
            .answers_wrongly(&session, LoginRefusal::Credentials)
            .await;
    }
    assert!(world.opens(&token, 1, 0).await);
    let failures = world.failures("root@example.org", 0).await;
    assert_eq!(failures.count, 2 * MAX_REAUTHENTICATION_FAILURES);
}

pub async fn after_too_many_wrong_codes_in_a_row_none_is_good_but_a_recovery_code(world: World) {
    let (operator, totp_id) = world.guarded("root@example.org").await;
    let (other, _) = world.guarded("other@example.org").await;
    let sessions = world.store.sessions(&operator.operator_id, at(1)).await;
    let session = sessions.unwrap().remove(0);
    // A good one starts the count again.
    world
        .shows_wrong_codes(&operator, MAX_WRONG_CODES - 1)
        .await;
    let token = world.waiting(&operator).await;
    let opened = world.complete(&token, code(&totp_id, STEP), world.new_session(&operator));
    opened.await.unwrap();
    // Wherever they are shown.
    world.answers_wrongly(&session, LoginRefusal::Code).await;
    world
        .shows_wrong_codes(&operator, MAX_WRONG_CODES - 2)
        .await;
    assert!(!world.is_locked(&operator).await);
    let told = Told::platform(&["login_attempt", "console_user_totp_locked"]);
    world
        .commits(world.change(), told, async |change| {
            let (id, refusal) = (Some(operator.operator_id.clone()), LoginRefusal::Code);
            let store = &world.store;
            store
                .record_login_failure(change, "root@example.org", id, refusal)
                .await
        })
        .await;
    let row = world.audit(&Chain::Platform).await.pop().unwrap();
    assert_eq!(
        (row.outcome, row.severity),
        (Outcome::Failed, Severity::High)
    );
    assert!(world.is_locked(&operator).await);
    assert!(!world.is_locked(&other).await);

    let token = world.waiting(&operator).await;
    let refused = Conflict::CodeRefused;
    world
        .conflicts(world.change_at(1), refused, async |change| {
            let (shown, session) = (code(&totp_id, STEP + 1), world.new_session(&operator));
            let store = &world.store;
            store.complete_sign_in(change, &token, shown, session).await
        })
        .await;
    world
        .conflicts(world.change(), refused, async |change| {
            let remove = removal(&operator, Some(code(&totp_id, STEP + 1)));
            world.store.remove_totp(change, remove).await
        })
        .await;
    // It is told once.
    world.shows_wrong_codes(&operator, 1).await;
    let rows = world.audit(&Chain::Platform).await;
    let locked = rows
        .iter()
        .filter(|row| row.action == "console_user_totp_locked");
    assert_eq!(locked.count(), 1);

    let opened = world.complete(&token, recovery_code(1), world.new_session(&operator));
    opened.await.unwrap();
    assert!(!world.is_locked(&operator).await);
    let token = world.waiting(&operator).await;
    let opened = world.complete(
        &token,
        code(&totp_id, STEP + 1),
        world.new_session(&operator),
    );
    opened.await.unwrap();
}

pub async fn no_wrong_code_counts_before_codes_are_in_use_and_new_ones_begin_anew(world: World) {
    let operator = world.admin("root@example.org").await;
    let (session, _) = world.session(&operator, 0).await;
    let totp_id = world.issue(&operator).await;
    world.shows_wrong_codes(&operator, MAX_WRONG_CODES).await;
    let confirm = world.confirmation(&session, &totp_id);
    let confirmed = world.store.confirm_totp(world.change(), confirm);
    confirmed.await.unwrap();
    assert!(!world.is_locked(&operator).await);

    world.shows_wrong_codes(&operator, MAX_WRONG_CODES).await;
    assert!(world.is_locked(&operator).await);
    let removed = world
        .store
        .remove_totp(world.change(), removal(&operator, None));
    removed.await.unwrap();
    let (session, _) = world.session(&operator, 0).await;
    let totp_id = world.issue(&operator).await;
    let confirm = world.confirmation(&session, &totp_id);
    let confirmed = world.store.confirm_totp(world.change(), confirm);
    confirmed.await.unwrap();
    assert!(!world.is_locked(&operator).await);
}
