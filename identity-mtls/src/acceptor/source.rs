use std::net::{IpAddr, Ipv6Addr};

/// The most that one site is given (RFC 6177 §2). It is the site's to choose in it, so a smaller
/// network would make a /48 many sources: 256 by /56, 65,536 by /64. Sites that were given less share
/// one, as those behind one address share it on IPv4.
const NETWORK_BITS: u128 = !0 << (128 - 48);

/// Where a connection comes from, as far as shares go: an IPv4 address, or an IPv6 /48.
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
    fn a_site_on_ipv6_is_one_source_whichever_of_its_networks_and_addresses_it_takes() {
        assert_eq!(source("2001:db8:1:1::1"), source("2001:db8:1:1:ffff::2"));
        assert_eq!(source("2001:db8:1::1"), source("2001:db8:1:ffff::1"));
        assert_ne!(source("2001:db8:1::1"), source("2001:db8:2::1"));
    }
}
