//! Memory of a device that does nothing but wait in a long poll.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use clap::Args;
use tokio::sync::{Semaphore, mpsc};

use crate::Failure;
use crate::connection::{Connection, Prepared};
use crate::fleet::{self, Device};
use crate::memory::{Memory, require_descriptors};
use crate::platform::{Platform, Settings};
use crate::report::{Bar, Row};

/// Handshakes at once.
const AT_ONCE: usize = 64;
/// Devices behind one source address.
const PER_SOURCE: u32 = 250;
/// Descriptors beside the connections'.
const OTHER_DESCRIPTORS: usize = 200;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Devices that wait.
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// How long one poll waits, in seconds.
    #[arg(long, default_value_t = 25)]
    wait: u8,
    /// What a device may take at most, in KiB.
    #[arg(long, default_value_t = 32.0)]
    bar: f64,
}

pub(crate) async fn run(settings: Settings, options: Options) -> Result<Vec<Row>, Failure> {
    require_descriptors(options.devices + OTHER_DESCRIPTORS)?;
    let mut platform = Platform::first_run(settings, 1).await?;
    let devices = fleet::pair(&platform, options.devices).await?;
    // What pairing them took is no part of the figure.
    platform.stop()?;
    platform.start().await?;
    let server = platform.server()?.process();
    let before = Memory::of(server)?;

    // Each poll brings nothing, and is followed by the next one: when all have been answered once, all
    // wait again.
    let poll = Prepared::get(&format!("/v1/challenges/pending?wait={}", options.wait))?;
    let mut answered = begin_polls(&platform, devices, &poll)?;
    for _ in 0..options.devices {
        answered.recv().await.ok_or("the polls ended")??;
    }
    let (proportional, anonymous) = Memory::of(server)?.grown_for_each(before, options.devices);

    let kib = |bytes: f64| bytes / 1024.0;
    let what = format!("a device in a long poll, of {}", options.devices);
    Ok(vec![
        Row::plain(format!("{what}, RssAnon"), kib(anonymous), " KiB"),
        Row::measured(
            format!("{what}, Pss"),
            kib(proportional),
            " KiB",
            Bar::AtMost(options.bar),
        ),
    ])
}

/// Connects every device and has it poll until nobody listens to the answers any more. Each device's
/// first answer is told, or why it failed.
fn begin_polls(
    platform: &Platform,
    devices: Vec<Device>,
    poll: &Prepared,
) -> Result<mpsc::UnboundedReceiver<Result<(), Failure>>, Failure> {
    let (tell, told) = mpsc::unbounded_channel();
    let handshakes = Arc::new(Semaphore::new(AT_ONCE));
    let address = platform.server()?.address;
    for (number, device) in (0_u32..).zip(devices) {
        let target = device.target(address);
        let (poll, tell, handshakes) = (poll.clone(), tell.clone(), Arc::clone(&handshakes));
        tokio::spawn(async move {
            let polls = async {
                let turn = handshakes.acquire().await?;
                let mut connection = Connection::open_from(source(number), &target).await?;
                drop(turn);
                connection.send(&poll).await?.must_be_ok()?;
                Ok(connection)
            };
            let mut connection = match polls.await {
                Ok(connection) => connection,
                Err(failure) => return drop(tell.send(Err(failure))),
            };
            let mut is_heard = tell.send(Ok(())).is_ok();
            while is_heard && connection.send(&poll).await.is_ok() {
                is_heard = !tell.is_closed();
            }
        });
    }
    Ok(told)
}

/// The address of a device: each has its share of handshakes and of ports.
fn source(device: u32) -> IpAddr {
    // From 127.1.0.1 on.
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
    Ipv4Addr::from(first + device / PER_SOURCE).into()
}
