//! Mail through the server that the configuration names.

use std::fmt;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::config::{Mail, SmtpSecurity, SmtpServer};

/// How long a connection to the mail server may take to come about.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long a letter may take, from the connection on.
const SENDING: Duration = Duration::from_secs(30);

/// A letter to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// What a repetition of the letter has in common with it, and nothing else has: letters, digits, dots
    /// and underscores.
    pub id: String,
    /// What it is about.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// Whether it is marked as one to read at once.
    pub is_urgent: bool,
}

/// Why a letter was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The recipient's address is none that mail is sent to.
    #[error("the recipient's address is unusable")]
    Address,
    /// The mail server will take no letter to this recipient, whenever it is asked. What it said may name
    /// the recipient, and is not repeated.
    #[error("the mail server refused it with {0}")]
    Refused(u16),
    /// The mail server did not take it now, or refused it for a reason that is not the recipient's.
    #[error("the mail server did not take it{}", status(.0))]
    NotNow(Box<lettre::transport::smtp::Error>),
    /// The mail server did not answer in time.
    #[error("the mail server did not answer in time")]
    TimedOut,
    /// The letter cannot be written.
    #[error("the letter cannot be written")]
    Letter(#[source] lettre::error::Error),
    /// TLS cannot be set up.
    #[error("TLS to the mail server cannot be set up")]
    Tls(#[source] lettre::transport::smtp::Error),
}

/// What the mail server answered, or what happened to the connection.
fn status(error: &lettre::transport::smtp::Error) -> String {
    use std::error::Error as _;
    match (error.status(), error.source()) {
        (Some(code), _) => format!(", and said {code}"),
        // Its source repeats whatever came.
        (None, _) if error.is_response() => ", and what it said is no reply of SMTP".to_owned(),
        (None, Some(source)) => format!(": {source}"),
        (None, None) => String::new(),
    }
}

impl MailError {
    /// Whether another try at another time makes no difference to this recipient.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Address | Self::Refused(_) | Self::Letter(_) => true,
            Self::NotNow(_) | Self::TimedOut | Self::Tls(_) => false,
        }
    }

    /// Whether nobody else can be written to now either: the mail server is not there, or takes no letter
    /// from us.
    #[must_use]
    pub fn is_the_servers(&self) -> bool {
        match self {
            Self::Address | Self::Refused(_) | Self::Letter(_) => false,
            Self::NotNow(error) => error.status().is_none_or(|code| {
                // Closing (RFC 5321 §4.2.2), no mail here at all (RFC 7504), or about our login (RFC 4954 §6).
                matches!(
                    u16::from(code),
                    421 | 432 | 454 | 521 | 530 | 534 | 535 | 538
                )
            }),
            Self::TimedOut | Self::Tls(_) => true,
        }
    }
}

impl From<lettre::transport::smtp::Error> for MailError {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        use std::error::Error as _;
        let said = error.source().map(ToString::to_string).unwrap_or_default();
        match error.status().map(u16::from) {
            Some(code) if is_of_recipient(code, &said) => Self::Refused(code),
            _ => Self::NotNow(Box::new(error)),
        }
    }
}

/// Whether a reply says that there will never be mail for its recipient. Others with 5 speak of the mail
/// server, of our login, of what it thinks of us or of the letter: those may be mended.
fn is_of_recipient(code: u16, said: &str) -> bool {
    // RFC 5321 §4.2.3 and RFC 7504; 554 says anything.
    if !matches!(code, 550 | 551 | 552 | 553 | 556) {
        return false;
    }
    let enhanced = said.split_whitespace().next().unwrap_or_default();
    let mut parts = enhanced.split('.').map(str::parse::<u16>);
    let (Some(Ok(_)), Some(Ok(subject)), Some(Ok(detail)), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return true;
    };
    // RFC 3463 §3: addresses and mailboxes. 5.1.7 and 5.1.8 are of the sender's.
    matches!((subject, detail), (1, _) | (2, _)) && !matches!((subject, detail), (1, 7 | 8))
}

/// Sends letters.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailer(..)")
    }
}

impl Mailer {
    /// A client of the mail server. Certificates of the machine's trust store are believed.
    ///
    /// # Errors
    ///
    /// [`MailError::Tls`].
    pub fn new(mail: &Mail) -> Result<Self, MailError> {
        let SmtpServer {
            host,
            port,
            security,
            login,
        } = &mail.server;
        let parameters = || TlsParameters::new(host.clone()).map_err(MailError::Tls);
        let tls = match security {
            SmtpSecurity::Tls => Tls::Wrapper(parameters()?),
            SmtpSecurity::StartTls => Tls::Required(parameters()?),
            SmtpSecurity::None => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
            .port(*port)
            .tls(tls)
            .timeout(Some(CONNECTING));
        if let Some(login) = login {
            let (user, password) = (login.user.clone(), login.password().to_owned());
            transport = transport.credentials(Credentials::new(user, password));
        }
        Ok(Self {
            transport: transport.build(),
            from: mail.from.clone(),
        })
    }

    /// Sends a letter of `now` to one address, over a connection of its own.
    ///
    /// # Errors
    ///
    /// [`MailError`]. A letter that was given up may have been taken all the same.
    pub async fn send(
        &self,
        letter: &Letter,
        to: &str,
        now: OffsetDateTime,
    ) -> Result<(), MailError> {
        let message = self.message(letter, to, now)?;
        match timeout(SENDING, self.transport.send(message)).await {
            Ok(sent) => sent.map(drop).map_err(MailError::from),
            Err(_) => Err(MailError::TimedOut),
        }
    }

    fn message(
        &self,
        letter: &Letter,
        to: &str,
        now: OffsetDateTime,
    ) -> Result<Message, MailError> {
        let to: Address = to.parse().map_err(|_| MailError::Address)?;
        let id = format!("<{}@{}>", letter.id, self.from.email.domain());
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&letter.subject)
            .date(now.into())
            .message_id(Some(id))
            // RFC 3834 §5: nobody's holiday is to answer it.
            .raw_header(raw("Auto-Submitted", "auto-generated"))
            .header(ContentType::TEXT_PLAIN);
        if letter.is_urgent {
            message = message
                .raw_header(raw("Importance", "high"))
                .raw_header(raw("X-Priority", "1"));
        }
        message.body(letter.text.clone()).map_err(MailError::Letter)
    }
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::new(name, value.to_owned())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::config::Config;

    fn mailer() -> Mailer {
        let variables = |name: &str| match name {
            "SMTP_URL" => Some("smtps://user:canary@mail.example.org".into()),
            "ALERT_EMAIL_FROM" => Some("Link Identity <alerts@example.org>".into()),
            _ => None,
        };
        let config = Config::from_lookup(variables, false).expect("a configuration");
        Mailer::new(&config.mail.expect("mail")).expect("a mailer")
    }

    fn letter(is_urgent: bool) -> Letter {
        Letter {
            id: "abc.14.adm_1".to_owned(),
            subject: "[Link Identity] Zertifikat läuft ab\r\nBcc: eve@example.org".to_owned(),
            text: "The certificate expires.\n".to_owned(),
            is_urgent,
        }
    }

    fn formatted(is_urgent: bool) -> String {
        let now = datetime!(2026-11-23 12:00 UTC);
        let message = mailer().message(&letter(is_urgent), "ada@example.org", now);
        String::from_utf8(message.expect("a message").formatted()).expect("ASCII")
    }

    #[test]
    fn a_letter_has_its_headers_and_none_of_its_subjects() {
        let message = formatted(false);
        for line in [
            "To: ada@example.org",
            "Date: Mon, 23 Nov 2026 12:00:00 +0000",
            "Message-ID: <abc.14.adm_1@example.org>",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(message.lines().any(|it| it == line), "{line}: {message}");
        }
        let lines = || message.lines().map(str::to_ascii_lowercase);
        assert!(!lines().any(|line| line.starts_with("bcc:")), "{message}");
        assert!(!lines().any(|line| line.starts_with("importance:")));
        assert!(formatted(true).contains("Importance: high\r\n"));
    }

    #[test]
    fn an_address_that_is_none_is_told_without_it() {
        let now = datetime!(2026-11-23 12:00 UTC);
        let error = mailer().message(&letter(false), "no address", now);
        assert!(matches!(error, Err(MailError::Address)), "{error:?}");
    }

    #[test]
    fn a_refusal_for_good_is_one_of_the_recipient() {
        for (code, said, expected) in [
            (550, "no such user", true),
            (550, "5.1.1 no such user", true),
            (551, "not here", true),
            (552, "5.2.2 mailbox full", true),
            (553, "mailbox name not allowed", true),
            (556, "5.1.10 null MX", true),
            (550, "5.7.1 relaying denied", false),
            (550, "5.1.7 bad sender", false),
            (550, "5.1.8 bad sender's domain", false),
            (552, "5.3.4 too big", false),
            (500, "what", false),
            (521, "no mail here", false),
            (530, "5.7.0 authentication required", false),
            (535, "5.7.8 bad credentials", false),
            (554, "no", false),
            (554, "5.7.1 spam", false),
            (450, "4.2.1 not now", false),
            (550, "10.0.0.1 is on a list", true),
            (550, "", true),
        ] {
            assert_eq!(is_of_recipient(code, said), expected, "{code} {said}");
        }
    }

    #[test]
    fn a_mailer_shows_no_password() {
        assert!(!format!("{:?}", mailer()).contains("canary"));
    }
}
