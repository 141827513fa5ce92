//! Where events may be sent (contract §10): decided when an endpoint is made, and at each try again.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use super::address::Reach;

/// The longest URL of an endpoint.
pub const MAX_URL: usize = 2048;

/// Whether events may be sent to this machine, as in development (`IDENTITY_WEBHOOK_ALLOW_LOOPBACK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loopback {
    /// They may not.
    Refused,
    /// They may, by plain HTTP too.
    Allowed,
}

/// Where events are sent: HTTPS without credentials and without a fragment. The addresses of a host name are
/// still to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    url: Url,
    policy: AddressPolicy,
}

/// Which addresses a destination may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPolicy {
    /// Public ones.
    Public,
    /// Public ones, and this machine's.
    PublicOrLoopback,
    /// This machine's.
    Loopback,
}

/// Why events are not sent to a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// It is too long.
    #[error("must have at most {MAX_URL} characters")]
    TooLong,
    /// It is none.
    #[error("must be an absolute URL with a host")]
    NoUrl,
    /// It is of another scheme.
    #[error("must begin with https://")]
    Scheme,
    /// It has a user or a password.
    #[error("must have no user and no password")]
    Credentials,
    /// It has a fragment.
    #[error("must have no fragment")]
    Fragment,
    /// Its host is, or has, an address that is none of somebody out there.
    #[error(transparent)]
    Address(#[from] AddressRefusal),
    /// Its host has no address.
    #[error("must have a host with an address: its name was not found")]
    Unresolved,
}

/// Why events are not sent to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRefusal {
    /// The address.
    pub address: IpAddr,
    why: &'static str,
}

impl fmt::Display for AddressRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, why } = self;
        write!(f, "must not lead to {address} ({why})")
    }
}

impl std::error::Error for AddressRefusal {}

impl AddressPolicy {
    /// # Errors
    ///
    /// [`AddressRefusal`].
    pub fn check(self, address: IpAddr) -> Result<(), AddressRefusal> {
        let refused = |why| Err(AddressRefusal { address, why });
        match (Reach::of(address), self) {
            (Reach::Public, Self::Public | Self::PublicOrLoopback)
            | (Reach::Loopback, Self::PublicOrLoopback | Self::Loopback) => Ok(()),
            (Reach::Public, Self::Loopback) => refused("not this machine, by plain HTTP"),
            (Reach::Loopback, Self::Public) => refused("loopback"),
            (Reach::Special(why), _) => refused(why),
        }
    }
}

impl Destination {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// [`UrlRefusal`] names the rule that it breaks.
    pub fn parse(text: &str, loopback: Loopback) -> Result<Self, UrlRefusal> {
        if text.len() > MAX_URL {
            return Err(UrlRefusal::TooLong);
        }
        // A parser of URLs would take these out.
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(UrlRefusal::NoUrl);
        }
        let url = Url::parse(text).map_err(|_| UrlRefusal::NoUrl)?;
        let policy = match (url.scheme(), loopback) {
            ("https", Loopback::Refused) => AddressPolicy::Public,
            ("https", Loopback::Allowed) => AddressPolicy::PublicOrLoopback,
            ("http", Loopback::Allowed) => AddressPolicy::Loopback,
            _ => return Err(UrlRefusal::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefusal::Credentials);
        }
        if url.fragment().is_some() {
            return Err(UrlRefusal::Fragment);
        }
        let destination = Self { url, policy };
        match destination.url.host() {
            None | Some(Host::Domain("")) => Err(UrlRefusal::NoUrl),
            Some(Host::Domain(_)) => Ok(destination),
            Some(Host::Ipv4(address)) => destination.at(address.into()),
            Some(Host::Ipv6(address)) => destination.at(address.into()),
        }
    }

    fn at(self, address: IpAddr) -> Result<Self, UrlRefusal> {
        self.policy.check(address)?;
        Ok(self)
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Which addresses its host may have.
    #[must_use]
    pub fn policy(&self) -> AddressPolicy {
        self.policy
    }

    /// The name of its host, unless that is an address, which was checked.
    #[must_use]
    pub fn host_name(&self) -> Option<&str> {
        match self.url.host() {
            Some(Host::Domain(name)) => Some(name),
            Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, loopback: Loopback) -> UrlRefusal {
        Destination::parse(url, loopback).expect_err(url)
    }

    #[test]
    fn https_to_a_public_place_is_good() {
        for url in [
            "https://hooks.example",
            "https://hooks.example:8443/in?tenant=acme",
            "https://1.1.1.1/",
            "https://[2606:4700::1111]/x",
        ] {
            for loopback in [Loopback::Refused, Loopback::Allowed] {
                let read = Destination::parse(url, loopback);
                assert!(read.is_ok(), "{url}: {read:?}");
            }
        }
    }

    #[test]
    fn everything_else_is_refused_by_the_rule_that_it_breaks() {
        let long = format!("https://hooks.example/{}", "x".repeat(MAX_URL));
        for (url, rule) in [
            ("", UrlRefusal::NoUrl),
            ("hooks.example", UrlRefusal::NoUrl),
            ("https://", UrlRefusal::NoUrl),
            ("https://hooks.example/\n", UrlRefusal::NoUrl),
            (" https://hooks.example/", UrlRefusal::NoUrl),
            ("https://hoo ks.example/", UrlRefusal::NoUrl),
            ("http://hooks.example", UrlRefusal::Scheme),
            ("http://127.0.0.1", UrlRefusal::Scheme),
            ("ftp://hooks.example", UrlRefusal::Scheme),
            ("file:///etc/passwd", UrlRefusal::Scheme),
            ("data:,x", UrlRefusal::Scheme),
            ("https://me@hooks.example", UrlRefusal::Credentials),
            ("https://:pw@hooks.example", UrlRefusal::Credentials),
            ("https://hooks.example/#x", UrlRefusal::Fragment),
            (&long, UrlRefusal::TooLong),
        ] {
            assert_eq!(refusal(url, Loopback::Refused), rule, "{url}");
        }
    }

    /// Every spelling of an address is one address to whoever connects.
    #[test]
    fn an_address_is_refused_however_it_is_spelt() {
        for url in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://%31%32%37.0.0.1/",
            "https://①②⑦.0.0.1/",
            "https://10.0.0.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[::ffff:a00:1]/",
            "https://[fe80::1]/",
            "https://[64:ff9b::a00:1]/",
            "https://0/",
        ] {
            let refused = refusal(url, Loopback::Refused);
            assert!(
                matches!(refused, UrlRefusal::Address(_)),
                "{url}: {refused:?}"
            );
        }
    }

    #[test]
    fn development_reaches_this_machine_and_nothing_else_by_http() {
        let allowed = |url| Destination::parse(url, Loopback::Allowed);
        for url in [
            "http://127.0.0.1:8080/in",
            "http://[::1]:8080",
            "http://localhost:8080",
            "https://127.0.0.1",
        ] {
            assert!(allowed(url).is_ok(), "{url}");
        }
        for url in ["http://1.1.1.1", "http://10.0.0.1", "https://10.0.0.1"] {
            assert!(matches!(allowed(url), Err(UrlRefusal::Address(_))), "{url}");
        }
        // The addresses of a name are checked once they are known.
        let named = allowed("http://hooks.example").expect("a name");
        let refused = named.policy().check([1, 1, 1, 1].into());
        assert!(refused.is_err());
        assert_eq!(named.host_name(), Some("hooks.example"));
        assert_eq!(
            allowed("https://1.1.1.1").expect("an address").host_name(),
            None
        );
    }
}
