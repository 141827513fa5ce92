//! What the costliest chain or hello that a stranger can send takes of a processor until it is refused.

use std::hint::black_box;
use std::time::Duration;

use identity_bench::clock::{self, thread_cpu_time};
use identity_bench::fleet::Fleet;
use identity_bench::report::{self, Bar};
use identity_mtls::DeviceTls;
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType, SerialNumber};
use rustls::ServerConnection;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider as _};
use rustls_pki_types::CertificateDer;

const RUNS: usize = 200;

fn main() {
    let now = clock::now();
    let fleet = Fleet::new(now);
    let (tls, _) = fleet.server().tls(100_000, now);
    let chains = hostile_chains(&fleet.device);
    let chains = chains.iter().map(|(story, chain)| {
        let time = DefaultTimeProvider.current_time().expect("time");
        let look = || {
            let verdict = tls
                .devices()
                .verify_client_cert(&chain[0], &chain[1..], time);
            assert!(black_box(verdict).is_err(), "{story}");
        };
        (*story, median(look))
    });
    let hellos = [6, 60, 600, 4096].map(|read| {
        let wire = fragmented_hello();
        (
            "a hello in records of one byte",
            median(|| refuse(&tls, &wire, read)),
        )
    });
    let mut worst = ("nothing", Duration::ZERO);
    for (story, time) in chains.chain(hellos) {
        println!("hostile: {story}: {:.1} µs", time.as_secs_f64() * 1e6);
        worst = if time > worst.1 { (story, time) } else { worst };
    }
    println!("hostile: the worst is {}", worst.0);
    let milliseconds = worst.1.as_secs_f64() * 1e3;
    report::row("hostile chain", milliseconds, Bar::AtMost(5.0), "ms");
}

/// The processor time of one run.
fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let start = thread_cpu_time();
            run();
            thread_cpu_time() - start
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}

/// A leaf of the profile but for a `twist`. Who signed it is never looked at.
fn leaf(twist: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    twist(&mut params);
    params
        .self_signed(&key)
        .expect("a certificate")
        .der()
        .clone()
}

fn extension(number: u64, contents: Vec<u8>) -> CustomExtension {
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, number], contents)
}

fn hostile_chains(
    device: &CertificateDer<'static>,
) -> Vec<(&'static str, Vec<CertificateDer<'static>>)> {
    let names = |count: u8| {
        (0..count)
            .map(|n| SanType::IpAddress([10, 0, 0, n].into()))
            .collect()
    };
    let extensions = |count| (0..count).map(|n| extension(n, vec![5, 0])).collect();
    let nested = (0..900).fold(Vec::new(), |inner: Vec<u8>, _| {
        let [high, low] = u16::try_from(inner.len()).expect("short").to_be_bytes();
        let head = match inner.len() {
            0..0x80 => vec![0x30, low],
            0x80..0x100 => vec![0x30, 0x81, low],
            _ => vec![0x30, 0x82, high, low],
        };
        [head, inner].concat()
    });
    vec![
        (
            "a leaf of 60 KiB",
            vec![CertificateDer::from(vec![0x30; 60_000])],
        ),
        ("a hundred certificates", vec![device.clone(); 100]),
        (
            "a hundred extensions",
            vec![leaf(|it| it.custom_extensions = extensions(100))],
        ),
        (
            "two hundred names",
            vec![leaf(|it| it.subject_alt_names = names(200))],
        ),
        (
            "SEQUENCEs in SEQUENCEs",
            vec![leaf(|it| {
                it.custom_extensions = vec![extension(1, nested.clone())];
            })],
        ),
        (
            "a serial number of 3 KiB",
            vec![leaf(|it| {
                it.serial_number = Some(SerialNumber::from(vec![0x7f; 3000]));
            })],
        ),
    ]
}

/// A hello that says to be of 64 KiB, in records of one byte: rustls puts it together until its buffer
/// is full.
fn fragmented_hello() -> Vec<u8> {
    let hello = [1, 0, 0xff, 0xf0].into_iter().chain([0; 65_000]);
    hello.flat_map(|byte| [22, 3, 1, 0, 1, byte]).collect()
}

/// Reads `wire` as it comes, `read` bytes at a time, until it is refused.
fn refuse(tls: &DeviceTls, wire: &[u8], read: usize) {
    let config = tls.handshake().config();
    let mut connection = ServerConnection::new(config).expect("a connection");
    let mut rest = wire;
    let refused = loop {
        let mut part = &rest[..read.min(rest.len())];
        match connection.read_tls(&mut part) {
            Ok(0) | Err(_) => break true,
            Ok(taken) => rest = &rest[taken..],
        }
        if connection.process_new_packets().is_err() {
            break true;
        }
        if rest.is_empty() {
            break false;
        }
    };
    assert!(refused);
}
