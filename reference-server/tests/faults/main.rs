//! Faults that must be survived, each with the real processes. After each, one function checks the
//! nine invariants ([`invariants`]).
//!
//! `FAULT_ROUNDS` multiplies how often what is random is repeated, `FAULT_SEED` repeats one run, with its
//! version of PostgreSQL, and with `IDENTITY_FAULTS_COMPLETE=1` nothing may be missing that a story needs.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod administration;
mod broken;
mod certificate_rotation;
mod clients;
mod clock;
mod crash_at_write;
mod data_key;
mod database;
mod disk;
mod failover;
#[path = "../harness/mod.rs"]
mod harness;
mod invariants;
mod jobs;
mod journal;
mod kill;
mod lost_answers;
mod outage;
mod postgres;
mod records;
mod renewals;
mod replicas;
mod retry;
mod rotation;
mod samples;
mod sealer;
mod sessions;
#[allow(dead_code, reason = "stories of webhooks use the rest of it")]
#[path = "../webhooks/sink.rs"]
mod sink;
mod stage;
mod strace;
mod suspension;
mod template;
mod trail;
mod webhooks;
mod workload;

use std::pin::Pin;

use libtest_mimic::{Arguments, Trial};
use strace::Strace;

/// As many stories are told at once.
const AT_ONCE: usize = 4;

type Story = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// Stories, each under its own name.
macro_rules! stories {
    ($($module:ident::$story:ident),+ $(,)?) => {
        vec![$((stringify!($story), (|| Box::pin($module::$story())) as Story)),+]
    };
}

fn main() {
    println!("FAULT_SEED={}", seed());
    let server = postgres::server().map(|server| server.name());
    let standby = failover::installation().map(|copied| copied.major());
    println!("PostgreSQL: {server:?}, with a standby: {standby:?}");
    let anywhere = stories![
        broken::the_check_finds_a_revoked_device_that_is_served,
        broken::the_check_finds_each_invariant_broken,
        data_key::a_replica_with_the_wrong_data_key_says_so_and_writes_nothing,
        kill::a_server_that_is_killed_at_any_moment_loses_nothing,
        lost_answers::a_client_that_leaves_in_the_middle_of_a_request_costs_nothing,
        lost_answers::an_answer_that_is_cut_at_any_byte_costs_nothing,
        renewals::a_scanner_whose_renewals_answer_is_lost_gets_it_again,
        webhooks::events_reach_their_receiver_though_the_server_is_killed_again_and_again,
    ];
    let by_strace = stories![
        crash_at_write::a_crash_at_the_nth_write_loses_nothing,
        disk::a_disk_that_does_not_sync_is_answered_503_until_it_does,
        disk::a_disk_without_space_is_answered_503_until_it_has_some,
        disk::what_is_answered_has_been_synced,
    ];
    let in_namespaces = stories![disk::a_full_disk_is_answered_503_until_there_is_space_again];
    let by_faketime = stories![
        clock::a_clock_that_steps_back_brings_nobody_back,
        sessions::a_session_ends_after_half_an_hour_without_use,
        sessions::a_session_ends_after_twelve_hours_however_much_it_is_used,
        sessions::a_stolen_session_sets_up_no_authenticator,
    ];
    let by_faketime_on_postgresql = stories![
        clock::a_clock_before_postgresql_that_steps_back_brings_nobody_back,
        clock::a_replica_whose_clock_is_more_than_a_year_ahead_breaks_nothing,
    ];
    let on_postgresql = stories![
        broken::the_check_finds_each_invariant_broken_on_postgresql,
        administration::certificates_that_one_replica_takes_up_reach_the_other,
        certificate_rotation::certificates_are_replaced_under_devices_that_poll_two_replicas_and_no_request_fails,
        data_key::a_replica_on_postgresql_with_the_wrong_data_key_says_so_and_writes_nothing,
        data_key::a_replica_with_the_wrong_data_key_does_not_join_one_that_serves,
        jobs::a_job_whose_runners_are_killed_again_and_again_revokes_each_device_once,
        kill::a_server_on_postgresql_that_is_killed_at_any_moment_loses_nothing,
        kill::of_two_replicas_one_is_killed_at_any_moment_and_nothing_is_lost,
        lost_answers::a_client_over_postgresql_that_leaves_in_the_middle_of_a_request_costs_nothing,
        lost_answers::an_answer_over_postgresql_that_is_cut_at_any_byte_costs_nothing,
        postgres::a_client_that_leaves_during_begin_takes_nobodys_write_with_it,
        postgres::a_commit_whose_answer_is_lost_is_not_lost,
        postgres::a_database_that_is_silent_is_answered_503_until_it_speaks,
        postgres::a_full_pool_is_answered_503_until_it_has_room,
        postgres::a_lock_that_is_not_given_back_is_answered_503_until_it_is,
        postgres::a_slow_database_is_waited_for,
        postgres::connections_to_the_database_that_are_cut_cost_nothing,
        renewals::a_scanner_over_postgresql_whose_renewals_answer_is_lost_gets_it_again,
        replicas::a_poll_at_one_replica_wakes_for_a_challenge_made_at_the_other,
        replicas::a_revocation_arrives_without_the_listener,
        replicas::a_revocation_at_one_replica_closes_connections_at_the_other,
        replicas::limits_hold_over_two_replicas_together,
        replicas::of_those_who_poll_for_one_token_at_two_replicas_one_gets_it,
        replicas::of_those_who_redeem_one_code_at_two_replicas_one_wins,
        replicas::of_those_who_renew_one_certificate_at_two_replicas_one_wins,
        replicas::replicas_that_are_stopped_in_turn_lose_nothing,
        replicas::the_jobs_of_a_dead_replica_pass_on,
        suspension::a_tenant_that_is_suspended_at_one_replica_is_served_by_none,
        rotation::a_rotation_of_data_keys_that_is_killed_again_and_again_loses_nothing,
        samples::of_those_who_complete_one_challenge_at_two_replicas_one_ends_it,
        samples::of_those_who_fail_one_challenge_at_two_replicas_one_uses_a_try,
        samples::who_waited_for_a_dead_replica_is_told_of_the_sample_in_its_place,
        samples::who_waited_is_told_of_the_sample_that_it_waited_for,
        sealer::a_sealer_whose_lease_was_taken_meanwhile_signs_no_chain_that_was_cut_off,
        webhooks::events_reach_their_receiver_though_replicas_are_killed_again_and_again,
    ];
    let with_a_cluster = stories![
        postgres::a_database_that_stops_under_load_is_answered_503_until_it_is_back,
        postgres::a_database_without_a_free_connection_is_answered_503_until_it_has_one,
    ];
    let with_a_standby = stories![failover::a_failover_loses_nothing_that_was_answered];
    let trials = [
        trials(on_postgresql, server.is_some(), "no PostgreSQL"),
        trials(
            with_a_cluster,
            postgres::installation().is_some(),
            "no PostgreSQL",
        ),
        trials(with_a_standby, standby.is_some(), "no pg_basebackup"),
        trials(anywhere, true, ""),
        trials(by_strace, Strace::is_there(), "strace is not there"),
        trials(
            in_namespaces,
            disk::namespaces_are_there(),
            "no mount namespaces",
        ),
        trials(
            by_faketime,
            clock::library().is_some(),
            "libfaketime is not installed",
        ),
        trials(
            by_faketime_on_postgresql,
            clock::library().is_some() && server.is_some(),
            "libfaketime or PostgreSQL is not there",
        ),
    ];
    let mut arguments = Arguments::from_args();
    // Most of a story is waiting.
    arguments.test_threads.get_or_insert(AT_ONCE);
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}

/// The trials of stories. Where the machine lacks something they report themselves as ignored, or fail
/// if nothing may be missing.
fn trials(stories: Vec<(&'static str, Story)>, is_there: bool, lack: &'static str) -> Vec<Trial> {
    let complete = variable("IDENTITY_FAULTS_COMPLETE") == Some(1);
    let trial = |(name, story): (&'static str, Story)| {
        let trial = Trial::test(name, move || {
            if !is_there {
                return Err(lack.into());
            }
            tell(story);
            Ok(())
        });
        let trial = trial.with_ignored_flag(!is_there && !complete);
        if is_there {
            trial
        } else {
            trial.with_kind(lack)
        }
    };
    stories.into_iter().map(trial).collect()
}

/// Runs a story with a runtime of its own.
fn tell(story: Story) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(story());
}

/// `usual` repetitions, or as many times more as `FAULT_ROUNDS` says.
fn rounds(usual: usize) -> usize {
    usual * variable("FAULT_ROUNDS").unwrap_or(1)
}

/// What random choices are made from.
fn seed() -> u64 {
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| {
        let random = || u64::from_le_bytes(reference_server::clock::random_bytes());
        variable("FAULT_SEED").unwrap_or_else(random)
    })
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}
