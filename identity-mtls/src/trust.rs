use std::fmt;
use std::sync::Arc;

use identity_pki::{CaCertificate, Fingerprint};
use rustls::DistinguishedName;
use rustls_pki_types::{CertificateDer, TrustAnchor};

use crate::Error;

/// The longest list of hints, in bytes: a list has at most 65,535 (RFC 8446 §4.2.4), and each client
/// receives it.
const MAX_HINTS: usize = 8 * 1024;

/// The CAs whose device certificates are accepted now: the issuing one and its predecessors that
/// still have devices.
///
/// An empty bundle means that there is nothing to verify against yet, so clients are not asked for
/// a certificate. A bundle does not change; to [rotate a CA](crate::manual::rotating_a_ca), make a new
/// [`DeviceCertVerifier`](crate::DeviceCertVerifier) and give it to
/// [`DeviceAcceptor::replace`](crate::DeviceAcceptor::replace), which closes the connections as well
/// that it would refuse.
#[derive(Clone, Default)]
pub struct TrustBundle {
    authorities: Arc<[Authority]>,
}

/// One CA of a bundle, in the forms that verification needs.
pub(crate) struct Authority {
    pub(crate) certificate: CaCertificate,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) anchor: TrustAnchor<'static>,
}

impl TrustBundle {
    /// A bundle of `certificates`. A certificate that is there twice counts once.
    ///
    /// # Errors
    ///
    /// [`Error::TrustAnchor`] when the verification library cannot use a certificate.
    pub fn new(certificates: impl IntoIterator<Item = CaCertificate>) -> Result<Self, Error> {
        let mut authorities: Vec<Authority> = Vec::new();
        for certificate in certificates {
            if authorities.iter().all(|a| !a.is(certificate.der())) {
                authorities.push(Authority::new(certificate)?);
            }
        }
        Ok(Self {
            authorities: authorities.into(),
        })
    }

    /// Whether there is no CA at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.authorities.is_empty()
    }

    /// The CAs, in the order in which they were given.
    pub fn certificates(&self) -> impl Iterator<Item = &CaCertificate> {
        self.authorities.iter().map(|a| &a.certificate)
    }

    /// The CA with this fingerprint.
    pub(crate) fn find(&self, fingerprint: Fingerprint) -> Option<&CaCertificate> {
        self.authorities
            .iter()
            .find(|a| a.fingerprint == fingerprint)
            .map(|a| &a.certificate)
    }

    /// Whether `certificate` is, byte for byte, one of the CAs.
    pub(crate) fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        self.authorities.iter().any(|a| a.is(certificate))
    }

    /// The CAs, in the forms that verification needs.
    pub(crate) fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// The subjects, as hints for a client that has several certificates (RFC 8446 §4.2.4). There are
    /// none when they are longer than a handshake should be: hints are optional, and what does not fit
    /// into its message would fail every handshake.
    pub(crate) fn subjects(&self) -> Vec<DistinguishedName> {
        let subjects = self.authorities.iter();
        let subjects = subjects.map(|a| DistinguishedName::in_sequence(&a.anchor.subject));
        let subjects: Vec<_> = subjects.collect();
        let length: usize = subjects.iter().map(|name| name.as_ref().len() + 2).sum();
        if length > MAX_HINTS {
            return Vec::new();
        }
        subjects
    }
}

impl fmt::Debug for TrustBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprints = self.authorities.iter().map(|a| a.fingerprint);
        f.debug_list().entries(fingerprints).finish()
    }
}

impl Authority {
    fn new(certificate: CaCertificate) -> Result<Self, Error> {
        let fingerprint = certificate.fingerprint();
        let anchor = webpki::anchor_from_trusted_cert(&CertificateDer::from(certificate.der()))
            .map(|anchor| anchor.to_owned())
            .map_err(|error| Error::TrustAnchor {
                fingerprint,
                reason: error.to_string(),
            })?;
        Ok(Self {
            certificate,
            fingerprint,
            anchor,
        })
    }

    /// Whether the CA's subject is `name`, the contents of a DER SEQUENCE. Several CAs may share it.
    pub(crate) fn is_named(&self, name: &[u8]) -> bool {
        self.anchor.subject.as_ref() == name
    }

    fn is(&self, der: &[u8]) -> bool {
        self.certificate.der() == der
    }
}
