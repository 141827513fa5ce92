use std::net::{IpAddr, Ipv6Addr};

/// The lower half of an IPv6 address is its host's to choose (RFC 4291 §2.5.1).
const NETWORK_BITS: u128 = !0 << 64;

/// Where a connection comes from, as far as shares go: an IPv4 address, or the /64 that a host on
/// IPv6 has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        // A socket that serves both families shows IPv4 addresses as mapped ones.
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => {
                IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK_BITS))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().expect("address"))
    }

    #[test]
    fn an_ipv4_address_is_a_source_of_its_own_however_it_is_written() {
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
    }

    #[test]
    fn a_host_on_ipv6_is_one_source_whichever_address_it_takes() {
        assert_eq!(source("2001:db8:0:1::1"), source("2001:db8:0:1:ffff::2"));
        assert_ne!(source("2001:db8:0:1::1"), source("2001:db8:0:2::1"));
    }
}
