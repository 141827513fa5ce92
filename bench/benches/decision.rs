//! What the decision on a client certificate costs beyond what rustls' own verifier does, beside the
//! handshake that it belongs to.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use identity_bench::clock;
use identity_bench::fleet::{Fleet, provider};
use identity_bench::memory_handshake;
use identity_bench::paired::{self, Spread};
use identity_bench::report::{self, Bar};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider as _};

/// On the denylist.
const DENIED: u32 = 100_000;

fn main() {
    let now = clock::now();
    let fleet = Fleet::new(now);
    let client = fleet.client_config();
    let (ours, _) = fleet.server().tls(DENIED, now);
    let stock =
        WebPkiClientVerifier::builder_with_provider(fleet.server().device_roots(), provider());
    let stock = stock.build().expect("stock verifier");

    let verify = |verifier: &dyn ClientCertVerifier| {
        let time = DefaultTimeProvider.current_time().expect("time");
        let verified = verifier.verify_client_cert(&fleet.device, &[], time);
        black_box(verified.expect("a device of the fleet"));
    };
    let stock_config = stock_server(&ours.handshake().config(), Arc::clone(&stock));
    let server_part = Cell::new(Duration::ZERO);
    let stock_handshake = || {
        let (_, time) = memory_handshake::run(&client, Arc::clone(&stock_config));
        server_part.set(server_part.get() + time);
    };
    let our_handshake = || {
        let handshake = ours.handshake();
        let (connection, _) = memory_handshake::run(&client, handshake.config());
        let device = handshake.device(&connection).expect("not refused");
        ours.recheck(&device.expect("a device"))
            .expect("not refused");
    };

    let mut criterion = Criterion::default().configure_from_args();
    criterion.bench_function("decision/ours", |b| b.iter(|| verify(&**ours.devices())));
    criterion.bench_function("decision/stock verifier", |b| b.iter(|| verify(&*stock)));
    criterion.bench_function("decision/handshake, ours", |b| b.iter(our_handshake));
    criterion.bench_function("decision/handshake, stock", |b| b.iter(stock_handshake));
    criterion.final_summary();

    server_part.set(Duration::ZERO);
    let mut handshakes = 0_u32;
    let turns = paired::turns(
        [
            &mut || verify(&**ours.devices()),
            &mut || verify(&*stock),
            &mut || our_handshake(),
            &mut || {
                handshakes += 1;
                stock_handshake();
            },
            &mut || drop(black_box(ours.handshake())),
        ],
        Duration::from_secs(20),
    );
    let microseconds = |side: usize| Spread::of(turns.iter().map(|turn| turn[side] / 1e3));
    let server = server_part.get().as_nanos() as f64 / f64::from(handshakes);
    println!(
        "decision: {} µs; stock verifier: {} µs; handshake with ours: {} µs, with stock: {} µs, of \
         which the server's part {:.1} µs; a connection's configuration: {} µs",
        microseconds(0),
        microseconds(1),
        microseconds(2),
        microseconds(3),
        server / 1e3,
        microseconds(4),
    );
    let verifiers = |[ours, stock, ..]: &[f64; 5]| ours - stock;
    let whole = Spread::of(turns.iter().map(|turn| 100.0 * verifiers(turn) / turn[3]));
    let part = Spread::of(turns.iter().map(|turn| 100.0 * verifiers(turn) / server));
    let connection = Spread::of(turns.iter().map(|turn| 100.0 * (turn[2] / turn[3] - 1.0)));
    println!(
        "percent: of a handshake {whole}, of its server's part {part}, handshakes compared {connection}"
    );
    let bar = Bar::AtMost(3.0);
    report::row(
        "decision beyond the stock verifier, of a handshake",
        whole.median,
        bar,
        "%",
    );
    report::row(
        "the same, of the server's part of it",
        part.median,
        bar,
        "%",
    );
}

/// The same configuration, but for who verifies the client.
fn stock_server(ours: &ServerConfig, verifier: Arc<dyn ClientCertVerifier>) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(ours.crypto_provider()));
    let mut config = builder
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(&ours.cert_resolver));
    config.alpn_protocols.clone_from(&ours.alpn_protocols);
    config.session_storage = Arc::clone(&ours.session_storage);
    config.send_tls13_tickets = ours.send_tls13_tickets;
    Arc::new(config)
}
