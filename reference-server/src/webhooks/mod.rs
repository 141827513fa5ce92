//! Webhooks (contract §10): events on their way to the endpoints that subscribe to them, signed as Standard
//! Webhooks 1.0 says, until each has its events or has failed for too long.
//!
//! The sealer gives an event its place, and makes it a delivery for each endpoint. Each replica claims
//! deliveries that are due, tries them, and notes what came of it: at least once, in no promised order.

mod address;
mod deliverer;
mod destination;
mod schedule;
mod sender;
mod signature;
mod verdict;

use std::time::Duration;

use tokio::sync::Notify;

pub use address::Reach;
pub use deliverer::run;
pub use destination::{AddressPolicy, AddressRefusal, Destination, Loopback, MAX_URL, UrlRefusal};
pub use schedule::{MAX_RETRY_AFTER, WAITS, next_try, retry_after};
pub use sender::{Answered, NoAnswer, Sender, TRY_TIME};
pub use signature::{
    WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP, body, new_secret, shown, signature, timestamp,
};
pub use verdict::judge;

/// How long events are kept, with their deliveries: so far back can they be read and sent again.
pub const EVENTS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What delivers.
#[derive(Debug)]
pub struct Webhooks {
    /// What sends.
    pub sender: Sender,
    /// Something may be due.
    pub due: Notify,
}

impl Webhooks {
    /// # Errors
    ///
    /// [`reqwest::Error`] if there is no HTTP client.
    pub fn new(loopback: Loopback) -> Result<Self, reqwest::Error> {
        Ok(Self {
            sender: Sender::new(loopback)?,
            due: Notify::new(),
        })
    }
}
