use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::server_chain::arrange;
use crate::{Error, Fingerprint, PemRule, SpkiSha256, pem as textual};

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
    /// A key that is too short.
    #[error("the key is {algorithm}; RSA keys have at least 2048 bits")]
    WeakKey {
        /// The key's algorithm and length.
        algorithm: String,
    },
    /// A kind of key, or a curve, that TLS stacks do not offer.
    #[error("keys of algorithm or curve {oid} are not supported (RFC 8446 §4.2.3)")]
    KeyAlgorithm {
        /// The algorithm's or the curve's object identifier.
        oid: String,
    },
    /// One certificate twice.
    #[error("certificate {position} is certificate {first} again: give each once")]
    Duplicate {
        /// Its place among those given, from 0 on.
        position: usize,
        /// The place of the other.
        first: usize,
    },
    /// A certificate that is not one of the chain's, or one of a chain with a gap.
    #[error(
        "certificate {position} ({subject:?}) is not on the way from the server's certificate by its \
         issuers: leave it out, or add what is missing between (RFC 8446 §4.4.2)"
    )]
    Unrelated {
        /// Its place among those given, from 0 on.
        position: usize,
        /// The beginning of its subject.
        subject: String,
    },
}

codes! {
    ServerCertificateRule {
        Self::TooManyCertificates { .. } => "too_many_certificates",
        Self::Certificate { .. } => "certificate",
        Self::WeakKey { .. } => "weak_key",
        Self::KeyAlgorithm { .. } => "key_algorithm",
        Self::Duplicate { .. } => "duplicate",
        Self::Unrelated { .. } => "unrelated",
    }
    nested { Pem(PemRule) }
}

/// What is odd about an uploaded server certificate, but for the clients to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ServerCertificateWarning {
    /// No host is named where clients look for it.
    #[error("the certificate has no host in its subject alternative name (RFC 9525 §2)")]
    NoName,
    /// A CA's certificate, which some clients refuse as a server's.
    #[error("the certificate is a CA's, which some clients refuse (RFC 5280 §4.2.1.9)")]
    IsCa,
    /// A certificate whose extended key usage is another than a server's.
    #[error(
        "the certificate's extended key usage is not serverAuth, which clients refuse \
         (RFC 5280 §4.2.1.12)"
    )]
    NotForServers,
    /// Certificates that were given in another order than they are sent in.
    #[error("the certificates were out of order, and are sent in order (RFC 8446 §4.4.2)")]
    Reordered,
    /// A root, which whoever trusts it has.
    #[error("the root is not sent: who trusts it has it (RFC 8446 §4.4.2)")]
    RootLeftOut,
}

codes! {
    ServerCertificateWarning {
        Self::NoName => "no_name",
        Self::IsCa => "is_ca",
        Self::NotForServers => "not_for_servers",
        Self::Reordered => "reordered",
        Self::RootLeftOut => "root_left_out",
    }
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
    spki_sha256: SpkiSha256,
    key_algorithm: String,
    warnings: Vec<ServerCertificateWarning>,
}

impl ServerCertificate {
    /// Reads a leaf, which its intermediates may follow in the same text, and further
    /// intermediates. What is merely odd is one of the [`warnings`](Self::warnings).
    ///
    /// # Errors
    ///
    /// [`Error::ServerCertificate`] with the first rule that is broken. Whether it has expired is
    /// the caller's question.
    pub fn from_pem_chain(leaf_pem: &str, chain_pem: Option<&str>) -> Result<Self, Error> {
        Ok(Self::read(leaf_pem, chain_pem)?)
    }

    fn read(leaf_pem: &str, chain_pem: Option<&str>) -> Result<Self, ServerCertificateRule> {
        let mut chain = decode(leaf_pem)?;
        if let Some(text) = chain_pem.filter(|text| !text.trim_ascii().is_empty()) {
            chain.extend(decode(text)?);
        }
        Self::from_chain(&chain)
    }

    /// The same certificates in the order in which a server has to send them, each issued by the next
    /// one, without the root: the leaf is the one that issued no other. What was changed is one of the
    /// [`warnings`](Self::warnings).
    ///
    /// `algorithms` tell by whom a certificate is signed. Where none of them knows the kind of a
    /// signature, the names count.
    ///
    /// # Errors
    ///
    /// [`Error::ServerCertificate`]: a certificate is there twice, or is not one of the chain.
    pub fn arranged(
        self,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<Self, Error> {
        let arranged = arrange(&parse_all(&self.chain)?, algorithms)?;
        let in_order = arranged
            .order
            .iter()
            .enumerate()
            .all(|(to, from)| to == *from);
        let sent: Vec<_> = arranged
            .order
            .iter()
            .filter_map(|place| self.chain.get(*place).cloned())
            .collect();
        let mut certificate = Self::from_chain(&sent)?;
        let changes = [
            (ServerCertificateWarning::Reordered, !in_order),
            (ServerCertificateWarning::RootLeftOut, arranged.has_root),
        ];
        let changes = changes.into_iter().filter(|(_, applies)| *applies);
        certificate
            .warnings
            .extend(changes.map(|(change, _)| change));
        Ok(certificate)
    }

    fn from_chain(chain: &[Vec<u8>]) -> Result<Self, ServerCertificateRule> {
        if chain.len() > MAX_CERTIFICATES {
            return Err(ServerCertificateRule::TooManyCertificates {
                found: chain.len(),
                limit: MAX_CERTIFICATES,
            });
        }
        let parsed = parse_all(chain)?;
        let [leaf, ..] = parsed.as_slice() else {
            return Err(ServerCertificateRule::Certificate { position: 0 });
        };
        let san = names(leaf)?;
        Ok(Self {
            subject: leaf.subject().to_string(),
            issuer: leaf.issuer().to_string(),
            not_before: leaf.validity().not_before.to_datetime(),
            not_after: leaf.validity().not_after.to_datetime(),
            fingerprint: Fingerprint::of_certificate(leaf.as_raw()),
            spki_sha256: SpkiSha256::of_spki(leaf.public_key().raw),
            key_algorithm: key_algorithm(leaf)?,
            warnings: warnings(&san, leaf),
            san,
            chain: chain.to_vec(),
        })
    }

    /// The certificates in DER, the leaf first.
    #[must_use]
    pub fn chain_der(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The certificates as PEM, the leaf first.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        let chain = self.chain.iter();
        chain.map(|der| textual::encode(LABEL, der)).collect()
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

    /// The name of its key.
    #[must_use]
    pub const fn spki_sha256(&self) -> SpkiSha256 {
        self.spki_sha256
    }

    /// The kind of key, such as `ECDSA P-256` or `RSA 2048`.
    #[must_use]
    pub fn key_algorithm(&self) -> &str {
        &self.key_algorithm
    }

    /// What an operator should look at again.
    #[must_use]
    pub fn warnings(&self) -> &[ServerCertificateWarning] {
        &self.warnings
    }
}

/// The certificates of a text, which may say other things between them (RFC 7468 §5.2).
fn decode(text: &str) -> Result<Vec<Vec<u8>>, PemRule> {
    if text.len() > MAX_PEM_LEN {
        return Err(PemRule::TooLarge {
            length: text.len(),
            limit: MAX_PEM_LEN,
        });
    }
    let blocks: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|block| block.map(|der| der.to_vec()))
        .collect();
    match blocks {
        Ok(blocks) if blocks.is_empty() => Err(PemRule::Label { label: LABEL }),
        Ok(blocks) => Ok(blocks),
        Err(pem::Error::MissingSectionEnd { .. }) => Err(PemRule::Unterminated { label: LABEL }),
        Err(_) => Err(PemRule::Base64),
    }
}

fn parse_all(chain: &[Vec<u8>]) -> Result<Vec<X509Certificate<'_>>, ServerCertificateRule> {
    let chain = chain.iter().enumerate();
    chain.map(|(position, der)| parse(der, position)).collect()
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
        .map_err(|_| ServerCertificateRule::Certificate { position: 0 })?;
    let names = san.map(|san| san.value.general_names.iter().filter_map(host).collect());
    Ok(names.unwrap_or_default())
}

fn warnings(san: &[String], leaf: &X509Certificate<'_>) -> Vec<ServerCertificateWarning> {
    let found = [
        (ServerCertificateWarning::NoName, san.is_empty()),
        (ServerCertificateWarning::IsCa, leaf.is_ca()),
        (ServerCertificateWarning::NotForServers, !serves(leaf)),
    ];
    found
        .into_iter()
        .filter_map(|(warning, applies)| applies.then_some(warning))
        .collect()
}

/// Whether its extended key usage, where there is one that can be read, lets it be a server's.
fn serves(leaf: &X509Certificate<'_>) -> bool {
    let usage = leaf.extended_key_usage().ok().flatten();
    usage.is_none_or(|usage| usage.value.any || usage.value.server_auth)
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

fn key_algorithm(leaf: &X509Certificate<'_>) -> Result<String, ServerCertificateRule> {
    let spki = leaf.public_key();
    let unreadable = ServerCertificateRule::Certificate { position: 0 };
    match spki.parsed().map_err(|_| unreadable)? {
        PublicKey::RSA(key) => {
            let algorithm = format!("RSA {}", key.key_size());
            if key.key_size() < MIN_RSA_BITS {
                return Err(ServerCertificateRule::WeakKey { algorithm });
            }
            Ok(algorithm)
        }
        PublicKey::EC(_) => {
            let curve = spki.algorithm.parameters.as_ref();
            let curve = curve.and_then(|curve| curve.as_oid().ok());
            named(curve.map(|curve| curve.to_id_string()).unwrap_or_default())
        }
        _ => named(spki.algorithm.algorithm.to_id_string()),
    }
}

/// The curves and algorithms of TLS 1.3 (RFC 8446 §4.2.3), RSA aside.
fn named(oid: String) -> Result<String, ServerCertificateRule> {
    match oid.as_str() {
        "1.2.840.10045.3.1.7" => Ok("ECDSA P-256".to_owned()),
        "1.3.132.0.34" => Ok("ECDSA P-384".to_owned()),
        "1.3.132.0.35" => Ok("ECDSA P-521".to_owned()),
        "1.3.101.112" => Ok("Ed25519".to_owned()),
        _ => Err(ServerCertificateRule::KeyAlgorithm { oid }),
    }
}
