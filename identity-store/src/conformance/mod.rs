//! One suite for every back end: each sentence of the traits' documentation, told as a story.
//!
//! A back end runs it with [`conformance_tests!`](crate::conformance_tests). Every story gets a
//! store of its own, empty.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that goes wrong panics: that is its report"
)]

mod fixtures;
mod witness;

#[doc(hidden)]
pub mod tenants;

pub use fixtures::World;

/// Makes a test of every story, for a back end.
///
/// `$make` is a future of an empty store and of whatever has to live as long as it.
///
/// ```ignore
/// identity_store::conformance_tests!(async { (MemoryStore::new(entropy()), ()) });
/// ```
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests! { @topics $make;
            tenants: [
                a_tenant_is_made_active_with_default_settings,
                a_tenant_id_is_taken_once,
                tenants_are_listed_newest_first_each_once,
                a_cursor_that_no_page_gave_is_refused,
                a_tenant_is_renamed,
                a_suspension_is_told_when_it_changes_something,
                a_tenants_settings_are_replaced_whole,
                an_unknown_tenant_is_not_changed,
            ];
        }
    };
    (@topics $make:expr; $($topic:ident: [$($story:ident),* $(,)?];)*) => {
        $(
            mod $topic {
                #[allow(unused_imports, reason = "the store may be made without them")]
                use super::*;

                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $story() {
                        let (store, _kept) = ($make).await;
                        let world = $crate::conformance::World::new(store);
                        $crate::conformance::$topic::$story(world).await;
                    }
                )*
            }
        )*
    };
}
