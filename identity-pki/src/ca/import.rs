use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::ecdsa::{self, Hash};
use crate::{CaCertificate, CaRule, CaSigner, Error, MAX_CA_CERTIFICATE_LEN, PlatformCa};

impl PlatformCa {
    /// Takes a CA that was made elsewhere, with its key: what an operator uploads.
    ///
    /// It is judged as by [`load`](Self::load), and two things more, which are no reason to lose a
    /// CA that is in use already: it is valid now, and a certificate in its own name was signed by
    /// its own key, by whichever of SHA-256, SHA-384 and SHA-512 it names, so that a damaged file is
    /// found. One that another CA signed may be imported as
    /// well; verifiers need this CA alone, as their trust anchor.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), [`Error::CaNotValid`], and [`Error::CaCertificate`] with
    /// [`CaRule::SelfSignatureAlgorithm`] or [`CaRule::SelfSignature`].
    pub fn import(
        certificate_pem: &str,
        signer: Box<dyn CaSigner>,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let ca = Self::load(certificate_pem, signer)?;
        check_self_signature(&ca.certificate)?;
        ca.certificate.check_valid_at(now)?;
        Ok(ca)
    }
}

/// One that names itself as its issuer is self-signed (RFC 5280 §3.2). It chose the hash itself:
/// OpenSSL signs by SHA-256 on every curve unless told otherwise.
fn check_self_signature(ca: &CaCertificate) -> Result<(), CaRule> {
    let certificate = Certificate::parse(ca.der(), MAX_CA_CERTIFICATE_LEN)?;
    if certificate.issuer.raw != certificate.subject.raw {
        return Ok(());
    }
    let hash = Hash::of_algorithm(&certificate.signature_algorithm)?.map_err(|found| {
        CaRule::SelfSignatureAlgorithm {
            found: found.to_string(),
        }
    })?;
    let by_own_key = ecdsa::is_sig_value(certificate.signature)
        && ca
            .key()
            .verifies_with(hash, certificate.tbs, certificate.signature);
    by_own_key.then_some(()).ok_or(CaRule::SelfSignature)
}
