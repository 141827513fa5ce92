//! The acceptor: who gets through, when, and what a flood of silent strangers can do about it. Most
//! tests run over in-memory streams, on which a source is what the test says.
#![cfg(feature = "acceptor")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod fleet;

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fleet::certificates::{Authority, Credentials};
use fleet::counting::counting;
use fleet::network::{At, Localhost, TLS_VERSIONS, client, device_tls};
use fleet::{NOW, denylist, identity, provider, verifier};
use identity_mtls::{
    Accepted, Denylist, DeviceAcceptor, DeviceCertVerifier, DeviceTls, HandshakeLimits,
    LiveConnections, NotAccepted, Refusal, ServerCertStore,
};
use identity_pki::TbsSha256;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConnection};
use rustls_pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio_rustls::{TlsConnector, client};

/// Who is accepted, and by which certificate they know the server.
struct World {
    authority: Authority,
    denylist: Arc<Denylist>,
    live: LiveConnections,
    localhost: Localhost,
}

impl World {
    fn new() -> Self {
        let denylist = denylist([]);
        Self {
            authority: Authority::new(),
            live: LiveConnections::new(Arc::clone(&denylist)),
            denylist,
            localhost: Localhost::new(),
        }
    }

    fn tls(&self) -> DeviceTls {
        let certificates = Arc::new(ServerCertStore::new(self.localhost.cert()));
        device_tls(certificates, &verifier(&self.authority, &self.denylist))
    }

    fn tls_with(&self, provider: CryptoProvider, time: impl TimeProvider + 'static) -> DeviceTls {
        let trust = self.authority.trust();
        let devices = DeviceCertVerifier::new(&provider, trust, Arc::clone(&self.denylist));
        let certificates = Arc::new(ServerCertStore::new(self.localhost.cert()));
        let tls = DeviceTls::new(
            Arc::new(provider),
            Arc::new(time),
            certificates,
            Arc::new(devices),
        );
        tls.expect("TLS")
    }

    fn acceptor(&self, tls: DeviceTls) -> DeviceAcceptor {
        self.limited(tls, HandshakeLimits::default())
    }

    fn limited(&self, tls: DeviceTls, limits: HandshakeLimits) -> DeviceAcceptor {
        DeviceAcceptor::new(tls, self.live.clone(), limits)
    }

    fn client(&self, version: usize, credentials: Option<&Credentials>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.localhost.der.clone()).expect("root");
        Arc::new(client(TLS_VERSIONS[version], credentials, roots))
    }
}

/// A source, by its number.
fn source(n: u8) -> IpAddr {
    [192, 0, 2, n].into()
}

async fn connect(
    client: Arc<ClientConfig>,
    stream: DuplexStream,
) -> io::Result<client::TlsStream<DuplexStream>> {
    let name = ServerName::try_from("localhost").expect("name");
    TlsConnector::from(client).connect(name, stream).await
}

/// One connection from `source`, as both sides see its beginning.
async fn meet(
    acceptor: &DeviceAcceptor,
    client: Arc<ClientConfig>,
    source: IpAddr,
) -> (
    Result<Accepted<DuplexStream>, NotAccepted>,
    io::Result<client::TlsStream<DuplexStream>>,
) {
    let (ours, theirs) = duplex(64 * 1024);
    tokio::join!(acceptor.accept(ours, source), connect(client, theirs))
}

fn limits(running: usize, per_source: usize) -> HandshakeLimits {
    HandshakeLimits {
        running: NonZeroUsize::new(running).expect("not 0"),
        running_per_source: NonZeroUsize::new(per_source).expect("not 0"),
        ..HandshakeLimits::default()
    }
}

#[tokio::test]
async fn a_device_is_registered_for_as_long_as_its_guard_lives() {
    let world = World::new();
    let device = world.authority.device("dev_1");
    let acceptor = world.acceptor(world.tls());
    for version in [0, 1] {
        let (accepted, connected) =
            meet(&acceptor, world.client(version, Some(&device)), source(1)).await;
        let mut accepted = accepted.expect("accepted");
        let guard = accepted.live.expect("a device, registered");
        let found = guard.device();
        assert_eq!(found.identity(), &identity("dev_1"));
        assert_eq!(found.tbs_sha256(), device.certificate().tbs_sha256());
        assert_eq!(world.live.len(), 1);
        assert!(!guard.is_closed());
        drop(guard);
        assert!(world.live.is_empty());

        let mut connected = connected.expect("connected");
        connected.write_all(b"hello").await.expect("open");
        let mut heard = [0; 5];
        accepted.stream.read_exact(&mut heard).await.expect("open");
        assert_eq!(&heard, b"hello");
    }
}

#[tokio::test]
async fn a_client_without_a_certificate_is_nobody() {
    let world = World::new();
    let acceptor = world.acceptor(world.tls());
    for version in [0, 1] {
        let (accepted, _) = meet(&acceptor, world.client(version, None), source(1)).await;
        let accepted = accepted.expect("accepted");
        assert!(accepted.live.is_none());
    }
    assert!(world.live.is_empty());
}

#[tokio::test]
async fn a_connection_costs_two_signature_checks_the_certificate_and_the_handshake() {
    let world = World::new();
    let device = world.authority.device("dev_1");
    let (provider, count) = counting();
    let acceptor = world.acceptor(world.tls_with(provider, At(NOW)));
    for version in [0, 1] {
        let (accepted, _) = meet(&acceptor, world.client(version, Some(&device)), source(1)).await;
        assert!(accepted.expect("accepted").live.is_some());
        assert_eq!(count.swap(0, Ordering::Relaxed), 2, "TLS version {version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_without_its_key_makes_nobody_a_device() {
    let world = World::new();
    let (mine, theirs) = (
        world.authority.device("dev_mine"),
        world.authority.device("dev_theirs"),
    );
    let acceptor = world.acceptor(world.tls());
    let stolen = mine.presenting(vec![theirs.leaf().clone()]);
    for version in [0, 1] {
        let (accepted, _) = meet(&acceptor, world.client(version, Some(&stolen)), source(1)).await;
        let refused = accepted.expect_err("no proof");
        assert!(matches!(refused, NotAccepted::Handshake(_)), "{refused:?}");
    }
    assert!(world.live.is_empty());
}

#[tokio::test]
async fn a_decision_counts_for_its_own_connection_alone() {
    let world = World::new();
    let device = world.authority.device("dev_1");
    let tls = world.tls();
    let (one, other) = (tls.handshake(), tls.handshake());
    let (ours, theirs) = duplex(64 * 1024);
    let acceptor = tokio_rustls::TlsAcceptor::from(one.config());
    let (accepted, _) = tokio::join!(
        acceptor.accept(ours),
        connect(world.client(1, Some(&device)), theirs)
    );
    let accepted = accepted.expect("accepted");
    let (_, connection) = accepted.get_ref();
    assert!(one.device(connection).expect("decided").is_some());
    assert_eq!(other.device(connection), Err(Refusal::AnotherHandshake));

    let unfinished = ServerConnection::new(other.config()).expect("a connection");
    assert_eq!(one.device(&unfinished), Err(Refusal::Handshaking));
}

/// What happens between the decision in a handshake and the look after it.
#[derive(Debug)]
enum Meanwhile {
    Revoked(Arc<Denylist>, TbsSha256),
    Expired,
    ClockFails,
}

/// A clock of which the second look sees what happened after the first, by which the handshake itself
/// decides.
#[derive(Debug)]
struct Changing {
    looked: AtomicBool,
    meanwhile: Meanwhile,
}

impl TimeProvider for Changing {
    fn current_time(&self) -> Option<UnixTime> {
        let now = At(NOW).current_time();
        match &self.meanwhile {
            _ if !self.looked.swap(true, Ordering::Relaxed) => now,
            Meanwhile::Revoked(denylist, tbs_sha256) => {
                denylist.add([*tbs_sha256]);
                now
            }
            Meanwhile::Expired => At(NOW + time::Duration::days(3650)).current_time(),
            Meanwhile::ClockFails => None,
        }
    }
}

#[tokio::test]
async fn what_changes_during_the_handshake_counts() {
    let world = World::new();
    let device = world.authority.device("dev_1");
    let tbs_sha256 = device.certificate().tbs_sha256();
    let denylist = Arc::clone(&world.denylist);
    for (meanwhile, expected) in [
        (Meanwhile::Expired, "Expired"),
        (Meanwhile::ClockFails, "NoTime"),
        (Meanwhile::Revoked(denylist, tbs_sha256), "Denied"),
    ] {
        let looked = AtomicBool::new(false);
        let clock = Changing { looked, meanwhile };
        let tls = world.tls_with(CryptoProvider::clone(&provider()), clock);
        let acceptor = world.acceptor(tls);
        let client = world.client(1, Some(&device));
        let (ours, theirs) = duplex(64 * 1024);
        let refused = async {
            let mut tls = connect(client, theirs)
                .await
                .expect("TLS 1.3: not yet judged");
            let mut heard = Vec::new();
            tls.read_to_end(&mut heard).await.expect("closed in order");
            assert!(heard.is_empty());
        };
        let (accepted, ()) = tokio::join!(acceptor.accept(ours, source(1)), refused);
        match accepted {
            Err(NotAccepted::Refused(refusal)) => {
                assert!(format!("{refusal:?}").starts_with(expected), "{refusal:?}");
            }
            other => panic!("{expected}: {other:?}"),
        }
        assert!(world.live.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn other_authorities_count_for_new_connections_and_end_those_of_devices_they_refuse() {
    let world = World::new();
    let (next, device) = (Authority::new(), world.authority.device("dev_1"));
    let acceptor = world.acceptor(world.tls());
    let client = || world.client(1, Some(&device));
    let (accepted, _kept) = meet(&acceptor, client(), source(1)).await;
    let guard = accepted.expect("accepted").live.expect("registered");

    let certificates = Arc::new(ServerCertStore::new(world.localhost.cert()));
    let trusting = |authorities: &[&Authority]| {
        let trust = fleet::trust(authorities);
        let devices = DeviceCertVerifier::new(&provider(), trust, Arc::clone(&world.denylist));
        device_tls(Arc::clone(&certificates) as _, &Arc::new(devices))
    };
    assert_eq!(acceptor.replace(trusting(&[&world.authority, &next])), 0);
    let (accepted, _kept) = meet(&acceptor, client(), source(1)).await;
    let second = accepted.expect("accepted").live.expect("registered");

    assert_eq!(acceptor.replace(trusting(&[&next])), 2);
    assert!(guard.is_closed() && second.is_closed());
    let (accepted, _) = meet(&acceptor, client(), source(1)).await;
    assert!(matches!(accepted, Err(NotAccepted::Handshake(_))));
}

/// Silent connections, which the test's end drops.
struct Silent {
    waiting: JoinSet<Result<(), NotAccepted>>,
    streams: Vec<DuplexStream>,
}

impl Silent {
    fn none() -> Self {
        Self {
            waiting: JoinSet::new(),
            streams: Vec::new(),
        }
    }

    /// Opens a connection that says nothing, and waits until it is where it stays.
    async fn open(&mut self, acceptor: &DeviceAcceptor, source: IpAddr) {
        let (ours, theirs) = duplex(1024);
        self.streams.push(theirs);
        let acceptor = acceptor.clone();
        let accept = async move { acceptor.accept(ours, source).await.map(drop) };
        self.waiting.spawn(accept);
        // The test's runtime has one thread: the task runs until it waits.
        tokio::task::yield_now().await;
    }

    /// The next that was not accepted.
    async fn refused(&mut self) -> NotAccepted {
        let ended = self.waiting.join_next().await.expect("one is left");
        ended.expect("no panic").expect_err("it said nothing")
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_says_nothing_keeps_no_other_waiting() {
    let world = World::new();
    let device = world.authority.device("dev_1");
    let acceptor = world.acceptor(world.tls());
    let mut silent = Silent::none();
    for _ in 0..2000 {
        silent.open(&acceptor, source(1)).await;
    }
    let started = tokio::time::Instant::now();
    for n in 2..50 {
        let (accepted, _) = meet(&acceptor, world.client(1, Some(&device)), source(n)).await;
        assert!(accepted.expect("accepted").live.is_some());
    }
    // The clock only moves when nothing else can.
    assert_eq!(started.elapsed(), Duration::ZERO, "somebody waited");
}

#[tokio::test(start_paused = true)]
async fn when_silent_sources_hold_every_place_the_next_free_one_is_anothers() {
    let world = World::new();
    let device = world.authority.device("dev_1");
    let acceptor = world.limited(world.tls(), limits(4, 2));
    let mut silent = Silent::none();
    for n in [1, 1, 2, 2, 1, 1, 1, 1, 2, 2, 2, 2] {
        silent.open(&acceptor, source(n)).await;
    }
    let started = tokio::time::Instant::now();
    let (accepted, _) = meet(&acceptor, world.client(1, Some(&device)), source(3)).await;
    assert!(accepted.expect("accepted").live.is_some());
    assert_eq!(
        started.elapsed(),
        HandshakeLimits::default().time,
        "one turn"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time_from_its_own_start() {
    let world = World::new();
    let acceptor = world.limited(world.tls(), limits(1, 1));
    let mut silent = Silent::none();
    for _ in 0..3 {
        silent.open(&acceptor, source(1)).await;
    }
    let started = tokio::time::Instant::now();
    let (accepted, _) = meet(&acceptor, world.client(1, None), source(1)).await;
    accepted.expect("it waited three times as long as a handshake may take, and had its own time");
    assert_eq!(started.elapsed(), 3 * HandshakeLimits::default().time);
    for _ in 0..3 {
        assert!(matches!(silent.refused().await, NotAccepted::TooSlow));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_with_all_the_time_there_is_runs_to_its_end() {
    let world = World::new();
    let limits = HandshakeLimits {
        time: Duration::MAX,
        ..HandshakeLimits::default()
    };
    let acceptor = world.limited(world.tls(), limits);
    let device = world.authority.device("dev_1");
    let (ours, theirs) = duplex(64 * 1024);
    let hesitates = async {
        tokio::time::sleep(2 * HandshakeLimits::default().time).await;
        connect(world.client(1, Some(&device)), theirs).await
    };
    let (accepted, connected) = tokio::join!(acceptor.accept(ours, source(1)), hesitates);
    assert!(accepted.expect("accepted").live.is_some());
    connected.expect("connected");

    // A client that is refused is told so, and that it is heard out has no end either.
    let stranger = Authority::new().device("dev_1");
    let (accepted, _) = meet(&acceptor, world.client(0, Some(&stranger)), source(1)).await;
    assert!(matches!(accepted, Err(NotAccepted::Handshake(_))));
}

#[tokio::test(start_paused = true)]
async fn a_site_on_ipv6_that_says_nothing_from_each_of_its_networks_keeps_no_other_waiting() {
    let world = World::new();
    let device = world.authority.device("dev_1");
    let acceptor = world.acceptor(world.tls());
    let mut silent = Silent::none();
    for network in 0..2000 {
        let source = Ipv6Addr::new(0x2001, 0xdb8, 1, network, 0, 0, 0, 1);
        silent.open(&acceptor, source.into()).await;
    }
    let started = tokio::time::Instant::now();
    let neighbour = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
    let client = world.client(1, Some(&device));
    let (accepted, _) = meet(&acceptor, client, neighbour.into()).await;
    assert!(accepted.expect("accepted").live.is_some());
    assert_eq!(started.elapsed(), Duration::ZERO, "somebody waited");
}

#[tokio::test]
async fn beyond_its_share_of_those_that_wait_a_connection_is_closed_at_once() {
    let world = World::new();
    let few = HandshakeLimits {
        waiting: 3,
        waiting_per_source: 2,
        ..limits(1, 1)
    };
    let acceptor = world.limited(world.tls(), few);
    let mut silent = Silent::none();
    for n in [1, 1, 1, 1] {
        silent.open(&acceptor, source(n)).await;
    }
    assert!(
        matches!(silent.refused().await, NotAccepted::Overloaded),
        "its share"
    );
    assert_eq!(silent.waiting.len(), 3);
    for n in [2, 3] {
        silent.open(&acceptor, source(n)).await;
    }
    assert!(
        matches!(silent.refused().await, NotAccepted::Overloaded),
        "room for a newcomer"
    );
    assert_eq!(silent.waiting.len(), 4);
}

#[tokio::test]
async fn a_connection_that_breaks_off_frees_its_place() {
    let world = World::new();
    let acceptor = world.limited(world.tls(), limits(1, 1));
    for _ in 0..3 {
        let (ours, theirs) = duplex(1024);
        drop(theirs);
        let refused = acceptor.accept(ours, source(1)).await.expect_err("gone");
        assert!(matches!(refused, NotAccepted::Handshake(_)), "{refused:?}");
    }
    let (accepted, _) = meet(&acceptor, world.client(0, None), source(1)).await;
    accepted.expect("accepted");
}
