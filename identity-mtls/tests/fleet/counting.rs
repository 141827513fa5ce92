//! A crypto provider that counts the signatures that it verifies.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// Counts the signatures that it is asked to verify.
#[derive(Debug)]
struct Counting {
    inner: &'static dyn SignatureVerificationAlgorithm,
    count: &'static AtomicUsize,
}

impl SignatureVerificationAlgorithm for Counting {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.inner.signature_alg_id()
    }
}

/// The usual provider, and how many signatures it was asked to verify.
pub(crate) fn counting() -> (CryptoProvider, &'static AtomicUsize) {
    let count: &'static AtomicUsize = Box::leak(Box::default());
    let mut provider = CryptoProvider::clone(&super::provider());
    let usual = provider.signature_verification_algorithms;
    let wrap = |inner: &&'static dyn SignatureVerificationAlgorithm| {
        let inner = *inner;
        &*Box::leak(Box::new(Counting { inner, count })) as &dyn SignatureVerificationAlgorithm
    };
    let mapping = usual.mapping.iter().map(|(scheme, algorithms)| {
        let algorithms: Vec<_> = algorithms.iter().map(wrap).collect();
        (*scheme, &*algorithms.leak())
    });
    provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
        all: usual.all.iter().map(wrap).collect::<Vec<_>>().leak(),
        mapping: mapping.collect::<Vec<_>>().leak(),
    };
    (provider, count)
}
