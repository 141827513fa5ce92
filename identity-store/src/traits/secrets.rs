use async_trait::async_trait;

use crate::{CaRecord, CaState, Change, NamedSecret, Result, SecretBytes, ServerCertRecord};

/// The platform's keys and certificates. Back ends that write to disk encrypt private keys and
/// secrets with the data key. Events go to the platform's audit chain.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The server's TLS certificate.
    async fn server_cert(&self) -> Result<Option<ServerCertRecord>>;

    /// Replaces the server's TLS certificate; returns whether it is the first.
    /// Event: `server_cert_uploaded`.
    async fn put_server_cert(&self, change: Change, cert: ServerCertRecord) -> Result<bool>;

    /// All platform CAs, newest first.
    async fn cas(&self) -> Result<Vec<CaRecord>>;

    /// Adds a CA as [`CaRotation::add`](identity_pki::CaRotation::add) decides: as `active`, which
    /// makes the one before `retiring`, or as `prepared`. Event: `platform_ca_generated`.
    ///
    /// # Errors
    ///
    /// [`Conflict::CaRotation`](crate::Conflict::CaRotation).
    async fn add_ca(&self, change: Change, ca: CaRecord) -> Result<CaState>;

    /// The secret of that name; where there is none yet, `fresh` becomes it. Of any number of
    /// callers all get the same one. No event, no audit row.
    async fn named_secret(&self, name: NamedSecret, fresh: SecretBytes) -> Result<SecretBytes>;
}
