//! A tenant whose chain reaches over two months that are over.

use identity_store::{Actor, Chain, Change, Event, Month, Store};
use time::OffsetDateTime;
use time::macros::datetime;

pub(crate) const JANUARY: OffsetDateTime = datetime!(2020-01-15 12:00 UTC);
pub(crate) const FEBRUARY: OffsetDateTime = datetime!(2020-02-15 12:00 UTC);

pub(crate) fn acme() -> Chain {
    Chain::Tenant("acme".parse().unwrap())
}

/// Records a row in `chain` at `moment`, asked for by `request_id`.
pub(crate) async fn record(
    store: &dyn Store,
    chain: &Chain,
    moment: OffsetDateTime,
    request_id: &str,
) {
    let change = Change::new(moment, Actor::System("test"), request_id);
    let recorded = store.record(change, chain.clone(), vec![Event::PairingRefused]);
    recorded.await.unwrap();
}

/// A tenant with ten rows in January and ten in February, all sealed.
pub(crate) async fn two_months(store: &dyn Store) {
    let change = Change::new(JANUARY, Actor::System("test"), "req-tenant");
    let made = store.create_tenant(change, "acme".parse().unwrap(), "Acme".to_owned());
    made.await.unwrap();
    for moment in [JANUARY, FEBRUARY] {
        for n in 0..10 {
            let request_id = format!("req-{}-{n}", Month::of(moment));
            record(store, &acme(), moment, &request_id).await;
        }
    }
    store.seal_audit(1000).await.unwrap();
}
