use async_trait::async_trait;
use time::OffsetDateTime;

use crate::{Change, NextTokenKey, Result, TokenKeys};

/// The keys by which tokens and receipts are signed, one after the other. The one that signs is
/// [`NamedSecret::TokenSigningKey`](crate::NamedSecret::TokenSigningKey). Back ends that write to disk
/// encrypt all of them, public keys as well: who writes to the database without the data key makes no key
/// known. Events go to the platform's audit chain.
#[async_trait]
pub trait TokenKeyStore: Send + Sync {
    /// All keys, as of one moment.
    ///
    /// # Errors
    ///
    /// [`Error::Decrypt`](crate::Error::Decrypt) when no data key opens one of them.
    async fn token_keys(&self) -> Result<TokenKeys>;

    /// Says since when the active key signs, if that is not known. No event, no audit row.
    async fn date_token_key(&self, since: OffsetDateTime) -> Result<()>;

    /// Publishes the key that is to sign next, in the place of one that was to. Event:
    /// `token_key_published`.
    async fn publish_token_key(&self, change: Change, key: NextTokenKey) -> Result<()>;

    /// Lets the published key sign if its time has come at `change.at`; returns whether it has. The one
    /// before, whose public key is `retired`, a JWK under that name, is retired and its private key
    /// deleted. Event: `token_key_activated`.
    async fn activate_token_key(
        &self,
        change: Change,
        retired_key_id: String,
        retired: String,
    ) -> Result<bool>;
}
