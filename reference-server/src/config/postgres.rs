//! Where PostgreSQL is, and how many connections to it are held.

use std::fmt;
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use super::ConfigError;
use super::go_duration;
use super::lookup::Variables;

const HOST: &str = "DB_HOST";
pub(super) const URL_RULE: &str = "sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE";
/// What PostgreSQL's own library calls `allow` is no TLS at all here, so that it is not taken.
const SSL_MODES: [(&str, &str); 5] = [
    ("disable", "disable"),
    ("prefer", "prefer"),
    ("require", "require"),
    ("verify-ca", "verify-ca"),
    ("verify-full", "verify-full"),
];
/// Parameters of a database's URL that do something. Another would be ignored, and logged with its
/// value.
const PARAMETERS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "application_name",
    "options",
];

/// A PostgreSQL database's URL. It holds a password, so nothing shows it.
#[derive(Clone)]
pub struct PostgresUrl(Zeroizing<String>);

impl PostgresUrl {
    /// The URL, for the one who connects.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// From `DATABASE_URL`.
    pub(super) fn parse(text: String) -> Result<Self, ConfigError> {
        let refused = |rule: &str| ConfigError::new("DATABASE_URL", rule);
        let text = Zeroizing::new(text);
        let url = Url::parse(&text).map_err(|_| refused(URL_RULE))?;
        let mut names_database = url.path().len() > 1;
        for (name, value) in url.query_pairs() {
            names_database |= name == "dbname" && !value.is_empty();
            if !PARAMETERS.contains(&&*name) {
                let known = PARAMETERS.join(", ");
                return Err(refused(&format!("a URL without parameters but {known}")));
            }
            if name == "sslmode" && !SSL_MODES.iter().any(|(mode, _)| *mode == value) {
                let modes: Vec<_> = SSL_MODES.iter().map(|(mode, _)| *mode).collect();
                return Err(refused(&format!(
                    "a URL whose sslmode is {}",
                    modes.join(" or ")
                )));
            }
        }
        if !names_database || url.fragment().is_some() {
            return Err(refused(URL_RULE));
        }
        Ok(Self(text))
    }

    /// From seed 001's variables; `None` when none of them is set.
    pub(super) fn from_parts(vars: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        let host = vars.text(HOST)?;
        let port: Option<u16> = vars.parsed("DB_PORT", "a port number")?;
        let user = vars.text("DB_USER")?;
        let password = vars.text("DB_PASSWORD")?.map(Zeroizing::new);
        let database = vars.text("DB_NAME")?;
        let ssl_mode = vars.choice("DB_SSLMODE", &SSL_MODES)?;
        let Some(host) = host else {
            let others = [port.is_some(), user.is_some(), password.is_some()];
            let any = others.contains(&true) || database.is_some() || ssl_mode.is_some();
            let rule = "set when another DB_ variable names a PostgreSQL database";
            return if any {
                Err(ConfigError::new(HOST, rule))
            } else {
                Ok(None)
            };
        };
        let needed = |name| ConfigError::new(name, "set when DB_HOST is");
        let (host, own_port) = host_and_port(&host)?;
        let mut parameters = url::form_urlencoded::Serializer::new(String::new());
        // As parameters, since not every host can stand in a URL's place for it: a socket's folder.
        parameters
            .append_pair("host", host)
            .append_pair("port", &port.or(own_port).unwrap_or(5432).to_string())
            .append_pair("user", &user.ok_or_else(|| needed("DB_USER"))?)
            .append_pair("dbname", &database.ok_or_else(|| needed("DB_NAME"))?)
            .append_pair("sslmode", ssl_mode.unwrap_or("disable"));
        if let Some(password) = password {
            parameters.append_pair("password", &password);
        }
        let parameters = Zeroizing::new(parameters.finish());
        Ok(Some(Self(Zeroizing::new(format!(
            "postgres://?{}",
            *parameters
        )))))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl(..)")
    }
}

/// `host`, `host:port`, `[IPv6]:port`, a bare IPv6 address, or a socket's folder.
fn host_and_port(text: &str) -> Result<(&str, Option<u16>), ConfigError> {
    let rule = "a host, a host and port, or the folder of a socket";
    let refused = || ConfigError::new(HOST, rule);
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or_else(refused)?;
            (
                host,
                rest.strip_prefix(':').or(rest.is_empty().then_some("")),
            )
        }
        None if text.starts_with('/') || text.matches(':').count() != 1 => (text, Some("")),
        None => text
            .split_once(':')
            .map(|(host, port)| (host, Some(port)))
            .ok_or_else(refused)?,
    };
    let port = match port.ok_or_else(refused)? {
        "" => None,
        digits => Some(digits.parse().map_err(|_| refused())?),
    };
    let good = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '@');
    if good {
        Ok((host, port))
    } else {
        Err(refused())
    }
}

/// How many connections to PostgreSQL are held, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// `DB_MAX_OPEN_CONNS`: the most connections, 2 to 1000.
    pub max_open: u32,
    /// `DB_MAX_IDLE_CONNS`: the most that are kept unused, at most `max_open`.
    pub max_idle: u32,
    /// `DB_CONN_MAX_LIFETIME`: how old a connection gets; `None` is any age.
    pub max_lifetime: Option<Duration>,
    /// `DB_CONN_MAX_IDLE_TIME`: how long it lies unused before it is closed; `None` is for ever.
    pub max_idle_time: Option<Duration>,
}

impl Pool {
    pub(super) fn read(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        const OPEN: &str = "DB_MAX_OPEN_CONNS";
        const IDLE: &str = "DB_MAX_IDLE_CONNS";
        let rule = "a number of connections, 2 to 1000";
        let max_open = vars.parsed(OPEN, rule)?.unwrap_or(16);
        if !(2..=1000).contains(&max_open) {
            return Err(ConfigError::new(OPEN, rule));
        }
        let rule = "a number of connections, at most DB_MAX_OPEN_CONNS";
        let max_idle = vars.parsed(IDLE, rule)?.unwrap_or(max_open.min(4));
        if max_idle > max_open {
            return Err(ConfigError::new(IDLE, rule));
        }
        Ok(Self {
            max_open,
            max_idle,
            max_lifetime: limit(vars, "DB_CONN_MAX_LIFETIME", Duration::from_secs(300))?,
            max_idle_time: limit(vars, "DB_CONN_MAX_IDLE_TIME", Duration::from_secs(60))?,
        })
    }
}

/// A limit in Go's form, where 0 is none.
fn limit(
    vars: &Variables<'_>,
    name: &'static str,
    default: Duration,
) -> Result<Option<Duration>, ConfigError> {
    let parse = |text: String| {
        let rule = "a duration like 5m or 1h30m, or 0 for no limit";
        go_duration::parse(&text).ok_or_else(|| ConfigError::new(name, rule))
    };
    let limit = vars.text(name)?.map(parse).transpose()?.unwrap_or(default);
    Ok((!limit.is_zero()).then_some(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_come_with_its_port() {
        for (text, host, port) in [
            ("db", "db", None),
            ("db.example:6432", "db.example", Some(6432)),
            ("192.0.2.7:1", "192.0.2.7", Some(1)),
            ("[2001:db8::1]:5433", "2001:db8::1", Some(5433)),
            ("[2001:db8::1]", "2001:db8::1", None),
            ("2001:db8::1", "2001:db8::1", None),
            ("/run/postgresql", "/run/postgresql", None),
        ] {
            assert_eq!(host_and_port(text), Ok((host, port)), "{text}");
        }
        for text in [
            ":5432",
            "db:port",
            "db:70000",
            "[::1",
            "[::1]5432",
            "[]:1",
            "a b",
            "user@db",
        ] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
    }
}
