use async_trait::async_trait;
use identity_pki::Fingerprint;

use crate::{
    CaOrigin, CaRecord, CaState, Change, ComparedKey, NamedSecret, PrivateKeyPem, Result,
    SecretBytes, ServerCertRecord,
};

/// The platform's keys and certificates. Back ends that write to disk encrypt private keys and
/// secrets with the data key. Events go to the platform's audit chain.
///
/// Certificates are read without their keys, so that a key that cannot be decrypted fails only what
/// needs that key.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// The server's TLS certificate.
    async fn server_cert(&self) -> Result<Option<ServerCertRecord>>;

    /// Replaces the server's TLS certificate and its key, which is no CA's and no device's; returns
    /// whether it is the first. Event: `server_cert_uploaded`.
    ///
    /// # Errors
    ///
    /// [`Conflict::KeyNotCompared`](crate::Conflict::KeyNotCompared): there is a CA, in whatever state,
    /// that `compared` does not have. [`Conflict::KeyReused`](crate::Conflict::KeyReused): a device has, or
    /// had, the key.
    async fn put_server_cert(
        &self,
        change: Change,
        cert: ServerCertRecord,
        compared: ComparedKey,
        key: PrivateKeyPem,
    ) -> Result<bool>;

    /// All platform CAs, newest first.
    async fn cas(&self) -> Result<Vec<CaRecord>>;

    /// Adds a CA as [`CaRotation::add`](identity_pki::CaRotation::add) decides: as `active`, which
    /// makes the one before `retiring`, or as `prepared`. Event: `platform_ca_generated` or
    /// `platform_ca_uploaded`, by its origin.
    ///
    /// # Errors
    ///
    /// [`Conflict::CaRotation`](crate::Conflict::CaRotation). For the key of one that was uploaded
    /// [`Conflict::KeyNotCompared`](crate::Conflict::KeyNotCompared): there is a CA, in whatever state, or a
    /// server certificate that it was not compared with; and
    /// [`Conflict::KeyReused`](crate::Conflict::KeyReused): a device has, or had, it.
    async fn add_ca(
        &self,
        change: Change,
        ca: CaRecord,
        key: PrivateKeyPem,
        origin: CaOrigin,
    ) -> Result<CaState>;

    /// Lets a CA issue from now on, as [`CaRotation::activate`](identity_pki::CaRotation::activate)
    /// decides; the one before is `retiring`. Returns it as it is then. Event: `platform_ca_activated`.
    ///
    /// # Errors
    ///
    /// [`Conflict::CaRotation`](crate::Conflict::CaRotation).
    async fn activate_ca(&self, change: Change, ca: &Fingerprint) -> Result<CaRecord>;

    /// Takes a CA out of the trust bundle, as [`CaRotation::retire`](identity_pki::CaRotation::retire)
    /// decides by the paired devices, of all tenants, that act with a certificate of it that is valid at
    /// `change.at`, and deletes its key. No certificate of it is entered in the ledger afterwards. Returns
    /// it as it is then. Event: `platform_ca_retired`.
    ///
    /// # Errors
    ///
    /// [`Conflict::CaRotation`](crate::Conflict::CaRotation).
    async fn retire_ca(&self, change: Change, ca: &Fingerprint, force: bool) -> Result<CaRecord>;

    /// Puts a new CA in the place of the active one, as
    /// [`CaRotation::regenerate`](identity_pki::CaRotation::regenerate) decides, whatever state `ca` says:
    /// the one before, `confirmed`, is tainted and its key deleted. No certificate of it is entered in the
    /// ledger afterwards; its devices go on working. Event: `platform_ca_regenerated`.
    ///
    /// # Errors
    ///
    /// [`Conflict::CaRotation`](crate::Conflict::CaRotation).
    async fn regenerate_ca(
        &self,
        change: Change,
        confirmed: &Fingerprint,
        ca: CaRecord,
        key: PrivateKeyPem,
    ) -> Result<()>;

    /// The private key of the certificate of that fingerprint: a CA's, or the server's own. `None`
    /// when there is no such certificate, or no longer, and for a CA that was tainted or retired.
    ///
    /// # Errors
    ///
    /// [`Error::Decrypt`](crate::Error::Decrypt) when no data key opens it.
    async fn private_key(&self, certificate: &Fingerprint) -> Result<Option<PrivateKeyPem>>;

    /// The secret of that name; where there is none yet, `fresh` becomes it. Of any number of
    /// callers all get the same one. No event, no audit row.
    ///
    /// # Errors
    ///
    /// [`Error::Decrypt`](crate::Error::Decrypt), which names it, when no data key opens it.
    async fn named_secret(&self, name: NamedSecret, fresh: SecretBytes) -> Result<SecretBytes>;

    /// Reads a secret of the platform, if there has been a need for it.
    ///
    /// # Errors
    ///
    /// As [`named_secret`](Self::named_secret)'s.
    async fn known_secret(&self, name: NamedSecret) -> Result<Option<SecretBytes>>;
}
