//! Random lists of operations, and whether a database answers them as the memory model does.

#![expect(
    clippy::unwrap_used,
    reason = "a store that cannot be made is the report"
)]

use identity_store::conformance::play::{Operation, transcript};
use identity_store::{Crypter, DataKey, MemoryStore, Migrate, PoolOptions, SqlStore};
use proptest::prelude::*;
use rand_core::CryptoRng;
use tokio::runtime::Runtime;

fn entropy() -> impl CryptoRng + Send + 'static {
    rand_core::UnwrapErr(getrandom::SysRng)
}

async fn open(url: &str) -> SqlStore {
    let crypter = Crypter::new(vec![DataKey::new("test", [7; 32]).unwrap()]).unwrap();
    let pool = PoolOptions {
        max_connections: 2,
        ..PoolOptions::default()
    };
    let store = SqlStore::open(url, &pool, crypter, entropy(), Migrate::Auto);
    store.await.unwrap()
}

/// What is likely to meet: a tenant or two, a few devices and users.
fn operation() -> impl Strategy<Value = Operation> {
    let n = || 0..4_u8;
    prop_oneof![
        2 => Just(Operation::CreateTenant),
        1 => (n(), any::<bool>())
            .prop_map(|(tenant, suspended)| Operation::SuspendTenant { tenant, suspended }),
        1 => (n(), any::<bool>())
            .prop_map(|(tenant, silent)| Operation::SilenceTenant { tenant, silent }),
        3 => n().prop_map(|tenant| Operation::CreateDevice { tenant }),
        2 => (n(), any::<bool>())
            .prop_map(|(device, replace)| Operation::IssueCode { device, replace }),
        6 => (n(), prop::bool::weighted(0.1), prop::bool::weighted(0.1)).prop_map(
            |(device, wrong_code, same_key)| Operation::Pair { device, wrong_code, same_key }
        ),
        3 => (n(), n()).prop_map(|(device, presented)| Operation::Renew { device, presented }),
        2 => (n(), n()).prop_map(|(device, superseded)| Operation::EndGrace { device, superseded }),
        1 => n().prop_map(|device| Operation::Revoke { device }),
        3 => n().prop_map(|tenant| Operation::CreateUser { tenant }),
        1 => (n(), any::<bool>()).prop_map(|(user, suspended)| Operation::Suspend { user, suspended }),
        4 => (n(), prop::bool::weighted(0.8))
            .prop_map(|(user, granted)| Operation::RecordConsent { user, granted }),
        1 => n().prop_map(|user| Operation::WithdrawConsent { user }),
        1 => n().prop_map(|user| Operation::ClearLock { user }),
        8 => (n(), n(), n())
            .prop_map(|(user, device, kind)| Operation::CreateChallenge { user, device, kind }),
        2 => (n(), n()).prop_map(|(challenge, step)| Operation::Step { challenge, step }),
        6 => (n(), n()).prop_map(|(challenge, sample)| Operation::Begin { challenge, sample }),
        6 => (n(), 0..5_u8).prop_map(|(lease, verdict)| Operation::Finish { lease, verdict }),
        1 => Just(Operation::ExpireChallenges),
        1 => n().prop_map(|limit| Operation::Seal { limit }),
        2 => (0..200_u8).prop_map(|seconds| Operation::Wait { seconds }),
    ]
}

/// Lists of operations.
pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    prop::collection::vec(operation(), 0..120)
}

/// Holds the empty database at `url` against the model.
pub(crate) fn answers_as_the_model_does(url: &str, operations: &[Operation]) {
    Runtime::new().unwrap().block_on(async {
        let model = transcript(MemoryStore::new(entropy()), operations).await;
        same(&model, &transcript(open(url).await, operations).await);
    });
}

fn same(expected: &[String], found: &[String]) {
    for (expected, found) in expected.iter().zip(found) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 200,
        // What fails is told in full, and becomes a test with a name.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
