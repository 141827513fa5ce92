use std::path::PathBuf;

use crate::audit::archive::ArchiveError;
use crate::audit::kept::KeptError;
use crate::config::ConfigError;
use crate::secrets::Lost;
use crate::tokens::TokenError;

/// Why the server does not start, or a reload leaves everything as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The environment is not good.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The database does not open, or what it holds cannot be read.
    #[error("{0}")]
    Store(#[from] identity_store::Error),
    /// A command wants a database that a server has been started on.
    #[error("DATABASE_URL: there is no database in {}", .0.display())]
    NoDatabase(PathBuf),
    /// The server certificate's private key cannot be read.
    #[error("the server certificate's private key cannot be read")]
    ServerKey(#[source] identity_store::Error),
    /// A listener cannot be opened.
    #[error("{variable}: cannot listen on {address}")]
    Listen {
        /// The variable that names the address.
        variable: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The data key beside the embedded database cannot be read or made.
    #[error("DATABASE_URL: the data key file beside the database cannot be read or made")]
    DataKeyFile(#[source] std::io::Error),
    /// PostgreSQL's own tools make its backups.
    #[error(
        "backup copies an embedded database: use pg_basebackup for PostgreSQL, see docs/OPERATIONS.md"
    )]
    BackupOfPostgres,
    /// A stored certificate or CA cannot be used.
    #[error("a stored certificate is unusable")]
    Certificate(#[from] identity_pki::Error),
    /// TLS cannot be set up with what is stored.
    #[error("TLS cannot be set up")]
    Tls(#[from] identity_mtls::Error),
    /// Nothing that the platform needs can be decrypted.
    #[error(
        "none of the platform's secrets can be decrypted with the configured data encryption keys"
    )]
    NothingOpens,
    /// A secret of the platform is lost.
    #[error("the platform's {} cannot be read ({}), and what needs it was not done", .0.name, .0.why)]
    SecretLost(Lost),
    /// The stored signing key cannot be used.
    #[error("the token signing key is unusable")]
    Tokens(#[from] TokenError),
    /// The stored pepper has another length.
    #[error("the stored pairing pepper is not 32 bytes long")]
    PairingPepper,
    /// The palm server's client cannot be made.
    #[error("BIOWAVE_URL: the palm client cannot be made")]
    PalmClient(#[source] biowave_client::Error),
    /// The client of webhooks cannot be made.
    #[error("the client of webhooks cannot be made")]
    WebhookClient(#[source] reqwest::Error),
    /// The mail server's client cannot be made.
    #[error("SMTP_URL: the mail client cannot be made")]
    Mail(#[from] crate::mail::MailError),
    /// A password cannot be hashed.
    #[error("the password cannot be hashed")]
    Password(#[from] crate::password::PasswordError),
    /// A console user to recover is not there.
    #[error("no console user has the address {0}: give the one that they sign in with")]
    NoConsoleUser(String),
    /// A month of the audit trail cannot be archived.
    #[error("the month is not archived")]
    Archive(#[from] ArchiveError),
    /// Chains of the audit trail are not whole and signed; which and where was printed.
    #[error("{0} chains of the audit trail are not whole and signed, or could not be verified")]
    AuditBroken(u64),
    /// What was given as a signed head was not signed by the platform.
    #[error("--head: not a signed head of this platform")]
    Head(#[source] TokenError),
    /// A file of heads cannot be verified against.
    #[error("--heads")]
    KeptHeads(#[from] KeptError),
    /// Nothing of a file of tombstones was replayed.
    #[error("erasures replay")]
    Tombstones(#[from] crate::erasure::TombstonesError),
    /// The operating system refused something that the process needs.
    #[error("{what}")]
    System {
        /// What was needed.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Something is not under the first data key after a rotation.
    #[error(
        "the rotation is not complete, keep the earlier data keys: {stale} values are still written under them by another process, {unreadable} open under no key ({named})"
    )]
    Rotation {
        /// How many values others wrote under another key.
        stale: u64,
        /// How many values no key opens.
        unreadable: u64,
        /// The first of those.
        named: String,
    },
    /// The description of the interface cannot be written.
    #[error("the OpenAPI document cannot be written")]
    OpenApi(#[from] serde_json::Error),
    /// The metrics recorder cannot be installed.
    #[error("metrics cannot be recorded")]
    Metrics(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl StartError {
    /// The error and its causes in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let first: &(dyn std::error::Error + 'static) = self;
        let mut lines: Vec<String> = Vec::new();
        for error in std::iter::successors(Some(first), |&error| error.source()) {
            let line = error.to_string();
            // A transparent wrapper says what its source says.
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        lines.join(": ").replace('\n', " ")
    }
}
