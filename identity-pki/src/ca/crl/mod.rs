//! Certificate revocation lists (RFC 5280 §5), for servers that are not ours.

mod entry;
mod number;
mod read;
mod recheck;

pub use entry::{RevocationReason, RevokedCertificate};
pub use number::CrlNumber;
pub use recheck::CrlDifference;

use time::OffsetDateTime;

use crate::certificate::write_time;
use crate::der::{self, tag};
use crate::key::CaKey;
use crate::{Curve, Error, Terms, extension, oid, pem};

use super::{CaCertificate, PlatformCa, issue, signed};

impl PlatformCa {
    /// Signs a list of the certificates that are revoked: [`prepare_crl`](CaCertificate::prepare_crl), a
    /// signature, and [`UnsignedCrl::complete`].
    ///
    /// A server of ours asks its denylist. This is for those that stand in front, such as nginx
    /// (`ssl_crl`) or Envoy (`crl`):
    ///
    /// ```
    /// # use identity_pki::{CA_VALIDITY, SoftwareSigner, SerialNumber};
    /// # use time::{Duration, OffsetDateTime, macros::datetime};
    /// use identity_pki::{CrlNumber, PlatformCa, RevocationReason, RevokedCertificate, Terms};
    ///
    /// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    /// # let signer = Box::new(SoftwareSigner::generate(&mut rng));
    /// # let now = datetime!(2026-11-22 12:00 UTC);
    /// # let terms = Terms::new(now, CA_VALIDITY, Duration::minutes(5));
    /// # let ca = PlatformCa::generate(signer, "Link Identity Device CA", &terms, &mut rng)?;
    /// # let serial = SerialNumber::generate(&mut rng);
    /// // Rows of the denylist: those that this CA issued.
    /// let rows = [(serial, datetime!(2026-11-20 08:30 UTC), "renewed")];
    /// let entries = rows.into_iter().map(|(serial, revoked_at, reason)| {
    ///     let reason = match reason {
    ///         "renewed" => RevocationReason::Superseded,
    ///         "key lost" => RevocationReason::KeyCompromise,
    ///         _ => RevocationReason::Unspecified,
    ///     };
    ///     RevokedCertificate::new(serial, revoked_at, reason)
    /// });
    /// let entries = entries.collect::<Result<Vec<_>, _>>()?;
    ///
    /// let terms = Terms::new(now, Duration::days(1), Duration::minutes(5));
    /// let crl = ca.issue_crl(CrlNumber::from(1), &terms, entries)?;
    /// assert!(crl.pem().starts_with("-----BEGIN X509 CRL-----"));
    /// # Ok::<(), identity_pki::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As those two, and [`Error::Signing`] when the signer fails.
    pub fn issue_crl(
        &self,
        number: CrlNumber,
        terms: &Terms,
        entries: impl IntoIterator<Item = RevokedCertificate>,
    ) -> Result<Crl, Error> {
        let unsigned = self.certificate.prepare_crl(number, terms, entries)?;
        let signature = self.signer.sign(unsigned.tbs())?;
        unsigned.complete(&signature)
    }
}

impl CaCertificate {
    /// Builds the list up to its signature, for signers that cannot answer at once.
    ///
    /// `thisUpdate` is `now` less the backdating of `terms`, and `nextUpdate`, by which the next
    /// list is out, is `now` and the validity: servers refuse every client from then on.
    ///
    /// The entries may come in any order. Of several for one certificate that with the earliest
    /// date stays, and of equal dates that with the reason named first in [`RevocationReason`]. An
    /// entry may go once a list was signed after its certificate's notAfter (RFC 5280 §3.3). Those
    /// of other CAs do not belong here: serial numbers are unique within one CA.
    ///
    /// # Errors
    ///
    /// [`Error::CaCannotSignCrls`], [`Error::CaNotValid`] when the CA is not valid at `terms.now`,
    /// and [`Error::Validity`].
    pub fn prepare_crl(
        &self,
        number: CrlNumber,
        terms: &Terms,
        entries: impl IntoIterator<Item = RevokedCertificate>,
    ) -> Result<UnsignedCrl, Error> {
        if !self.can_sign_crls() {
            return Err(Error::CaCannotSignCrls);
        }
        self.check_valid_at(terms.now())?;
        let update = terms.validity()?;
        let fields = Fields {
            issuer: self.subject_der().to_vec(),
            issuer_key: self.key().clone(),
            this_update: update.not_before,
            next_update: update.not_after,
            entries: entry::collapse(entries),
            authority_key_id: self.subject_key_id().to_vec(),
            number,
        };
        Ok(UnsignedCrl {
            tbs: write_tbs(&fields),
            fields,
        })
    }
}

/// What a list says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fields {
    issuer: Vec<u8>,
    issuer_key: CaKey,
    this_update: OffsetDateTime,
    next_update: OffsetDateTime,
    entries: Vec<RevokedCertificate>,
    authority_key_id: Vec<u8>,
    number: CrlNumber,
}

/// A CRL but for the signature.
///
/// [`tbs`](Self::tbs) is what the CA's key signs; [`complete`](Self::complete) takes the signature
/// and judges the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedCrl {
    tbs: Vec<u8>,
    fields: Fields,
}

impl UnsignedCrl {
    /// The `TBSCertList` in DER, to be signed by the algorithm of [`curve`](Self::curve).
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// The curve of the CA's key, and by it the algorithm: ecdsa-with-SHA256 on P-256,
    /// ecdsa-with-SHA384 on P-384.
    #[must_use]
    pub const fn curve(&self) -> Curve {
        self.fields.issuer_key.curve()
    }

    /// What is revoked, sorted by serial number, each certificate once.
    #[must_use]
    pub fn entries(&self) -> &[RevokedCertificate] {
        &self.fields.entries
    }

    /// Adds the signature, an `ECDSA-Sig-Value` in DER, in its low-s form whatever the signer gave.
    ///
    /// The signature is verified, since a list that does not verify shuts every device out. Then
    /// the list is read back by an independent parser, and compared with what was meant field by
    /// field and entry by entry, before anyone gets it. Time and memory grow as the number of entries
    /// does: about 150 bytes an entry at the peak.
    ///
    /// # Errors
    ///
    /// [`Error::Signing`] when the bytes are no signature of the list by the CA's key, and
    /// [`Error::IssuedCrl`] when the result is not what was meant.
    pub fn complete(self, signature: &[u8]) -> Result<Crl, Error> {
        let key = &self.fields.issuer_key;
        super::check_signature(key, &self.tbs, signature)?;
        let der = signed::assemble(key.curve(), &self.tbs, signature)?;
        recheck::compare(&der, &self)?;
        Ok(Crl {
            der,
            number: self.fields.number,
            this_update: self.fields.this_update,
            next_update: self.fields.next_update,
        })
    }
}

/// A certificate revocation list, signed and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crl {
    der: Vec<u8>,
    number: CrlNumber,
    this_update: OffsetDateTime,
    next_update: OffsetDateTime,
}

impl Crl {
    /// The `CertificateList` in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The list in PEM, which ends in a newline (RFC 7468 §6).
    #[must_use]
    pub fn pem(&self) -> String {
        pem::encode("X509 CRL", &self.der)
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> CrlNumber {
        self.number
    }

    /// Since when it says what is revoked.
    #[must_use]
    pub const fn this_update(&self) -> OffsetDateTime {
        self.this_update
    }

    /// When the next list is due at the latest.
    #[must_use]
    pub const fn next_update(&self) -> OffsetDateTime {
        self.next_update
    }
}

/// `TBSCertList` (RFC 5280 §5.1).
fn write_tbs(fields: &Fields) -> Vec<u8> {
    let authority = extension::authority_key_identifier(&fields.authority_key_id);
    let number = der::tlv(tag::INTEGER, &[issue::minimal(fields.number.as_bytes())]);
    let number = extension::write(oid::CRL_NUMBER, false, &number);
    der::sequence(&[
        &der::tlv(tag::INTEGER, &[&[1]]), // v2
        &fields.issuer_key.curve().signature_algorithm(),
        &fields.issuer,
        &write_time(fields.this_update),
        &write_time(fields.next_update),
        &write_entries(&fields.entries),
        &der::explicit(0, &der::sequence(&[&authority, &number])),
    ])
}

/// `revokedCertificates`, which is absent when there are none (RFC 5280 §5.1.2.6).
fn write_entries(entries: &[RevokedCertificate]) -> Vec<u8> {
    let mut contents = Vec::new();
    for entry in entries {
        contents.extend_from_slice(&entry.to_der());
    }
    match entries {
        [] => contents,
        _ => der::sequence(&[&contents]),
    }
}
