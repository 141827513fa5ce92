use std::sync::Arc;

use super::fixtures::{World, at};
use super::witness::Told;
use crate::{Actor, Change, Conflict, Lease, LeaseName, ReplicaId};

/// How long a lease is asked for, in seconds.
const TERM: i64 = 10;

impl World {
    fn replica(&self) -> ReplicaId {
        self.id("rep_")
    }

    /// Asks for the sealer's lease.
    async fn asks(&self, holder: &ReplicaId, seconds: i64) -> Option<Lease> {
        self.asks_for(LeaseName::AuditSealer, holder, seconds).await
    }

    async fn asks_for(&self, name: LeaseName, holder: &ReplicaId, seconds: i64) -> Option<Lease> {
        let (now, until) = (at(seconds), at(seconds + TERM));
        let lease = self.store.acquire_lease(name, holder, now, until).await;
        lease.unwrap()
    }
}

fn lease(holder: &ReplicaId, fence: u64, until: i64) -> Option<Lease> {
    Some(Lease {
        name: LeaseName::AuditSealer,
        holder: holder.clone(),
        fence,
        until: at(until),
    })
}

pub async fn a_lease_has_one_holder_until_it_runs_out(world: World) {
    let (first, second) = (world.replica(), world.replica());
    assert_eq!(world.asks(&first, 0).await, lease(&first, 1, 10));
    assert_eq!(world.asks(&second, 0).await, None);
    assert_eq!(world.asks(&second, 9).await, None);
    assert_eq!(world.asks(&second, 10).await, lease(&second, 2, 20));
    assert_eq!(world.asks(&first, 11).await, None);
}

pub async fn each_name_is_a_lease_of_its_own(world: World) {
    for name in LeaseName::ALL {
        let (holder, other) = (world.replica(), world.replica());
        let lease = world.asks_for(name, &holder, 0).await.unwrap();
        assert_eq!((lease.name, lease.fence), (name, 1));
        assert_eq!(world.asks_for(name, &other, 1).await, None);
    }
}

pub async fn a_holder_renews_its_lease_under_the_same_number(world: World) {
    let (holder, other) = (world.replica(), world.replica());
    for seconds in [0, 3, 6, 9] {
        let renewed = world.asks(&holder, seconds).await;
        assert_eq!(renewed, lease(&holder, 1, seconds + TERM));
    }
    assert_eq!(world.asks(&other, 18).await, None);
    // Late, and nobody was faster.
    assert_eq!(world.asks(&holder, 60).await, lease(&holder, 1, 70));
}

pub async fn a_lease_that_is_given_back_is_free_at_once(world: World) {
    let (first, second) = (world.replica(), world.replica());
    let held = world.asks(&first, 0).await.unwrap();
    world.store.release_lease(&held).await.unwrap();
    let passed_on = world.asks(&second, 1).await;
    assert_eq!(passed_on, lease(&second, 2, 11));
    // It is another's: there is nothing to give back any more.
    world.store.release_lease(&held).await.unwrap();
    assert_eq!(world.asks(&first, 2).await, None);
    world
        .store
        .release_lease(&passed_on.unwrap())
        .await
        .unwrap();
    assert_eq!(world.asks(&first, 3).await, lease(&first, 3, 13));
}

pub async fn of_many_that_ask_at_once_one_gets_it(world: World) {
    for round in 0..4 {
        let mut replicas = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (store, holder) = (Arc::clone(&world.store), world.replica());
            let (now, until) = (at(round * TERM), at((round + 1) * TERM));
            replicas.spawn(async move {
                let name = LeaseName::Purge;
                store
                    .acquire_lease(name, &holder, now, until)
                    .await
                    .unwrap()
            });
        }
        let held = replicas.join_all().await.into_iter().flatten();
        let fences: Vec<u64> = held.map(|lease| lease.fence).collect();
        assert_eq!(fences, [u64::try_from(round).unwrap() + 1]);
    }
}

pub async fn a_lease_ends_when_the_clock_is_set_back(world: World) {
    let (dead, next) = (world.replica(), world.replica());
    world.asks(&dead, 3600).await.unwrap();
    // As if it were renewed in ten seconds or later: an hour is no difference between two clocks.
    assert_eq!(world.asks(&next, 3600 - 9).await, None);
    assert_eq!(world.asks(&next, 3600 - 10).await, lease(&next, 2, 3600));
}

pub async fn what_is_done_under_a_lease_that_passed_on_is_not_committed(world: World) {
    let tenant_id = world.tenant("acme").await;
    let (sleeper, next) = (world.replica(), world.replica());
    let slept_on = world.asks(&sleeper, 0).await.unwrap();
    let change = |lease: &Lease| {
        Change::new(at(1), Actor::System("sealer"), "job:sealer").under(lease.clone())
    };
    let told = || Told::platform(&["tenant_updated"]);
    let rename = async |change| {
        let name = "Renamed".to_owned();
        world.store.rename_tenant(change, &tenant_id, name).await
    };
    world.commits(change(&slept_on), told(), rename).await;
    // It ran out, and is nobody else's.
    let renewed = world.asks(&sleeper, 60).await.unwrap();
    world.commits(change(&slept_on), told(), rename).await;
    world.store.release_lease(&renewed).await.unwrap();
    let held = world.asks(&next, 61).await.unwrap();
    for lost in [&slept_on, &renewed] {
        world
            .conflicts(change(lost), Conflict::LeaseLost, rename)
            .await;
    }
    world.commits(change(&held), told(), rename).await;
}
