//! The memory back end keeps the traits' contract.

use identity_store::MemoryStore;

identity_store::conformance_tests!(async {
    let entropy = rand_core::UnwrapErr(getrandom::SysRng);
    (MemoryStore::new(entropy), ())
});
