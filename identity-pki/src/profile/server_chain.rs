//! The order of a server's chain: each certificate is issued by the next (RFC 8446 §4.4.2).

use rustls_pki_types::SignatureVerificationAlgorithm;
use x509_parser::prelude::X509Certificate;

use super::ServerCertificateRule;
use crate::der::{Element, Reader, tag};
use crate::excerpt;

/// As much of a subject is repeated, in characters.
const MAX_SUBJECT: usize = 200;

/// Certificates as a server sends them.
pub(super) struct Arranged {
    /// Their places among those given, the leaf's first.
    pub(super) order: Vec<usize>,
    /// Whether a root was among those given. Whoever trusts it has it.
    pub(super) has_root: bool,
}

/// Finds the leaf and the way from it to its issuers.
pub(super) fn arrange(
    given: &[X509Certificate<'_>],
    algorithms: &[&dyn SignatureVerificationAlgorithm],
) -> Result<Arranged, ServerCertificateRule> {
    refuse_duplicates(given)?;
    let chain = Given { given, algorithms };
    let mut order = vec![chain.leaf()];
    while let Some(next) = order.last().and_then(|last| chain.issuer(*last, &order)) {
        order.push(next);
    }
    let mut has_root = false;
    for (position, certificate) in given.iter().enumerate() {
        if order.contains(&position) {
            continue;
        }
        // A CA may have a root and an intermediate of one key.
        let is_other_form = order
            .iter()
            .filter_map(|place| given.get(*place))
            .any(|it| have_one_key(it, certificate));
        if !is_other_form || !chain.is_root(certificate) {
            return Err(ServerCertificateRule::Unrelated {
                position,
                subject: excerpt(&certificate.subject().to_string(), MAX_SUBJECT),
            });
        }
        has_root = true;
    }
    let last = order.last().and_then(|last| given.get(*last));
    if order.len() > 1 && last.is_some_and(|last| chain.is_root(last)) {
        order.pop();
        has_root = true;
    }
    Ok(Arranged { order, has_root })
}

fn refuse_duplicates(given: &[X509Certificate<'_>]) -> Result<(), ServerCertificateRule> {
    for (position, certificate) in given.iter().enumerate() {
        let earlier = given.iter().take(position);
        let mut same = earlier.map(|earlier| earlier.as_raw() == certificate.as_raw());
        if let Some(first) = same.position(|is_same| is_same) {
            return Err(ServerCertificateRule::Duplicate { position, first });
        }
    }
    Ok(())
}

fn have_one_key(one: &X509Certificate<'_>, other: &X509Certificate<'_>) -> bool {
    one.subject().as_raw() == other.subject().as_raw()
        && one.public_key().raw == other.public_key().raw
}

struct Given<'a> {
    given: &'a [X509Certificate<'a>],
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
}

impl Given<'_> {
    /// The first certificate by which no other was issued; where each issued one, the first.
    fn leaf(&self) -> usize {
        let issued_none = |issuer: &X509Certificate<'_>| {
            let mut others = self
                .given
                .iter()
                .filter(|it| it.as_raw() != issuer.as_raw());
            !others.any(|it| self.is_issued_by(it, issuer))
        };
        self.given.iter().position(issued_none).unwrap_or(0)
    }

    /// An issuer of the certificate at that place, at none of the places that are taken; rather one
    /// that goes on than a root.
    fn issuer(&self, of: usize, taken: &[usize]) -> Option<usize> {
        let issued = self.given.get(of)?;
        let free = self.given.iter().enumerate();
        let issuers =
            free.filter(|(place, it)| !taken.contains(place) && self.is_issued_by(issued, it));
        let (place, _) = issuers.min_by_key(|(_, it)| self.is_root(it))?;
        Some(place)
    }

    fn is_root(&self, certificate: &X509Certificate<'_>) -> bool {
        self.is_issued_by(certificate, certificate)
    }

    /// By name and, where one of the algorithms can tell, by signature.
    fn is_issued_by(&self, issued: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
        issued.issuer().as_raw() == issuer.subject().as_raw()
            && self.is_signed_by(issued, issuer) != Some(false)
    }

    fn is_signed_by(
        &self,
        issued: &X509Certificate<'_>,
        issuer: &X509Certificate<'_>,
    ) -> Option<bool> {
        let (message, signature_algorithm, signature) = signed(issued.as_raw())?;
        let (key_algorithm, key) = public_key(issuer.public_key().raw)?;
        let algorithm = self.algorithms.iter().find(|algorithm| {
            algorithm.public_key_alg_id().as_ref() == key_algorithm.contents
                && algorithm.signature_alg_id().as_ref() == signature_algorithm.contents
        })?;
        Some(algorithm.verify_signature(key, message, signature).is_ok())
    }
}

/// What is signed of a certificate, how, and the signature (RFC 5280 §4.1).
fn signed(der: &[u8]) -> Option<(&[u8], Element<'_>, &[u8])> {
    let mut fields = Reader::new(der).element(tag::SEQUENCE).ok()?.reader();
    let message = fields.element(tag::SEQUENCE).ok()?.raw;
    let algorithm = fields.element(tag::SEQUENCE).ok()?;
    let signature = fields.element(tag::BIT_STRING).ok()?;
    Some((message, algorithm, signature.octet_aligned().ok()?))
}

/// The algorithm of a `SubjectPublicKeyInfo`, and the key.
fn public_key(spki: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let mut fields = Reader::new(spki).element(tag::SEQUENCE).ok()?.reader();
    let algorithm = fields.element(tag::SEQUENCE).ok()?;
    let key = fields.element(tag::BIT_STRING).ok()?;
    Some((algorithm, key.octet_aligned().ok()?))
}
