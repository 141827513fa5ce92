//! How often a source may ask (contract §14), over all replicas.
//!
//! Where several processes share a database the buckets are in it, and this process remembers what
//! it last heard of each: a bucket only fills up with time, so that one which is empty by what is
//! remembered is empty everywhere, and a flood is refused without asking the database. A process
//! that is alone keeps the buckets in memory: to write them would double the commits of a pairing,
//! and all that a restart forgets is a few minutes of patience.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use identity_store::{BucketKey, Error, RateDecision, Store};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};

use super::{ErrorCode, Problem};

/// How many callers one limit remembers. A caller is forgotten as soon as it may ask freely again.
const MAX_CALLERS: usize = 100_000;

/// The limits of this server.
#[derive(Debug)]
pub struct RateLimits {
    /// Sign-ins and token requests: 30 a minute for each source.
    pub sign_in: RateLimit,
    /// Pairings: 10 a minute for each source.
    pub pairing: RateLimit,
    /// Wrong pairing codes: 5 in 5 minutes for each source.
    pub wrong_pairing_code: RateLimit,
    /// Wrong pairing codes of all sources: 1,000 in 5 minutes.
    pub wrong_pairing_codes_in_all: RateLimit,
    /// Renewals with the active certificate: 10 an hour for each device.
    pub renewal: RateLimit,
    /// Tries to renew with any other certificate: 10 an hour for each device that it names.
    pub other_renewal: RateLimit,
}

impl RateLimits {
    /// The contract's limits, or none at all, for benchmarks.
    #[must_use]
    pub fn new(on: bool) -> Self {
        let limit = |name, burst, period| RateLimit::new(name, if on { burst } else { 0 }, period);
        Self {
            sign_in: limit("sign_in", 30, Duration::MINUTE),
            pairing: limit("pairing", 10, Duration::MINUTE),
            wrong_pairing_code: limit("wrong_pairing_code", 5, Duration::minutes(5)),
            wrong_pairing_codes_in_all: limit(
                "wrong_pairing_codes_in_all",
                1000,
                Duration::minutes(5),
            ),
            renewal: limit("renewal", 10, Duration::HOUR),
            other_renewal: limit("other_renewal", 10, Duration::HOUR),
        }
    }
}

/// One limit: a bucket for each caller.
#[derive(Debug)]
pub struct RateLimit {
    name: &'static str,
    /// `None` is no limit.
    limit: Option<identity_store::RateLimit>,
    /// When each caller's bucket will be full again: at the soonest where the buckets are shared,
    /// exactly where they are this process's own.
    full_at: Mutex<HashMap<BucketKey, OffsetDateTime>>,
}

/// Why a request is not served.
#[derive(Debug)]
pub enum RateRefusal {
    /// The caller asked too often.
    Exceeded {
        /// How long it has to wait.
        wait: std::time::Duration,
    },
    /// The buckets cannot be read or written.
    Store(Error),
}

impl RateRefusal {
    /// What the caller is told: `code` and `detail` when it asked too often, 503 when the database
    /// fails, as the request's own work would.
    #[must_use]
    pub fn problem(self, code: ErrorCode, detail: &'static str) -> Problem {
        match self {
            Self::Exceeded { wait } => Problem::new(code, detail).retry_after(wait),
            Self::Store(error) => error.into(),
        }
    }
}

impl From<Error> for RateRefusal {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
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

impl Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

/// All callers together.
#[derive(Debug, Clone, Copy)]
pub struct Everybody;

impl Display for Everybody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("everybody")
    }
}

impl RateLimit {
    /// `burst` requests within `period`, under a name that no other limit has; 0 is no limit.
    #[must_use]
    pub fn new(name: &'static str, burst: u32, period: Duration) -> Self {
        Self {
            name,
            limit: NonZeroU32::new(burst)
                .map(|burst| identity_store::RateLimit::new(burst, period)),
            full_at: Mutex::default(),
        }
    }

    /// Counts a request of `caller`. `shared` is the database, where other processes have it too.
    ///
    /// # Errors
    ///
    /// [`RateRefusal::Exceeded`], and the request does not count; [`RateRefusal::Store`].
    pub async fn take(
        &self,
        shared: Option<&dyn Store>,
        caller: impl Display + Send,
        now: OffsetDateTime,
    ) -> Result<(), RateRefusal> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let bucket = self.bucket(caller);
        let Some(store) = shared else {
            return self.take_own(limit, bucket, now);
        };
        exceeded(limit, self.remembered(bucket), now)?;
        match store.take_from_bucket(bucket, limit, now).await? {
            RateDecision::Within { full_at } => {
                self.remember(bucket, full_at, now);
                Ok(())
            }
            RateDecision::Beyond { full_at } => {
                self.remember(bucket, full_at, now);
                exceeded(limit, Some(full_at), now)
            }
        }
    }

    /// Whether a request of `caller` would be within the limit, without counting one.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub async fn check(
        &self,
        shared: Option<&dyn Store>,
        caller: impl Display + Send,
        now: OffsetDateTime,
    ) -> Result<(), RateRefusal> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let bucket = self.bucket(caller);
        exceeded(limit, self.remembered(bucket), now)?;
        let Some(store) = shared else {
            return Ok(());
        };
        let full_at = store.bucket(bucket).await?;
        if let Some(full_at) = full_at {
            self.remember(bucket, full_at, now);
        }
        exceeded(limit, full_at, now)
    }

    /// Counts a request that was admitted already, even beyond the limit: what raced past a
    /// [`check`](Self::check) together is waited for afterwards.
    ///
    /// # Errors
    ///
    /// As the store's.
    pub async fn charge(
        &self,
        shared: Option<&dyn Store>,
        caller: impl Display + Send,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let bucket = self.bucket(caller);
        match shared {
            Some(store) => {
                let full_at = store.charge_bucket(bucket, limit, now).await?;
                self.remember(bucket, full_at, now);
            }
            None => {
                let mut known = self.known();
                if has_room(&mut known, &bucket, now) {
                    let full_at = limit.charge(known.get(&bucket).copied(), now);
                    known.insert(bucket, full_at);
                }
            }
        }
        Ok(())
    }

    /// Takes out of a bucket that no other process knows.
    fn take_own(
        &self,
        limit: identity_store::RateLimit,
        bucket: BucketKey,
        now: OffsetDateTime,
    ) -> Result<(), RateRefusal> {
        let mut known = self.known();
        let taken = limit.take(known.get(&bucket).copied(), now);
        let full_at = taken.map_err(|wait| RateRefusal::Exceeded { wait })?;
        if !has_room(&mut known, &bucket, now) {
            // So many callers at once are an attack; newcomers wait.
            let wait = (full_at - now).try_into().unwrap_or_default();
            return Err(RateRefusal::Exceeded { wait });
        }
        known.insert(bucket, full_at);
        Ok(())
    }

    fn remembered(&self, bucket: BucketKey) -> Option<OffsetDateTime> {
        self.known().get(&bucket).copied()
    }

    fn remember(&self, bucket: BucketKey, full_at: OffsetDateTime, now: OffsetDateTime) {
        let mut known = self.known();
        if has_room(&mut known, &bucket, now) {
            known.insert(bucket, full_at);
        }
    }

    fn bucket(&self, caller: impl Display) -> BucketKey {
        BucketKey(Sha256::digest(format!("{} {caller}", self.name)).into())
    }

    fn known(&self) -> MutexGuard<'_, HashMap<BucketKey, OffsetDateTime>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses what a bucket has no room for.
fn exceeded(
    limit: identity_store::RateLimit,
    full_at: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<(), RateRefusal> {
    match limit.take(full_at, now) {
        Ok(_) => Ok(()),
        Err(wait) => Err(RateRefusal::Exceeded { wait }),
    }
}

/// Whether a bucket may be remembered, when those that are full were forgotten.
fn has_room(
    known: &mut HashMap<BucketKey, OffsetDateTime>,
    bucket: &BucketKey,
    now: OffsetDateTime,
) -> bool {
    if known.len() >= MAX_CALLERS && !known.contains_key(bucket) {
        known.retain(|_, full_at| *full_at > now);
    }
    known.len() < MAX_CALLERS || known.contains_key(bucket)
}

#[cfg(test)]
mod tests {
    use identity_store::{MemoryStore, RateLimitStore as _};

    use super::*;
    use crate::clock::entropy;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn source(text: &str) -> Source {
        Some(text.parse::<IpAddr>().expect("address")).into()
    }

    fn limit(burst: u32, period: Duration) -> RateLimit {
        RateLimit::new("test", burst, period)
    }

    async fn takes(
        limit: &RateLimit,
        shared: Option<&dyn Store>,
        caller: Source,
        now: OffsetDateTime,
    ) -> Result<(), u64> {
        match limit.take(shared, caller, now).await {
            Ok(()) => Ok(()),
            Err(RateRefusal::Exceeded { wait }) => Err(wait.as_secs()),
            Err(RateRefusal::Store(error)) => panic!("{error}"),
        }
    }

    async fn has_room_at(limit: &RateLimit, shared: Option<&dyn Store>, minutes: i64) -> bool {
        let now = NOW + Duration::minutes(minutes);
        limit.check(shared, source("192.0.2.1"), now).await.is_ok()
    }

    #[tokio::test]
    async fn a_burst_is_allowed_and_refilled_evenly() {
        let store = MemoryStore::new(entropy());
        for shared in [None, Some(&store as &dyn Store)] {
            let limit = limit(3, Duration::MINUTE);
            let one = source("192.0.2.1");
            for _ in 0..3 {
                assert_eq!(takes(&limit, shared, one, NOW).await, Ok(()));
            }
            assert_eq!(takes(&limit, shared, one, NOW).await, Err(20));
            assert_eq!(
                takes(&limit, shared, source("192.0.2.2"), NOW).await,
                Ok(())
            );
            let later = NOW + Duration::seconds(20);
            assert!(limit.check(shared, one, later).await.is_ok());
            assert_eq!(takes(&limit, shared, one, later).await, Ok(()));
            assert_eq!(takes(&limit, shared, one, later).await, Err(20));
        }
    }

    #[tokio::test]
    async fn a_host_cannot_choose_another_address_of_its_network() {
        let limit = limit(1, Duration::MINUTE);
        for (address, decision) in [
            ("2001:db8:0:1::1", Ok(())),
            ("2001:db8:0:1:ffff::2", Err(60)),
            ("2001:db8:0:2::1", Ok(())),
            ("192.0.2.1", Ok(())),
            // The same IPv4 host.
            ("::ffff:192.0.2.1", Err(60)),
        ] {
            let taken = takes(&limit, None, source(address), NOW).await;
            assert_eq!(taken, decision, "{address}");
        }
    }

    #[tokio::test]
    async fn what_raced_past_the_limit_is_waited_for() {
        let store = MemoryStore::new(entropy());
        for shared in [None, Some(&store as &dyn Store)] {
            let limit = limit(5, Duration::minutes(5));
            for _ in 0..10 {
                assert!(has_room_at(&limit, shared, 0).await, "all at once");
            }
            for _ in 0..10 {
                let charged = limit.charge(shared, source("192.0.2.1"), NOW).await;
                charged.expect("charged");
            }
            assert!(!has_room_at(&limit, shared, 5).await);
            assert!(has_room_at(&limit, shared, 6).await);
            assert!(limit.check(shared, source("192.0.2.2"), NOW).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_limit_holds_over_two_replicas() {
        let store = MemoryStore::new(entropy());
        let (here, there) = (limit(3, Duration::MINUTE), limit(3, Duration::MINUTE));
        let one = source("192.0.2.1");
        for replica in [&here, &there, &here] {
            assert_eq!(takes(replica, Some(&store), one, NOW).await, Ok(()));
        }
        assert_eq!(takes(&here, Some(&store), one, NOW).await, Err(20));
        assert_eq!(takes(&there, Some(&store), one, NOW).await, Err(20));
        let checked = there.check(Some(&store), one, NOW).await;
        assert!(matches!(checked, Err(RateRefusal::Exceeded { .. })));
    }

    #[tokio::test]
    async fn a_flood_is_refused_without_the_database() {
        let store = MemoryStore::new(entropy());
        let limit = limit(1, Duration::MINUTE);
        let one = source("192.0.2.1");
        assert_eq!(takes(&limit, Some(&store), one, NOW).await, Ok(()));
        // Whoever asked the database now would be admitted.
        store
            .purge_buckets(NOW + Duration::HOUR)
            .await
            .expect("purged");
        assert_eq!(takes(&limit, Some(&store), one, NOW).await, Err(60));
        assert!(limit.check(Some(&store), one, NOW).await.is_err());
    }

    #[tokio::test]
    async fn limits_can_be_lifted() {
        let limits = RateLimits::new(false);
        for _ in 0..1000 {
            let nobody = Source::from(None);
            assert_eq!(takes(&limits.pairing, None, nobody, NOW).await, Ok(()));
        }
    }

    #[tokio::test]
    async fn no_two_limits_share_their_buckets() {
        let limits = RateLimits::new(true);
        let all = [
            &limits.sign_in,
            &limits.pairing,
            &limits.wrong_pairing_code,
            &limits.wrong_pairing_codes_in_all,
            &limits.renewal,
        ];
        let buckets: std::collections::HashSet<_> =
            all.iter().map(|limit| limit.bucket(Everybody)).collect();
        assert_eq!(buckets.len(), all.len());
    }
}
