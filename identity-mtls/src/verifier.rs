use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, HandshakeKind, ServerConnection,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use time::OffsetDateTime;

use crate::unix_time::from_unix;
use crate::{Denylist, PresentedChain, Refusal, TrustBundle, VerifiedDevice, decide};

/// Is told of each client certificate that a handshake refuses, for audit and metrics.
///
/// A failed handshake leaves no connection to ask, and the error that the acceptor gets is rustls'.
/// Here the application learns for instance that a superseded certificate is in use
/// ([`Refusal::Denied`] names the device).
///
/// A certificate is public, and it is refused before the client has proved possession of its key
/// (RFC 8446 §4.4.3): whoever has seen a device's certificate can present it. So a refusal tells that
/// the certificate was presented, not who did: never act against the device that it names, such as by
/// locking it out or by denying its current certificate.
pub trait RefusalObserver: Send + Sync {
    /// Takes note of `refusal`. It runs within the handshake: hand it on, do not block.
    fn refused(&self, refusal: &Refusal);
}

/// The rustls verifier of device certificates.
///
/// A client may stay anonymous (pairing needs that), but a certificate that it does send must pass
/// [`decide`], or the handshake fails with the proper alert. With an empty [`TrustBundle`] clients
/// are not asked for a certificate.
///
/// rustls does not call a verifier on a resumed session; use it in a configuration made by
/// [`server_config`](crate::server_config()), which turns resumption off.
pub struct DeviceCertVerifier {
    trust: TrustBundle,
    denylist: Arc<Denylist>,
    algorithms: WebPkiSupportedAlgorithms,
    hints: Vec<DistinguishedName>,
    observer: Option<Box<dyn RefusalObserver>>,
}

impl DeviceCertVerifier {
    /// A verifier that accepts the devices of `trust` that `denylist` does not deny, with the
    /// signature algorithms of `provider`.
    #[must_use]
    pub fn new(provider: &CryptoProvider, trust: TrustBundle, denylist: Arc<Denylist>) -> Self {
        Self {
            hints: trust.subjects(),
            trust,
            denylist,
            algorithms: provider.signature_verification_algorithms,
            observer: None,
        }
    }

    /// Tells `observer` of each refusal in a handshake.
    #[must_use]
    pub fn with_observer(mut self, observer: impl RefusalObserver + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// The CAs whose devices are accepted.
    #[must_use]
    pub fn trust(&self) -> &TrustBundle {
        &self.trust
    }

    /// Who is at the other end of `connection`; `None` when the client sent no certificate.
    ///
    /// The certificate is decided on again, against the denylist as it is now, and by the same
    /// function: only the leaf, whose key signed the handshake, can be the answer.
    ///
    /// # Errors
    ///
    /// The [`Refusal`], which also covers a handshake that is not over and a session that was
    /// resumed.
    pub fn device(
        &self,
        connection: &ServerConnection,
        now: OffsetDateTime,
    ) -> Result<Option<VerifiedDevice>, Refusal> {
        check_full_handshake(connection)?;
        match connection.peer_certificates() {
            None | Some([]) => Ok(None),
            Some([leaf, beside @ ..]) => self.decide(leaf, beside, now).map(Some),
        }
    }

    /// Decides on what a client presents in a handshake, and tells the observer of a refusal.
    pub(crate) fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        beside: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<VerifiedDevice, CertificateError> {
        self.decide(leaf, beside, from_unix(now))
            .map_err(|refusal| {
                if let Some(observer) = &self.observer {
                    observer.refused(&refusal);
                }
                refusal.into()
            })
    }

    /// As [`VerifiedDevice::recheck`].
    pub(crate) fn recheck(
        &self,
        device: &VerifiedDevice,
        now: OffsetDateTime,
    ) -> Result<(), Refusal> {
        device.recheck(now, &self.trust, self.denylist.snapshot().as_deref())
    }

    fn decide(
        &self,
        leaf: &CertificateDer<'_>,
        beside: &[CertificateDer<'_>],
        now: OffsetDateTime,
    ) -> Result<VerifiedDevice, Refusal> {
        let chain = PresentedChain::new(leaf, beside)?;
        let denylist = self.denylist.snapshot();
        decide(
            &chain,
            now,
            &self.trust,
            denylist.as_deref(),
            &self.algorithms,
        )
    }
}

/// Whether the handshake is over, and was a full one, in which the client's certificate was checked.
pub(crate) fn check_full_handshake(connection: &ServerConnection) -> Result<(), Refusal> {
    if connection.is_handshaking() {
        return Err(Refusal::Handshaking);
    }
    match connection.handshake_kind() {
        Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest) => Ok(()),
        Some(HandshakeKind::Resumed) => Err(Refusal::Resumed),
        None => Err(Refusal::Handshaking),
    }
}

impl fmt::Debug for DeviceCertVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceCertVerifier")
            .field("trust", &self.trust)
            .field("denylist", &self.denylist)
            .finish_non_exhaustive()
    }
}

impl ClientCertVerifier for DeviceCertVerifier {
    fn offer_client_auth(&self) -> bool {
        !self.trust.is_empty()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.judge(end_entity, intermediates, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
