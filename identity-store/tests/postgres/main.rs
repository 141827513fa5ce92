//! PostgreSQL keeps the traits' contract, and what is its own: several stores on one database.
//!
//! Each test is run on each server that `IDENTITY_POSTGRES` or `TEST_DATABASE_URL` name, the traits'
//! stories on the first and the last of them, and reports itself as ignored where there is none.

#![expect(
    clippy::unwrap_used,
    reason = "a store that cannot be made is the report"
)]

mod audit;
mod connections;
mod jobs;
#[path = "../lost_secrets/mod.rs"]
mod lost_secrets;
mod many_rows;
mod migrations;
mod notices;
#[path = "../operations/mod.rs"]
mod operations;
mod prepared;
mod retries;
#[path = "../signed_heads/mod.rs"]
mod signed_heads;
mod sql;
mod stalled;
#[path = "../tampering/mod.rs"]
mod tampering;
#[path = "../together/mod.rs"]
mod together;

use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use identity_store::conformance::{World, stories};
use identity_store::{Crypter, DataKey, Migrate, PoolOptions, SqlStore};
use libtest_mimic::{Arguments, Trial};
use postgres_cluster::{Database, Server, on_each};
use prepared::Prepared;
use proptest::test_runner::TestRunner;
use rand_core::CryptoRng;

/// What a test does with a database of its own.
type Test = fn(Database) -> Pin<Box<dyn Future<Output = ()>>>;

macro_rules! tests {
    ($($topic:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), |database| Box::pin($topic::$name(database)))),*]
    };
}

const TESTS: &[(&str, Test)] = tests![
    audit::writers_never_wait_for_a_sealer_in_the_middle_of_its_turn,
    audit::a_change_that_becomes_visible_late_is_skipped_by_no_reader,
    audit::months_are_partitions_and_a_clock_that_is_off_finds_one,
    audit::rows_that_claim_one_place_do_not_hide_behind_the_end_of_a_page,
    audit::whatever_is_done_to_the_rows_is_found_at_the_right_one,
    connections::connections_that_a_rush_left_behind_are_closed,
    jobs::what_the_database_refuses_of_a_job_leaves_it_where_it_was,
    many_rows::answers_that_are_over_go_in_batches,
    many_rows::more_sign_ins_and_buckets_than_one_transaction_purges_go,
    many_rows::what_no_archive_holds_is_found_without_reading_all_of_it,
    migrations::of_two_that_migrate_at_once_one_waits_however_long_the_other_takes,
    migrations::a_migration_waits_for_another_and_for_a_table_that_is_locked,
    migrations::an_older_schema_is_refused_when_migrating_is_switched_off,
    stalled::a_sealer_that_goes_on_late_gives_no_place_twice,
    stalled::a_sealer_whose_session_ended_while_it_slept_leaves_all_to_the_next,
    stalled::a_purge_that_goes_on_late_forgets_nothing_live,
    retries::of_two_that_cannot_be_put_in_order_one_is_run_again,
    retries::one_that_is_in_a_deadlock_is_run_again,
    notices::a_change_is_heard_in_another_process_and_in_its_own_once,
    pairings::devices_are_paired_together_and_each_gets_its_own_answer,
    pairings::a_replaced_code_pairs_nothing_beside_its_successor,
    lost::a_lost_secret_closes_what_needs_it_and_nothing_else,
    lost::a_lost_secret_is_replaced_and_what_hangs_on_it_mended,
    lost::a_secret_that_is_gone_is_not_made_anew_but_by_command,
    lost::a_secret_that_is_there_was_made_whatever_else_is_known,
    lost::a_secret_that_was_altered_is_told_from_a_lost_one_and_not_simply_replaced,
];

mod lost {
    use super::sql::{raw, run};
    use super::{Database, lost_secrets};

    pub(super) async fn a_lost_secret_closes_what_needs_it_and_nothing_else(database: Database) {
        lost_secrets::a_lost_secret_closes_what_needs_it_and_nothing_else(database.url()).await;
    }

    pub(super) async fn a_lost_secret_is_replaced_and_what_hangs_on_it_mended(database: Database) {
        lost_secrets::a_lost_secret_is_replaced_and_what_hangs_on_it_mended(database.url()).await;
    }

    pub(super) async fn a_secret_that_is_gone_is_not_made_anew_but_by_command(database: Database) {
        let run = async |statement: &str| run(&mut raw(&database).await, statement).await;
        lost_secrets::a_secret_that_is_gone_is_not_made_anew_but_by_command(database.url(), run)
            .await;
    }

    pub(super) async fn a_secret_that_is_there_was_made_whatever_else_is_known(database: Database) {
        let run = async |statement: &str| run(&mut raw(&database).await, statement).await;
        lost_secrets::a_secret_that_is_there_was_made_whatever_else_is_known(database.url(), run)
            .await;
    }

    pub(super) async fn a_secret_that_was_altered_is_told_from_a_lost_one_and_not_simply_replaced(
        database: Database,
    ) {
        let run = async |statement: &str| run(&mut raw(&database).await, statement).await;
        lost_secrets::a_secret_that_was_altered_is_told_from_a_lost_one_and_not_simply_replaced(
            database.url(),
            run,
        )
        .await;
    }
}

mod pairings {
    use super::{Database, open, together};

    pub(super) async fn devices_are_paired_together_and_each_gets_its_own_answer(
        database: Database,
    ) {
        let store = open(&database).await;
        together::devices_are_paired_together_and_each_gets_its_own_answer(&store).await;
    }

    pub(super) async fn a_replaced_code_pairs_nothing_beside_its_successor(database: Database) {
        let store = open(&database).await;
        together::a_replaced_code_pairs_nothing_beside_its_successor(&store).await;
    }
}

fn main() -> ExitCode {
    let servers: Vec<_> = Server::all().into_iter().map(Prepared::of).collect();
    // What the versions between accept, both ends do.
    let ends: Vec<_> = match &*servers {
        [oldest, .., newest] => vec![Arc::clone(oldest), Arc::clone(newest)],
        few => few.to_vec(),
    };
    let mut trials: Vec<Trial> = Vec::new();
    for story in stories() {
        trials.extend(on_each(&ends, story.name, move |server| {
            let database = server.migrated();
            wait(async { (story.tell)(World::new(open(&database).await)).await });
        }));
    }
    for &(name, test) in TESTS {
        trials.extend(on_each(&servers, name, move |server| {
            wait(test(server.database()));
        }));
    }
    trials.extend(on_each(
        &servers,
        "answers_as_the_model_does",
        answers_as_the_model_does,
    ));
    let mut arguments = Arguments::from_args();
    // They wait for PostgreSQL more than they compute.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn wait(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(test);
}

fn answers_as_the_model_does(server: &Prepared) {
    let mut runner = TestRunner::new(operations::config(12));
    let held = runner.run(&operations::operations(), |list| {
        operations::answers_as_the_model_does(server.migrated().url(), &list);
        Ok(())
    });
    held.unwrap();
}

async fn open(database: &Database) -> SqlStore {
    let pool = PoolOptions {
        max_connections: 4,
        ..PoolOptions::default()
    };
    open_with(database, &pool).await
}

async fn open_with(database: &Database, pool: &PoolOptions) -> SqlStore {
    let store = SqlStore::open(database.url(), pool, crypter(), entropy(), Migrate::Auto);
    store.await.unwrap()
}

fn crypter() -> Crypter {
    Crypter::new(vec![DataKey::new("test", [7; 32]).unwrap()]).unwrap()
}

fn entropy() -> impl CryptoRng + Send + 'static {
    rand_core::UnwrapErr(getrandom::SysRng)
}
