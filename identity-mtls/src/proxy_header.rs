use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What a header begins with (§2.2): no line of HTTP and no TLS record does.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header that a load balancer sends before a client's own bytes, and says with whose they are:
/// the [PROXY protocol](https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt), version 2.
///
/// Anybody could write one. Read it where a connection comes from a balancer of yours, and there
/// always; a client behind the balancer must have no other way to you from the balancer's address.
///
/// Read [`START`](Self::START) bytes, which tell the [length](Self::length_of), and then the rest of
/// the header: nothing that belongs to the client is read with it.
///
/// ```
/// use identity_mtls::ProxyHeader;
///
/// let sent = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x0f\xa0\x01\xbb\x16\x03\x01";
/// let (start, _) = sent.split_first_chunk().expect("16 bytes");
/// let length = ProxyHeader::length_of(start)?;
/// let (header, of_the_client) = sent.split_at(length);
///
/// let source = "192.0.2.7:4000".parse().expect("an address");
/// assert_eq!(ProxyHeader::parse(header)?, ProxyHeader::Proxied { source });
/// assert_eq!(of_the_client, b"\x16\x03\x01");
/// # Ok::<(), identity_mtls::ProxyHeaderError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The balancer's own connection, for a health check say: its source is the connection's.
    Local,
    /// The connection of a client.
    Proxied {
        /// Where the client is. An IPv4 address that was written as an IPv6 one is an IPv4 address.
        source: SocketAddr,
    },
}

/// Which rule of the PROXY protocol, or of this crate, a header breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// It does not begin with the signature, as one of version 1 does not either.
    #[error("no PROXY header of version 2")]
    Signature,
    /// Another version, or another command than LOCAL and PROXY.
    #[error(
        "version and command are 0x{0:02x}, neither LOCAL (0x20) nor PROXY (0x21) of version 2"
    )]
    Command(u8),
    /// A client that does not come over TCP: its address is none, or says nothing.
    #[error("family and protocol are 0x{0:02x}, neither TCP over IPv4 (0x11) nor over IPv6 (0x21)")]
    Family(u8),
    /// More bytes than a header may have.
    #[error("{0} bytes, more than the {max} that a header may have", max = ProxyHeader::MAX_LENGTH)]
    TooLong(usize),
    /// Another number of bytes than the header says that it has.
    #[error("{found} bytes of a header of {length}")]
    Length {
        /// What the header says.
        length: usize,
        /// What there is.
        found: usize,
    },
    /// Fewer bytes than the addresses have.
    #[error("cut off in the addresses")]
    Addresses,
    /// Something behind the addresses that is not type, length and value.
    #[error("cut off in a type-length-value")]
    Tlv,
}

impl ProxyHeader {
    /// How many bytes tell the length of a header.
    pub const START: usize = 16;
    /// The longest header, in bytes: what any network lets through in one segment, which the protocol
    /// asks of balancers to stay within.
    pub const MAX_LENGTH: usize = 536;

    /// How long a header is that begins so, its beginning counted.
    ///
    /// # Errors
    ///
    /// [`ProxyHeaderError`]: none begins so, or the header is too long.
    pub fn length_of(start: &[u8; Self::START]) -> Result<usize, ProxyHeaderError> {
        let [signature @ .., command, _, high, low] = start;
        if *signature != SIGNATURE {
            return Err(ProxyHeaderError::Signature);
        }
        if !matches!(*command, LOCAL | PROXY) {
            return Err(ProxyHeaderError::Command(*command));
        }
        let length = Self::START + usize::from(u16::from_be_bytes([*high, *low]));
        if length > Self::MAX_LENGTH {
            return Err(ProxyHeaderError::TooLong(length));
        }
        Ok(length)
    }

    /// Reads a whole header, and nothing behind it.
    ///
    /// What a balancer tells beside the client's address (type-length-values) is passed over.
    ///
    /// # Errors
    ///
    /// [`ProxyHeaderError`].
    pub fn parse(header: &[u8]) -> Result<Self, ProxyHeaderError> {
        let found = header.len();
        let too_short = ProxyHeaderError::Length {
            length: Self::START,
            found,
        };
        let (start, rest) = header.split_first_chunk().ok_or(too_short)?;
        let length = Self::length_of(start)?;
        if length != found {
            return Err(ProxyHeaderError::Length { length, found });
        }
        let [.., command, family, _, _] = *start;
        if command == LOCAL {
            // Whatever else it says is to be ignored (§2.2).
            return Ok(Self::Local);
        }
        let (source, rest) = match family {
            TCP_OVER_IPV4 => ipv4(rest),
            TCP_OVER_IPV6 => ipv6(rest),
            other => return Err(ProxyHeaderError::Family(other)),
        }
        .ok_or(ProxyHeaderError::Addresses)?;
        pass_over(rest).ok_or(ProxyHeaderError::Tlv)?;
        Ok(Self::Proxied { source })
    }
}

/// The source, and what is behind both addresses and both ports.
fn ipv4(rest: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (source, rest) = rest.split_first_chunk::<4>()?;
    let (_destination, rest) = rest.split_first_chunk::<4>()?;
    ports(Ipv4Addr::from(*source).into(), rest)
}

fn ipv6(rest: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (source, rest) = rest.split_first_chunk::<16>()?;
    let (_destination, rest) = rest.split_first_chunk::<16>()?;
    ports(IpAddr::from(Ipv6Addr::from(*source)).to_canonical(), rest)
}

fn ports(source: IpAddr, rest: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let ([high, low, _, _], rest) = rest.split_first_chunk()?;
    let port = u16::from_be_bytes([*high, *low]);
    Some((SocketAddr::new(source, port), rest))
}

/// Each a type, a length of two bytes, and so many bytes (§2.2.1).
fn pass_over(mut rest: &[u8]) -> Option<()> {
    while !rest.is_empty() {
        let ([_, high, low], value) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        (_, rest) = value.split_at_checked(length)?;
    }
    Some(())
}
