use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    ConfigBuilder, DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection,
    SignatureScheme, WantsVerifier,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::server_config::{config_builder, finish};
use crate::unix_time::from_unix;
use crate::verifier::check_full_handshake;
use crate::{DeviceCertVerifier, Error, Refusal, VerifiedDevice};

/// The TLS side of a server of devices: what [`server_config`](crate::server_config()) makes once, made
/// anew for each connection, so that what a handshake decided on the client's certificate need not
/// be decided a second time after it.
///
/// [`DeviceAcceptor`](crate::DeviceAcceptor) uses it; so can any other accept loop:
///
/// ```
/// use identity_mtls::{DeviceTls, VerifiedDevice};
/// use rustls::ServerConnection;
///
/// fn accept(
///     tls: &DeviceTls,
///     run: impl FnOnce(&mut ServerConnection),
/// ) -> Result<Option<VerifiedDevice>, Box<dyn std::error::Error>> {
///     let handshake = tls.handshake();
///     let mut connection = ServerConnection::new(handshake.config())?;
///     run(&mut connection);
///     let device = handshake.device(&connection)?;
///     // Here it would be registered; then the look at what changed meanwhile:
///     device.iter().try_for_each(|device| tls.recheck(device))?;
///     Ok(device)
/// }
/// ```
#[derive(Clone)]
pub struct DeviceTls {
    builder: ConfigBuilder<ServerConfig, WantsVerifier>,
    certificate: Arc<dyn ResolvesServerCert>,
    devices: Arc<DeviceCertVerifier>,
    time: Arc<dyn TimeProvider>,
}

impl DeviceTls {
    /// TLS with the settings of [`server_config`](crate::server_config()).
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] when `provider` has no cipher suites for TLS 1.2 and 1.3.
    pub fn new(
        provider: Arc<CryptoProvider>,
        time: Arc<dyn TimeProvider>,
        certificate: Arc<dyn ResolvesServerCert>,
        devices: Arc<DeviceCertVerifier>,
    ) -> Result<Self, Error> {
        Ok(Self {
            builder: config_builder(provider, Arc::clone(&time))?,
            certificate,
            devices,
            time,
        })
    }

    /// What decides on client certificates.
    #[must_use]
    pub fn devices(&self) -> &Arc<DeviceCertVerifier> {
        &self.devices
    }

    /// A handshake, of one connection alone.
    #[must_use]
    pub fn handshake(&self) -> Handshake {
        let verifier = Arc::new(HandshakeVerifier {
            devices: Arc::clone(&self.devices),
            presented: OnceLock::new(),
            proved: OnceLock::new(),
        });
        let config = finish(
            self.builder.clone(),
            Arc::clone(&self.certificate),
            Arc::clone(&verifier) as _,
        );
        Handshake { config, verifier }
    }

    /// Decides again, as of now, on a device that a handshake proved, as [`VerifiedDevice::recheck`]
    /// does with the trust bundle and the denylist of [`devices`](Self::devices).
    ///
    /// # Errors
    ///
    /// The [`Refusal`] that names the first rule broken; [`Refusal::NoTime`] when the clock fails.
    pub fn recheck(&self, device: &VerifiedDevice) -> Result<(), Refusal> {
        let now = self.time.current_time().ok_or(Refusal::NoTime)?;
        self.devices.recheck(device, from_unix(now))
    }
}

impl fmt::Debug for DeviceTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceTls")
            .field("devices", &self.devices)
            .finish_non_exhaustive()
    }
}

/// One connection's handshake: its configuration, and the decision on the certificate that its
/// client sends.
#[derive(Debug)]
pub struct Handshake {
    config: Arc<ServerConfig>,
    verifier: Arc<HandshakeVerifier>,
}

impl Handshake {
    /// The configuration, to be used for this one connection.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Who is at the other end of `connection`, as the handshake decided; `None` when the client sent
    /// no certificate. [Recheck](DeviceTls::recheck) it after the connection was
    /// [registered](crate::LiveConnections::register).
    ///
    /// Only the leaf whose key signed this very handshake can be the answer.
    ///
    /// # Errors
    ///
    /// [`Refusal::Handshaking`] before the handshake is over, [`Refusal::Resumed`] when a session was
    /// resumed, [`Refusal::AnotherHandshake`] when `connection` was not made by this one.
    pub fn device(&self, connection: &ServerConnection) -> Result<Option<VerifiedDevice>, Refusal> {
        check_full_handshake(connection)?;
        let sent = connection.peer_certificates().and_then(<[_]>::first);
        match (sent, self.verifier.proved.get()) {
            (None, None) => Ok(None),
            (Some(sent), Some(proved)) if proved.leaf == *sent => Ok(Some(proved.device.clone())),
            (None | Some(_), None | Some(_)) => Err(Refusal::AnotherHandshake),
        }
    }
}

/// The [`DeviceCertVerifier`] of one handshake, which remembers what it decided.
#[derive(Debug)]
struct HandshakeVerifier {
    devices: Arc<DeviceCertVerifier>,
    /// The leaf that was decided on, before its key has signed anything.
    presented: OnceLock<Presented>,
    /// The same once its key has signed this handshake.
    proved: OnceLock<Presented>,
}

#[derive(Debug, Clone)]
struct Presented {
    leaf: CertificateDer<'static>,
    device: VerifiedDevice,
}

impl HandshakeVerifier {
    /// Takes note that the key of `leaf` signed the handshake.
    fn prove(&self, leaf: &CertificateDer<'_>) {
        if let Some(presented) = self.presented.get().filter(|it| it.leaf == *leaf) {
            // A handshake is signed once.
            self.proved.get_or_init(|| presented.clone());
        }
    }
}

impl ClientCertVerifier for HandshakeVerifier {
    fn offer_client_auth(&self) -> bool {
        self.devices.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.devices.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.devices.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let device = self.devices.judge(end_entity, intermediates, now)?;
        // A client presents one chain in a handshake; were there another, `prove` would not know it.
        self.presented.get_or_init(|| Presented {
            leaf: end_entity.clone().into_owned(),
            device,
        });
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let valid = self.devices.verify_tls12_signature(message, cert, dss)?;
        self.prove(cert);
        Ok(valid)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let valid = self.devices.verify_tls13_signature(message, cert, dss)?;
        self.prove(cert);
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.devices.supported_verify_schemes()
    }
}
