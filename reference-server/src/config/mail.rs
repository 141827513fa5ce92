//! How mail is sent: the server that takes it, and who it is from.

use std::net::IpAddr;

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use url::Url;
use zeroize::Zeroizing;

use super::lookup::{ConfigError, Variables};

const URL: &str = "SMTP_URL";
const FROM: &str = "ALERT_EMAIL_FROM";
const PRODUCT: &str = "IDENTITY_PRODUCT_NAME";

/// How mail is sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// `SMTP_URL`.
    pub server: SmtpServer,
    /// `ALERT_EMAIL_FROM`.
    pub from: Mailbox,
}

/// The server that takes mail.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What protects the connection.
    pub security: SmtpSecurity,
    /// What to sign in with.
    pub login: Option<SmtpLogin>,
}

/// What protects the connection to a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, or no mail.
    StartTls,
    /// Nothing.
    None,
}

/// An account at a mail server.
#[derive(Clone)]
pub struct SmtpLogin {
    /// Its name.
    pub user: String,
    password: Zeroizing<String>,
}

impl SmtpLogin {
    /// The password, for the one who signs in.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl std::fmt::Debug for SmtpLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SmtpLogin(..)")
    }
}

impl Mail {
    pub(super) fn read(vars: &Variables<'_>) -> Result<Option<Self>, ConfigError> {
        let url = vars.text(URL)?.map(Zeroizing::new);
        let server = url.map(|url| SmtpServer::parse(&url)).transpose();
        let server = server.map_err(|rule| ConfigError::new(URL, rule))?;
        let from = vars.parsed(FROM, "an e-mail address, or a name and <an e-mail address>")?;
        match (server, from) {
            (Some(server), Some(from)) => Ok(Some(Self { server, from })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(ConfigError::new(FROM, "set when SMTP_URL is")),
            (None, Some(_)) => Err(ConfigError::new(URL, "set when ALERT_EMAIL_FROM is")),
        }
    }
}

impl SmtpServer {
    /// Reads `smtps://` or `smtp://`, `[USER:PASSWORD@]HOST[:PORT]`, and `?tls=required` or `?tls=none`
    /// behind the latter; says what it has to be otherwise.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "smtps://HOST or smtp://HOST, with USER:PASSWORD@ before the host, a :PORT \
                            behind it and, for smtp, ?tls=required or ?tls=none";
        let url = Url::parse(text).map_err(|_| RULE)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(RULE)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(RULE);
        }
        let is_here = is_loopback(&host);
        let security = match (url.scheme(), url.query()) {
            ("smtps", None) => SmtpSecurity::Tls,
            ("smtp", Some("tls=required")) => SmtpSecurity::StartTls,
            ("smtp", Some("tls=none")) => SmtpSecurity::None,
            ("smtp", None) if is_here => SmtpSecurity::None,
            ("smtp", None) => SmtpSecurity::StartTls,
            _ => return Err(RULE),
        };
        let login = SmtpLogin::of(&url).ok_or(RULE)?;
        if login.is_some() && security == SmtpSecurity::None && !is_here {
            return Err("without tls=none when it holds a password");
        }
        let port = url.port().unwrap_or(match security {
            SmtpSecurity::Tls => 465,
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::None => 25,
        });
        Ok(Self {
            host,
            port,
            security,
            login,
        })
    }
}

impl SmtpLogin {
    /// The account that a URL names, if it names one; `None` for half an account.
    fn of(url: &Url) -> Option<Option<Self>> {
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8().ok()?;
            Some(text.into_owned())
        };
        match (url.username(), url.password()) {
            ("", None) => Some(None),
            ("", Some(_)) | (_, None | Some("")) => None,
            (user, Some(password)) => Some(Some(Self {
                user: decoded(user)?,
                password: Zeroizing::new(decoded(password)?),
            })),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// `IDENTITY_PRODUCT_NAME`.
pub(super) fn product_name(vars: &Variables<'_>) -> Result<String, ConfigError> {
    let name = vars.text(PRODUCT)?;
    let name = name.unwrap_or_else(|| "Link Identity".to_owned());
    let is_line = !name.chars().any(char::is_control) && name.trim() == name;
    if is_line && (1..=64).contains(&name.chars().count()) {
        Ok(name)
    } else {
        Err(ConfigError::new(PRODUCT, "1 to 64 characters on one line"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> (String, u16, SmtpSecurity, Option<(String, String)>) {
        let server = SmtpServer::parse(url).expect(url);
        let login = server
            .login
            .map(|it| (it.user.clone(), it.password().to_owned()));
        (server.host, server.port, server.security, login)
    }

    #[test]
    fn the_scheme_and_the_place_say_how_a_connection_is_protected() {
        use SmtpSecurity::{None as Open, StartTls, Tls};
        let account = Some(("me@example.org".to_owned(), "p/w+1".to_owned()));
        for (url, host, port, security, login) in [
            (
                "smtps://mail.example.org",
                "mail.example.org",
                465,
                Tls,
                None,
            ),
            (
                "smtps://me%40example.org:p%2Fw+1@mail:1465/",
                "mail",
                1465,
                Tls,
                account.clone(),
            ),
            (
                "smtp://mail.example.org",
                "mail.example.org",
                587,
                StartTls,
                None,
            ),
            (
                "smtp://me%40example.org:p%2Fw+1@mail",
                "mail",
                587,
                StartTls,
                account.clone(),
            ),
            ("smtp://mail:25?tls=required", "mail", 25, StartTls, None),
            ("smtp://relay?tls=none", "relay", 25, Open, None),
            ("smtp://127.0.0.1:1025", "127.0.0.1", 1025, Open, None),
            (
                "smtp://me%40example.org:p%2Fw+1@localhost",
                "localhost",
                25,
                Open,
                account,
            ),
            ("smtp://[::1]:1025", "::1", 1025, Open, None),
            ("smtp://[2001:db8::1]", "2001:db8::1", 587, StartTls, None),
            (
                "smtp://localhost:1025?tls=required",
                "localhost",
                1025,
                StartTls,
                None,
            ),
        ] {
            assert_eq!(
                server(url),
                (host.to_owned(), port, security, login),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_no_mail_server_or_would_show_a_password_is_refused() {
        for url in [
            "mail.example.org",
            "mail.example.org:25",
            "https://mail.example.org",
            "smtp://",
            "smtp:mail",
            "smtp://mail/path",
            "smtp://mail#there",
            "smtp://mail:port",
            "smtp://mail?tls=opportunistic",
            "smtps://mail?tls=none",
            "smtp://user@mail",
            "smtp://:canary@mail",
            "smtp://user:canary@relay?tls=none",
        ] {
            let rule = SmtpServer::parse(url).expect_err(url);
            assert!(!rule.contains("canary"), "{rule}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let server = SmtpServer::parse("smtps://user:canary@mail").expect("a server");
        assert!(!format!("{server:?}").contains("canary"));
    }
}
