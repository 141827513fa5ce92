//! How often a source may ask (contract §14).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use identity_pki::DeviceIdentity;
use time::{Duration, OffsetDateTime};

/// How many callers one limit remembers. A caller is forgotten as soon as it may ask freely again.
const MAX_CALLERS: usize = 100_000;

/// The limits of this server.
#[derive(Debug)]
pub struct RateLimits {
    /// Sign-ins and token requests: 30 a minute for each source.
    pub sign_in: RateLimit<Source>,
    /// Pairings: 10 a minute for each source.
    pub pairing: RateLimit<Source>,
    /// Wrong pairing codes: 5 in 5 minutes for each source.
    pub wrong_pairing_code: RateLimit<Source>,
    /// Wrong pairing codes of all sources: 1,000 in 5 minutes.
    pub wrong_pairing_codes_in_all: RateLimit<()>,
    /// Renewals: 10 an hour for each device.
    pub renewal: RateLimit<DeviceIdentity>,
}

impl RateLimits {
    /// The contract's limits, or none at all, for benchmarks.
    #[must_use]
    pub fn new(on: bool) -> Self {
        let burst = |burst| if on { burst } else { 0 };
        Self {
            sign_in: RateLimit::new(burst(30), Duration::MINUTE),
            pairing: RateLimit::new(burst(10), Duration::MINUTE),
            wrong_pairing_code: RateLimit::new(burst(5), Duration::minutes(5)),
            wrong_pairing_codes_in_all: RateLimit::new(burst(1000), Duration::minutes(5)),
            renewal: RateLimit::new(burst(10), Duration::HOUR),
        }
    }
}

/// A token bucket for each caller: `burst` at once, refilled over `period` (GCRA).
#[derive(Debug)]
pub struct RateLimit<K> {
    burst: u32,
    period: Duration,
    /// When each caller's bucket will be full again.
    full_at: Mutex<HashMap<K, OffsetDateTime>>,
}

/// Who is counted: an IPv4 address, or the /64 that an IPv6 host can choose its address from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(Option<IpAddr>);

impl From<Option<IpAddr>> for Source {
    fn from(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        }))
    }
}

impl<K: Eq + Hash> RateLimit<K> {
    /// `burst` requests within `period`; 0 is no limit.
    #[must_use]
    pub fn new(burst: u32, period: Duration) -> Self {
        Self {
            burst,
            period,
            full_at: Mutex::default(),
        }
    }

    /// Counts a request of `caller`.
    ///
    /// # Errors
    ///
    /// How long the caller has to wait when it asked too often; the request does not count then.
    pub fn take(
        &self,
        caller: impl Into<K>,
        now: OffsetDateTime,
    ) -> Result<(), std::time::Duration> {
        self.decide(caller.into(), now, true)
    }

    /// Whether a request of `caller` would be within the limit, without counting one.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub fn check(
        &self,
        caller: impl Into<K>,
        now: OffsetDateTime,
    ) -> Result<(), std::time::Duration> {
        self.decide(caller.into(), now, false)
    }

    /// Counts a request that was admitted already, even beyond the limit: what raced past a
    /// [`check`](Self::check) together is waited for afterwards.
    pub fn charge(&self, caller: impl Into<K>, now: OffsetDateTime) {
        if self.burst == 0 {
            return;
        }
        let refill = self.period / self.burst;
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= MAX_CALLERS {
            full_at.retain(|_, full| *full > now);
        }
        let caller = caller.into();
        if full_at.len() < MAX_CALLERS || full_at.contains_key(&caller) {
            let full = full_at.entry(caller).or_insert(now);
            *full = (*full).max(now) + refill;
        }
    }

    fn decide(
        &self,
        caller: K,
        now: OffsetDateTime,
        count: bool,
    ) -> Result<(), std::time::Duration> {
        if self.burst == 0 {
            return Ok(());
        }
        let refill = self.period / self.burst;
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full = full_at.get(&caller).copied().filter(|full| *full > now);
        let next = full.unwrap_or(now) + refill;
        if next - now > self.period {
            return Err((next - now - self.period).try_into().unwrap_or_default());
        }
        if count {
            if full.is_none() && full_at.len() >= MAX_CALLERS {
                full_at.retain(|_, full| *full > now);
            }
            if full.is_none() && full_at.len() >= MAX_CALLERS {
                // So many callers at once are an attack; newcomers wait.
                return Err(refill.try_into().unwrap_or_default());
            }
            full_at.insert(caller, next);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("address"))
    }

    #[test]
    fn a_burst_is_allowed_and_refilled_evenly() {
        let limit = RateLimit::<Source>::new(3, Duration::MINUTE);
        for _ in 0..3 {
            assert!(limit.take(ip("192.0.2.1"), NOW).is_ok());
        }
        let wait = limit.take(ip("192.0.2.1"), NOW);
        assert_eq!(wait, Err(std::time::Duration::from_secs(20)));
        assert!(limit.take(ip("192.0.2.2"), NOW).is_ok(), "another source");
        let later = NOW + Duration::seconds(20);
        assert!(limit.check(ip("192.0.2.1"), later).is_ok());
        assert!(limit.take(ip("192.0.2.1"), later).is_ok());
        assert!(limit.take(ip("192.0.2.1"), later).is_err());
    }

    #[test]
    fn a_host_cannot_choose_another_address_of_its_network() {
        let limit = RateLimit::<Source>::new(1, Duration::MINUTE);
        assert!(limit.take(ip("2001:db8:0:1::1"), NOW).is_ok());
        assert!(limit.take(ip("2001:db8:0:1:ffff::2"), NOW).is_err());
        assert!(limit.take(ip("2001:db8:0:2::1"), NOW).is_ok());
        assert!(limit.take(ip("192.0.2.1"), NOW).is_ok());
        assert!(
            limit.take(ip("::ffff:192.0.2.1"), NOW).is_err(),
            "the same IPv4 host"
        );
    }

    #[test]
    fn what_raced_past_the_limit_is_waited_for() {
        let limit = RateLimit::<Source>::new(5, Duration::minutes(5));
        for _ in 0..10 {
            assert!(limit.check(ip("192.0.2.1"), NOW).is_ok(), "all at once");
        }
        for _ in 0..10 {
            limit.charge(ip("192.0.2.1"), NOW);
        }
        let minutes = |minutes| NOW + Duration::minutes(minutes);
        assert!(limit.check(ip("192.0.2.1"), minutes(5)).is_err());
        assert!(limit.check(ip("192.0.2.1"), minutes(6)).is_ok());
        assert!(limit.check(ip("192.0.2.2"), NOW).is_ok(), "another source");
    }

    #[test]
    fn limits_can_be_lifted() {
        let limits = RateLimits::new(false);
        for _ in 0..1000 {
            assert!(limits.pairing.take(None, NOW).is_ok());
        }
    }
}
