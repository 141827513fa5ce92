//! Keys and certificates of both sides.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::Failure;

/// A CA with its key, in PEM.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A server's certificate for 127.0.0.1, its key, and the CA that clients trust, in PEM.
#[derive(Debug)]
pub(crate) struct ServerIdentity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) root: String,
}

/// A device's key, and the request for its certificate in PEM.
#[derive(Debug)]
pub(crate) struct DeviceKey {
    pub(crate) key: KeyPair,
    pub(crate) csr: String,
}

impl Authority {
    pub(crate) fn generate() -> Result<Self, Failure> {
        let (params, key) = authority()?;
        Ok(Self {
            certificate: params.self_signed(&key)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

impl ServerIdentity {
    pub(crate) fn generate() -> Result<Self, Failure> {
        let (params, root_key) = authority()?;
        let root = params.self_signed(&root_key)?.pem();
        let issuer = Issuer::new(params, root_key);
        let key = new_key()?;
        let server = CertificateParams::new(["127.0.0.1".to_owned()])?;
        Ok(Self {
            certificate: server.signed_by(&key, &issuer)?.pem(),
            key: key.serialize_pem(),
            root,
        })
    }
}

impl DeviceKey {
    pub(crate) fn generate() -> Result<Self, Failure> {
        let key = new_key()?;
        let csr = CertificateParams::default()
            .serialize_request(&key)?
            .pem()?;
        Ok(Self { key, csr })
    }
}

fn new_key() -> Result<KeyPair, Failure> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

fn authority() -> Result<(CertificateParams, KeyPair), Failure> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Load test CA");
    Ok((params, new_key()?))
}

/// The TLS of a client that trusts `root` alone, and shows a certificate if it has one. Nothing is
/// resumed: every connection is a full handshake.
pub(crate) fn client_tls(
    root: &str,
    device: Option<(&KeyPair, &str)>,
) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes())?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match device {
        None => builder.with_no_client_auth(),
        Some((key, certificate)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())?;
            let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
            builder.with_client_auth_cert(vec![certificate], key)?
        }
    };
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}
