use identity_store::{AuditStore as _, Chain};
use reference_server::audit::verify::VerifyError;
use time::{Duration, OffsetDateTime};

use crate::months::{FEBRUARY, JANUARY, acme, record};
use crate::world::{MARCH, World};

impl World {
    /// From which place on each chain should have been signed by `now`, and how many rows that are.
    async fn unsigned(&self, now: OffsetDateTime) -> Vec<(Chain, u64, u64)> {
        let folder = Some(self.folder.path());
        let outcomes = self.verify_at(now, folder, Vec::new()).await;
        let findings = outcomes.into_iter().filter_map(Result::err);
        let unsigned = findings.map(|finding| match finding {
            VerifyError::Unsigned {
                chain,
                position,
                rows,
            } => Ok((chain, position, rows)),
            other => Err(other),
        });
        unsigned.collect::<Result<_, _>>().unwrap()
    }
}

#[tokio::test]
async fn rows_that_should_have_been_signed_by_now_are_found_live_and_archived() {
    let world = World::new().await;
    let all = [(Chain::Platform, 1, 1), (acme(), 1, 20)];
    assert_eq!(world.unsigned(MARCH).await, all);
    for month in [JANUARY, FEBRUARY] {
        world.archive(month).await;
        assert_eq!(world.unsigned(MARCH).await, all);
    }
    world.sign().await;
    assert_eq!(world.unsigned(MARCH).await, []);
}

#[tokio::test]
async fn rows_of_the_last_minutes_need_no_signature_yet() {
    let world = World::new().await;
    world.sign().await;
    record(&world.store, &acme(), MARCH, "req-march").await;
    world.store.seal_audit(9).await.unwrap();
    let signed_soon = MARCH + Duration::minutes(5);
    assert_eq!(world.unsigned(signed_soon).await, []);
    let late = signed_soon + Duration::MILLISECOND;
    assert_eq!(world.unsigned(late).await, [(acme(), 21, 1)]);
    world.sign().await;
    assert_eq!(world.unsigned(late).await, []);
}
