use std::net::IpAddr;
use std::str::FromStr;

/// Networks of addresses, IPv4 and IPv6.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// The addresses of one family that have these bits where the mask has ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    V4 { bits: u32, mask: u32 },
    V6 { bits: u128, mask: u128 },
}

/// Text that names no networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("names no networks")]
pub struct NoNetworks;

impl Networks {
    /// Whether one of them has the address, which may be an IPv4 one that is written as IPv6.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { bits, mask }, IpAddr::V4(address)) => address.to_bits() & mask == bits,
            (Self::V6 { bits, mask }, IpAddr::V6(address)) => address.to_bits() & mask == bits,
            (Self::V4 { .. }, IpAddr::V6(_)) | (Self::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }

    /// `None` for a longer prefix than the address has bits, and for bits behind the prefix: nobody
    /// could say which of the two is the slip.
    fn new(address: IpAddr, prefix: Option<u32>) -> Option<Self> {
        let (network, rest) = match address {
            IpAddr::V4(address) => {
                let hosts = 32_u32.checked_sub(prefix.unwrap_or(32))?;
                let mask = u32::MAX.checked_shl(hosts).unwrap_or(0);
                let bits = address.to_bits();
                (Self::V4 { bits, mask }, u128::from(bits & !mask))
            }
            // Addresses are never compared in this form.
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => return None,
            IpAddr::V6(address) => {
                let hosts = 128_u32.checked_sub(prefix.unwrap_or(128))?;
                let mask = u128::MAX.checked_shl(hosts).unwrap_or(0);
                let bits = address.to_bits();
                (Self::V6 { bits, mask }, bits & !mask)
            }
        };
        (rest == 0).then_some(network)
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => {
                let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
                let prefix = digits.then(|| prefix.parse().ok())?;
                (address, Some(prefix?))
            }
            None => (text, None),
        };
        Self::new(address.parse().ok()?, prefix)
    }
}

impl FromStr for Networks {
    type Err = NoNetworks;

    fn from_str(text: &str) -> Result<Self, NoNetworks> {
        let networks = text.split(',').map(|text| Network::parse(text.trim()));
        networks.collect::<Option<_>>().map(Self).ok_or(NoNetworks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Networks {
        text.parse().expect(text)
    }

    #[test]
    fn an_address_is_in_a_network_or_beside_it() {
        for (network, inside, beside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("10.0.0.0/8", "10.0.0.0", "a00::"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "0.0.0.0"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("10.0.0.0/8, fd00::/8", "fd00::1", "192.0.2.1"),
        ] {
            let networks = networks(network);
            let contains = |address: &str| networks.contains(address.parse().expect(address));
            assert!(contains(inside), "{inside} in {network}");
            assert!(!contains(beside), "{beside} in {network}");
        }
        assert!(!Networks::default().contains([127, 0, 0, 1].into()));
    }

    #[test]
    fn what_names_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/8,",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.1/8",
            "fd00::1/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0/8",
            "010.0.0.0/8",
            "::ffff:10.0.0.0/104",
            "10.0.0.0 10.0.0.1",
            "localhost",
            "on",
        ] {
            assert_eq!(text.parse::<Networks>(), Err(NoNetworks), "{text}");
        }
    }
}
