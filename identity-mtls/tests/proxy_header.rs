//! Headers of load balancers: what is read of them, and the rule that a bad one breaks.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;

use identity_mtls::{ProxyHeader, ProxyHeaderError, fuzzing};
use proptest::prelude::{any, prop, prop_assert_eq, proptest};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header that says that it has as much as it has.
fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

/// The header of a client that comes over TCP, and what else is told of it.
fn proxied(source: SocketAddr, more: &[u8]) -> Vec<u8> {
    let (port, other_port) = (source.port().to_be_bytes(), [1, 187]);
    match source {
        SocketAddr::V4(v4) => {
            let addresses = [v4.ip().octets(), [192, 0, 2, 1]].concat();
            header(
                0x21,
                0x11,
                &[&addresses, &port[..], &other_port, more].concat(),
            )
        }
        SocketAddr::V6(v6) => {
            let addresses = [v6.ip().octets(), [0xfd; 16]].concat();
            header(
                0x21,
                0x21,
                &[&addresses, &port[..], &other_port, more].concat(),
            )
        }
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn an_ipv4_address_is_one_however_it_is_written() {
    let source = address("192.0.2.7:4000");
    for written in ["192.0.2.7:4000", "[::ffff:192.0.2.7]:4000"] {
        let read = ProxyHeader::parse(&proxied(address(written), &[]));
        assert_eq!(read, Ok(ProxyHeader::Proxied { source }), "{written}");
    }
}

#[test]
fn a_balancers_own_connection_says_nothing_else_that_counts() {
    for (family, rest) in [(0, &[][..]), (0x11, &[7; 12]), (0xff, &[0xff; 5])] {
        let read = ProxyHeader::parse(&header(0x20, family, rest));
        assert_eq!(read, Ok(ProxyHeader::Local));
    }
}

#[test]
fn a_bad_header_breaks_a_rule_that_is_named() {
    use ProxyHeaderError::{Addresses, Command, Family, Length, Signature, Tlv, TooLong};
    let good = proxied(address("192.0.2.7:4000"), &[]);
    let more = |more: &[u8]| proxied(address("192.0.2.7:4000"), more);
    for (bytes, rule) in [
        (
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 443\r\n".to_vec(),
            Signature,
        ),
        (b"GET /healthz HTTP/1.1\r\n\r\n".to_vec(), Signature),
        (header(0x11, 0x11, &[0; 12]), Command(0x11)),
        (header(0x22, 0x11, &[0; 12]), Command(0x22)),
        (header(0x21, 0, &[]), Family(0)),
        (header(0x21, 0x12, &[0; 12]), Family(0x12)),
        (header(0x21, 0x31, &[0; 216]), Family(0x31)),
        (header(0x21, 0x11, &[0; 521]), TooLong(537)),
        (header(0x21, 0x11, &[0; 11]), Addresses),
        (header(0x21, 0x21, &[0; 35]), Addresses),
        (more(&[4]), Tlv),
        (more(&[4, 0, 1]), Tlv),
        (more(&[4, 0, 0, 1, 0xff, 0xff, 0]), Tlv),
        (
            good[..15].to_vec(),
            Length {
                length: 16,
                found: 15,
            },
        ),
        (
            good[..27].to_vec(),
            Length {
                length: 28,
                found: 27,
            },
        ),
        (
            [&good[..], &[0x16]].concat(),
            Length {
                length: 28,
                found: 29,
            },
        ),
    ] {
        assert_eq!(ProxyHeader::parse(&bytes), Err(rule), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn what_a_balancer_writes_is_read(
        source in any::<SocketAddr>(),
        values in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..10),
        behind in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let more: Vec<u8> = values
            .iter()
            .flat_map(|(kind, value)| {
                let length = u8::try_from(value.len()).expect("short");
                [&[*kind, 0, length][..], value].concat()
            })
            .collect();
        let header = proxied(source, &more);
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        prop_assert_eq!(ProxyHeader::parse(&header), Ok(ProxyHeader::Proxied { source }));
        let sent = [header, behind].concat();
        prop_assert_eq!(fuzzing::proxy_header(&sent), Ok(ProxyHeader::Proxied { source }));
    }

    #[test]
    fn whatever_comes_is_read_or_refused(
        command in any::<u8>(), family in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..600),
        cut in any::<prop::sample::Index>(),
    ) {
        for command in [command, 0x20, 0x21] {
            for family in [family, 0x11, 0x21] {
                let sent = header(command, family, &rest);
                let _ = fuzzing::proxy_header(&sent);
                let _ = fuzzing::proxy_header(&sent[..cut.index(sent.len())]);
            }
        }
    }
}
