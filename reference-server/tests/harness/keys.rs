use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use reference_server::clock::{Clock as _, SystemClock};

/// A device's key.
pub struct DeviceKey(KeyPair);

impl DeviceKey {
    pub fn generate() -> Self {
        Self(key())
    }

    /// A certificate signing request for it, PEM.
    pub fn csr(&self) -> String {
        let params = CertificateParams::new(Vec::new()).expect("parameters");
        params
            .serialize_request(&self.0)
            .expect("a request")
            .pem()
            .expect("PEM")
    }

    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }
}

/// The key of a CA that was made elsewhere, with its certificate.
pub struct CaKey {
    key: KeyPair,
    certificate: String,
}

impl CaKey {
    /// One that the platform takes.
    pub fn generate() -> Self {
        Self::with(|_| {})
    }

    pub fn with(adjust: impl FnOnce(&mut CertificateParams)) -> Self {
        Self::of(key(), adjust)
    }

    /// Another certificate of the same key.
    pub fn again(&self) -> Self {
        let key = KeyPair::from_pem(&self.key_pem()).expect("a key");
        Self::of(key, |_| {})
    }

    /// A device's request for this key.
    pub fn csr(&self) -> String {
        let params = CertificateParams::new(Vec::new()).expect("parameters");
        let request = params.serialize_request(&self.key).expect("a request");
        request.pem().expect("PEM")
    }

    pub fn of(key: KeyPair, adjust: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "A CA of our own");
        adjust(&mut params);
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { key, certificate }
    }

    pub fn certificate_pem(&self) -> String {
        self.certificate.clone()
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

/// A server's key, with its certificate under a CA of its own.
pub struct ServerKey {
    key: KeyPair,
    certificate: String,
    root: String,
}

impl ServerKey {
    /// For `localhost` and 127.0.0.1.
    pub fn generate() -> Self {
        Self::valid(|_| {})
    }

    /// One that expired long ago.
    pub fn expired() -> Self {
        Self::valid(|params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        })
    }

    /// One that expires so much later than now.
    pub fn expiring_in(left: time::Duration) -> Self {
        let now = SystemClock.now();
        Self::valid(|params| {
            params.not_before = now - time::Duration::DAY;
            params.not_after = now + left;
        })
    }

    fn valid(adjust: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
        ca.distinguished_name
            .push(DnType::CommonName, "A root of our own");
        let ca_key = key();
        let root = ca.self_signed(&ca_key).expect("a root").pem();
        let issuer = Issuer::new(ca, ca_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).expect("parameters");
        params.use_authority_key_identifier_extension = true;
        adjust(&mut params);
        let key = key();
        let certificate = params
            .signed_by(&key, &issuer)
            .expect("a certificate")
            .pem();
        Self {
            key,
            certificate,
            root,
        }
    }

    pub fn chain_pem(&self) -> String {
        self.certificate.clone()
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub fn root_pem(&self) -> String {
        self.root.clone()
    }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}
