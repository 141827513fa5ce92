//! A CA, a device and a server, as the platform makes them.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use getrandom::SysRng;
use identity_mtls::{
    Denylist, DeviceCertVerifier, DeviceTls, LiveConnections, ServerCert, ServerCertStore,
    TrustBundle,
};
use identity_pki::{
    CA_VALIDITY, CaCertificate, CrlNumber, CsrPolicy, DEVICE_VALIDITY, DeviceId, DeviceIdentity,
    PlatformCa, RevocationReason, RevokedCertificate, SerialNumber, ServerCertificate, TbsSha256,
    TenantId, Terms,
};
use rand_core::UnwrapErr;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::time_provider::DefaultTimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use webpki::aws_lc_rs::ECDSA_P256_SHA256;

use crate::signer::AwsLcSigner;

/// The name in the server's certificate.
pub const SERVER_NAME: &str = "localhost";

/// Names of the files of [`ServerSide::write`].
const FILES: [&str; 3] = ["ca.pem", "server.pem", "server.key"];

/// The one CA, one of its devices, and the server that the device talks to.
pub struct Fleet {
    ca: PlatformCa,
    /// The device's certificate.
    pub device: CertificateDer<'static>,
    device_key: PrivatePkcs8KeyDer<'static>,
    server: ServerSide,
    server_root: CertificateDer<'static>,
}

/// What a server needs: the CA of its devices, its own certificate and its key, in PEM.
pub struct ServerSide {
    ca: String,
    certificate: String,
    key: String,
}

/// TLS as both sides have it: P-256 certificates, X25519, aws-lc-rs.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![kx_group::X25519],
        ..default_provider()
    })
}

/// That many hashes of certificates that nobody has.
pub fn denied(count: u32) -> impl Iterator<Item = TbsSha256> {
    (0..count).map(|number| TbsSha256::of_tbs(&number.to_be_bytes()))
}

/// A device's identity, key and request.
#[must_use]
pub fn request() -> (DeviceIdentity, KeyPair, Vec<u8>) {
    let tenant = TenantId::new("acme").expect("tenant id");
    let device = DeviceId::new("dev_789").expect("device id");
    let key = KeyPair::generate().expect("device key");
    let csr = CertificateParams::default().serialize_request(&key);
    let csr = csr.expect("CSR").der().to_vec();
    (DeviceIdentity::new(tenant, device), key, csr)
}

/// A CA that is valid at `now`, its key in aws-lc-rs, and the terms on which it issues.
#[must_use]
pub fn authority(now: OffsetDateTime) -> (PlatformCa, Terms) {
    let skew = Duration::minutes(5);
    let terms = Terms::new(now, CA_VALIDITY, skew);
    let ca = PlatformCa::generate(
        Box::new(AwsLcSigner::generate()),
        "Bench CA",
        &terms,
        &mut UnwrapErr(SysRng),
    );
    (ca.expect("CA"), Terms::new(now, DEVICE_VALIDITY, skew))
}

impl Fleet {
    /// A fleet that is valid at `now`.
    #[must_use]
    pub fn new(now: OffsetDateTime) -> Self {
        let (ca, terms) = authority(now);
        let (identity, device_key, csr) = request();
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_der(&csr);
        let csr = csr.expect("a request that passes");
        let issued = ca.issue(&csr, &identity, &terms, &mut UnwrapErr(SysRng));
        let device = issued.expect("certificate").der().to_vec().into();

        let root_key = KeyPair::generate().expect("root key");
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let server_root = root.self_signed(&root_key).expect("root certificate");
        let key = KeyPair::generate().expect("server key");
        let server = CertificateParams::new([SERVER_NAME.to_owned()]).expect("server name");
        let certificate = server.signed_by(&key, &Issuer::new(root, root_key));
        Self {
            server: ServerSide {
                ca: ca.certificate().pem(),
                certificate: certificate.expect("server certificate").pem(),
                key: key.serialize_pem(),
            },
            server_root: server_root.der().clone(),
            device_key: device_key.serialize_der().into(),
            ca,
            device,
        }
    }

    /// The server's part.
    #[must_use]
    pub fn server(&self) -> &ServerSide {
        &self.server
    }

    /// A CRL of the CA with that many entries, none of them the device's, in PEM.
    #[must_use]
    pub fn crl(&self, entries: u32, now: OffsetDateTime) -> String {
        let revoked = (0..entries).map(|_| {
            let serial = SerialNumber::generate(&mut UnwrapErr(SysRng));
            RevokedCertificate::new(serial, now, RevocationReason::Superseded).expect("an entry")
        });
        let terms = Terms::new(now, Duration::days(1), Duration::minutes(5));
        let crl = self.ca.issue_crl(CrlNumber::from(1), &terms, revoked);
        crl.expect("CRL").pem()
    }

    /// The device's TLS: 1.3, and it verifies the server as devices do.
    #[must_use]
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.server_root.clone()).expect("root");
        let key = PrivateKeyDer::from(self.device_key.clone_key());
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![self.device.clone()], key);
        Arc::new(config.expect("the device's key"))
    }
}

impl ServerSide {
    /// Writes the files that a server reads.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        for (name, text) in FILES.iter().zip([&self.ca, &self.certificate, &self.key]) {
            fs::write(folder.join(name), text)?;
        }
        Ok(())
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let [ca, certificate, key] = FILES.map(|name| fs::read_to_string(folder.join(name)));
        Ok(Self {
            ca: ca?,
            certificate: certificate?,
            key: key?,
        })
    }

    /// TLS with that many entries on the denylist, and the connections that it accepts.
    #[must_use]
    pub fn tls(&self, denied_entries: u32, now: OffsetDateTime) -> (DeviceTls, LiveConnections) {
        let denylist = Arc::new(Denylist::new());
        assert!(denylist.begin_reload(now).publish(denied(denied_entries)));
        let live = LiveConnections::new(Arc::clone(&denylist));
        let ca = CaCertificate::from_pem(&self.ca).expect("CA certificate");
        let trust = TrustBundle::new([ca]).expect("trust bundle");
        let devices = Arc::new(DeviceCertVerifier::new(&provider(), trust, denylist));
        let time = Arc::new(DefaultTimeProvider);
        let tls = DeviceTls::new(provider(), time, self.certificate(now), devices);
        (tls.expect("TLS 1.2 and 1.3"), live)
    }

    /// The server's own certificate, as rustls takes it.
    #[must_use]
    pub fn certificate(&self, now: OffsetDateTime) -> Arc<ServerCertStore> {
        let certificate = ServerCertificate::from_pem_chain(&self.certificate, None);
        let certificate = certificate.expect("server certificate");
        let certificate = ServerCert::new(&provider(), &certificate, &self.key, now);
        Arc::new(ServerCertStore::new(certificate.expect("server key")))
    }

    /// The roots that a stock verifier takes.
    #[must_use]
    pub fn device_roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.ca.as_bytes()).expect("CA certificate");
        roots.add(ca).expect("root");
        Arc::new(roots)
    }
}
