use std::time::Duration;

use crate::Refusal;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a call to the palm server, or the making of its client, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be one of a palm server.
    #[error("palm server address: {0}")]
    BaseUrl(BaseUrlRule),
    /// The HTTP client could not be set up, for instance without any trusted root.
    #[error("the HTTP client for the palm server cannot be set up")]
    Setup(#[source] Source),
    /// No connection: nothing was sent.
    #[error("no connection to the palm server")]
    Connect(#[source] Source),
    /// The time limit passed.
    #[error("no answer from the palm server within {} ms", limit.as_millis())]
    Timeout {
        /// The limit of the whole call.
        limit: Duration,
    },
    /// The connection broke after it was made.
    #[error("the connection to the palm server broke")]
    Broken(#[source] Source),
    /// An HTTP status that is no success.
    #[error("the palm server answered with HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// An answer longer than the limit; the rest was not read.
    #[error("the palm server's answer is longer than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// An answer that is not what the specification says.
    #[error("the palm server's answer is malformed: {0}")]
    Malformed(MalformedAnswer),
    /// The palm server understood and says no.
    #[error("the palm server refused: {0}")]
    Refused(Refusal),
}

impl Error {
    /// Whether the palm server may have carried out the call that ended in this error.
    ///
    /// It has not where nothing was sent, and where the palm server named a refusal. After anything
    /// else, its own store's failure included, nobody on this side knows.
    #[must_use]
    pub const fn may_have_happened(&self) -> bool {
        match self {
            Self::BaseUrl(_) | Self::Setup(_) | Self::Connect(_) => false,
            Self::Timeout { .. }
            | Self::Broken(_)
            | Self::Status { .. }
            | Self::TooLarge { .. }
            | Self::Malformed(_) => true,
            Self::Refused(refusal) => match refusal {
                Refusal::InsertFailed
                | Refusal::NameDuplicated
                | Refusal::AlreadyRegistered
                | Refusal::QueryTypeForbidden => false,
                Refusal::StoreError | Refusal::Other(_) => true,
            },
        }
    }
}

/// What is wrong with the address of a palm server. The address itself, which may hold a password,
/// is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BaseUrlRule {
    /// A scheme other than `http` and `https`.
    #[error("its scheme is http or https, not {found:?}")]
    Scheme {
        /// The scheme.
        found: String,
    },
    /// A user name or a password.
    #[error("it holds no user name and no password")]
    Credentials,
    /// A query or a fragment.
    #[error("it has neither query nor fragment")]
    QueryOrFragment,
}

/// What is wrong with an answer. Its text, which may hold a person's id, is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MalformedAnswer {
    /// No JSON of the expected shape.
    #[error("not the expected JSON, from line {line}, column {column}")]
    Json {
        /// Where reading stopped; 0 where the shape of `data` is wrong.
        line: usize,
        /// Where reading stopped; 0 where the shape of `data` is wrong.
        column: usize,
    },
    /// Success without `data`.
    #[error("code 0 without data")]
    NoData,
    /// The template that was added is another user's than the one asked for.
    #[error("it is about another user than the call")]
    OtherUser,
}

impl From<serde_json::Error> for MalformedAnswer {
    fn from(error: serde_json::Error) -> Self {
        Self::Json {
            line: error.line(),
            column: error.column(),
        }
    }
}
