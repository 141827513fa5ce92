//! Passwords of console users: argon2id, with the same work whether or not the user exists.

mod choice;

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash as Phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity_store::PasswordHash;
use serde::Deserialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

pub use self::choice::{MAX_LENGTH, MIN_LENGTH, PoorPassword};
use crate::clock;

/// Memory in KiB, passes and lanes: the first choice of the OWASP password storage cheat sheet.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many passwords are hashed at once, which bounds memory and processors.
const AT_ONCE: usize = 4;

/// A password that somebody typed, in the normal form NFKC: keyboards write one character in several
/// ways (NIST SP 800-63B-4 §3.1.1.2).
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Password(Zeroizing<String>);

impl From<String> for Password {
    fn from(text: String) -> Self {
        let typed = Zeroizing::new(text);
        if typed.is_ascii() {
            return Self(typed);
        }
        // Without this a growing string would leave copies behind.
        let mut normal = Zeroizing::new(String::with_capacity(typed.len() * 4));
        normal.extend(typed.nfkc());
        Self(normal)
    }
}

impl Password {
    /// A temporary one, of 120 random bits.
    #[must_use]
    pub fn generate() -> Self {
        let text = URL_SAFE_NO_PAD.encode(clock::random_bytes::<15>());
        Self(Zeroizing::new(text))
    }

    /// The password, for the one who shows it once.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the console user at `email` may choose it as a new password of `product`.
    ///
    /// # Errors
    ///
    /// [`PoorPassword`], the rule that it breaks.
    pub fn may_be_chosen_by(&self, email: &str, product: &str) -> Result<(), PoorPassword> {
        choice::check(&self.0, email, product)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Argon2 refuses its parameters or the salt.
    #[error("argon2 cannot hash a password")]
    Argon2(#[from] argon2::password_hash::Error),
    /// The thread that did the work is gone.
    #[error("the password was not hashed to the end")]
    Worker(#[from] tokio::task::JoinError),
}

/// Hashes and verifies passwords, a few at once.
#[derive(Debug)]
pub struct Passwords {
    /// The hash of a password that nobody has, for addresses that nobody has.
    decoy: PasswordHash,
    turns: Arc<Semaphore>,
}

/// The turn of one who may hash now.
#[derive(Debug)]
pub struct Turn<'a> {
    passwords: &'a Passwords,
    _permit: Option<SemaphorePermit<'a>>,
}

impl Passwords {
    /// # Errors
    ///
    /// [`PasswordError`] when argon2 does not work at all.
    pub fn new() -> Result<Self, PasswordError> {
        let nobodys = Zeroizing::new(hex::encode(clock::random_bytes::<32>()));
        Ok(Self {
            decoy: hash(&nobodys)?,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Waits for a turn.
    pub async fn turn(&self) -> Turn<'_> {
        // The semaphore is never closed, so there is a permit.
        Turn {
            passwords: self,
            _permit: self.turns.acquire().await.ok(),
        }
    }
}

impl Turn<'_> {
    /// Hashes a password to be stored.
    ///
    /// # Errors
    ///
    /// [`PasswordError`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        tokio::task::spawn_blocking(move || hash(&password.0)).await?
    }

    /// Whether `password` is the one of `stored`. Without a stored one the work is the same, and
    /// the answer is no.
    ///
    /// # Errors
    ///
    /// [`PasswordError`].
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<&PasswordHash>,
    ) -> Result<bool, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.passwords.decoy).clone();
        let matches = tokio::task::spawn_blocking(move || verify(&password.0, &stored)).await?;
        Ok(known & matches)
    }
}

fn argon2() -> Result<Argon2<'static>, argon2::password_hash::Error> {
    let params = Params::new(MEMORY, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> Result<PasswordHash, PasswordError> {
    let salt = clock::random_bytes::<16>();
    let phc: Phc = argon2()?.hash_password_with_salt(password.as_bytes(), &salt)?;
    Ok(PasswordHash(phc.to_string()))
}

/// By the parameters of the stored hash; what is no hash matches nothing.
fn verify(password: &str, stored: &PasswordHash) -> bool {
    let (Ok(argon2), Ok(phc)) = (argon2(), Phc::new(&stored.0)) else {
        return false;
    };
    argon2.verify_password(password.as_bytes(), &phc).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_matches() {
        let passwords = Passwords::new().expect("argon2");
        let turn = passwords.turn().await;
        let stored = turn
            .hash("correct horse".to_owned().into())
            .await
            .expect("hash");
        assert!(
            stored.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            stored.0
        );
        for (typed, stored, expected) in [
            ("correct horse", Some(&stored), true),
            ("correct hors", Some(&stored), false),
            ("", Some(&stored), false),
            ("correct horse", None, false),
            (
                "correct horse",
                Some(&PasswordHash("nonsense".into())),
                false,
            ),
        ] {
            let matches = turn
                .verify(typed.to_owned().into(), stored)
                .await
                .expect("verified");
            assert_eq!(matches, expected, "{typed}");
        }
    }

    #[tokio::test]
    async fn one_character_typed_in_several_ways_is_one_password() {
        let passwords = Passwords::new().expect("argon2");
        let turn = passwords.turn().await;
        let typed = |text: &str| Password::from(text.to_owned());
        let stored = turn.hash(typed("caf\u{e9} \u{fb01}n")).await.expect("hash");
        for (text, expected) in [("cafe\u{301} fin", true), ("cafe fin", false)] {
            let matches = turn.verify(typed(text), Some(&stored)).await;
            assert_eq!(matches.expect("verified"), expected, "{text}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let password = Password::from("secret".to_owned());
        assert_eq!(format!("{password:?}"), "Password(..)");
    }
}
