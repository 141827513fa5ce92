//! The platform's CAs: the one that issues, and those whose devices are accepted.

use std::fmt;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use identity_pki::{
    CA_VALIDITY, CaCertificate, CaSigner, PlatformCa, SigningError, SoftwareSigner, SpkiSha256,
    Terms,
};
use identity_store::{CaRecord, CaState, PrivateKeyPem, Store};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use time::{Duration, OffsetDateTime};

use crate::clock;
use crate::secrets::Secret;
use crate::start::StartError;

/// The common name of each CA that is made here; a random serial number tells them apart.
const COMMON_NAME: &str = "Link Identity Device CA";

/// What is wrong with the key of a CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Text that is not one unencrypted private key.
    #[error("the private key is not one unencrypted PEM block of PKCS#8 or SEC 1")]
    Pem,
    /// A key that signs no certificates here.
    #[error("the private key is not one on P-256 or P-384")]
    Algorithm,
}

impl From<KeyFault> for identity_pki::Error {
    fn from(_: KeyFault) -> Self {
        Self::PrivateKey
    }
}

/// A P-256 or P-384 key in memory that signs with aws-lc-rs.
pub struct AwsLcSigner {
    key: EcdsaKeyPair,
    spki: Vec<u8>,
}

impl AwsLcSigner {
    /// Reads the one key of a PEM text: PKCS#8, or SEC 1 as `openssl ecparam -genkey` writes it.
    ///
    /// # Errors
    ///
    /// [`KeyFault`]; it does not say what was found.
    pub fn from_pem(pem: &str) -> Result<Self, KeyFault> {
        let mut keys = PrivateKeyDer::pem_slice_iter(pem.as_bytes());
        let (Some(Ok(der)), None) = (keys.next(), keys.next()) else {
            return Err(KeyFault::Pem);
        };
        let read = |algorithm| EcdsaKeyPair::from_private_key_der(algorithm, der.secret_der());
        let key = read(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .or_else(|_| read(&ECDSA_P384_SHA384_ASN1_SIGNING))
            .map_err(|_| KeyFault::Algorithm)?;
        let unusable = |_| KeyFault::Algorithm;
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(unusable)?;
        let spki = spki.as_ref().to_vec();
        Ok(Self { key, spki })
    }

    /// A new key, in PKCS#8, PEM, as it is stored.
    ///
    /// # Errors
    ///
    /// [`identity_pki::Error::PrivateKey`] when the key cannot be encoded.
    pub fn generate_pem() -> Result<PrivateKeyPem, identity_pki::Error> {
        let key = SoftwareSigner::generate(&mut crate::clock::entropy());
        Ok(PrivateKeyPem::new(key.to_pkcs8_pem()?.as_str()))
    }
}

impl CaSigner for AwsLcSigner {
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let signature = self.key.sign(&SystemRandom::new(), message);
        let signature = signature.map_err(|_| SigningError::new("aws-lc-rs could not sign"))?;
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for AwsLcSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsLcSigner(..)")
    }
}

/// The CA that issues device certificates; `None` until an operator makes one. One whose key is lost
/// issues nothing until another is made.
pub type IssuingCa = Option<Secret<PlatformCa>>;

/// The one of `cas` that issues device certificates now.
///
/// # Errors
///
/// [`StartError`] when the store fails.
pub async fn active(store: &dyn Store, cas: &[CaRecord]) -> Result<IssuingCa, StartError> {
    let Some(ca) = cas.iter().find(|ca| ca.state == CaState::Active) else {
        return Ok(None);
    };
    // Somebody may have withdrawn it since `cas` were read, and its key with it: that is no lost key.
    if matches!(store.private_key(&ca.fingerprint).await, Ok(None)) {
        let now = store.cas().await?;
        if now != cas {
            return Box::pin(active(store, &now)).await;
        }
    }
    usable(store, ca).await.map(Some)
}

/// A new CA in `state`, with its key, dated back by `clock_skew` for devices whose clock is late.
pub(crate) fn generate(
    now: OffsetDateTime,
    clock_skew: Duration,
    state: CaState,
) -> Result<(CaRecord, PrivateKeyPem), identity_pki::Error> {
    let key = AwsLcSigner::generate_pem()?;
    let signer = AwsLcSigner::from_pem(key.expose())?;
    let terms = Terms::new(now, CA_VALIDITY, clock_skew);
    let ca = PlatformCa::generate(Box::new(signer), COMMON_NAME, &terms, &mut clock::entropy())?;
    Ok((record(ca.certificate(), state, now), key))
}

/// A CA in `state`, as it is stored.
pub(crate) fn record(ca: &CaCertificate, state: CaState, now: OffsetDateTime) -> CaRecord {
    CaRecord {
        fingerprint: ca.fingerprint(),
        certificate_pem: ca.pem(),
        state,
        not_after: ca.not_after(),
        created_at: now,
    }
}

/// The names of the keys of all of `cas`, those that were retired too: none of them is a device's.
///
/// # Errors
///
/// [`StartError`] when one cannot be used.
pub fn keys(cas: &[CaRecord]) -> Result<Vec<SpkiSha256>, StartError> {
    let certificates = cas
        .iter()
        .map(|ca| CaCertificate::from_pem(&ca.certificate_pem));
    let keys = certificates.map(|ca| ca.map(|ca| ca.spki_sha256()));
    Ok(keys.collect::<Result<_, _>>()?)
}

/// The CA with its key, if that can be read and used.
///
/// # Errors
///
/// [`StartError`] when the store fails.
pub(crate) async fn usable(
    store: &dyn Store,
    ca: &CaRecord,
) -> Result<Secret<PlatformCa>, StartError> {
    let loaded = match store.private_key(&ca.fingerprint).await {
        Ok(Some(key)) => load(ca, &key).map_err(StartError::from),
        Ok(None) => Err(StartError::Certificate(identity_pki::Error::PrivateKey)),
        Err(error) => Err(error.into()),
    };
    Secret::of("platform_ca", loaded)
}

/// The certificates of those of `cas` whose devices are accepted, the issuing one included.
///
/// # Errors
///
/// [`StartError`] when one cannot be used.
pub fn accepted(cas: &[CaRecord]) -> Result<Vec<CaCertificate>, StartError> {
    let accepted = cas.iter().filter(|ca| ca.state.is_trusted());
    let certificates = accepted.map(|ca| CaCertificate::from_pem(&ca.certificate_pem));
    Ok(certificates.collect::<Result<_, _>>()?)
}

fn load(ca: &CaRecord, key: &PrivateKeyPem) -> Result<PlatformCa, identity_pki::Error> {
    let signer = AwsLcSigner::from_pem(key.expose())?;
    PlatformCa::load(&ca.certificate_pem, Box::new(signer))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::EcPrivateKeyRfc5915Der;
    use base64::Engine as _;
    use identity_pki::Curve;
    use identity_store::{Actor, CaOrigin, Change, MemoryStore, SecretStore as _};
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_generated_ca_is_loaded_from_what_was_stored() {
        let now = datetime!(2026-11-22 12:00 UTC);
        let (record, key) = generate(now, Duration::ZERO, CaState::Active).expect("CA");
        let loaded = load(&record, &key).expect("loaded");
        assert_eq!(loaded.certificate().fingerprint(), record.fingerprint);
    }

    #[tokio::test]
    async fn a_ca_that_is_withdrawn_while_it_is_read_makes_way_for_the_next() {
        let store = MemoryStore::new(clock::entropy());
        let now = datetime!(2026-11-22 12:00 UTC);
        let change = || Change::new(now, Actor::System("test"), "req");
        let (old, key) = generate(now, Duration::ZERO, CaState::Active).expect("CA");
        let old_key = key.clone();
        let added = store.add_ca(change(), old.clone(), key, CaOrigin::Generated);
        added.await.expect("stored");
        let read = store.cas().await.expect("CAs");
        let (new, key) = generate(now, Duration::ZERO, CaState::Active).expect("CA");
        let regenerated = store.regenerate_ca(change(), &old.fingerprint, new.clone(), key);
        regenerated.await.expect("stored");
        let issuing = active(&store, &read).await.expect("a store");
        let issuing = issuing.expect("one issues");
        let issuing = issuing.usable().expect("its key is there");
        assert_eq!(issuing.certificate().fingerprint(), new.fingerprint);
        assert!(
            load(&old, &old_key).is_ok(),
            "nothing else was wrong with it"
        );
    }

    #[test]
    fn a_p384_key_makes_a_ca_as_well() {
        let algorithm = &ECDSA_P384_SHA384_ASN1_SIGNING;
        let key = EcdsaKeyPair::generate(algorithm).expect("key");
        let der = key.to_pkcs8v1().expect("PKCS#8");
        let pem = pem("PRIVATE KEY", der.as_ref());
        let signer = AwsLcSigner::from_pem(&pem).expect("signer");
        let now = datetime!(2026-11-22 12:00 UTC);
        let terms = Terms::new(now, CA_VALIDITY, Duration::ZERO);
        let mut rng = clock::entropy();
        let ca = PlatformCa::generate(Box::new(signer), "Test CA", &terms, &mut rng).expect("CA");
        assert_eq!(ca.certificate().curve(), Curve::P384);
    }

    #[test]
    fn a_key_in_sec_1_is_read_as_well() {
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let key = EcdsaKeyPair::generate(algorithm).expect("key");
        let der: EcPrivateKeyRfc5915Der<'_> = key.private_key().as_der().expect("SEC 1");
        // As `openssl ecparam -genkey` writes it.
        let parameters = pem("EC PARAMETERS", &[6, 8, 42, 134, 72, 206, 61, 3, 1, 7]);
        let pem = parameters + &pem("EC PRIVATE KEY", der.as_ref());
        let signer = AwsLcSigner::from_pem(&pem).expect("signer");
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().expect("SPKI");
        assert_eq!(signer.spki_der(), spki.as_ref());
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let body = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn another_kind_of_key_is_refused() {
        let key = AwsLcSigner::generate_pem().expect("key");
        let twice = format!("{0}{0}", key.expose());
        let encrypted = pem("ENCRYPTED PRIVATE KEY", b"whatever");
        for text in ["", "no PEM", &encrypted, &twice] {
            let fault = AwsLcSigner::from_pem(text).expect_err(text);
            assert_eq!(fault, KeyFault::Pem, "{text}");
        }
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("key");
        for text in [pem("PRIVATE KEY", &[0; 3]), ed25519.serialize_pem()] {
            let fault = AwsLcSigner::from_pem(&text).expect_err(&text);
            assert_eq!(fault, KeyFault::Algorithm, "{text}");
        }
    }
}
