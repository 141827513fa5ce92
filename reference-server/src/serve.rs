//! The command `serve`: from configuration to a running server, and to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use identity_store::{Crypter, Migrate, PoolOptions, SqlStore};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::clock::{self, SystemClock};
use crate::config::{self, Config, ConfigError, Database};
use crate::listener::Transport;
use crate::start::StartError;
use crate::{App, descriptors, http, jobs, listener};

/// How long the jobs may take for their last turns. They wait for nothing but the database and the palm
/// server, and what they leave is taken up by the next process.
const LAST_TURNS: Duration = Duration::from_secs(5);

/// Runs the server until SIGTERM or SIGINT, or until the first server certificate was uploaded.
///
/// # Errors
///
/// [`StartError`] when it does not start.
pub async fn serve(config: Config, metrics: Option<PrometheusHandle>) -> Result<(), StartError> {
    let mut signals = Signals::new()?;
    descriptors::raise_limit();
    let server = Server::start(config, metrics).await?;
    loop {
        tokio::select! {
            () = server.app.shutdown.cancelled() => break,
            _ = signals.terminate.recv() => server.app.shutdown.cancel(),
            _ = signals.interrupt.recv() => server.app.shutdown.cancel(),
            _ = signals.reload.recv() => reload(&server.app).await,
        }
    }
    tracing::info!("stopping");
    server.join().await;
    Ok(())
}

async fn reload(app: &App) {
    match app.reload_certificates().await {
        Ok(()) => tracing::info!("certificates were reloaded"),
        Err(error) => {
            tracing::error!(error = error.one_line(), "certificates were not reloaded");
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Its parts.
    pub app: Arc<App>,
    /// Where the API is listened for.
    pub address: SocketAddr,
    listeners: TaskTracker,
    jobs: TaskTracker,
}

impl Server {
    /// Binds the listeners, opens the database, seeds the first administrator, and starts serving
    /// and the jobs. It ends when [`App::shutdown`] is cancelled.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is served then.
    pub async fn start(
        mut config: Config,
        metrics: Option<PrometheusHandle>,
    ) -> Result<Self, StartError> {
        let api = bind("IDENTITY_LISTEN", config.listen).await?;
        let operations = bind("IDENTITY_METRICS_LISTEN", config.metrics_listen).await?;
        let address = api.local_addr().map_err(no_address)?;
        let operations_address = operations.local_addr().map_err(no_address)?;
        let first_admin = config.first_admin.take();
        let store = Arc::new(open_store(&config).await?);
        let app = App::load(config, address, store, Arc::new(SystemClock), metrics).await?;
        if !app.store.is_shared() {
            let given_back = app.store.release_all().await?;
            tracing::debug!(given_back, "requests of an earlier run were never answered");
        }
        if let Some(admin) = first_admin {
            http::seed(&app, admin).await?;
        } else if app.store.platform_admins().await?.is_empty() {
            tracing::warn!(
                "there is no platform administrator: start with PLATFORM_ADMIN_EMAIL and \
                 PLATFORM_ADMIN_INITIAL_PASSWORD to make the first"
            );
        }
        if !app.config.rate_limits {
            tracing::warn!("IDENTITY_RATE_LIMITS is off: request rates are not limited");
        }
        let (listeners, jobs) = (TaskTracker::new(), TaskTracker::new());
        jobs::start(&app, &jobs);
        let routes = http::router(&app);
        listeners.spawn(listener::serve(
            Arc::clone(&app),
            api,
            routes,
            Transport::Api,
        ));
        let routes = http::metrics_router(&app);
        listeners.spawn(listener::serve(
            Arc::clone(&app),
            operations,
            routes,
            Transport::Plain,
        ));
        let scheme = if app.tls.is_https() { "https" } else { "http" };
        tracing::info!(scheme, %address, metrics = %operations_address, "listening");
        Ok(Self {
            app,
            address,
            listeners,
            jobs,
        })
    }

    /// Waits until running requests have finished, then the jobs, which take up what those left, and
    /// closes the database: each for a bounded time, so that a database that no longer answers holds up
    /// no end. Cancel [`App::shutdown`] first.
    pub async fn join(self) {
        self.listeners.close();
        self.listeners.wait().await;
        self.app.drained.cancel();
        self.jobs.close();
        if timeout(LAST_TURNS, self.jobs.wait()).await.is_err() {
            tracing::warn!(jobs = self.jobs.len(), "jobs were cut at the end");
        }
        self.app.store.close().await;
        tracing::info!("stopped");
    }
}

/// Brings the database's schema up to date: the command `migrate`.
///
/// # Errors
///
/// [`StartError`] when the database does not open or its schema is newer.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    let (url, crypter) = match &config.database {
        Database::Sqlite(_) => (config.database.url(), Some(crypter(config)?)),
        // It encrypts nothing there: the schema's owner needs no data key.
        Database::Postgres(_) => (config.database.url(), config.data_keys.clone()),
    };
    Ok(SqlStore::migrate(&url, crypter.as_ref(), clock::entropy()).await?)
}

/// Opens the database that the configuration names.
pub(crate) async fn open_store(config: &Config) -> Result<SqlStore, StartError> {
    let (crypter, url) = (crypter(config)?, config.database.url());
    let pool = PoolOptions {
        max_connections: config.pool.max_open,
        max_idle: config.pool.max_idle,
        max_lifetime: config.pool.max_lifetime,
        idle_timeout: config.pool.max_idle_time,
        ..PoolOptions::default()
    };
    let opened = SqlStore::open(&url, &pool, crypter, clock::entropy(), config.migrate);
    Ok(opened.await?)
}

/// Opens the database for a command beside servers: they decide when the schema changes.
pub(crate) async fn open_as_it_is(mut config: Config) -> Result<SqlStore, StartError> {
    config.migrate = Migrate::Off;
    require_database(&config)?;
    open_store(&config).await
}

/// A command makes no database.
///
/// # Errors
///
/// [`StartError::NoDatabase`].
pub(crate) fn require_database(config: &Config) -> Result<(), StartError> {
    match &config.database {
        Database::Sqlite(path) if !path.as_path().exists() => {
            Err(StartError::NoDatabase(path.as_path().to_owned()))
        }
        Database::Sqlite(_) | Database::Postgres(_) => Ok(()),
    }
}

/// What the database's columns are encrypted with.
fn crypter(config: &Config) -> Result<Crypter, StartError> {
    match (&config.data_keys, &config.database) {
        (Some(crypter), _) => Ok(crypter.clone()),
        (None, Database::Sqlite(path)) => {
            config::load_or_create(&path.data_key_file()).map_err(StartError::DataKeyFile)
        }
        (None, Database::Postgres(_)) => {
            let rule = "set with PostgreSQL, and the same for every server on one database";
            Err(ConfigError::new("IDENTITY_DATA_ENCRYPTION_KEYS", rule).into())
        }
    }
}

async fn bind(variable: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen {
        variable,
        address,
        source,
    };
    TcpListener::bind(address).await.map_err(failed)
}

fn no_address(source: std::io::Error) -> StartError {
    StartError::System {
        what: "a listener has no address",
        source,
    }
}

/// What the operating system tells a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> Result<Self, StartError> {
        let on = |kind| {
            signal(kind).map_err(|source| StartError::System {
                what: "no signal handler",
                source,
            })
        };
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            reload: on(SignalKind::hangup())?,
        })
    }
}
