//! Who is served by each route of the description, and who is not: told to the real binary over real
//! HTTPS, with real objects of a tenant in paths and bodies.
//!
//! The calls are made from the description. A new route needs a line in [`table::ROUTES`], which says
//! who may call it; a parameter or a member that stands for something that has to be there needs one
//! in [`objects`].

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod calls;
mod credentials;
mod described;
mod devices;
mod first_run;
#[path = "../harness/mod.rs"]
mod harness;
mod objects;
mod rights;
mod table;
mod tenants;
mod world;
