//! TLS of the API listener: none before the first server certificate, and from then on one immutable
//! configuration for each connection, swapped whole when the accepted CAs change.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use identity_mtls::{
    Denylist, DeviceCertVerifier, ServerCert, ServerCertStore, TrustBundle, server_config,
};
use identity_pki::{ServerCertificate, SpkiSha256};
use identity_store::{ServerCertRecord, Store};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;

use crate::authority;
use crate::clock::{Clock, TlsTime};
use crate::start::StartError;
use crate::superseded::Offered;

/// What a connection that is accepted now gets.
pub struct Acceptance {
    /// Its TLS configuration.
    pub config: Arc<ServerConfig>,
    /// Decides who is at its other end.
    pub verifier: Arc<DeviceCertVerifier>,
}

impl fmt::Debug for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptance")
            .field("verifier", &self.verifier)
            .finish_non_exhaustive()
    }
}

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
    acceptance: ArcSwap<Acceptance>,
}

/// The crypto provider of the process: aws-lc-rs.
#[must_use]
pub fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

impl Tls {
    /// Sets up HTTPS if the store holds a server certificate, with the CAs that it holds. Denied
    /// certificates that come are noted in `offered`.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the store fails or holds something that cannot be used.
    pub async fn load(
        store: &dyn Store,
        clock: Arc<dyn Clock>,
        denylist: Arc<Denylist>,
        offered: Offered,
    ) -> Result<Self, StartError> {
        let parts = Parts {
            provider: Arc::new(provider()),
            clock,
            denylist,
            offered,
        };
        let trust = TrustBundle::new(authority::accepted(store).await?)?;
        let https = match store.server_cert().await? {
            None => None,
            Some(record) => {
                let certificate = Arc::new(ServerCertStore::new(parts.stored(&record)?));
                let acceptance = parts.acceptance(&certificate, trust.clone())?;
                Some(Https {
                    certificate,
                    acceptance: ArcSwap::from_pointee(acceptance),
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

    /// What the next connection gets; `None` over plain HTTP.
    #[must_use]
    pub fn acceptance(&self) -> Option<Arc<Acceptance>> {
        self.https
            .as_ref()
            .map(|https| https.acceptance.load_full())
    }

    /// The name of the server certificate's key, which no device may have.
    #[must_use]
    pub fn server_key(&self) -> Option<SpkiSha256> {
        self.https
            .as_ref()
            .map(|https| https.certificate.current().spki_sha256())
    }

    /// The CAs whose devices are accepted.
    #[must_use]
    pub fn trust(&self) -> Arc<TrustBundle> {
        self.trust.load_full()
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

    /// Takes up the server certificate and the CAs that the store holds now. A process that serves
    /// plain HTTP goes on doing so.
    ///
    /// # Errors
    ///
    /// [`StartError`]; everything stays as it was.
    pub async fn reload(&self, store: &dyn Store) -> Result<(), StartError> {
        let trust = TrustBundle::new(authority::accepted(store).await?)?;
        if let (Some(https), Some(record)) = (&self.https, store.server_cert().await?) {
            let certificate = self.parts.stored(&record)?;
            let acceptance = self.parts.acceptance(&https.certificate, trust.clone())?;
            https.certificate.replace(certificate);
            https.acceptance.store(Arc::new(acceptance));
        }
        self.trust.store(Arc::new(trust));
        Ok(())
    }
}

impl Parts {
    /// The stored certificate. An expired one is served all the same: an operator who cannot connect
    /// could not replace it.
    fn stored(&self, record: &ServerCertRecord) -> Result<ServerCert, StartError> {
        let certificate = ServerCertificate::from_pem_chain(&record.chain_pem, None)?;
        let now = self
            .clock
            .now()
            .clamp(certificate.not_before(), certificate.not_after());
        Ok(ServerCert::new(
            &self.provider,
            &certificate,
            record.private_key.expose(),
            now,
        )?)
    }

    fn acceptance(
        &self,
        certificate: &Arc<ServerCertStore>,
        trust: TrustBundle,
    ) -> Result<Acceptance, StartError> {
        let denylist = Arc::clone(&self.denylist);
        let verifier = DeviceCertVerifier::new(&self.provider, trust, denylist)
            .with_observer(self.offered.clone());
        let verifier = Arc::new(verifier);
        let config = server_config(
            Arc::clone(&self.provider),
            Arc::new(TlsTime(Arc::clone(&self.clock))),
            Arc::clone(certificate) as _,
            Arc::clone(&verifier),
        )?;
        Ok(Acceptance { config, verifier })
    }
}
