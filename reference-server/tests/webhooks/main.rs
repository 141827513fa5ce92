//! Webhooks, from the routes that make them to what receivers get: the real binary and receivers over real
//! HTTP. `IDENTITY_PYTHON` names an interpreter that has standardwebhooks; without, its test reports itself as
//! ignored.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod administration;
mod delivery;
#[path = "../harness/mod.rs"]
mod harness;
mod signatures;
mod sink;
mod world;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        trial("a_webhook_is_made_read_edited_and_deleted", || {
            told(administration::a_webhook_is_made_read_edited_and_deleted());
        }),
        trial("a_url_that_leads_inside_is_refused", || {
            told(administration::a_url_that_leads_inside_is_refused());
        }),
        trial("what_is_no_good_is_refused_with_its_member", || {
            told(administration::what_is_no_good_is_refused_with_its_member());
        }),
        trial("an_event_reaches_its_own_tenants_endpoints_alone", || {
            told(delivery::an_event_reaches_its_own_tenants_endpoints_alone());
        }),
        trial(
            "the_platforms_endpoints_hear_of_expiring_certificates",
            || told(delivery::the_platforms_endpoints_hear_of_expiring_certificates()),
        ),
        trial("what_failed_is_tried_again_under_the_same_id", || {
            told(delivery::what_failed_is_tried_again_under_the_same_id());
        }),
        trial("an_endpoint_that_is_gone_is_disabled_and_recovers", || {
            told(delivery::an_endpoint_that_is_gone_is_disabled_and_recovers());
        }),
        trial("no_endpoint_holds_another_up", || {
            told(delivery::no_endpoint_holds_another_up());
        }),
    ];
    let has_python = signatures::python().is_some();
    let verified = trial("the_receivers_library_verifies_every_try", || {
        told(signatures::the_receivers_library_verifies_every_try());
    });
    let kind = if has_python {
        ""
    } else {
        "IDENTITY_PYTHON is not set"
    };
    trials.push(verified.with_ignored_flag(!has_python).with_kind(kind));
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(name: &str, story: fn()) -> Trial {
    Trial::test(name, move || {
        story();
        Ok(())
    })
}

fn told(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(story);
}
