//! TLS of the API listener: none before the first server certificate, and from then on an acceptor
//! whose certificate is replaced in place, and whose accepted CAs are swapped whole.

use std::sync::Arc;

use arc_swap::ArcSwap;
use identity_mtls::{
    Denylist, DeviceAcceptor, DeviceCertVerifier, DeviceTls, HandshakeLimits, LiveConnections,
    ServerCert, ServerCertStore, TrustBundle,
};
use identity_pki::{ServerCertificate, SpkiSha256};
use identity_store::{CaRecord, PrivateKeyPem, ServerCertRecord, Store};
use rustls::crypto::CryptoProvider;
use time::OffsetDateTime;

use crate::authority;
use crate::clock::{Clock, TlsTime};
use crate::start::StartError;
use crate::superseded::Offered;

/// The TLS side of the server.
#[derive(Debug)]
pub struct Tls {
    parts: Parts,
    /// Decided at the start: a process that began with HTTP restarts to serve HTTPS.
    https: Option<Https>,
    trust: ArcSwap<TrustBundle>,
}

#[derive(Debug)]
struct Parts {
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    denylist: Arc<Denylist>,
    offered: Offered,
}

#[derive(Debug)]
struct Https {
    certificate: Arc<ServerCertStore>,
    acceptor: DeviceAcceptor,
}

/// The crypto provider of the process: aws-lc-rs.
#[must_use]
pub fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

impl Tls {
    /// Sets up HTTPS if the store holds a server certificate, with the CAs that it holds, `cas`. Denied
    /// certificates that come are noted in `offered`, devices that connect in `live`.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the store fails or holds something that cannot be used.
    pub async fn load(
        store: &dyn Store,
        cas: &[CaRecord],
        clock: Arc<dyn Clock>,
        denylist: Arc<Denylist>,
        offered: Offered,
        live: LiveConnections,
    ) -> Result<Self, StartError> {
        let parts = Parts {
            provider: Arc::new(provider()),
            clock,
            denylist,
            offered,
        };
        let trust = TrustBundle::new(authority::accepted(cas)?)?;
        let https = match stored(store).await? {
            None => None,
            Some((record, key)) => {
                let certificate = Arc::new(ServerCertStore::new(parts.join(&record, &key)?));
                let tls = parts.device_tls(&certificate, trust.clone())?;
                let acceptor = DeviceAcceptor::new(tls, live, HandshakeLimits::default());
                Some(Https {
                    certificate,
                    acceptor,
                })
            }
        };
        Ok(Self {
            parts,
            https,
            trust: ArcSwap::from_pointee(trust),
        })
    }

    /// Whether this process serves HTTPS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https.is_some()
    }

    /// Accepts connections over HTTPS; `None` over plain HTTP.
    #[must_use]
    pub fn acceptor(&self) -> Option<&DeviceAcceptor> {
        self.https.as_ref().map(|https| &https.acceptor)
    }

    /// The name of the server certificate's key, which no device may have.
    #[must_use]
    pub fn server_key(&self) -> Option<SpkiSha256> {
        self.https
            .as_ref()
            .map(|https| https.certificate.current().spki_sha256())
    }

    /// Until when the server certificate is valid.
    #[must_use]
    pub fn server_not_after(&self) -> Option<OffsetDateTime> {
        self.https
            .as_ref()
            .map(|https| https.certificate.current().not_after())
    }

    /// The CAs whose devices are accepted.
    #[must_use]
    pub fn trust(&self) -> Arc<TrustBundle> {
        self.trust.load_full()
    }

    /// Puts the chain of an uploaded certificate in order, as [`ServerCertificate::arranged`] does.
    ///
    /// # Errors
    ///
    /// As [`ServerCertificate::arranged`].
    pub fn arrange(
        &self,
        certificate: ServerCertificate,
    ) -> Result<ServerCertificate, identity_pki::Error> {
        certificate.arranged(self.parts.provider.signature_verification_algorithms.all)
    }

    /// Joins an uploaded certificate with its key, as [`ServerCert::new`] does.
    ///
    /// # Errors
    ///
    /// As [`ServerCert::new`].
    pub fn check(
        &self,
        certificate: &ServerCertificate,
        key_pem: &str,
    ) -> Result<ServerCert, identity_mtls::Error> {
        ServerCert::new(
            &self.parts.provider,
            certificate,
            key_pem,
            self.parts.clock.now(),
        )
    }

    /// Takes up the server certificate and the CAs that the store holds now, and closes the
    /// connections of devices whose CA is no longer accepted. A process that serves plain HTTP goes on
    /// doing so.
    ///
    /// # Errors
    ///
    /// [`StartError`]; everything stays as it was.
    pub async fn reload(&self, store: &dyn Store, cas: &[CaRecord]) -> Result<(), StartError> {
        let trust = TrustBundle::new(authority::accepted(cas)?)?;
        if let (Some(https), Some((record, key))) = (&self.https, stored(store).await?) {
            let certificate = self.parts.join(&record, &key)?;
            let tls = self.parts.device_tls(&https.certificate, trust.clone())?;
            self.trust.store(Arc::new(trust));
            https.certificate.replace(certificate);
            https.acceptor.replace(tls);
        } else {
            self.trust.store(Arc::new(trust));
        }
        Ok(())
    }
}

/// The server certificate and its key. A certificate that is replaced between the two reads is read
/// again.
async fn stored(
    store: &dyn Store,
) -> Result<Option<(ServerCertRecord, PrivateKeyPem)>, StartError> {
    while let Some(record) = store.server_cert().await? {
        let key = store.private_key(&record.fingerprint).await;
        if let Some(key) = key.map_err(StartError::ServerKey)? {
            return Ok(Some((record, key)));
        }
    }
    Ok(None)
}

impl Parts {
    /// The stored certificate. An expired one is served all the same: an operator who cannot connect
    /// could not replace it.
    fn join(
        &self,
        record: &ServerCertRecord,
        key: &PrivateKeyPem,
    ) -> Result<ServerCert, StartError> {
        let certificate = ServerCertificate::from_pem_chain(&record.chain_pem, None)?;
        let now = self
            .clock
            .now()
            .clamp(certificate.not_before(), certificate.not_after());
        Ok(ServerCert::new(
            &self.provider,
            &certificate,
            key.expose(),
            now,
        )?)
    }

    fn device_tls(
        &self,
        certificate: &Arc<ServerCertStore>,
        trust: TrustBundle,
    ) -> Result<DeviceTls, StartError> {
        let denylist = Arc::clone(&self.denylist);
        let devices = DeviceCertVerifier::new(&self.provider, trust, denylist)
            .with_observer(self.offered.clone());
        Ok(DeviceTls::new(
            Arc::clone(&self.provider),
            Arc::new(TlsTime(Arc::clone(&self.clock))),
            Arc::clone(certificate) as _,
            Arc::new(devices),
        )?)
    }
}
