use std::cmp::Reverse;
use std::slice;
use std::sync::Arc;

use identity_pki::{
    CaCertificate, Curve, DeviceCertificate, DeviceIdentity, Fingerprint, TbsSha256,
};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::{CertificateError, OtherError};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::trust::Authority;
use crate::unix_time::to_unix;
use crate::{DenylistSnapshot, TrustBundle, VerifiedDevice};

/// Why a client certificate is refused.
///
/// It becomes a [`CertificateError`], and by it the proper TLS alert: `certificate_revoked`,
/// `certificate_expired`, `unknown_ca`, otherwise `certificate_unknown`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The handshake that should have checked the certificate is not over.
    #[error("the TLS handshake is not complete")]
    Handshaking,
    /// The session was resumed, so no check of the certificate took place in this connection.
    #[error("the TLS session was resumed, which skips the check of the client certificate")]
    Resumed,
    /// The connection is not the one whose handshake decided on a certificate.
    #[error("the certificate was decided on in another handshake")]
    AnotherHandshake,
    /// The clock cannot tell the time, so nobody knows what is valid.
    #[error("the clock cannot tell the time")]
    NoTime,
    /// More certificates than a leaf and its CA.
    #[error("{sent} certificates were sent; a leaf alone, or with its CA, is accepted")]
    ChainTooLong {
        /// How many were sent.
        sent: usize,
    },
    /// A certificate beside the leaf that is not one of the accepted CAs.
    #[error("certificate {fingerprint} beside the leaf is no CA of this platform")]
    ForeignCertificate {
        /// The certificate beside the leaf.
        fingerprint: Fingerprint,
    },
    /// A leaf that breaks the device certificate profile.
    #[error("the leaf breaks the device certificate profile")]
    Profile(#[source] identity_pki::Error),
    /// A leaf whose issuer is none of the accepted CAs (RFC 5280 §6.1.3 (a)(4)).
    #[error("the leaf's issuer is no CA of this platform")]
    UnknownIssuer,
    /// A leaf that names an accepted CA as its issuer and is not signed by it (RFC 5280 §6.1.3
    /// (a)(1)).
    #[error("the leaf is not signed by the CA that it names")]
    BadSignature,
    /// A leaf signed by an algorithm that is not the issuing CA's, such as ecdsa-with-SHA384 by a
    /// key on P-256 (RFC 5758 §3.2 allows it, no CA of ours does it).
    #[error("the leaf's signature algorithm is one for {leaf}, but its CA's key is on {ca}")]
    SignatureAlgorithm {
        /// The curve that the leaf's signature algorithm implies.
        leaf: Curve,
        /// The curve of the CA's key.
        ca: Curve,
    },
    /// A path that the verification library refuses for another reason.
    #[error("the path from leaf to CA is invalid: {reason}")]
    Path {
        /// What the library found.
        reason: String,
    },
    /// The issuing CA is outside its validity, and so is everything under it.
    #[error("the issuing CA is valid from {not_before} to {not_after}; now is {now}")]
    CaNotValid {
        /// The CA's notBefore.
        not_before: OffsetDateTime,
        /// The CA's notAfter.
        not_after: OffsetDateTime,
        /// The time of the decision.
        now: OffsetDateTime,
    },
    /// A leaf whose notBefore is to come.
    #[error("the leaf is valid from {not_before}; now is {now}")]
    NotYetValid {
        /// The leaf's notBefore.
        not_before: OffsetDateTime,
        /// The time of the decision.
        now: OffsetDateTime,
    },
    /// A leaf whose notAfter has passed.
    #[error("the leaf expired at {not_after}; now is {now}")]
    Expired {
        /// The leaf's notAfter.
        not_after: OffsetDateTime,
        /// The time of the decision.
        now: OffsetDateTime,
    },
    /// A certificate of ours, in order but for its being on the denylist.
    #[error("the certificate of {identity} (TBS hash {tbs_sha256}) is on the denylist")]
    Denied {
        /// The device that the certificate was issued to.
        identity: DeviceIdentity,
        /// The certificate's key on the denylist.
        tbs_sha256: TbsSha256,
    },
    /// No denylist was published yet, so nobody knows whether the certificate is denied.
    #[error("no denylist is published yet")]
    NoDenylist,
    /// The denylist is beyond an [age limit](crate::AgeLimit) that refuses, so nobody knows whether
    /// the certificate was denied since.
    #[error("the denylist is {age} old; {limit} is the most that is accepted")]
    StaleDenylist {
        /// How old it was at the time of the decision; negative for a list from the future.
        age: Duration,
        /// The oldest that is accepted, in either direction.
        limit: Duration,
    },
}

impl From<Refusal> for CertificateError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownIssuer => Self::UnknownIssuer,
            Refusal::BadSignature => Self::BadSignature,
            Refusal::NotYetValid { not_before, now } => Self::NotValidYetContext {
                time: to_unix(now),
                not_before: to_unix(not_before),
            },
            Refusal::Expired { not_after, now } => Self::ExpiredContext {
                time: to_unix(now),
                not_after: to_unix(not_after),
            },
            Refusal::CaNotValid { .. } => Self::Expired,
            Refusal::Denied { .. } => Self::Revoked,
            Refusal::NoDenylist | Refusal::StaleDenylist { .. } => Self::UnknownRevocationStatus,
            Refusal::Handshaking
            | Refusal::Resumed
            | Refusal::AnotherHandshake
            | Refusal::NoTime
            | Refusal::ChainTooLong { .. }
            | Refusal::ForeignCertificate { .. }
            | Refusal::Profile(_)
            | Refusal::SignatureAlgorithm { .. }
            | Refusal::Path { .. } => Self::Other(OtherError(Arc::new(refusal))),
        }
    }
}

/// What a client sent in its Certificate message, within the length that is looked at:
/// a leaf, alone or with its CA.
#[derive(Debug, Clone, Copy)]
pub struct PresentedChain<'a> {
    leaf: &'a CertificateDer<'a>,
    authority: Option<&'a CertificateDer<'a>>,
}

impl<'a> PresentedChain<'a> {
    /// The chain of `leaf`, whose key has to sign the handshake, and of what was sent beside it.
    ///
    /// # Errors
    ///
    /// [`Refusal::ChainTooLong`] when it is more than a leaf and one certificate.
    pub fn new(
        leaf: &'a CertificateDer<'a>,
        beside: &'a [CertificateDer<'a>],
    ) -> Result<Self, Refusal> {
        let authority = match beside {
            [] => None,
            [authority] => Some(authority),
            [_, _, ..] => {
                return Err(Refusal::ChainTooLong {
                    sent: beside.len().saturating_add(1),
                });
            }
        };
        Ok(Self { leaf, authority })
    }
}

/// Decides whether the client that presents `chain`, and proves possession of the leaf's key, is a
/// device: one pure function for the handshake, for the look after it, and for tests.
///
/// In this order: length of the chain (by [`PresentedChain`]), device profile (which limits the leaf
/// to 4 KiB before it parses any), nothing foreign beside the leaf, validity of the leaf, exactly
/// one link to a CA of `trust`, validity of that CA, denylist, its age. Only a certificate that is in order
/// in every other respect is called [denied](Refusal::Denied).
///
/// `algorithms` are those of the caller's `CryptoProvider`.
///
/// # Errors
///
/// The [`Refusal`] that names the first rule broken.
pub fn decide(
    chain: &PresentedChain<'_>,
    now: OffsetDateTime,
    trust: &TrustBundle,
    denylist: Option<&DenylistSnapshot>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<VerifiedDevice, Refusal> {
    let certificate = DeviceCertificate::from_der(chain.leaf).map_err(Refusal::Profile)?;
    if let Some(beside) = chain.authority.filter(|beside| !trust.holds(beside)) {
        return Err(Refusal::ForeignCertificate {
            fingerprint: Fingerprint::of_certificate(beside),
        });
    }
    check_validity(certificate.not_before(), certificate.not_after(), now)?;
    let issuer = issuer_of(&certificate, chain.leaf, now, trust, algorithms)?;
    check_signature_algorithm(&certificate, &issuer.certificate)?;
    let device = VerifiedDevice::from_verified(&certificate, issuer);
    device.recheck(now, trust, denylist)?;
    Ok(device)
}

/// Whether a leaf with these bounds is valid at `now` (RFC 5280 §4.1.2.5: both bounds belong to it).
pub(crate) fn check_validity(
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<(), Refusal> {
    if now < not_before {
        Err(Refusal::NotYetValid { not_before, now })
    } else if now > not_after {
        Err(Refusal::Expired { not_after, now })
    } else {
        Ok(())
    }
}

/// The profile's limit on s is that of the curve which the leaf's algorithm implies.
fn check_signature_algorithm(
    leaf: &DeviceCertificate,
    issuer: &CaCertificate,
) -> Result<(), Refusal> {
    let (leaf, ca) = (leaf.issuer_curve(), issuer.curve());
    (leaf == ca)
        .then_some(())
        .ok_or(Refusal::SignatureAlgorithm { leaf, ca })
}

/// Of several CAs with the name that a leaf gives, so many are tried: each costs a check of a
/// signature.
const MAX_TRIED_AUTHORITIES: usize = 4;

/// The CA of `trust` whose key signed `leaf` itself.
///
/// Several may: a CA that is renewed under its key has two certificates, and either is the issuer
/// as far as the leaf tells (RFC 5280 §6.1.1 (d): a trust anchor is a name and a key). So those come
/// first that are valid now, of these the ones with the key identifier that the leaf gives, and then
/// the one that is valid for longest.
fn issuer_of<'t>(
    certificate: &DeviceCertificate,
    leaf: &CertificateDer<'_>,
    now: OffsetDateTime,
    trust: &'t TrustBundle,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<&'t Authority, Refusal> {
    let leaf = EndEntityCert::try_from(leaf).map_err(path_refusal)?;
    let authorities = trust.authorities().iter();
    let mut named: Vec<_> = authorities.filter(|a| a.is_named(leaf.issuer())).collect();
    named.sort_by_key(
        |Authority {
             certificate: ca, ..
         }| {
            let meant = certificate.authority_key_id() == Some(ca.subject_key_id());
            Reverse((ca.is_valid_at(now), meant, ca.not_after()))
        },
    );
    let mut refusal = Refusal::UnknownIssuer;
    for authority in named.into_iter().take(MAX_TRIED_AUTHORITIES) {
        // No intermediates: the one link is from the leaf to this CA.
        let path = leaf.verify_for_usage(
            algorithms.all,
            slice::from_ref(&authority.anchor),
            &[],
            to_unix(now),
            KeyUsage::client_auth(),
            None,
            None,
        );
        match path {
            Ok(_) => return Ok(authority),
            Err(error) => refusal = path_refusal(error),
        }
    }
    Err(refusal)
}

fn path_refusal(error: webpki::Error) -> Refusal {
    match error {
        webpki::Error::InvalidSignatureForPublicKey => Refusal::BadSignature,
        other => Refusal::Path {
            reason: other.to_string(),
        },
    }
}
