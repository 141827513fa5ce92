//! The platform's own secrets. One that is lost takes nothing with it but what needs it.

use identity_pki::PairingPepper;
use identity_store::{Error, NamedSecret, SecretBytes, Store, Unreadable};
use serde::Serialize;

use crate::clock;
use crate::http::Problem;
use crate::start::StartError;
use crate::tokens::Tokens;

/// A secret of the platform, if it can be used.
#[derive(Debug)]
pub enum Secret<T> {
    /// It can.
    Usable(T),
    /// It cannot be read, or is not what it has to be: an operator has to restore it or its data key, or
    /// to replace it.
    Lost(Lost),
}

/// A secret that is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Which.
    pub name: &'static str,
    /// How it was lost.
    pub why: Why,
}

/// How a secret was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its data key is not configured.
    #[error("its data key is not configured")]
    NoDataKey,
    /// Its data key is configured and does not open it.
    #[error("it was altered")]
    Altered,
    /// It was made, and its row is gone; or none was made yet.
    #[error("it is gone, or none was made yet")]
    Gone,
    /// It opens, and is none.
    #[error("it is unusable")]
    Unusable,
}

impl Why {
    fn of(error: &StartError) -> Self {
        let StartError::Store(Error::Decrypt { why, .. }) = error else {
            return Self::Unusable;
        };
        match why {
            Unreadable::NoDataKey => Self::NoDataKey,
            Unreadable::Altered => Self::Altered,
            Unreadable::Gone => Self::Gone,
            _ => Self::Unusable,
        }
    }
}

impl<T> Secret<T> {
    /// What reading the secret `name` came to. The log is told that one is lost.
    ///
    /// # Errors
    ///
    /// When the store failed, and the secret may well be there.
    pub fn of(name: &'static str, read: Result<T, StartError>) -> Result<Self, StartError> {
        match read {
            Ok(secret) => Ok(Self::Usable(secret)),
            Err(StartError::Store(error))
                if !matches!(error, Error::Decrypt { .. } | Error::Corrupt { .. }) =>
            {
                Err(error.into())
            }
            Err(error) => {
                let (why, error) = (Why::of(&error), error.one_line());
                tracing::error!(
                    secret = name,
                    error,
                    "a secret of the platform is lost, and what needs it answers 503: see \"Lost secrets\" in docs/OPERATIONS.md"
                );
                Ok(Self::Lost(Lost { name, why }))
            }
        }
    }

    /// The secret.
    ///
    /// # Errors
    ///
    /// 503 `unavailable` for one that is lost.
    pub fn get(&self) -> Result<&T, Problem> {
        match self {
            Self::Usable(secret) => Ok(secret),
            Self::Lost(lost) => {
                let problem = Problem::unreadable("A secret of the platform");
                Err(problem.because(StartError::SecretLost(*lost)))
            }
        }
    }

    /// The secret, unless it is lost.
    #[must_use]
    pub fn usable(&self) -> Option<&T> {
        match self {
            Self::Usable(secret) => Some(secret),
            Self::Lost(_) => None,
        }
    }

    /// What there is to say of one that is lost.
    #[must_use]
    pub fn lost(&self) -> Option<Lost> {
        match self {
            Self::Usable(_) => None,
            Self::Lost(lost) => Some(*lost),
        }
    }
}

/// The secrets that every database has from its first start on.
#[derive(Debug)]
pub struct Secrets {
    /// Signs and verifies tokens.
    pub tokens: Secret<Tokens>,
    /// Keys the look-up hash of pairing codes.
    pub pairing_pepper: Secret<PairingPepper>,
    /// Keys the digests of palm samples.
    pub sample_digest_key: Secret<SecretBytes>,
    /// Whether the store finds console users by their address.
    pub email_digest_key: Secret<()>,
}

impl Secrets {
    /// Reads them, and makes those that were never made. `issuer` signs tokens.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the store fails.
    pub async fn load(store: &dyn Store, issuer: String) -> Result<Self, StartError> {
        let pepper = |secret: SecretBytes| {
            let bytes = secret.expose().try_into();
            let bytes = bytes.map_err(|_| StartError::PairingPepper)?;
            Ok(PairingPepper::from_bytes(bytes))
        };
        let tokens = |key: SecretBytes| Ok(Tokens::load(issuer, &key)?);
        let tokens = read(store, NamedSecret::TokenSigningKey, tokens).await?;
        follow_token_keys(store, &tokens).await?;
        Ok(Self {
            tokens,
            pairing_pepper: read(store, NamedSecret::PairingPepper, pepper).await?,
            sample_digest_key: read(store, NamedSecret::SampleDigestKey, Ok).await?,
            email_digest_key: read(store, NamedSecret::EmailDigestKey, |_| Ok(())).await?,
        })
    }

    /// Those that are lost.
    pub fn lost(&self) -> impl Iterator<Item = Lost> {
        let Self {
            tokens,
            pairing_pepper,
            sample_digest_key,
            email_digest_key,
        } = self;
        let lost = [
            tokens.lost(),
            pairing_pepper.lost(),
            sample_digest_key.lost(),
            email_digest_key.lost(),
        ];
        lost.into_iter().flatten()
    }
}

/// Takes up the other keys of tokens. Those that cannot be read are told to the log, and the one that signs
/// goes on.
async fn follow_token_keys(store: &dyn Store, tokens: &Secret<Tokens>) -> Result<(), StartError> {
    let Some(tokens) = tokens.usable() else {
        return Ok(());
    };
    let followed = match store.token_keys().await {
        Ok(keys) => tokens.follow(&keys).map_err(StartError::from),
        Err(error @ (Error::Decrypt { .. } | Error::Corrupt { .. })) => Err(error.into()),
        Err(error) => return Err(error.into()),
    };
    if let Err(error) = followed {
        let error = error.one_line();
        tracing::error!(
            error,
            "keys of tokens from before, or the next, cannot be read"
        );
    }
    Ok(())
}

/// What verifies tokens, for one who signs nothing and makes no key: one that is not there is lost to it.
///
/// # Errors
///
/// [`StartError`] when the store fails.
pub async fn known_tokens(store: &dyn Store) -> Result<Secret<Tokens>, StartError> {
    let name = NamedSecret::TokenSigningKey;
    let load = |key: SecretBytes| Ok(Tokens::load("", &key)?);
    match store.known_secret(name).await.transpose() {
        None => Ok(Secret::Lost(Lost {
            name: name.as_str(),
            why: Why::Gone,
        })),
        Some(known) => {
            let taken = known.map_err(StartError::from).and_then(load);
            let tokens = Secret::of(name.as_str(), taken)?;
            follow_token_keys(store, &tokens).await?;
            Ok(tokens)
        }
    }
}

async fn read<T>(
    store: &dyn Store,
    name: NamedSecret,
    take: impl FnOnce(SecretBytes) -> Result<T, StartError>,
) -> Result<Secret<T>, StartError> {
    let stored = store.named_secret(name, fresh(name)?).await;
    let taken = stored.map_err(StartError::from).and_then(take);
    Secret::of(name.as_str(), taken)
}

/// A new secret of that name.
///
/// # Errors
///
/// [`StartError::Tokens`] when no signing key could be made.
pub fn fresh(name: NamedSecret) -> Result<SecretBytes, StartError> {
    match name {
        NamedSecret::TokenSigningKey => Ok(Tokens::fresh_key()?),
        _ => Ok(SecretBytes::new(clock::random_bytes::<32>())),
    }
}
