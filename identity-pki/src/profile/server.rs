use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::pem::{self, PemRule};
use crate::{Error, Fingerprint};

/// The longest upload of certificates, in bytes of PEM (a certificate upload of the HTTP contract).
const MAX_PEM_LEN: usize = 256 * 1024;

/// More certificates than any public chain has.
const MAX_CERTIFICATES: usize = 10;

/// The shortest RSA key that is still taken (NIST SP 800-57 part 1, table 2).
const MIN_RSA_BITS: usize = 2048;

const LABEL: &str = "CERTIFICATE";

/// The rule that an uploaded server certificate breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerCertificateRule {
    /// The textual encoding.
    #[error(transparent)]
    Pem(#[from] PemRule),
    /// More certificates than a chain has.
    #[error("{found} certificates are more than the {limit} of any chain")]
    TooManyCertificates {
        /// Certificates given.
        found: usize,
        /// Certificates allowed.
        limit: usize,
    },
    /// Bytes that are no X.509 certificate.
    #[error("certificate {position} is no X.509 certificate (RFC 5280 §4.1)")]
    Certificate {
        /// Its place in the chain; the leaf's is 0.
        position: usize,
    },
    /// A leaf that is a CA's certificate.
    #[error("the first certificate is a CA's, not a server's (RFC 5280 §4.2.1.9)")]
    IsCa,
    /// A leaf that names no host.
    #[error(
        "the certificate has no subject alternative name, so no client would accept it (RFC 9525 §2)"
    )]
    NoName,
    /// A key that is too short.
    #[error("the key is {algorithm}; RSA keys have at least 2048 bits")]
    WeakKey {
        /// The key's algorithm and length.
        algorithm: String,
    },
    /// A kind of key that TLS stacks do not offer any more.
    #[error("keys of algorithm {oid} are not supported")]
    KeyAlgorithm {
        /// The algorithm's object identifier.
        oid: String,
    },
}

codes! {
    ServerCertificateRule {
        Self::TooManyCertificates { .. } => "too_many_certificates",
        Self::Certificate { .. } => "certificate",
        Self::IsCa => "is_ca",
        Self::NoName => "no_name",
        Self::WeakKey { .. } => "weak_key",
        Self::KeyAlgorithm { .. } => "key_algorithm",
    }
    nested { Pem(PemRule) }
}

/// What an operator wants to know about an uploaded server certificate, and its chain in the order
/// in which the server presents it.
///
/// Certificates of public CAs come in more shapes than our own, so they are read leniently: the
/// clients judge them. The private key is `identity-mtls`'s part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    chain: Vec<Vec<u8>>,
    subject: String,
    issuer: String,
    san: Vec<String>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    fingerprint: Fingerprint,
    key_algorithm: String,
}

impl ServerCertificate {
    /// Reads a leaf, which its intermediates may follow in the same text, and further
    /// intermediates.
    ///
    /// # Errors
    ///
    /// [`Error::ServerCertificate`] with the first rule that is broken. Whether it has expired is
    /// the caller's question.
    pub fn from_pem_chain(leaf_pem: &str, chain_pem: Option<&str>) -> Result<Self, Error> {
        let mut chain = decode(leaf_pem)?;
        if let Some(text) = chain_pem.filter(|text| !text.trim_ascii().is_empty()) {
            chain.extend(decode(text)?);
        }
        Ok(Self::from_chain(chain)?)
    }

    fn from_chain(chain: Vec<Vec<u8>>) -> Result<Self, ServerCertificateRule> {
        if chain.len() > MAX_CERTIFICATES {
            return Err(ServerCertificateRule::TooManyCertificates {
                found: chain.len(),
                limit: MAX_CERTIFICATES,
            });
        }
        for (position, der) in chain.iter().enumerate().skip(1) {
            parse(der, position)?;
        }
        let der = chain.first().map_or(&[][..], Vec::as_slice);
        let leaf = parse(der, 0)?;
        if leaf.is_ca() {
            return Err(ServerCertificateRule::IsCa);
        }
        let unreadable = ServerCertificateRule::Certificate { position: 0 };
        Ok(Self {
            subject: leaf.subject().to_string(),
            issuer: leaf.issuer().to_string(),
            san: names(&leaf)?,
            not_before: leaf.validity().not_before.to_datetime(),
            not_after: leaf.validity().not_after.to_datetime(),
            fingerprint: Fingerprint::of_certificate(der),
            key_algorithm: key_algorithm(&leaf, unreadable)?,
            chain,
        })
    }

    /// The certificates in DER, the leaf first.
    #[must_use]
    pub fn chain_der(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The subject as text.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer as text.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The host names and addresses of the subject alternative name.
    #[must_use]
    pub fn san(&self) -> &[String] {
        &self.san
    }

    /// The first second of its validity.
    #[must_use]
    pub const fn not_before(&self) -> OffsetDateTime {
        self.not_before
    }

    /// The last second of its validity.
    #[must_use]
    pub const fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// SHA-256 of the leaf's DER.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The kind of key, such as `ECDSA P-256` or `RSA 2048`.
    #[must_use]
    pub fn key_algorithm(&self) -> &str {
        &self.key_algorithm
    }
}

fn decode(text: &str) -> Result<Vec<Vec<u8>>, ServerCertificateRule> {
    Ok(pem::decode_all(LABEL, text, MAX_PEM_LEN)?)
}

fn parse(der: &[u8], position: usize) -> Result<X509Certificate<'_>, ServerCertificateRule> {
    match X509Certificate::from_der(der) {
        Ok((&[], certificate)) => Ok(certificate),
        _ => Err(ServerCertificateRule::Certificate { position }),
    }
}

fn names(leaf: &X509Certificate<'_>) -> Result<Vec<String>, ServerCertificateRule> {
    let san = leaf
        .subject_alternative_name()
        .map_err(|_| ServerCertificateRule::Certificate { position: 0 })?
        .ok_or(ServerCertificateRule::NoName)?;
    let names: Vec<String> = san.value.general_names.iter().filter_map(host).collect();
    if names.is_empty() {
        return Err(ServerCertificateRule::NoName);
    }
    Ok(names)
}

/// A host's name or address; other kinds of names do not name a TLS server.
fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match <[u8; 4]>::try_from(*octets) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
        },
        _ => None,
    }
}

fn key_algorithm(
    leaf: &X509Certificate<'_>,
    unreadable: ServerCertificateRule,
) -> Result<String, ServerCertificateRule> {
    let spki = leaf.public_key();
    match spki.parsed().map_err(|_| unreadable)? {
        PublicKey::RSA(key) => {
            let algorithm = format!("RSA {}", key.key_size());
            if key.key_size() < MIN_RSA_BITS {
                return Err(ServerCertificateRule::WeakKey { algorithm });
            }
            Ok(algorithm)
        }
        PublicKey::EC(point) => match point.key_size() {
            bits @ (256 | 384) => Ok(format!("ECDSA P-{bits}")),
            _ => Ok("ECDSA P-521".to_owned()),
        },
        _ => {
            let oid = spki.algorithm.algorithm.to_id_string();
            match oid.as_str() {
                "1.3.101.112" => Ok("Ed25519".to_owned()),
                _ => Err(ServerCertificateRule::KeyAlgorithm { oid }),
            }
        }
    }
}
