//! The expiry of the platform's certificates (seed 002 §9.2.2): who is told, when, and of what. The
//! schedule is [`identity_pki::ExpiryThreshold`]'s.
//!
//! Each threshold is announced once in the audit trail and the outbox, from where webhooks are delivered,
//! and mailed once to every administrator of the platform. What failed of the mail is tried again at the
//! next turn, for those who did not have it. A banner follows from the certificates and the time alone.

mod banner;
mod letter;
mod rounds;
#[cfg(test)]
mod tests;

use identity_pki::{CaCertificate, ExpiryKind, Fingerprint, ServerCertificate};
use identity_store::{CaState, Result, Store};
use time::OffsetDateTime;

pub use banner::{Banner, BannerSeverity, banner};
pub use rounds::{Failure, Round, round};

/// A certificate of the platform whose expiry is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Which.
    pub kind: ExpiryKind,
    /// Its subject.
    pub subject: String,
    /// SHA-256 of it.
    pub fingerprint: Fingerprint,
    /// When it expires.
    pub not_after: OffsetDateTime,
}

/// In place of a subject.
const UNREADABLE: &str = "(the certificate cannot be read)";

/// The server's certificate, and the CA that issues. One that issues no more outlives each of its
/// certificates, and one that is prepared issues nothing yet.
///
/// # Errors
///
/// What the store fails with.
pub async fn watched(store: &dyn Store) -> Result<Vec<Watched>> {
    let server = store.server_cert().await?.map(|cert| Watched {
        kind: ExpiryKind::ServerCert,
        subject: ServerCertificate::from_pem_chain(&cert.chain_pem, None)
            .map_or_else(|_| UNREADABLE.to_owned(), |read| read.subject().to_owned()),
        fingerprint: cert.fingerprint,
        not_after: cert.not_after,
    });
    let cas = store.cas().await?.into_iter();
    let issuing = cas.filter(|ca| ca.state == CaState::Active);
    let issuing = issuing.map(|ca| Watched {
        kind: ExpiryKind::PlatformCa,
        subject: CaCertificate::from_pem(&ca.certificate_pem)
            .map_or_else(|_| UNREADABLE.to_owned(), |read| read.subject().to_owned()),
        fingerprint: ca.fingerprint,
        not_after: ca.not_after,
    });
    Ok(server.into_iter().chain(issuing).collect())
}

/// What people call it.
fn name(kind: ExpiryKind) -> &'static str {
    match kind {
        ExpiryKind::ServerCert => "Server TLS cert",
        ExpiryKind::PlatformCa => "Platform CA",
    }
}

/// When it expires, as a sentence goes on: `expires in 14 days`.
fn when(days_remaining: i64) -> String {
    match days_remaining {
        ..0 => "has expired".to_owned(),
        0 => "expires in less than a day".to_owned(),
        1 => "expires in 1 day".to_owned(),
        days => format!("expires in {days} days"),
    }
}
