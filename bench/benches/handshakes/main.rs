//! Full mTLS handshakes a second: identity-mtls with a denylist against nginx with a CRL.
//!
//! Each server has one thread for connections, and the same client: connections by a few threads,
//! each with a full handshake, one request, whose answer says what the server made of the
//! certificate, and its end.

mod device_server;
mod load;
mod nginx;
mod process;

use identity_bench::clock;
use identity_bench::fleet::Fleet;
use identity_bench::paired::Spread;
use identity_bench::report::{self, Bar};

use self::device_server::DeviceServer;
use self::load::{Load, Served};
use self::nginx::Nginx;

/// Entries of the denylist and of the CRL.
const DENIED: u32 = 100_000;

/// How often each server has its turn.
const ROUNDS: usize = 7;

const ROW: &str = "full mTLS handshakes a second, of nginx with a CRL of 100 thousand entries";
const BAR: Bar = Bar::AtLeast(1.5);

fn main() {
    let now = clock::now();
    let fleet = Fleet::new(now);
    let folder = tempfile::tempdir().expect("a folder");
    fleet.server().write(folder.path()).expect("its files");
    let crl = folder.path().join("crl.pem");
    std::fs::write(&crl, fleet.crl(DENIED, now)).expect("the CRL");

    let ours = DeviceServer::start(folder.path(), DENIED);
    let with_crl = match Nginx::start(folder.path(), "with-crl", Some(&crl)) {
        Ok(nginx) => nginx,
        Err(why) => return report::skipped(ROW, BAR, "×", &why),
    };
    let without_crl = Nginx::start(folder.path(), "without-crl", None).expect("nginx again");

    let load = Load::new(fleet.client_config());
    let rounds: Vec<[Served; 3]> = (0..ROUNDS)
        .map(|_| {
            [
                load.run(ours.port(), ours.processes()),
                load.run(with_crl.port(), with_crl.processes()),
                load.run(without_crl.port(), without_crl.processes()),
            ]
        })
        .collect();

    for (server, name) in ["identity-mtls", "nginx with CRL", "nginx without CRL"]
        .iter()
        .enumerate()
    {
        let rate = Spread::of(rounds.iter().map(|round| round[server].rate()));
        let cpu = Spread::of(
            rounds
                .iter()
                .map(|round| round[server].server_microseconds()),
        );
        println!("{name}: {rate} handshakes a second; {cpu} µs of the server's CPU each");
    }
    let ratio = |other: usize| {
        let ratios = rounds
            .iter()
            .map(|round| round[0].rate() / round[other].rate());
        Spread::of(ratios)
    };
    println!("times nginx: with CRL {}, without {}", ratio(1), ratio(2));
    report::row(ROW, ratio(1).median, BAR, "×");
}
