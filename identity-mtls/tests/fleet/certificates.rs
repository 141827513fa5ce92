//! Certificates: honest ones, issued by `identity-pki`, and forged ones under the same CA key.

use aws_lc_rs::digest;
use getrandom::SysRng;
use identity_mtls::TrustBundle;
use identity_pki::{
    CaCertificate, CsrPolicy, DEVICE_VALIDITY, DeviceCertificate, ECDSA_P256_SHA256, PlatformCa,
    SoftwareSigner, Terms,
};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use rand_core::UnwrapErr;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::Duration;
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::{Decode, Encode};

use super::{NOW, identity};

/// A CA whose key the tests hold too, so that they can sign what it never would.
pub(crate) struct Authority {
    pub(crate) ca: PlatformCa,
    issuer: Issuer<'static, CaKey>,
}

/// What a client presents: certificates, the leaf first, and the leaf's key.
pub(crate) struct Credentials {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Credentials {
    fn new(leaf: Vec<u8>, key: &KeyPair) -> Self {
        Self {
            chain: vec![leaf.into()],
            key: key.serialize_der().into(),
        }
    }

    pub(crate) fn leaf(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key().into()
    }

    /// The same with other certificates beside the leaf.
    pub(crate) fn beside(&self, others: &[CertificateDer<'static>]) -> Self {
        self.presenting([&self.chain[..1], others].concat())
    }

    /// The same key with another chain.
    pub(crate) fn presenting(&self, chain: Vec<CertificateDer<'static>>) -> Self {
        Self {
            chain,
            key: self.key.clone_key(),
        }
    }

    /// The leaf as its profile reads it.
    pub(crate) fn certificate(&self) -> DeviceCertificate {
        DeviceCertificate::from_der(self.leaf()).expect("an honest certificate")
    }
}

impl Authority {
    /// A CA as the platform makes it.
    pub(crate) fn new() -> Self {
        Self::valid_for(Duration::days(3650))
    }

    pub(crate) fn valid_for(validity: Duration) -> Self {
        Self::of(SoftwareSigner::generate(&mut UnwrapErr(SysRng)), validity)
    }

    /// A CA whose key is on P-384.
    pub(crate) fn p384() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("key");
        let signer = SoftwareSigner::from_pkcs8_pem(&key.serialize_pem()).expect("signer");
        Self::of(signer, Duration::days(3650))
    }

    fn of(signer: SoftwareSigner, validity: Duration) -> Self {
        let mut rng = UnwrapErr(SysRng);
        let key = CaKey::of(&signer);
        let terms = Terms::new(NOW, validity, Duration::days(1));
        let ca = PlatformCa::generate(Box::new(signer), "Test CA", &terms, &mut rng);
        Self::with(ca.expect("CA"), key)
    }

    /// A self-signed CA with exactly this name.
    pub(crate) fn named(name: &str) -> Self {
        let signer = SoftwareSigner::generate(&mut UnwrapErr(SysRng));
        let key = CaKey::of(&signer);
        let certificate = authority_params(name)
            .self_signed(&key)
            .expect("certificate");
        let ca = PlatformCa::load(&certificate.pem(), Box::new(signer));
        Self::with(ca.expect("CA"), key)
    }

    /// Another certificate of the CA [named](Self::named) `name`, under the same key, with a `twist`.
    pub(crate) fn renewed(
        &self,
        name: &str,
        twist: impl FnOnce(&mut CertificateParams),
    ) -> CaCertificate {
        let mut params = authority_params(name);
        twist(&mut params);
        let certificate = params.self_signed(self.issuer.key()).expect("certificate");
        CaCertificate::from_der(certificate.der()).expect("a CA")
    }

    /// A CA whose certificate this one signed.
    pub(crate) fn subordinate(&self) -> Self {
        let signer = SoftwareSigner::generate(&mut UnwrapErr(SysRng));
        let key = CaKey::of(&signer);
        let params = authority_params("Subordinate");
        let certificate = params.signed_by(&key, &self.issuer).expect("certificate");
        let ca = PlatformCa::load(&certificate.pem(), Box::new(signer));
        Self::with(ca.expect("CA"), key)
    }

    fn with(ca: PlatformCa, key: CaKey) -> Self {
        let der = CertificateDer::from(ca.certificate().der());
        let issuer = Issuer::from_ca_cert_der(&der, key).expect("issuer");
        Self { ca, issuer }
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.ca.certificate().der().to_vec().into()
    }

    pub(crate) fn trust(&self) -> TrustBundle {
        super::trust(&[self])
    }

    /// What a device gets that pairs at [`NOW`].
    pub(crate) fn device(&self, device_id: &str) -> Credentials {
        self.device_on(
            device_id,
            &Terms::new(NOW, DEVICE_VALIDITY, Duration::minutes(5)),
        )
    }

    pub(crate) fn device_on(&self, device_id: &str, terms: &Terms) -> Credentials {
        let key = KeyPair::generate().expect("device key");
        let request = CertificateParams::default().serialize_request(&key);
        let request = request.expect("CSR").pem().expect("PEM");
        let request = CsrPolicy::new(ECDSA_P256_SHA256).check_pem(&request);
        let request = request.expect("a CSR that passes");
        let identity = identity(device_id);
        let issued = self
            .ca
            .issue(&request, &identity, terms, &mut UnwrapErr(SysRng));
        Credentials::new(issued.expect("certificate").der().to_vec(), &key)
    }

    /// The same device under the same key, signed by ecdsa-with-SHA384 over P-256.
    pub(crate) fn signed_by_sha384(&self, device: &Credentials) -> Credentials {
        let leaf = with_sha384(device.leaf());
        let tbs = Vec::<Any>::from_der(&leaf).expect("SEQUENCE of three")[0].to_der();
        let signature = self
            .issuer
            .key()
            .sign_by_sha384(&tbs.expect("TBSCertificate"));
        device.presenting(vec![with_signature(&leaf.into(), |_| signature)])
    }

    /// What an attacker would have who made this CA's key sign the profile of `device_id` with a
    /// `twist`.
    pub(crate) fn forge(
        &self,
        device_id: &str,
        twist: impl FnOnce(&mut CertificateParams),
    ) -> Credentials {
        let key = KeyPair::generate().expect("device key");
        let mut params = profile(device_id);
        twist(&mut params);
        let leaf = params.signed_by(&key, &self.issuer).expect("certificate");
        Credentials::new(leaf.der().to_vec(), &key)
    }
}

/// The object identifiers of ecdsa-with-SHA256 and ecdsa-with-SHA384 (RFC 5758 §3.2).
const SHA256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const SHA384: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];

fn with_sha384(algorithm_within: &[u8]) -> Vec<u8> {
    let mut bytes = algorithm_within.to_vec();
    for start in 0..bytes.len().saturating_sub(SHA256.len() - 1) {
        let place = &mut bytes[start..start + SHA256.len()];
        if *place == SHA256 {
            place.copy_from_slice(&SHA384);
        }
    }
    bytes
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = NOW - Duration::days(1);
    params.not_after = NOW + Duration::days(3650);
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// The device profile, as rcgen spells it.
fn profile(device_id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = NOW - Duration::minutes(5);
    params.not_after = NOW + Duration::days(90);
    params.distinguished_name = common_name(device_id);
    params.subject_alt_names = vec![uri(&identity(device_id).san_uri())];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params
}

pub(crate) fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).expect("ASCII"))
}

/// The same certificate with another signature value.
pub(crate) fn with_signature(
    certificate: &CertificateDer<'_>,
    rewrite: impl FnOnce(Signature) -> Signature,
) -> CertificateDer<'static> {
    let mut parts = Vec::<Any>::from_der(certificate).expect("SEQUENCE of three");
    let signature: BitString = parts[2].decode_as().expect("BIT STRING");
    let signature = Signature::from_der(signature.raw_bytes()).expect("ECDSA-Sig-Value");
    let signature = rewrite(signature).to_der();
    let signature = BitString::from_bytes(signature.as_bytes()).expect("BIT STRING");
    parts[2] = Any::encode_from(&signature).expect("BIT STRING");
    parts.to_der().expect("certificate").into()
}

/// (r, n − s): verifies like (r, s).
pub(crate) fn other_s(signature: Signature) -> Signature {
    let (r, s) = signature.split_scalars();
    Signature::from_scalars(r, -s).expect("not zero")
}

/// The CA's key, which signs with low s as the CA does.
struct CaKey {
    key: Key,
    public: Vec<u8>,
}

enum Key {
    P256(SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl CaKey {
    fn of(signer: &SoftwareSigner) -> Self {
        let pem = signer.to_pkcs8_pem().expect("PEM");
        let key = SigningKey::from_pkcs8_pem(&pem).map(Key::P256);
        let key = key.or_else(|_| p384::ecdsa::SigningKey::from_pkcs8_pem(&pem).map(Key::P384));
        let key = key.expect("a key of a CA");
        let public = match &key {
            Key::P256(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
            Key::P384(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
        };
        Self { key, public }
    }

    /// Signs by ecdsa-with-SHA384, whatever the curve.
    fn sign_by_sha384(&self, message: &[u8]) -> Signature {
        let Key::P256(key) = &self.key else {
            panic!("on P-384 that is nothing special");
        };
        let hash = digest::digest(&digest::SHA384, message);
        let signature: Signature = key.sign_prehash(hash.as_ref()).expect("signature");
        signature.normalize_s()
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.key {
            Key::P256(_) => &rcgen::PKCS_ECDSA_P256_SHA256,
            Key::P384(_) => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(match &self.key {
            Key::P256(key) => {
                let signature: Signature = key.sign(message);
                signature.normalize_s().to_der().as_bytes().to_vec()
            }
            Key::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                signature.normalize_s().to_der().as_bytes().to_vec()
            }
        })
    }
}
