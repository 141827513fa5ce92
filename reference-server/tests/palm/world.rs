//! A server in this process: the real routes behind the real accept loop, TLS and certificates, a
//! palm server over real HTTP, and a clock that the story moves.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use biowave_client::simulator::PalmServer;
use identity_challenge::{DeviceBinding, DeviceClass};
use identity_pki::{
    CA_VALIDITY, CsrPolicy, DeviceId, DeviceIdentity, Fingerprint, PairingCode, PlatformCa,
    SerialNumber, ServerCertificate, TenantId, Terms,
};
use identity_store::{
    Actor, CaOrigin, CaRecord, CaState, CertificateRecord, Change, ClientCredential, ClientId,
    ComparedKey, DeviceInfo, MemoryStore, NewClient, NewDevice, PairDevice, PairingOffer,
    PrivateKeyPem, SecretHash, ServerCertRecord, Store, TenantConfig,
};
use rand_core::{CryptoRng, TryCryptoRng, TryRng, UnwrapErr};
use reference_server::App;
use reference_server::authority::AwsLcSigner;
use reference_server::clock::{Clock, entropy};
use reference_server::config::Config;
use reference_server::http::{Scope, router};
use reference_server::listener::Transport;
use reference_server::{jobs, listener};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::calls::Caller;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct StoryClock(Mutex<OffsetDateTime>);

impl StoryClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for StoryClock {
    fn now(&self) -> OffsetDateTime {
        *self.0.lock().unwrap()
    }
}

/// Draws this serial number.
struct Drawn(SerialNumber);

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0.as_bytes()[..bytes.len()]);
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

/// How the server is to be run.
#[derive(Default)]
pub(crate) struct Setting {
    /// Another palm server than the simulator.
    pub(crate) palm_url: Option<String>,
    /// No palm server at all.
    pub(crate) no_palm_server: bool,
    /// The time of one call to it, in milliseconds.
    pub(crate) palm_timeout_ms: Option<u32>,
    /// Whether polls are paced.
    pub(crate) rate_limits: bool,
}

/// The server with everything around it.
pub(crate) struct World {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<StoryClock>,
    pub(crate) palms: PalmServer,
    pub(crate) tenant: TenantId,
    pub(crate) client_id: ClientId,
    base: String,
    root: reqwest::Certificate,
    integrator: Caller,
}

/// A paired device with its connection.
pub(crate) struct Device {
    pub(crate) identity: DeviceIdentity,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) caller: Caller,
    base: String,
    root: reqwest::Certificate,
    serial: SerialNumber,
    pem: String,
}

impl Device {
    pub(crate) fn on_a_new_connection(&self) -> Caller {
        self.with(self.pem.clone())
    }

    fn with(&self, pem: String) -> Caller {
        Caller::new(&self.base, &self.root, Some(pem))
    }

    pub(crate) fn id(&self) -> &str {
        self.identity.device_id().as_str()
    }
}

pub(crate) async fn world() -> World {
    World::start(Setting::default()).await
}

pub(crate) async fn world_with_rate_limits() -> World {
    let setting = Setting {
        rate_limits: true,
        ..Setting::default()
    };
    World::start(setting).await
}

impl World {
    pub(crate) async fn start(setting: Setting) -> Self {
        let clock = Arc::new(StoryClock(Mutex::new(datetime!(2026-11-22 12:00 UTC))));
        let palms = PalmServer::start().await.unwrap();
        let store = Arc::new(MemoryStore::new(UnwrapErr(getrandom::SysRng)));
        let root = seed_tls(&*store, clock.now()).await;
        let config = config(&setting, &palms);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let base = format!("https://{address}");
        let app_clock: Arc<dyn Clock> = Arc::<StoryClock>::clone(&clock);
        let app = App::load(config, address, store, app_clock, None)
            .await
            .unwrap();
        jobs::start(&app, &TaskTracker::new());
        let routes = router(&app);
        tokio::spawn(listener::serve(
            Arc::clone(&app),
            socket,
            routes,
            Transport::Api,
        ));
        let tenant = TenantId::new("acme").unwrap();
        let change = Change::new(clock.now(), Actor::System("test"), "seed");
        app.store
            .create_tenant(change, tenant.clone(), "Acme".to_owned())
            .await
            .unwrap();
        let client_id = register_client(&app, &tenant).await;
        let integrator = Caller::new(&base, &root, None);
        Self {
            app,
            clock,
            palms,
            tenant,
            client_id,
            base,
            root,
            integrator,
        }
    }

    /// The integrator of the tenant, with every scope, and a token that is good from now.
    pub(crate) fn integrator(&self) -> Caller {
        let scopes = BTreeSet::from_iter(Scope::ALL.iter().copied());
        let tokens = self.app.secrets.tokens.get().unwrap();
        let token = tokens.issue_access(&self.client_id, &self.tenant, &scopes, self.clock.now());
        self.integrator.with_token(token.unwrap())
    }

    /// One that proves nothing.
    pub(crate) fn nobody(&self) -> Caller {
        self.integrator.clone()
    }

    pub(crate) fn clock_now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub(crate) fn change(&self) -> Change {
        Change::new(self.clock.now(), Actor::System("test"), "seed")
    }

    /// Changes the settings of the tenant.
    pub(crate) async fn configure(&self, edit: impl FnOnce(&mut TenantConfig)) {
        let mut config = self
            .app
            .store
            .tenant(&self.tenant)
            .await
            .unwrap()
            .unwrap()
            .config;
        edit(&mut config);
        self.app
            .store
            .set_tenant_config(self.change(), &self.tenant, config)
            .await
            .unwrap();
    }

    /// A personal scanner of the tenant, paired.
    pub(crate) async fn scanner(&self, id: &str) -> Device {
        let binding = DeviceBinding::new(DeviceClass::PersonalScanner, None, None).unwrap();
        self.device(id, binding).await
    }

    pub(crate) async fn device(&self, id: &str, binding: DeviceBinding) -> Device {
        let identity = DeviceIdentity::new(self.tenant.clone(), DeviceId::new(id).unwrap());
        let code = PairingCode::generate(&mut entropy())
            .lookup_hash(self.app.secrets.pairing_pepper.get().unwrap());
        let new = NewDevice {
            identity: identity.clone(),
            name: id.to_owned(),
            location: None,
            binding,
            tags: BTreeMap::new(),
            pairing: PairingOffer {
                code_hash: code,
                expires_at: self.clock.now() + Duration::from_secs(300),
            },
        };
        self.app
            .store
            .create_device(self.change(), new)
            .await
            .unwrap();
        let (certificate, pem) = self.certify(&identity, &mut entropy());
        let (fingerprint, serial) = (certificate.fingerprint, certificate.serial);
        let pairing = PairDevice {
            code_hash: code,
            certificate,
            info: DeviceInfo::default(),
        };
        self.app
            .store
            .pair_device(self.change(), pairing)
            .await
            .unwrap();
        Device {
            identity,
            fingerprint,
            caller: Caller::new(&self.base, &self.root, Some(pem.clone())),
            base: self.base.clone(),
            root: self.root.clone(),
            serial,
            pem,
        }
    }

    /// One that has another certificate of the device's serial number, by the key of its CA.
    pub(crate) fn impostor(&self, device: &Device) -> Caller {
        let (forged, pem) = self.certify(&device.identity, &mut Drawn(device.serial));
        assert_eq!(forged.serial, device.serial);
        device.with(pem)
    }

    /// A new certificate, and a PEM of it with its key.
    fn certify(
        &self,
        identity: &DeviceIdentity,
        rng: &mut impl CryptoRng,
    ) -> (CertificateRecord, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        let csr = parameters.serialize_request(&key).unwrap();
        let policy = CsrPolicy::new(webpki::aws_lc_rs::ECDSA_P256_SHA256);
        let csr = policy.check_der(csr.der()).unwrap();
        let ca = self.app.ca.load_full();
        let ca = (*ca).as_ref().unwrap().get().unwrap();
        let terms = Terms::new(
            self.clock.now(),
            time::Duration::days(90),
            time::Duration::MINUTE,
        );
        let issued = ca.issue(&csr, identity, &terms, rng).unwrap();
        let pem = format!("{}{}", issued.pem(), key.serialize_pem());
        let record = CertificateRecord {
            identity: identity.clone(),
            serial: issued.serial(),
            fingerprint: issued.fingerprint(),
            tbs_sha256: issued.tbs_sha256(),
            spki_sha256: issued.spki_sha256(),
            ca_fingerprint: ca.certificate().fingerprint(),
            not_before: issued.not_before(),
            not_after: issued.not_after(),
            pem: issued.pem(),
        };
        (record, pem)
    }
}

/// A client whose tokens the test signs itself.
async fn register_client(app: &App, tenant: &TenantId) -> ClientId {
    let now = app.clock.now();
    let client = NewClient {
        client_id: ClientId::generate(now, &mut entropy()),
        tenant_id: tenant.clone(),
        name: "Backend".to_owned(),
        scopes: BTreeSet::new(),
        credential: ClientCredential::Secret(SecretHash([0; 32])),
        notification_endpoint: None,
    };
    let client_id = client.client_id.clone();
    let change = Change::new(now, Actor::System("test"), "seed");
    app.store.create_client(change, client).await.unwrap();
    client_id
}

impl Drop for World {
    fn drop(&mut self) {
        self.app.shutdown.cancel();
    }
}

fn config(setting: &Setting, palms: &PalmServer) -> Config {
    let palm_url = match (&setting.palm_url, setting.no_palm_server) {
        (Some(url), _) => Some(url.clone()),
        (None, false) => Some(palms.url().to_string()),
        (None, true) => None,
    };
    let timeout = setting.palm_timeout_ms.map(|ms| ms.to_string());
    let limits = if setting.rate_limits { "on" } else { "off" }.to_owned();
    let lookup = |name: &'static str| {
        let value = match name {
            "IDENTITY_PUBLIC_URL" => Some("https://identity.example".to_owned()),
            "BIOWAVE_URL" => palm_url.clone(),
            "BIOWAVE_TIMEOUT_MS" => timeout.clone(),
            "IDENTITY_RATE_LIMITS" => Some(limits.clone()),
            _ => None,
        };
        value.map(OsString::from)
    };
    Config::from_lookup(lookup, false).unwrap()
}

/// Puts a server certificate and a CA into the store; returns the root that clients trust.
async fn seed_tls(store: &dyn Store, now: OffsetDateTime) -> reqwest::Certificate {
    let change = || Change::new(now, Actor::System("test"), "seed");
    let server = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let record = ServerCertRecord {
        fingerprint: Fingerprint::of_certificate(server.cert.der()),
        chain_pem: server.cert.pem(),
        not_after: datetime!(2030-01-01 0:00 UTC),
    };
    let key = PrivateKeyPem::new(server.signing_key.serialize_pem());
    let certificate = ServerCertificate::from_pem_chain(&server.cert.pem(), None).unwrap();
    let compared = ComparedKey {
        spki_sha256: certificate.spki_sha256(),
        with: [].into(),
    };
    let put = store.put_server_cert(change(), record, compared, key);
    put.await.unwrap();
    let key = AwsLcSigner::generate_pem().unwrap();
    let signer = Box::new(AwsLcSigner::from_pem(key.expose()).unwrap());
    let terms = Terms::new(now, CA_VALIDITY, time::Duration::HOUR);
    let ca = PlatformCa::generate(signer, "Test CA", &terms, &mut entropy()).unwrap();
    let record = CaRecord {
        fingerprint: ca.certificate().fingerprint(),
        certificate_pem: ca.certificate().pem(),
        state: CaState::Active,
        not_after: ca.certificate().not_after(),
        created_at: now,
    };
    store
        .add_ca(change(), record, key, CaOrigin::Generated)
        .await
        .unwrap();
    reqwest::Certificate::from_pem(server.cert.pem().as_bytes()).unwrap()
}
