//! What the parts of the server share: made once at the start, handed to every route and job.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use identity_mtls::{Denylist, LiveConnections};
use identity_pki::SpkiSha256;
use identity_store::{CaRecord, DenialCursor, NamedSecret, ReplicaId, ServerCertRecord, Store};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::audit::heads::HeadSigner;
use crate::authority::IssuingCa;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::http::{
    CaptureSlots, DatabaseHealth, PollPace, RateLimits, StreamPlaces, Verifications,
};
use crate::mail::Mailer;
use crate::notices::Notices;
use crate::palm::Palm;
use crate::password::Passwords;
use crate::secrets::{Lost, Secret, Secrets, Why};
use crate::seen::Seen;
use crate::start::StartError;
use crate::superseded::Offered;
use crate::tls::Tls;
use crate::waiters::Waiters;
use crate::webhooks::Webhooks;

/// The parts of a running server.
#[derive(Debug)]
pub struct App {
    /// How it is run.
    pub config: Config,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Whether it answers.
    pub database_health: DatabaseHealth,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What sends mail, where there is a mail server.
    pub mailer: Option<Mailer>,
    /// What delivers events.
    pub webhooks: Webhooks,
    /// What decides on palm samples.
    pub palm: Palm,
    /// Requests that wait for a change of a challenge.
    pub waiters: Arc<Waiters>,
    /// What was heard of changes.
    pub notices: Arc<Notices>,
    /// How often a device may ask for its challenges.
    pub poll_pace: PollPace,
    /// The streams of challenges that devices have open.
    pub streams: StreamPlaces,
    /// How many captures each device has on their way.
    pub capture_slots: CaptureSlots,
    /// Which device certificates are denied, as handshakes see it.
    pub denylist: Arc<Denylist>,
    /// Where the list of denied certificates ended when it was read at the start.
    pub denied_at_start: Option<DenialCursor>,
    /// The open connections of devices.
    pub live: LiveConnections,
    /// The CA that issues device certificates.
    pub ca: ArcSwap<IssuingCa>,
    /// The keys of all CAs that there were, which no device may have.
    pub ca_keys: ArcSwap<Vec<SpkiSha256>>,
    /// The server certificate and the CAs whose devices are accepted.
    pub tls: Tls,
    /// The public URL, without a slash at its end: who issues tokens.
    pub issuer: String,
    /// What signs tokens, and keys hashes and digests.
    pub secrets: Secrets,
    /// Hashes and verifies passwords of console users.
    pub passwords: Passwords,
    /// Which devices were seen and not yet written down.
    pub seen: Seen,
    /// Denied certificates that handshakes were offered, and not yet audited.
    pub offered: Offered,
    /// What it signed of audit chains while it was the sealer: leases come and go.
    pub(crate) head_signer: Mutex<HeadSigner>,
    /// Whether it raised an alert of the archives, and nothing was well again since: the same.
    pub(crate) audit_alert_stands: AtomicBool,
    /// How many audit trails are verified at once.
    pub verifications: Verifications,
    /// How often a source may ask.
    pub rate_limits: RateLimits,
    /// Shows the metrics, where they are recorded.
    pub metrics: Option<PrometheusHandle>,
    /// Cancelled when the server is to stop: no new connections, running requests finish.
    pub shutdown: CancellationToken,
    /// Cancelled after that, when the last request has finished: jobs end with a last turn.
    pub drained: CancellationToken,
    /// This process among those that share the database.
    pub replica: ReplicaId,
    /// What is in use. One reload at a time: of two, the later one has read what both changed.
    taken_up: Mutex<Certificates>,
}

/// Which certificates the store holds.
#[derive(Debug, PartialEq)]
struct Certificates {
    server: Option<ServerCertRecord>,
    cas: Vec<CaRecord>,
}

impl Certificates {
    async fn stored(store: &dyn Store) -> Result<Self, StartError> {
        Ok(Self {
            server: store.server_cert().await?,
            cas: store.cas().await?,
        })
    }
}

impl App {
    /// Puts the parts together: reads certificates, keys and the denylist from the store, and makes
    /// the secrets that were never made. `address` is where the API is listened for.
    ///
    /// # Errors
    ///
    /// [`StartError`] when something in the store cannot be read or used.
    pub async fn load(
        config: Config,
        address: SocketAddr,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Arc<Self>, StartError> {
        let notices = Arc::new(Notices::default());
        store.observe(Arc::clone(&notices) as _);
        let denylist = Arc::new(Denylist::with_age_limit(crate::denials::AGE_LIMIT));
        let offered = Offered::default();
        let (time, denied) = (Arc::clone(&clock), Arc::clone(&denylist));
        let live = LiveConnections::new(Arc::clone(&denylist));
        // What is stored while this reads is followed afterwards.
        let stored = Certificates::stored(&*store).await?;
        let cas = &stored.cas;
        let tls = Tls::load(&*store, cas, time, denied, offered.clone(), live.clone()).await?;
        let issuer = issuer(&config, address, &tls);
        let secrets = Secrets::load(&*store, issuer.clone()).await?;
        let ca = crate::authority::active(&*store, cas).await?;
        refuse_useless_keys(&secrets, &ca, &tls)?;
        let mut app = Self {
            denied_at_start: None,
            issuer,
            secrets,
            live,
            ca: ArcSwap::from_pointee(ca),
            ca_keys: ArcSwap::from_pointee(crate::authority::keys(&stored.cas)?),
            rate_limits: RateLimits::new(config.rate_limits),
            passwords: Passwords::new()?,
            seen: Seen::default(),
            offered,
            head_signer: Mutex::default(),
            audit_alert_stands: AtomicBool::default(),
            verifications: Verifications::default(),
            taken_up: Mutex::new(stored),
            shutdown: CancellationToken::new(),
            drained: CancellationToken::new(),
            replica: ReplicaId::generate(clock.now(), &mut clock::entropy()),
            metrics,
            mailer: config.mail.as_ref().map(Mailer::new).transpose()?,
            webhooks: Webhooks::new(config.webhook_loopback).map_err(StartError::WebhookClient)?,
            palm: Palm::new(config.palm_server.as_ref())?,
            waiters: Arc::clone(&notices.waiters),
            notices,
            streams: StreamPlaces::default(),
            capture_slots: CaptureSlots::default(),
            poll_pace: PollPace::new(config.rate_limits),
            database_health: DatabaseHealth::default(),
            denylist,
            tls,
            config,
            store,
            clock,
        };
        app.denied_at_start = crate::denials::reload(&app).await?;
        Ok(Arc::new(app))
    }

    /// The platform's secrets that are lost.
    #[must_use]
    pub fn lost_secrets(&self) -> Vec<Lost> {
        let ca = self.ca.load();
        let ca = (**ca).as_ref().and_then(Secret::lost);
        self.secrets.lost().chain(ca).collect()
    }

    /// The database, if other processes may work on it too: what has to hold over all of them is kept
    /// there.
    #[must_use]
    pub fn shared_store(&self) -> Option<&dyn Store> {
        self.store.is_shared().then_some(&*self.store)
    }

    /// Takes up what another replica stored, if it did.
    ///
    /// # Errors
    ///
    /// [`StartError`]; everything stays as it was.
    pub async fn follow_certificates(&self) -> Result<(), StartError> {
        let mut taken_up = self.taken_up.lock().await;
        let stored = Certificates::stored(&*self.store).await?;
        if *taken_up == stored {
            return Ok(());
        }
        self.take_up(stored, &mut taken_up).await
    }

    /// Reads server certificate and CAs from the store again: after a change, and on SIGHUP.
    /// Connections stay, except those of devices whose CA is no longer accepted.
    ///
    /// # Errors
    ///
    /// [`StartError`]; everything stays as it was.
    pub async fn reload_certificates(&self) -> Result<(), StartError> {
        let mut taken_up = self.taken_up.lock().await;
        let stored = Certificates::stored(&*self.store).await?;
        self.take_up(stored, &mut taken_up).await
    }

    async fn take_up(
        &self,
        stored: Certificates,
        taken_up: &mut Certificates,
    ) -> Result<(), StartError> {
        let active = crate::authority::active(&*self.store, &stored.cas).await?;
        let keys = crate::authority::keys(&stored.cas)?;
        self.tls.reload(&*self.store, &stored.cas).await?;
        self.ca_keys.store(Arc::new(keys));
        self.ca.store(Arc::new(active));
        *taken_up = stored;
        Ok(())
    }
}

/// A server that can read nothing was given the wrong data keys.
fn refuse_useless_keys(secrets: &Secrets, ca: &IssuingCa, tls: &Tls) -> Result<(), StartError> {
    let issues = ca.as_ref().is_some_and(|ca| ca.usable().is_some());
    let closed = secrets.lost().filter(|lost| lost.why == Why::NoDataKey);
    let opens_none = closed.count() == NamedSecret::ALL.len();
    if opens_none && !issues && !tls.is_https() {
        return Err(StartError::NothingOpens);
    }
    Ok(())
}

/// The public URL of this server, without a slash at its end.
fn issuer(config: &Config, address: SocketAddr, tls: &Tls) -> String {
    match &config.public_url {
        Some(url) => url.origin().ascii_serialization(),
        None if tls.is_https() => format!("https://{address}"),
        None => format!("http://{address}"),
    }
}
