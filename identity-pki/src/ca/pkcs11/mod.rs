//! A CA's key in a hardware security module, by PKCS #11 (OASIS, version 3.1).
//!
//! The module is the vendor's shared library. What this asks of it is little, so that most can
//! serve: a token that is found by its label, one login, `CKM_ECDSA` over a hash that is made here,
//! and a public key object beside the private one.

mod encoding;
mod reason;
mod session;
mod token;

pub use reason::Pkcs11Reason;
pub use token::{KeyName, Pkcs11Token, TokenId, TokenPin};

use std::sync::{Mutex, PoisonError};
use std::{fmt, mem};

use crate::key::CaKey;
use crate::{CaSigner, Curve, Error, SigningError};

use session::OpenKey;

/// A P-256 or P-384 key in a token that speaks PKCS #11.
///
/// ```no_run
/// use identity_pki::{
///     CA_VALIDITY, Curve, KeyName, Pkcs11Signer, Pkcs11Token, PlatformCa, Terms, TokenId,
///     TokenPin,
/// };
/// # use time::{Duration, macros::datetime};
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// # let now = datetime!(2026-11-22 12:00 UTC);
///
/// let token = || {
///     let pin = TokenPin::from_line(std::fs::read_to_string("/run/secrets/hsm-pin")?);
///     let id = TokenId::Label("device-ca".to_owned());
///     std::io::Result::Ok(Pkcs11Token::new("/usr/lib/softhsm/libsofthsm2.so", id, pin))
/// };
///
/// // Once: the key is made in the token and never leaves it.
/// let signer = Pkcs11Signer::generate(token()?, "ca-2026", &[1], Curve::P256)?;
/// let terms = Terms::new(now, CA_VALIDITY, Duration::minutes(5));
/// let ca = PlatformCa::generate(Box::new(signer), "Device CA", &terms, &mut rng)?;
/// let certificate = ca.certificate().pem();
///
/// // At each start: the certificate from where it is kept, the key from the token.
/// let signer = Pkcs11Signer::open(token()?, KeyName::label("ca-2026"))?;
/// let ca = PlatformCa::load(&certificate, Box::new(signer))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sessions
///
/// There is one session. Threads that sign at the same time take turns, which is how most tokens
/// work inside. When the session is lost, because it was idle, the token was pulled or somebody in
/// the process logged out, the signer opens another, logs in, finds the same key, and tries once
/// more. What fails then, or for a reason that a new session would not mend, is [`SigningError`]. Any
/// failure ends the session, whatever the token called it: the next signature begins with a new one.
///
/// Each signature is verified by the key's public half before anyone gets it.
///
/// # The PIN
///
/// Tokens lock after a few wrong PINs. A PIN that was refused is not tried again by this signer; and
/// none is tried where the token says that one more would lock it, since a supervisor may start a
/// server with a wrong PIN for ever. Log in with the right one by the vendor's tool then, which gives
/// all tries back.
///
/// A file that an editor or `echo` wrote ends in a newline, which is no part of the PIN:
/// [`TokenPin::from_line`] leaves it out.
///
/// A process is logged in to a token once for all its sessions: while another session is, a wrong PIN
/// goes unnoticed.
pub struct Pkcs11Signer {
    token: Pkcs11Token,
    key: KeyName,
    public: CaKey,
    connection: Mutex<Connection>,
}

#[derive(Debug)]
enum Connection {
    Open(OpenKey),
    Lost,
    /// The token refused the PIN.
    Refused(Pkcs11Reason),
}

impl Pkcs11Signer {
    /// Opens the one private key of that name.
    ///
    /// # Errors
    ///
    /// [`Error::Pkcs11`] when module, token, PIN or key are not right.
    pub fn open(token: Pkcs11Token, key: KeyName) -> Result<Self, Error> {
        let open = OpenKey::open(&token, &key)?;
        Ok(Self {
            token,
            key,
            public: open.public.clone(),
            connection: Mutex::new(Connection::Open(open)),
        })
    }

    /// Makes a key in the token and opens it: `CKA_SENSITIVE`, not `CKA_EXTRACTABLE`, for signing
    /// only.
    ///
    /// The token must have no key with that label or that id. Both names are for people and
    /// programs alike; an `id` of one or two octets, counted up with each CA, will do.
    ///
    /// # Errors
    ///
    /// [`Error::Pkcs11`] when module, token or PIN are not right, when a name is taken, or when the
    /// token cannot make such a key.
    pub fn generate(
        token: Pkcs11Token,
        label: &str,
        id: &[u8],
        curve: Curve,
    ) -> Result<Self, Error> {
        session::generate(&token, label, id, curve)?;
        Self::open(token, KeyName::label_and_id(label, id))
    }

    fn sign_or_open_again(&self, message: &[u8]) -> Result<Vec<u8>, Pkcs11Reason> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Connection::Refused(reason) = &*connection {
            return Err(reason.clone());
        }
        // Only a session that has just signed is kept. Tokens have many names for a dead one, vendors'
        // own among them.
        if let Connection::Open(key) = mem::replace(&mut *connection, Connection::Lost) {
            match key.sign(message) {
                Ok(signature) => {
                    *connection = Connection::Open(key);
                    return Ok(signature);
                }
                // This closes the old session before there is a new one: modules use handles again.
                Err(failure) if failure.is_session_lost => drop(key),
                Err(failure) => return Err(failure.reason),
            }
        }
        match self.open_again() {
            Ok(key) => {
                let signature = key.sign(message).map_err(|failure| failure.reason)?;
                *connection = Connection::Open(key);
                Ok(signature)
            }
            Err(reason @ Pkcs11Reason::Pin { .. }) => {
                *connection = Connection::Refused(reason.clone());
                Err(reason)
            }
            Err(reason) => Err(reason),
        }
    }

    /// The same key in another session.
    fn open_again(&self) -> Result<OpenKey, Pkcs11Reason> {
        let key = OpenKey::open(&self.token, &self.key)?;
        match key.public == self.public {
            true => Ok(key),
            false => Err(Pkcs11Reason::KeyChanged {
                key: self.key.clone(),
            }),
        }
    }
}

impl CaSigner for Pkcs11Signer {
    fn spki_der(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.sign_or_open_again(message)
            .map_err(|reason| SigningError::new(reason.to_string()))
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Signer")
            .field("token", &self.token.id)
            .field("key", &self.key)
            .field("curve", &self.public.curve())
            .finish_non_exhaustive()
    }
}
