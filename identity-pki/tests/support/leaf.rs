//! Certificates, right and wrong, signed for real.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate as _;

use super::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, EXT_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME,
    SUBJECT_KEY_IDENTIFIER, TRUE, bits, client_auth, common_name, ecdsa_with_sha256, extension,
    integer, octets, p256_algorithm, san_uri, seq, tlv,
};

/// The parts of a certificate, each as its encoding.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// Who signs it.
    pub issuer: SigningKey,
    pub version: Vec<u8>,
    pub serial: Vec<u8>,
    pub inner_algorithm: Vec<u8>,
    pub outer_algorithm: Vec<u8>,
    pub validity: Vec<u8>,
    pub subject: Vec<u8>,
    pub spki: Vec<u8>,
    pub extensions: Vec<Vec<u8>>,
    pub high_s: bool,
}

impl Leaf {
    fn new(key: &SigningKey, issuer: SigningKey, subject: &str, extensions: Vec<Vec<u8>>) -> Self {
        Self {
            issuer,
            version: tlv(0xa0, &[&integer(&[2])]),
            serial: integer(&[1]),
            inner_algorithm: ecdsa_with_sha256(),
            outer_algorithm: ecdsa_with_sha256(),
            validity: validity(0x17, b"261122115500Z", 0x17, b"270220120000Z"),
            subject: common_name(subject),
            spki: Self::spki(key),
            extensions,
            high_s: false,
        }
    }

    pub fn spki(key: &SigningKey) -> Vec<u8> {
        let point = key.verifying_key().to_sec1_point(false);
        seq(&[&p256_algorithm(), &bits(point.as_bytes())])
    }

    /// A device's certificate as the profile asks for it.
    pub fn device() -> Self {
        Self::new(
            &SigningKey::generate_from_rng(&mut super::rng()),
            SigningKey::generate_from_rng(&mut super::rng()),
            "dev_789",
            vec![
                extension(BASIC_CONSTRAINTS, true, &seq(&[])),
                extension(KEY_USAGE, true, &DIGITAL_SIGNATURE),
                extension(EXT_KEY_USAGE, false, &client_auth()),
                extension(
                    SUBJECT_ALT_NAME,
                    false,
                    &san_uri("urn:link:tenant:acme:device:dev_789"),
                ),
            ],
        )
    }

    /// A CA's certificate, which it signs itself.
    pub fn ca() -> Self {
        let key = SigningKey::generate_from_rng(&mut super::rng());
        Self::new(
            &key,
            key.clone(),
            "A CA",
            vec![
                extension(BASIC_CONSTRAINTS, true, &seq(&[&TRUE])),
                extension(KEY_USAGE, true, &[0x03, 0x02, 0x01, 0x06]),
                extension(SUBJECT_KEY_IDENTIFIER, false, &octets(&[7; 20])),
            ],
        )
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Puts another extension in the place of the one at `position`, or after the last.
    pub fn with_extension(self, position: usize, extension: Vec<u8>) -> Self {
        self.with(|leaf| match leaf.extensions.get_mut(position) {
            Some(place) => *place = extension,
            None => leaf.extensions.push(extension),
        })
    }

    pub fn without_extension(self, position: usize) -> Self {
        self.with(|leaf| {
            leaf.extensions.remove(position);
        })
    }

    pub fn der(&self) -> Vec<u8> {
        let extensions: &[u8] = &tlv(0xa3, &[&tlv(0x30, &[&self.extensions.concat()])]);
        let tbs = seq(&[
            &self.version,
            &self.serial,
            &self.inner_algorithm,
            &common_name("A CA"),
            &self.validity,
            &self.subject,
            &self.spki,
            if self.extensions.is_empty() {
                &[]
            } else {
                extensions
            },
        ]);
        let signature: Signature = self.issuer.sign(&tbs);
        let low = signature.normalize_s();
        let signature = if self.high_s { other_s(&low) } else { low };
        let signature = signature.to_der();
        seq(&[&tbs, &self.outer_algorithm, &bits(signature.as_bytes())])
    }
}

/// The other signature of the same bytes: (r, n−s).
pub fn other_s(signature: &Signature) -> Signature {
    let (r, s) = signature.split_scalars();
    Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap()
}

pub fn validity(tag: u8, not_before: &[u8], end_tag: u8, not_after: &[u8]) -> Vec<u8> {
    seq(&[&tlv(tag, &[not_before]), &tlv(end_tag, &[not_after])])
}
