//! Users, consent and palm challenges over real TLS, with a palm server over real HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backchannel;
mod calls;
mod captures;
mod certificates;
mod duplicates;
mod erased_users;
mod erasures;
mod gates;
mod life;
mod outcomes;
mod people;
mod polls;
mod races;
mod story;
mod streams;
mod world;
