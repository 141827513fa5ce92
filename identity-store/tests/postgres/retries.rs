//! Transactions that PostgreSQL ends for the sake of another are run again, and decide anew.

use std::sync::{Arc, Mutex};

use identity_store::{
    Actor, Change, Conflict, Error, NewOperator, Notice, OperatorId, OperatorStore as _, Origin,
    PasswordHash, Role, SqlStore, Store as _, StoreObserver, TenantStatus, TenantStore as _,
    Transaction, TransactionEnd, UnreadableValue,
};
use postgres_cluster::Database;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::audit::NOW;
use crate::sql::{raw, run, wait_for_waiting};
use crate::{entropy, open};

/// How transactions of one name ended, and after how many tries.
#[derive(Debug)]
struct Ended(&'static str, Mutex<Vec<(TransactionEnd, u32)>>);

impl StoreObserver for Ended {
    fn noticed(&self, _notice: &Notice, _origin: Origin) {}

    fn transaction_ended(&self, transaction: &Transaction) {
        if transaction.name == self.0 {
            let ended = (transaction.ended, transaction.tries);
            self.1.lock().unwrap().push(ended);
        }
    }

    fn unreadable(&self, _value: &UnreadableValue) {}
}

impl Ended {
    fn of(store: &SqlStore, name: &'static str) -> Arc<Self> {
        let ended = Arc::new(Self(name, Mutex::default()));
        store.observe(Arc::clone(&ended) as _);
        ended
    }

    fn take(&self) -> Vec<(TransactionEnd, u32)> {
        std::mem::take(&mut *self.1.lock().unwrap())
    }
}

fn change() -> Change {
    Change::new(NOW, Actor::System("test"), "req-test")
}

async fn administrator(store: &SqlStore, email: &str) -> OperatorId {
    let operator_id = OperatorId::generate(NOW, &mut entropy());
    let new = NewOperator {
        operator_id: operator_id.clone(),
        email: email.to_owned(),
        role: Role::PlatformAdmin,
        tenant_id: None,
        password: PasswordHash("hash".to_owned()),
    };
    store.create_operator(change(), new).await.unwrap();
    operator_id
}

/// SQLSTATE 40001: each of two transactions rests on what the other one takes away.
pub(crate) async fn of_two_that_cannot_be_put_in_order_one_is_run_again(database: Database) {
    let store = Arc::new(open(&database).await);
    let ended = Ended::of(&store, "delete_operator");
    let administrators = [
        administrator(&store, "ada@example.org").await,
        administrator(&store, "eve@example.org").await,
    ];
    // Both have counted two administrators before either deletes one.
    let mut gate = raw(&database).await;
    run(&mut gate, "BEGIN").await;
    run(&mut gate, "LOCK TABLE console_users IN SHARE MODE").await;
    let deletions = administrators.map(|operator_id| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.delete_operator(change(), &operator_id).await })
    });
    wait_for_waiting(&database, 2).await;
    run(&mut gate, "COMMIT").await;
    let mut refusals = Vec::new();
    for deletion in deletions {
        refusals.extend(deletion.await.unwrap().err());
    }
    let refused = &refusals[..];
    assert!(
        matches!(refused, [Error::Conflict(Conflict::LastPlatformAdmin)]),
        "{refused:?}"
    );
    let mut ended = ended.take();
    ended.sort_by_key(|(_, tries)| *tries);
    assert!(
        matches!(
            ended[..],
            [
                (TransactionEnd::Committed, 1),
                (TransactionEnd::Refused, 2..)
            ]
        ),
        "{ended:?}"
    );
    gate.close().await.unwrap();
    store.close().await;
}

/// SQLSTATE 40P01: PostgreSQL ends one that has waited for a second in a circle.
pub(crate) async fn one_that_is_in_a_deadlock_is_run_again(database: Database) {
    let store = open(&database).await;
    let made = store.create_tenant(change(), "acme".parse().unwrap(), "Acme".to_owned());
    made.await.unwrap();
    let mut other = raw(&database).await;
    // Ours waits first and is ended, unless the other one takes a second to follow.
    let is_ended = async {
        for status in [TenantStatus::Suspended, TenantStatus::Active].repeat(30) {
            if deadlock(&database, &store, &mut other, status).await > 1 {
                return true;
            }
        }
        false
    };
    assert!(is_ended.await, "it was never ours that was ended");
    other.close().await.unwrap();
    store.close().await;
}

/// One in which a transaction of the store sets a tenant's status; returns how often it was tried.
async fn deadlock(
    database: &Database,
    store: &SqlStore,
    other: &mut PgConnection,
    status: TenantStatus,
) -> u32 {
    let ended = Ended::of(store, "set_tenant_status");
    run(other, "BEGIN").await;
    run(other, "LOCK TABLE audit_intake IN SHARE MODE").await;
    let ours = store.clone();
    let set = tokio::spawn(async move {
        let acme = "acme".parse().unwrap();
        ours.set_tenant_status(change(), &acme, status).await
    });
    wait_for_waiting(database, 1).await;
    let lock = "SELECT 1 FROM tenants WHERE tenant_id = 'acme' FOR UPDATE";
    let locked = other.execute(lock).await.is_ok();
    run(other, if locked { "COMMIT" } else { "ROLLBACK" }).await;
    assert_eq!(set.await.unwrap().unwrap().status, status);
    let ended = ended.take();
    assert!(
        matches!(ended[..], [(TransactionEnd::Committed, _)]),
        "{ended:?}"
    );
    let (_, tries) = ended[0];
    assert_eq!(locked, tries > 1, "one of the two was ended");
    tries
}
