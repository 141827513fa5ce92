//! Which addresses events may be sent to: public ones (IANA's registries of special-purpose addresses).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that events may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anybody's.
    Public,
    /// This machine's own.
    Loopback,
    /// Nobody's out there, for this reason.
    Special(&'static str),
}

/// IPv4 addresses that are not public, by their first bits.
const SPECIAL_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network, RFC 791"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private use, RFC 1918"),
    (
        Ipv4Addr::new(100, 64, 0, 0),
        10,
        "carriers' shared space, RFC 6598",
    ),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local, RFC 3927"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private use, RFC 1918"),
    (
        Ipv4Addr::new(192, 0, 0, 0),
        24,
        "protocol assignments, RFC 6890",
    ),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation, RFC 5737"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays, RFC 7526"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private use, RFC 1918"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarks, RFC 2544"),
    (
        Ipv4Addr::new(198, 51, 100, 0),
        24,
        "documentation, RFC 5737",
    ),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation, RFC 5737"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast, RFC 5771"),
    (
        Ipv4Addr::new(240, 0, 0, 0),
        4,
        "reserved and broadcast, RFC 1112",
    ),
];

/// IPv6 addresses that are not public: within the space of global unicast, and, for their names, outside of it.
const SPECIAL_V6: &[(Ipv6Addr, u32, &str)] = &[
    (v6(0x2001, 0xdb8), 32, "documentation, RFC 3849"),
    (v6(0x2001, 0), 32, "Teredo, IPv4 in IPv6, RFC 4380"),
    (v6(0x2001, 0), 23, "protocol assignments, RFC 2928"),
    (v6(0x2002, 0), 16, "6to4, IPv4 in IPv6, RFC 3056"),
    (v6(0x3fff, 0), 20, "documentation, RFC 9637"),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0),
        96,
        "IPv4-mapped, RFC 4291",
    ),
    (
        Ipv6Addr::UNSPECIFIED,
        96,
        "unspecified or IPv4-compatible, RFC 4291",
    ),
    (
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0),
        96,
        "IPv4-translated, RFC 2765",
    ),
    (
        v6(0x64, 0xff9b),
        32,
        "NAT64, IPv4 in IPv6, RFC 6052 and 8215",
    ),
    (v6(0x100, 0), 16, "discarded or dummy, RFC 6666 and 9780"),
    (v6(0x5f00, 0), 16, "segment routing, RFC 9602"),
    (v6(0xfc00, 0), 7, "unique local, RFC 4193"),
    (v6(0xfe80, 0), 10, "link-local, RFC 4291"),
    (v6(0xfec0, 0), 10, "site-local, RFC 3879"),
    (v6(0xff00, 0), 8, "multicast, RFC 4291"),
];

/// Where global unicast addresses are given out (RFC 4291 §2.4).
const GLOBAL_UNICAST: (Ipv6Addr, u32) = (v6(0x2000, 0), 3);

const fn v6(first: u16, second: u16) -> Ipv6Addr {
    Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)
}

impl Reach {
    /// That of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_loopback() {
            return Self::Loopback;
        }
        match address {
            IpAddr::V4(address) => special_v4(address),
            IpAddr::V6(address) => special_v6(address),
        }
        .map_or(Self::Public, Self::Special)
    }
}

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let begins = |(network, bits, _): &&(Ipv4Addr, u32, &str)| {
        (address.to_bits() ^ network.to_bits()).leading_zeros() >= *bits
    };
    SPECIAL_V4.iter().find(begins).map(|(_, _, why)| *why)
}

fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let begins = |network: &Ipv6Addr, bits: u32| {
        (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
    };
    let listed = SPECIAL_V6
        .iter()
        .find(|(network, bits, _)| begins(network, *bits));
    if let Some((_, _, why)) = listed {
        return Some(why);
    }
    let (network, bits) = GLOBAL_UNICAST;
    (!begins(&network, bits)).then_some("not given out, RFC 4291")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reach(address: &str) -> Reach {
        Reach::of(address.parse().expect(address))
    }

    #[test]
    fn public_addresses_are_public() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
        ] {
            assert_eq!(reach(address), Reach::Public, "{address}");
        }
    }

    #[test]
    fn this_machine_is_loopback() {
        for address in ["127.0.0.1", "127.255.255.254", "::1"] {
            assert_eq!(reach(address), Reach::Loopback, "{address}");
        }
    }

    #[test]
    fn every_other_address_is_refused_with_its_reason() {
        for (address, why) in [
            ("0.0.0.0", "this network"),
            ("0.1.2.3", "this network"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.0", "carriers"),
            ("100.127.255.255", "carriers"),
            ("169.254.169.254", "link-local"),
            ("172.16.0.0", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.8", "protocol"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "6to4"),
            ("192.168.255.255", "private"),
            ("198.18.0.0", "benchmarks"),
            ("198.19.255.255", "benchmarks"),
            ("198.51.100.9", "documentation"),
            ("203.0.113.9", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::7f00:1", "IPv4-compatible"),
            ("::ffff:127.0.0.1", "IPv4-mapped"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("::ffff:0:10.0.0.1", "IPv4-translated"),
            ("64:ff9b::10.0.0.1", "NAT64"),
            ("64:ff9b:1::10.0.0.1", "NAT64"),
            ("100::1", "discarded"),
            ("2001::1", "Teredo"),
            ("2001:2::1", "protocol assignments"),
            ("2001:10::1", "protocol assignments"),
            ("2001:1ff::1", "protocol assignments"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("3fff:fff::1", "documentation"),
            ("4000::1", "not given out"),
            ("5f00::1", "segment routing"),
            ("fc00::1", "unique local"),
            ("fdff::1", "unique local"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
        ] {
            match reach(address) {
                Reach::Special(found) => assert!(found.contains(why), "{address}: {found}"),
                other => panic!("{address}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn no_address_within_a_network_of_the_table_is_public(bits: u32, host: u128) {
            for (network, prefix, why) in SPECIAL_V4 {
                let mask = u32::MAX.checked_shr(*prefix).unwrap_or(0);
                let address = Ipv4Addr::from_bits(network.to_bits() | (bits & mask));
                prop_assert!(Reach::of(address.into()) != Reach::Public, "{address}: {why}");
            }
            for (network, prefix, why) in SPECIAL_V6 {
                let mask = u128::MAX.checked_shr(*prefix).unwrap_or(0);
                let address = Ipv6Addr::from_bits(network.to_bits() | (host & mask));
                prop_assert!(Reach::of(address.into()) != Reach::Public, "{address}: {why}");
            }
        }

        #[test]
        fn an_ipv4_address_within_an_ipv6_one_is_never_public(bits: u32) {
            let [a, b, c, d] = bits.to_be_bytes();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for address in [
                Ipv4Addr::from_bits(bits).to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, high, low),
            ] {
                prop_assert!(Reach::of(address.into()) != Reach::Public, "{address}");
            }
        }
    }
}
