//! Where clusters listen.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// The first port that is tried, and how many there are.
const FIRST: u32 = 10_000;
const PORTS: u32 = 20_000;
/// How many are tried before there is no hope.
const TRIED: u32 = 100;

/// Ports that nobody listens on. They lie below those that outgoing connections get, so that a
/// cluster that is stopped for a while finds its own still free.
pub(crate) fn free_ports() -> impl Iterator<Item = u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that start one after another begin far apart.
    let start = std::process::id().wrapping_mul(97);
    (0..TRIED).filter_map(move |_| {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + step % PORTS).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        Some(port)
    })
}
