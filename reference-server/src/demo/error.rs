use crate::start::StartError;

/// Why the demo broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    /// The server, or the terminal.
    #[error("{}", .0.one_line())]
    Start(#[from] StartError),
    #[error("the database refuses the server certificate")]
    Store(#[from] identity_store::Error),
    #[error("a file of the demo, or a port, is not to be had")]
    Io(#[from] std::io::Error),
    #[error("a key or a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    #[error("the server certificate is unusable")]
    ServerCertificate(#[from] identity_pki::Error),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("a variable is set wrong")]
    Config(#[from] crate::config::ConfigError),
    #[error("a PEM text is unusable")]
    Pem(#[from] rustls_pki_types::pem::Error),
    #[error("a request failed")]
    Http(#[from] reqwest::Error),
    #[error("the receipt is not what it should be")]
    Receipt(#[from] jsonwebtoken::errors::Error),
    /// The server answered something else than the story needs.
    #[error("{request} was to answer {expected}, and answered {status} {error} {detail}")]
    Answer {
        request: String,
        expected: String,
        status: u16,
        error: String,
        detail: String,
    },
    #[error("the answer to {request} has no text at {pointer}")]
    NoText { request: String, pointer: String },
    #[error("this was not to happen: {0}")]
    Plot(String),
}

/// Goes on if `condition` holds.
pub(super) fn ensure(condition: bool, otherwise: &str) -> Result<(), DemoError> {
    if condition {
        Ok(())
    } else {
        Err(DemoError::Plot(otherwise.to_owned()))
    }
}

impl From<DemoError> for StartError {
    fn from(error: DemoError) -> Self {
        Self::System {
            what: "the demo broke off",
            source: std::io::Error::other(error),
        }
    }
}
