//! Certificate signing requests, honest and otherwise, signed for real.

use p256::ecdsa::DerSignature;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::elliptic_curve::Generate as _;

use super::der::{bits, common_name, ecdsa_with_sha256, integer, oid, p256_algorithm, seq, tlv};

/// The parts of a request, each as its encoding.
#[derive(Clone, Debug)]
pub struct Request {
    pub key: SigningKey,
    pub version: Vec<u8>,
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub attributes: Vec<Vec<u8>>,
    pub signature_algorithm: Vec<u8>,
}

impl Request {
    pub fn new() -> Self {
        let key = SigningKey::generate_from_rng(&mut super::rng());
        let point = key.verifying_key().to_sec1_point(false);
        Self {
            version: integer(&[0]),
            subject: common_name("factory-7"),
            spki: seq(&[&p256_algorithm(), &bits(point.as_bytes())]),
            attributes: Vec::new(),
            signature_algorithm: ecdsa_with_sha256(),
            key,
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn with_spki(self, algorithm: &[u8], point: &[u8]) -> Self {
        self.with(|request| request.spki = seq(&[algorithm, &bits(point)]))
    }

    pub fn with_attribute(self, kind: &str, values: &[&[u8]]) -> Self {
        self.with(|request| {
            let attribute = seq(&[&oid(kind), &tlv(super::der::SET, values)]);
            request.attributes.push(attribute);
            request.attributes.sort();
        })
    }

    pub fn with_extensions(self, extensions: &[&[u8]]) -> Self {
        self.with_attribute("1.2.840.113549.1.9.14", &[&seq(extensions)])
    }

    pub fn point(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_sec1_point(false);
        point.as_bytes().to_vec()
    }

    pub fn info(&self) -> Vec<u8> {
        let attributes = tlv(0xa0, &[&self.attributes.concat()]);
        seq(&[&self.version, &self.subject, &self.spki, &attributes])
    }

    /// The request, signed by its key.
    pub fn der(&self) -> Vec<u8> {
        let signature: DerSignature = self.key.sign(&self.info());
        self.der_with_signature(&bits(signature.as_bytes()))
    }

    pub fn der_with_signature(&self, signature: &[u8]) -> Vec<u8> {
        seq(&[&self.info(), &self.signature_algorithm, signature])
    }
}
