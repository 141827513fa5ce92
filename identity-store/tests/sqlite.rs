//! SQLite keeps the traits' contract.

#![cfg(feature = "sqlite")]
#![expect(
    clippy::unwrap_used,
    reason = "a store that cannot be made is the report"
)]

mod lost_secrets;
mod signed_heads;
mod tampering;
mod together;

use identity_store::{
    Conflict, Crypter, DataKey, Error, Migrate, PoolOptions, SqlStore, Store as _,
};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;

/// A database that is yet to be made in a directory of its own, which goes with the test.
fn url() -> (String, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (url_in(&directory), directory)
}

fn url_in(directory: &TempDir) -> String {
    let path = directory.path().join("identity.db");
    format!("sqlite://{}", path.display())
}

/// Does behind the store's back what `statement` says.
async fn run(directory: &TempDir, statement: &str) {
    let file = directory.path().join("identity.db");
    let options = SqliteConnectOptions::new().filename(file);
    let mut raw = options.connect().await.unwrap();
    let run = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut raw);
    run.await.unwrap();
    raw.close().await.unwrap();
}

/// An empty store in a directory of its own, which goes with the test.
async fn store() -> (SqlStore, TempDir) {
    let (url, directory) = url();
    let crypter = Crypter::new(vec![DataKey::new("test", [7; 32]).unwrap()]).unwrap();
    let entropy = rand_core::UnwrapErr(getrandom::SysRng);
    let pool = PoolOptions::default();
    let store = SqlStore::open(&url, &pool, crypter, entropy, Migrate::Auto);
    (store.await.unwrap(), directory)
}

identity_store::conformance_tests!(store());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_are_paired_together_and_each_gets_its_own_answer() {
    let (store, _directory) = store().await;
    together::devices_are_paired_together_and_each_gets_its_own_answer(&store).await;
}

#[tokio::test]
async fn a_lost_secret_closes_what_needs_it_and_nothing_else() {
    let (url, _directory) = url();
    lost_secrets::a_lost_secret_closes_what_needs_it_and_nothing_else(&url).await;
}

#[tokio::test]
async fn a_lost_secret_is_replaced_and_what_hangs_on_it_mended() {
    let (url, _directory) = url();
    lost_secrets::a_lost_secret_is_replaced_and_what_hangs_on_it_mended(&url).await;
}

#[tokio::test]
async fn a_secret_that_is_gone_is_not_made_anew_but_by_command() {
    let (url, directory) = url();
    let run = async |statement: &str| run(&directory, statement).await;
    lost_secrets::a_secret_that_is_gone_is_not_made_anew_but_by_command(&url, run).await;
}

#[tokio::test]
async fn a_secret_that_is_there_was_made_whatever_else_is_known() {
    let (url, directory) = url();
    let run = async |statement: &str| run(&directory, statement).await;
    lost_secrets::a_secret_that_is_there_was_made_whatever_else_is_known(&url, run).await;
}

#[tokio::test]
async fn a_secret_that_was_altered_is_told_from_a_lost_one_and_not_simply_replaced() {
    let (url, directory) = url();
    let run = async |statement: &str| run(&directory, statement).await;
    lost_secrets::a_secret_that_was_altered_is_told_from_a_lost_one_and_not_simply_replaced(
        &url, run,
    )
    .await;
}

#[tokio::test]
async fn a_file_that_another_process_has_open_is_refused_to_what_must_be_alone() {
    let (absent, directory) = url();
    let failed = SqlStore::refuse_open_elsewhere(&absent).await.unwrap_err();
    assert!(matches!(failed, Error::Backend { .. }), "{failed:?}");
    assert!(!directory.path().join("identity.db").exists());
    let (store, directory) = store().await;
    let url = url_in(&directory);
    let refused = SqlStore::refuse_open_elsewhere(&url).await.unwrap_err();
    let is_refused = matches!(refused, Error::Conflict(Conflict::Served));
    assert!(is_refused, "{refused:?}");
    store.check().await.unwrap();
    store.close().await;
    SqlStore::refuse_open_elsewhere(&url).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_code_pairs_nothing_beside_its_successor() {
    let (store, _directory) = store().await;
    together::a_replaced_code_pairs_nothing_beside_its_successor(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_the_rows_is_found_at_the_right_one() {
    let (store, directory) = store().await;
    let run = async |statement: &str| run(&directory, statement).await;
    tampering::whatever_is_done_to_the_rows_is_found_at_the_right_one(&store, run).await;
}
