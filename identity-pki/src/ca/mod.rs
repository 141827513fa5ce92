//! The platform's own certificate authority, which signs device certificates (§9.2.1 of the
//! product's specification).

mod certificate;
mod crl;
mod import;
mod issue;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod recheck;
mod self_signed;
mod signed;
mod signer;

pub use certificate::{CaCertificate, CaRule, MAX_CA_CERTIFICATE_LEN};
pub use crl::{Crl, CrlDifference, CrlNumber, RevocationReason, RevokedCertificate, UnsignedCrl};
pub use issue::{IssuedCertificate, Terms, UnsignedCertificate};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{KeyName, Pkcs11Reason, Pkcs11Signer, Pkcs11Token, TokenId, TokenPin};
pub use recheck::Difference;
pub use signer::{CaSigner, SigningError, SoftwareSigner};

use rand_core::CryptoRng;
use time::Duration;

use crate::key::CaKey;
use crate::{DeviceIdentity, Error, SerialNumber, ValidatedCsr};

/// How long a CA that the platform generates is valid: ten years (§9.2.1).
pub const CA_VALIDITY: Duration = Duration::days(3650);

/// How long a device's certificate is valid unless the tenant says otherwise: 90 days (§9.2.1).
pub const DEVICE_VALIDITY: Duration = Duration::days(90);

/// What a signer signs when a CA is loaded. It is no DER, so the signature is good for nothing else.
const LOAD_CHALLENGE: &[u8] = b"identity-pki: this signer holds the key of the CA certificate";

/// A CA certificate and the signer that holds its key.
///
/// ```
/// use identity_pki::{
///     CA_VALIDITY, CsrPolicy, DEVICE_VALIDITY, DeviceId, DeviceIdentity, ECDSA_P256_SHA256,
///     SoftwareSigner, PlatformCa, TenantId, Terms,
/// };
/// # use time::{Duration, macros::datetime};
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// # let csr = include_str!("../../tests/data/device.csr.pem");
/// # let now = datetime!(2026-11-22 12:00 UTC);
///
/// let skew = Duration::minutes(5);
/// let signer = Box::new(SoftwareSigner::generate(&mut rng));
/// let terms = Terms::new(now, CA_VALIDITY, skew);
/// let ca = PlatformCa::generate(signer, "Link Identity Device CA", &terms, &mut rng)?;
///
/// let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_pem(csr)?;
/// let identity = DeviceIdentity::new(TenantId::new("acme")?, DeviceId::new("dev_789")?);
/// let issued = ca.issue(&csr, &identity, &Terms::new(now, DEVICE_VALIDITY, skew), &mut rng)?;
/// assert_eq!(issued.not_after(), now + DEVICE_VALIDITY);
/// # Ok::<(), identity_pki::Error>(())
/// ```
#[derive(Debug)]
pub struct PlatformCa {
    certificate: CaCertificate,
    signer: Box<dyn CaSigner>,
}

impl PlatformCa {
    /// Makes a new CA: a self-signed certificate for the signer's key.
    ///
    /// The subject is `common_name` and a random `serialNumber`, so that each generation has a
    /// subject of its own and path building never confuses two.
    ///
    /// # Errors
    ///
    /// [`Error::CommonName`], [`Error::Validity`], or [`Error::Signing`] when the signer fails or
    /// signs with another key than it says.
    pub fn generate(
        signer: Box<dyn CaSigner>,
        common_name: &str,
        terms: &Terms,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self, Error> {
        let key = signer_key(&*signer)?;
        let tbs = self_signed::write_tbs(&key, common_name, terms, rng)?;
        let signature = signer.sign(&tbs)?;
        check_signature(&key, &tbs, &signature)?;
        let der = signed::assemble(key.curve(), &tbs, &signature)?;
        Ok(Self {
            certificate: CaCertificate::from_der(&der)?,
            signer,
        })
    }

    /// Puts a CA certificate and its signer together.
    ///
    /// The signer is asked for one signature, to see that it holds the key.
    ///
    /// # Errors
    ///
    /// [`Error::CaCertificate`] for a certificate that is not fit to be a CA's,
    /// [`Error::CaKeyMismatch`] when the signer has another key, [`Error::Signing`] when it fails.
    pub fn load(certificate_pem: &str, signer: Box<dyn CaSigner>) -> Result<Self, Error> {
        Self::new(CaCertificate::from_pem(certificate_pem)?, signer)
    }

    /// As [`load`](Self::load), for a certificate that was read before.
    ///
    /// # Errors
    ///
    /// [`Error::CaKeyMismatch`] and [`Error::Signing`].
    pub fn new(certificate: CaCertificate, signer: Box<dyn CaSigner>) -> Result<Self, Error> {
        let key = signer_key(&*signer)?;
        if key != *certificate.key() {
            return Err(Error::CaKeyMismatch {
                certificate: certificate.key().sha256(),
                signer: key.sha256(),
            });
        }
        check_signature(&key, LOAD_CHALLENGE, &signer.sign(LOAD_CHALLENGE)?)?;
        Ok(Self {
            certificate,
            signer,
        })
    }

    /// The CA's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// Issues the certificate of device `identity` for the key of `csr`: [`prepare`](CaCertificate::prepare),
    /// a signature, and what [`UnsignedCertificate::complete`] does but for verifying it.
    ///
    /// That the signature is the CA's rests on the signer: it proved that it holds the key when the
    /// CA was [loaded](Self::new) or [generated](Self::generate), and one that signs something else
    /// later on makes a certificate that no verifier accepts. All else is read back and compared.
    ///
    /// It is valid as `terms` say, but never outside the CA's own validity: under a CA that is
    /// younger than the backdating, or about to expire, it begins later or ends sooner.
    ///
    /// # Errors
    ///
    /// As [`prepare`](CaCertificate::prepare); [`Error::Signing`] when the signer fails or gives no signature
    /// over the CA's curve; [`Error::Issued`] and [`Error::DeviceCertificate`] when the result is not
    /// what was meant.
    pub fn issue(
        &self,
        csr: &ValidatedCsr,
        identity: &DeviceIdentity,
        terms: &Terms,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<IssuedCertificate, Error> {
        let unsigned = self.certificate.prepare(csr, identity, terms, rng)?;
        let signature = self.signer.sign(unsigned.tbs())?;
        unsigned.complete_by_own_signer(&signature)
    }
}

impl CaCertificate {
    /// Builds a device's certificate up to its signature, for signers that cannot answer at once,
    /// such as a key management service: the CA's certificate is enough for it.
    ///
    /// # Errors
    ///
    /// [`Error::CaNotValid`] when the CA is not valid at `terms.now`, and [`Error::Validity`].
    pub fn prepare(
        &self,
        csr: &ValidatedCsr,
        identity: &DeviceIdentity,
        terms: &Terms,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<UnsignedCertificate, Error> {
        let serial = SerialNumber::generate(rng);
        UnsignedCertificate::new(self, csr.key(), identity, serial, terms)
    }
}

fn signer_key(signer: &dyn CaSigner) -> Result<CaKey, Error> {
    CaKey::from_der(signer.spki_der()).map_err(|_| {
        SigningError::new("the signer's key is not an uncompressed P-256 or P-384 key").into()
    })
}

/// Whether it is the signature of `message` by `key`; the encoding of s does not matter.
fn check_signature(key: &CaKey, message: &[u8], signature: &[u8]) -> Result<(), SigningError> {
    if key.verifies(message, signature) {
        return Ok(());
    }
    Err(SigningError::new(
        "the signature does not verify by the CA's key over the bytes to sign",
    ))
}
