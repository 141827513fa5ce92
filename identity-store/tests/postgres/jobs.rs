//! What the database refuses of a job is undone as a whole, and said as a failure of the database.

use identity_store::{
    Actor, DeviceStatus, DeviceStore as _, Error, JobId, JobStatus, JobStore as _, JobWork, NewJob,
    OperatorId, Result, SqlStore, Store as _, TenantStore as _,
};
use postgres_cluster::Database;
use sqlx::Connection as _;

use crate::entropy;
use crate::open;
use crate::sql::{raw, run};
use crate::together::{NOW, acme, change, device, waiting};

const REFUSES: &str = "
    CREATE FUNCTION refuses() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'refused'; END $$";
const DEVICE: &str = "
    CREATE TRIGGER refused BEFORE UPDATE ON devices FOR EACH ROW
    WHEN (NEW.device_id = 'dev_1' AND NEW.status = 'revoked') EXECUTE FUNCTION refuses()";
const END: &str = "
    CREATE TRIGGER refused BEFORE UPDATE ON jobs FOR EACH ROW
    WHEN (NEW.ended_at IS NOT NULL) EXECUTE FUNCTION refuses()";

async fn status(store: &SqlStore, n: u8) -> DeviceStatus {
    let read = store.device(&device(n), NOW).await.unwrap();
    read.unwrap().status
}

fn failed_in_the_database<T>(outcome: Result<T>) -> bool {
    let Err(Error::Backend { operation, .. }) = outcome else {
        return false;
    };
    operation == "work_on_job"
}

pub(crate) async fn what_the_database_refuses_of_a_job_leaves_it_where_it_was(database: Database) {
    let store = open(&database).await;
    let mut other = raw(&database).await;
    let made = store.create_tenant(change(), acme(), "Acme".to_owned());
    made.await.unwrap();
    for n in 0..3 {
        store.create_device(change(), waiting(n)).await.unwrap();
    }
    let (job_id, asked_by) = (
        JobId::generate(NOW, &mut entropy()),
        OperatorId::generate(NOW, &mut entropy()),
    );
    let new = NewJob {
        job_id: job_id.clone(),
        tenant_id: None,
        work: JobWork::RevokeTenant {
            tenant_id: acme(),
            reason: "The contract has ended".to_owned(),
        },
        total: 3,
        asked_by: Actor::Operator(asked_by),
    };
    let asked = store.create_job(change(), new).await.unwrap();
    let works = async |batch| store.work_on_job(change(), None, &job_id, batch).await;

    // A device that is refused takes those of its batch with it, and nothing is left of their end.
    run(&mut other, REFUSES).await;
    run(&mut other, DEVICE).await;
    assert!(failed_in_the_database(works(50).await));
    assert_eq!(store.job(None, &job_id).await.unwrap(), Some(asked));
    assert_ne!(status(&store, 0).await, DeviceStatus::Revoked);
    assert_eq!(works(1).await.unwrap().job.done, 1);
    assert!(failed_in_the_database(works(1).await));
    let passed = store.pass_device_over(change(), None, &job_id, "refused");
    assert_eq!(passed.await.unwrap().failed, 1);
    run(&mut other, "DROP TRIGGER refused ON devices").await;

    // The end: no device is left to be passed over, and the job stays.
    run(&mut other, END).await;
    assert_eq!(works(1).await.unwrap().job.done, 2);
    assert!(failed_in_the_database(works(1).await));
    let passed = store.pass_device_over(change(), None, &job_id, "refused");
    assert_eq!(passed.await.unwrap().failed, 1);
    run(&mut other, "DROP TRIGGER refused ON jobs").await;
    let ended = works(1).await.unwrap().job;
    assert_eq!(
        (ended.status, ended.done, ended.failed),
        (JobStatus::PartiallyFailed, 2, 1)
    );
    let revoked = [
        DeviceStatus::Revoked,
        DeviceStatus::PendingPairing,
        DeviceStatus::Revoked,
    ];
    for (n, expected) in (0..).zip(revoked) {
        assert_eq!(status(&store, n).await, expected, "dev_{n}");
    }
    other.close().await.unwrap();
    store.close().await;
}
