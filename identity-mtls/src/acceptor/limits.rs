use std::num::NonZeroUsize;
use std::time::Duration;

/// How many handshakes run and wait, and for how long one may run.
///
/// A *source* is an IPv4 address, or an IPv6 /48: the most that one site is given (RFC 6177 §2), which
/// would be 65,536 sources by /64. Where thousands of devices share one address, or one /48 as in a
/// mobile network, raise what may wait to the number of devices that come back at once after a power
/// cut.
///
/// ```
/// use std::time::Duration;
/// use identity_mtls::HandshakeLimits;
///
/// let patient = HandshakeLimits { time: Duration::from_secs(10), ..HandshakeLimits::default() };
/// assert_eq!(patient.running.get(), 256);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandshakeLimits {
    /// How long a handshake may take from its start, the time that it waited for its start not
    /// counted; one beyond what the clock can count, such as [`Duration::MAX`], sets no end.
    /// Default: 5 s.
    pub time: Duration,
    /// How many handshakes run at once. Default: 256.
    pub running: NonZeroUsize,
    /// How many of them are of one source. Default: 128, which leaves others theirs even where a
    /// whole fleet behind one address comes back at once.
    pub running_per_source: NonZeroUsize,
    /// How many connections wait for their handshake; beyond, the newest one of the source that has
    /// most of them is closed. Default: 1024.
    pub waiting: usize,
    /// How many of them are of one source; beyond, its new connections are closed. Default: 512.
    pub waiting_per_source: usize,
}

impl HandshakeLimits {
    const DEFAULT: Self = Self {
        time: Duration::from_secs(5),
        running: NonZeroUsize::new(256).unwrap(),
        running_per_source: NonZeroUsize::new(128).unwrap(),
        waiting: 1024,
        waiting_per_source: 512,
    };
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
