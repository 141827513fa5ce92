//! Signatures that are not looked at.

use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};

/// Takes any signature for one by the algorithm that it is told to be. No fuzzer can sign what it
/// makes up; with this it sees what lies behind the check of the signature.
#[derive(Debug)]
pub struct Unsigned {
    key: AlgorithmIdentifier,
    signature: AlgorithmIdentifier,
}

impl Unsigned {
    pub const P256: Self = Self {
        key: alg_id::ECDSA_P256,
        signature: alg_id::ECDSA_SHA256,
    };
    pub const P384: Self = Self {
        key: alg_id::ECDSA_P384,
        signature: alg_id::ECDSA_SHA384,
    };
}

impl SignatureVerificationAlgorithm for Unsigned {
    fn verify_signature(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), InvalidSignature> {
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.key
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.signature
    }
}
