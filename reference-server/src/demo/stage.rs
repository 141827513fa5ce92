//! Where the story plays: a temporary folder, a palm server, and the real server on a free port.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use biowave_client::simulator::PalmServer;
use identity_pki::ServerCertificate;
use identity_store::{
    Actor, Change, ComparedKey, PrivateKeyPem, SecretStore as _, ServerCertRecord, Store as _,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::error::DemoError;
use crate::clock::{Clock as _, SystemClock, random_bytes};
use crate::config::{Config, ConfigError};
use crate::http::RequestId;
use crate::serve::{self, Server};
use crate::telemetry;

/// How long the server's certificate and its CA are good: no alert is due.
const VALIDITY: Duration = Duration::days(90);

/// The first operator.
pub(super) const OPERATOR: &str = "root@example.com";

/// Everything that the story needs, running.
pub(super) struct Stage {
    /// What clients call.
    pub(super) base_url: String,
    /// The CA of the server's certificate, PEM, and the file that holds it too.
    pub(super) ca_pem: String,
    pub(super) ca_file: PathBuf,
    /// The first operator's password, until it is changed.
    pub(super) initial_password: String,
    pub(super) palms: PalmServer,
    server: Server,
    folder: TempDir,
}

impl Stage {
    /// Sets everything up, straight into HTTPS.
    pub(super) async fn set() -> Result<Self, DemoError> {
        let folder = tempfile::Builder::new()
            .prefix("identity-demo-")
            .tempdir()?;
        let palms = PalmServer::start().await?;
        let database = folder.path().join("identity.db");
        let initial_password = password();
        let config = config(&[
            ("DATABASE_URL", format!("sqlite://{}", database.display())),
            ("BIOWAVE_URL", palms.url().to_string()),
            ("PLATFORM_ADMIN_INITIAL_PASSWORD", initial_password.clone()),
        ])?;
        telemetry::init_logs(&config.log);

        let identity = ServerIdentity::make(SystemClock.now())?;
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, &identity.ca_pem)?;
        let store = serve::open_store(&config).await?;
        let now = SystemClock.now();
        let request_id = RequestId::generate(now);
        let change = Change::new(now, Actor::System("demo"), request_id.as_str());
        let ServerIdentity {
            ca_pem,
            record,
            compared,
            key,
        } = identity;
        store.put_server_cert(change, record, compared, key).await?;
        store.close().await;
        let server = Server::start(config, None).await?;
        Ok(Self {
            base_url: format!("https://{}", server.address),
            ca_pem,
            ca_file,
            initial_password,
            palms,
            server,
            folder,
        })
    }

    /// Where the server listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Lets running requests finish, stops everything, and removes the folder.
    pub(super) async fn clear(self) -> Result<(), DemoError> {
        self.server.app.shutdown.cancel();
        self.server.join().await;
        Ok(self.folder.close()?)
    }
}

/// The configuration that these variables make; what is logged is the caller's choice.
fn config(variables: &[(&'static str, String)]) -> Result<Config, ConfigError> {
    let set: HashMap<_, _> = variables.iter().cloned().collect();
    let lookup = |name: &'static str| match name {
        "IDENTITY_LISTEN" | "IDENTITY_METRICS_LISTEN" => Some("127.0.0.1:0".into()),
        "PLATFORM_ADMIN_EMAIL" => Some(OPERATOR.into()),
        "IDENTITY_LOG" => Some(std::env::var_os(name).unwrap_or_else(|| "warn".into())),
        "IDENTITY_LOG_FORMAT" => Some("pretty".into()),
        _ => set.get(name).map(OsString::from),
    };
    Config::from_lookup(lookup, true)
}

/// A password that nobody has seen before.
pub(super) fn password() -> String {
    hex::encode(random_bytes::<12>())
}

/// A certificate for this machine, as an operator would bring one, and the CA that signed it.
struct ServerIdentity {
    ca_pem: String,
    record: ServerCertRecord,
    compared: ComparedKey,
    key: PrivateKeyPem,
}

impl ServerIdentity {
    fn make(now: OffsetDateTime) -> Result<Self, DemoError> {
        let mut params = params("Demo server CA", now);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

        let key = KeyPair::generate()?;
        let mut params = self::params("localhost", now);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into()?),
            SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
        ];
        let chain_pem = params.signed_by(&key, &ca)?.pem();
        let certificate = ServerCertificate::from_pem_chain(&chain_pem, None)?;
        Ok(Self {
            ca_pem: ca.pem(),
            record: ServerCertRecord {
                fingerprint: certificate.fingerprint(),
                not_after: certificate.not_after(),
                chain_pem,
            },
            // The database is new: there is no other.
            compared: ComparedKey {
                spki_sha256: certificate.spki_sha256(),
                with: [].into(),
            },
            key: PrivateKeyPem::new(key.serialize_pem()),
        })
    }
}

fn params(common_name: &str, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = now - Duration::DAY;
    params.not_after = now + VALIDITY;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}
