//! The audit trail: what is read of it by HTTP, and its archives: what they hold is found again, and what
//! they do not hold never goes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../harness/mod.rs"]
mod harness;

mod archives;
mod binary;
mod flat;
mod months;
mod place;
mod retention;
mod routes;
mod unsigned;
mod world;
