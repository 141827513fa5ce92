//! What the benches share: how two things are measured in one run, and how a row of the table is
//! told.
//!
//! Each bench is a program of its own in `benches/`: criterion measures the parts, for whoever works
//! on them, and [`paired`] the ratios that the bars are about. `just bench` runs all of them and
//! prints their rows at the end.

pub mod clock;
pub mod counting;
pub mod fleet;
pub mod memory_handshake;
pub mod paired;
pub mod report;
pub mod signer;
