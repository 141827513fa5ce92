use super::{File, NOW, acme, change, close, entropy, pairing, scanner, waiting_device};
use crate::sql::query::query;
use crate::sql::tx::Isolation;
use crate::{
    BucketKey, CertificateStore as _, Conflict, DeviceStatus, DeviceStore as _, Error, LeaseName,
    LeaseStore as _, Paired, RateDecision, RateLimit, RateLimitStore as _, ReplicaId, Result,
    Store as _, TenantStore as _,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixty_four_pairings_through_two_processes_one_wins() {
    let file = File::new();
    let stores = [file.open().await, file.open().await];
    waiting_device(&stores[0]).await.unwrap();
    let calls: Vec<_> = (1..=64)
        .map(|key| {
            let store = stores[usize::from(key) % 2].clone();
            tokio::spawn(async move { store.pair_device(change(), pairing(key)).await })
        })
        .collect();
    let mut winners = Vec::new();
    for call in calls {
        match call.await.unwrap() {
            Ok(Paired::Now(device)) => winners.push(device.certificate.unwrap()),
            Err(Error::Conflict(Conflict::PairingCodeInvalid)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    let device = stores[1].device(&scanner(), NOW).await.unwrap().unwrap();
    assert_eq!(device.certificate.as_ref(), winners.first());
    let mut raw = file.raw().await;
    let ledger: i64 = sqlx::query_scalar("SELECT count(*) FROM issued_certificates")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(ledger, 1, "a loser leaves nothing in the ledger");
    assert!(
        stores[0]
            .issuance(&winners[0].serial)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_replicas_that_ask_through_two_processes_one_holds_the_lease() {
    let file = File::new();
    let stores = [file.open().await, file.open().await];
    let until = NOW + time::Duration::seconds(10);
    let calls: Vec<_> = (0..32)
        .map(|n| {
            let (store, holder) = (
                stores[n % 2].clone(),
                ReplicaId::generate(NOW, &mut entropy()),
            );
            let name = LeaseName::Purge;
            tokio::spawn(async move { store.acquire_lease(name, &holder, NOW, until).await })
        })
        .collect();
    let mut holders = Vec::new();
    for call in calls {
        holders.extend(call.await.unwrap().unwrap());
    }
    assert_eq!(holders.len(), 1, "{holders:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_callers_who_take_through_two_processes_no_more_get_one_than_there_are() {
    let file = File::new();
    let stores = [file.open().await, file.open().await];
    let limit = RateLimit::new(std::num::NonZeroU32::MIN, time::Duration::MINUTE);
    let bucket = BucketKey([7; 32]);
    let calls: Vec<_> = (0..32)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move { store.take_from_bucket(bucket, limit, NOW).await })
        })
        .collect();
    let mut within = 0;
    for call in calls {
        let taken = call.await.unwrap().unwrap();
        within += usize::from(matches!(taken, RateDecision::Within { .. }));
    }
    assert_eq!(within, 1);
}

#[tokio::test]
async fn a_locked_database_is_busy_and_whole_afterwards() {
    let file = File::new();
    let store = file.open_impatient().await;
    waiting_device(&store).await.unwrap();
    let mut raw = file.raw().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut raw)
        .await
        .unwrap();

    let error = store.pair_device(change(), pairing(1)).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Busy {
                transaction: "pair_device",
                tries: 2
            }
        ),
        "{error:?}"
    );
    let device = store.device(&scanner(), NOW).await.unwrap().unwrap();
    assert_eq!(device.status, DeviceStatus::PendingPairing, "readers go on");

    sqlx::query("ROLLBACK").execute(&mut raw).await.unwrap();
    let paired = store.pair_device(change(), pairing(1)).await.unwrap();
    assert!(matches!(paired, Paired::Now(_)));
    let check: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    assert_eq!(check, "ok");
    close(store, raw).await;
}

/// On one thread, so that the caller is gone before the transaction has begun.
#[tokio::test]
async fn a_change_whose_caller_went_away_is_committed() {
    use std::future::Future as _;
    use std::task::{Context, Waker};

    let file = File::new();
    let store = file.open().await;
    {
        let mut call = Box::pin(store.create_tenant(change(), acme(), "Acme".to_owned()));
        // The first poll starts the transaction; then the caller goes away.
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }
    // Closing waits for what is under way.
    store.close().await;
    let store = file.open().await;
    assert!(store.tenant(&acme()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_change_that_fails_leaves_nothing_and_the_next_one_goes_on() {
    let file = File::new();
    let store = file.open().await;
    waiting_device(&store).await.unwrap();
    let mut raw = file.raw().await;
    // The audit row, written after the data, is what fails.
    let trap =
        "CREATE TRIGGER trap BEFORE INSERT ON audit_intake BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(trap).execute(&mut raw).await.unwrap();
    let error = store.pair_device(change(), pairing(1)).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Backend {
                operation: "pair_device",
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!error.to_string().contains("audit"), "{error}");

    sqlx::query("DROP TRIGGER trap")
        .execute(&mut raw)
        .await
        .unwrap();
    let device = store.device(&scanner(), NOW).await.unwrap().unwrap();
    assert_eq!(device.status, DeviceStatus::PendingPairing);
    let paired = store.pair_device(change(), pairing(1)).await.unwrap();
    assert!(matches!(paired, Paired::Now(_)), "the code was not spent");
    close(store, raw).await;
}

#[tokio::test]
async fn a_transaction_that_panics_leaves_nothing_and_holds_nobody_up() {
    const ADD: &str = "
        INSERT INTO tenants (tenant_id, name, status, config, created_at)
        VALUES ('acme', 'Acme', 'active', '{}', 0)";
    let file = File::new();
    let store = file.open().await;
    let outcome: Result<()> = store
        .run_tx("panics", Isolation::Serializable, |tx| {
            Box::pin(async move {
                query(ADD).execute(tx.conn()).await?;
                panic!("in the midst of it");
            })
        })
        .await;
    assert!(matches!(outcome, Err(Error::Backend { .. })), "{outcome:?}");
    assert!(store.tenant(&acme()).await.unwrap().is_none());
    let made = store.create_tenant(change(), acme(), "Acme".to_owned());
    made.await.unwrap();
}
