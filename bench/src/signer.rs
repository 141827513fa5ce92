//! A CA's key in aws-lc-rs, as the reference server has it.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use identity_pki::{CaSigner, SigningError};

/// A P-256 key in memory.
#[derive(Debug)]
pub struct AwsLcSigner {
    key: EcdsaKeyPair,
    spki: Vec<u8>,
}

impl AwsLcSigner {
    /// Makes a new key.
    #[must_use]
    pub fn generate() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        let spki: PublicKeyX509Der<'_> = key.public_key().as_der().expect("its SPKI");
        let spki = spki.as_ref().to_vec();
        Self { key, spki }
    }
}

impl CaSigner for AwsLcSigner {
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let signature = self
            .key
            .sign(&SystemRandom::new(), message)
            .map_err(|_| SigningError::new("aws-lc-rs could not sign"))?;
        Ok(signature.as_ref().to_vec())
    }
}
