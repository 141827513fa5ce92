//! Configuration from the environment (contract §14): read once, checked whole, before anything else
//! starts.

mod data_key_file;
mod database;
mod go_duration;
mod lookup;
mod mail;
mod networks;
mod postgres;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use identity_store::{Crypter, Migrate};
use url::Url;
use zeroize::Zeroizing;

use crate::webhooks::Loopback;
pub use data_key_file::load_or_create;
pub use database::{Database, SqlitePath};
pub use lookup::ConfigError;
use lookup::Variables;
pub use mail::{Mail, SmtpLogin, SmtpSecurity, SmtpServer};
pub use networks::{Networks, NoNetworks};
pub use postgres::{Pool, PostgresUrl};

/// How the server is run.
#[derive(Debug)]
pub struct Config {
    /// `DATABASE_URL`, or `DB_HOST` and the others of its kind.
    pub database: Database,
    /// `DB_MAX_OPEN_CONNS` and the others of its kind; for PostgreSQL.
    pub pool: Pool,
    /// `IDENTITY_MIGRATE`.
    pub migrate: Migrate,
    /// `IDENTITY_LISTEN`, or `PORT` on all addresses.
    pub listen: SocketAddr,
    /// `IDENTITY_METRICS_LISTEN`.
    pub metrics_listen: SocketAddr,
    /// `IDENTITY_PUBLIC_URL`; `None` takes it from the listener.
    pub public_url: Option<Url>,
    /// `IDENTITY_PROXY_PROTOCOL`: where the load balancers are whose PROXY header is believed.
    pub proxy_protocol: Networks,
    /// `IDENTITY_DATA_ENCRYPTION_KEYS`; `None` makes a key beside the embedded database. Nothing but
    /// migrations works on PostgreSQL without.
    pub data_keys: Option<Crypter>,
    /// `BIOWAVE_URL` and `BIOWAVE_TIMEOUT_MS`.
    pub palm_server: Option<PalmServer>,
    /// `PLATFORM_ADMIN_EMAIL` and `PLATFORM_ADMIN_INITIAL_PASSWORD`.
    pub first_admin: Option<FirstAdmin>,
    /// `SMTP_URL` and `ALERT_EMAIL_FROM`.
    pub mail: Option<Mail>,
    /// `IDENTITY_PRODUCT_NAME`: what mail is marked with.
    pub product_name: String,
    /// `IDENTITY_AUDIT_RETENTION_MONTHS` and `IDENTITY_AUDIT_ARCHIVES`.
    pub audit: Audit,
    /// `IDENTITY_WEBHOOK_ALLOW_LOOPBACK`.
    pub webhook_loopback: Loopback,
    /// `IDENTITY_RATE_LIMITS`.
    pub rate_limits: bool,
    /// `IDENTITY_LOG` and `IDENTITY_LOG_FORMAT`.
    pub log: Log,
}

/// Where the palm server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PalmServer {
    /// Its base URL.
    pub url: Url,
    /// How long one call may take.
    pub timeout: Duration,
}

/// The platform administrator that an empty database is seeded with.
#[derive(Debug)]
pub struct FirstAdmin {
    /// Their address.
    pub email: String,
    /// Their first password, which they have to change.
    pub password: InitialPassword,
}

/// A password from the environment.
pub struct InitialPassword(Zeroizing<String>);

impl InitialPassword {
    /// The password, for the one who hashes it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for InitialPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InitialPassword(..)")
    }
}

/// How long audit rows stay in the database, and where their archives are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// How many whole months stay beside the running one; `None` keeps all.
    pub retention_months: Option<NonZeroU32>,
    /// The folder of the archives.
    pub archives: Option<PathBuf>,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Filter directives of `tracing-subscriber`.
    pub filter: String,
    /// One JSON object a line, or text for people.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON objects.
    Json,
    /// Text for people.
    Pretty,
}

impl Config {
    /// Reads the process' environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_env() -> Result<Self, ConfigError> {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        Self::from_lookup(std::env::var_os, terminal)
    }

    /// Reads variables by `lookup`; `terminal` tells whether people read the log as it is written.
    /// A variable that is set to nothing counts as not set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the variable.
    pub fn from_lookup(
        lookup: impl Fn(&'static str) -> Option<std::ffi::OsString>,
        terminal: bool,
    ) -> Result<Self, ConfigError> {
        let vars = Variables::new(&lookup);
        Ok(Self {
            database: Database::read(&vars)?,
            pool: Pool::read(&vars)?,
            migrate: vars
                .choice(
                    "IDENTITY_MIGRATE",
                    &[("auto", Migrate::Auto), ("off", Migrate::Off)],
                )?
                .unwrap_or(Migrate::Auto),
            listen: listen(&vars)?,
            metrics_listen: vars
                .parsed(
                    "IDENTITY_METRICS_LISTEN",
                    "an address and port like 127.0.0.1:9464",
                )?
                .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9464))),
            public_url: public_url(&vars)?,
            proxy_protocol: vars
                .parsed(
                    "IDENTITY_PROXY_PROTOCOL",
                    "networks like 10.0.0.0/8 or addresses, separated by commas",
                )?
                .unwrap_or_default(),
            data_keys: data_keys(&vars)?,
            palm_server: palm_server(&vars)?,
            first_admin: first_admin(&vars)?,
            mail: Mail::read(&vars)?,
            product_name: mail::product_name(&vars)?,
            audit: audit(&vars)?,
            webhook_loopback: vars
                .choice(
                    "IDENTITY_WEBHOOK_ALLOW_LOOPBACK",
                    &[("true", Loopback::Allowed), ("false", Loopback::Refused)],
                )?
                .unwrap_or(Loopback::Refused),
            rate_limits: vars
                .choice("IDENTITY_RATE_LIMITS", &[("on", true), ("off", false)])?
                .unwrap_or(true),
            log: log(&vars, terminal)?,
        })
    }
}

fn listen(vars: &Variables<'_>) -> Result<SocketAddr, ConfigError> {
    let listen = vars.parsed("IDENTITY_LISTEN", "an address and port like 127.0.0.1:3000")?;
    let port: Option<u16> = vars.parsed("PORT", "a port number")?;
    let on_all = port.map(|port| SocketAddr::from(([0, 0, 0, 0], port)));
    Ok(listen
        .or(on_all)
        .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000))))
}

fn public_url(vars: &Variables<'_>) -> Result<Option<Url>, ConfigError> {
    const RULE: &str = "an http or https URL without path, query and user";
    let name = "IDENTITY_PUBLIC_URL";
    let url: Option<Url> = vars.parsed(name, RULE)?;
    match url {
        Some(url) if !is_origin(&url) => Err(ConfigError::new(name, RULE)),
        url => Ok(url),
    }
}

fn is_origin(url: &Url) -> bool {
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    is_http(url) && bare && url.username().is_empty() && url.password().is_none()
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

fn data_keys(vars: &Variables<'_>) -> Result<Option<Crypter>, ConfigError> {
    const NAME: &str = "IDENTITY_DATA_ENCRYPTION_KEYS";
    let text = vars.text(NAME)?.map(Zeroizing::new);
    let parse = |text: Zeroizing<String>| {
        let rule = "id:key[,id:key…], each key 32 bytes in unpadded base64url";
        Crypter::parse(&text).map_err(|_| ConfigError::new(NAME, rule))
    };
    text.map(parse).transpose()
}

fn palm_server(vars: &Variables<'_>) -> Result<Option<PalmServer>, ConfigError> {
    const RULE: &str = "an http or https URL";
    let millis: Option<u64> = vars.parsed(
        "BIOWAVE_TIMEOUT_MS",
        "a number of milliseconds, 100 to 60000",
    )?;
    if millis.is_some_and(|millis| !(100..=60_000).contains(&millis)) {
        let rule = "a number of milliseconds, 100 to 60000";
        return Err(ConfigError::new("BIOWAVE_TIMEOUT_MS", rule));
    }
    let url: Option<Url> = vars.parsed("BIOWAVE_URL", RULE)?;
    match url {
        Some(url) if !is_http(&url) => Err(ConfigError::new("BIOWAVE_URL", RULE)),
        url => Ok(url.map(|url| PalmServer {
            url,
            timeout: Duration::from_millis(millis.unwrap_or(3000)),
        })),
    }
}

fn first_admin(vars: &Variables<'_>) -> Result<Option<FirstAdmin>, ConfigError> {
    const EMAIL: &str = "PLATFORM_ADMIN_EMAIL";
    const PASSWORD: &str = "PLATFORM_ADMIN_INITIAL_PASSWORD";
    let email = vars.text(EMAIL)?;
    let password = vars
        .text(PASSWORD)?
        .map(|text| InitialPassword(Zeroizing::new(text)));
    match (email, password) {
        (Some(email), Some(password)) => {
            let email = crate::http::Email::parse(&email)
                .map_err(|_| ConfigError::new(EMAIL, "an e-mail address"))?;
            Ok(Some(FirstAdmin {
                email: email.into_string(),
                password,
            }))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::new(
            PASSWORD,
            "set when PLATFORM_ADMIN_EMAIL is",
        )),
        (None, Some(_)) => Err(ConfigError::new(
            EMAIL,
            "set when PLATFORM_ADMIN_INITIAL_PASSWORD is",
        )),
    }
}

fn audit(vars: &Variables<'_>) -> Result<Audit, ConfigError> {
    const MONTHS: &str = "IDENTITY_AUDIT_RETENTION_MONTHS";
    const ARCHIVES: &str = "IDENTITY_AUDIT_ARCHIVES";
    const RULE: &str = "a number of months, 0 to 1200";
    let months: u32 = vars.parsed(MONTHS, RULE)?.unwrap_or(0);
    let archives = vars.text(ARCHIVES)?.map(PathBuf::from);
    if months > 1200 {
        return Err(ConfigError::new(MONTHS, RULE));
    }
    if months > 0 && archives.is_none() {
        let rule = "the folder of the archives when IDENTITY_AUDIT_RETENTION_MONTHS is set";
        return Err(ConfigError::new(ARCHIVES, rule));
    }
    Ok(Audit {
        retention_months: NonZeroU32::new(months),
        archives,
    })
}

fn log(vars: &Variables<'_>, terminal: bool) -> Result<Log, ConfigError> {
    let filter = vars
        .text("IDENTITY_LOG")?
        .unwrap_or_else(|| "info".to_owned());
    if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
        let rule = "log filter directives like info or info,identity_store=debug";
        return Err(ConfigError::new("IDENTITY_LOG", rule));
    }
    let formats = [("json", LogFormat::Json), ("pretty", LogFormat::Pretty)];
    let default = if terminal {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    };
    let format = vars
        .choice("IDENTITY_LOG_FORMAT", &formats)?
        .unwrap_or(default);
    Ok(Log { filter, format })
}

#[cfg(test)]
mod tests;
