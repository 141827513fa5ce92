//! The statements that the conformance suite begins.

use std::collections::BTreeSet;
use std::sync::Mutex;

use tokio::sync::OnceCell;

use super::File;
use crate::conformance::{World, stories};
use crate::sql::query::Sql;

static STATEMENTS: Mutex<BTreeSet<Sql>> = Mutex::new(BTreeSet::new());

/// Keeps a statement that a test began.
pub(in crate::sql) fn note(statement: Sql) {
    STATEMENTS.lock().unwrap().insert(statement);
}

/// Every statement that the suite begins, and those of other tests that ran before.
pub(super) async fn all() -> Vec<Sql> {
    static TOLD: OnceCell<()> = OnceCell::const_new();
    TOLD.get_or_init(tell).await;
    let statements = Vec::from_iter(STATEMENTS.lock().unwrap().iter().copied());
    assert!(statements.len() > 100, "{statements:#?}");
    statements
}

async fn tell() {
    for story in stories() {
        let file = File::new();
        (story.tell)(World::new(file.open().await)).await;
    }
}
