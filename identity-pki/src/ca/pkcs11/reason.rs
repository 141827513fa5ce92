use cryptoki::error::{Error, RvError};

use super::{KeyName, TokenId};

/// Why a key in a token cannot be used. None of them tells the PIN or the module's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Reason {
    /// No shared library, or one of another kind.
    #[error("the module is no PKCS #11 library that can be loaded")]
    Module,
    /// No slot has the token.
    #[error("no slot holds {token}")]
    NoToken {
        /// The token that was looked for.
        token: TokenId,
    },
    /// Several slots have such a token.
    #[error("{count} slots hold {token}; tell them apart by serial number or slot")]
    ManyTokens {
        /// The token that was looked for.
        token: TokenId,
        /// How many there are.
        count: usize,
    },
    /// The token did not take the PIN.
    #[error("the token refused the PIN ({code}); it is not tried again, since tokens lock")]
    Pin {
        /// What the token answered, such as `CKR_PIN_INCORRECT`.
        code: String,
    },
    /// The token says `CKF_USER_PIN_FINAL_TRY`. A wrong PIN would lock it, and one start after
    /// another would try it.
    #[error("the token would lock at one more wrong PIN, so none was tried; log in by other means")]
    PinFinalTry,
    /// The token says `CKF_USER_PIN_LOCKED`.
    #[error(
        "the token has locked the user's PIN, so none was tried; its security officer sets one"
    )]
    PinLocked,
    /// No private key has the name.
    #[error("the token has no private EC key {key}")]
    NoKey {
        /// The key that was looked for.
        key: KeyName,
    },
    /// Several private keys have the name.
    #[error("the token has {count} private EC keys {key}; name label and id of the one")]
    ManyKeys {
        /// The key that was looked for.
        key: KeyName,
        /// How many there are.
        count: usize,
    },
    /// The private key's public half is not there, or not alone.
    #[error("the token has {count} public keys, not one, that go with private key {key}")]
    PublicKey {
        /// The private key.
        key: KeyName,
        /// How many there are.
        count: usize,
    },
    /// A key was to be made, but a key has the label or the id already.
    #[error("the token has an object with the label or the id of {key} already")]
    KeyExists {
        /// The key that was to be made.
        key: KeyName,
    },
    /// Another key has the name now.
    #[error("private key {key} is another one than it was before the session was lost")]
    KeyChanged {
        /// The key.
        key: KeyName,
    },
    /// A key on another curve.
    #[error("the key's CKA_EC_PARAMS do not name P-256 or P-384 (RFC 5480 §2.1.1.1)")]
    Curve,
    /// A public key in another form.
    #[error("the key's CKA_EC_POINT is no uncompressed point of its curve (PKCS #11 §6.3.3)")]
    Point,
    /// A key that wants the PIN before each signature.
    #[error("the key has CKA_ALWAYS_AUTHENTICATE, which cannot be served")]
    AlwaysAuthenticate,
    /// A signature of another length than the curve gives.
    #[error("the token's signature has {length} octets, not two numbers of its curve")]
    Signature {
        /// How many octets there are.
        length: usize,
    },
    /// A signature by some other key: the handle of the private key does not name it any more.
    #[error("the token's signature is none by the key that was asked for, so nobody gets it")]
    WrongSignature,
    /// A function of the module failed.
    #[error("{function} answered {code}")]
    Function {
        /// The function, such as `C_Sign`.
        function: String,
        /// What it answered, such as `CKR_DEVICE_ERROR`.
        code: String,
    },
    /// The module broke the rules of its interface.
    #[error("the module answered what PKCS #11 does not allow")]
    Malformed,
}

codes! {
    Pkcs11Reason {
        Self::Module => "pkcs11_module",
        Self::NoToken { .. } => "pkcs11_no_token",
        Self::ManyTokens { .. } => "pkcs11_many_tokens",
        Self::Pin { .. } => "pkcs11_pin",
        Self::PinFinalTry => "pkcs11_pin_final_try",
        Self::PinLocked => "pkcs11_pin_locked",
        Self::NoKey { .. } => "pkcs11_no_key",
        Self::ManyKeys { .. } => "pkcs11_many_keys",
        Self::PublicKey { .. } => "pkcs11_public_key",
        Self::KeyExists { .. } => "pkcs11_key_exists",
        Self::KeyChanged { .. } => "pkcs11_key_changed",
        Self::Curve => "pkcs11_curve",
        Self::Point => "pkcs11_point",
        Self::AlwaysAuthenticate => "pkcs11_always_authenticate",
        Self::Signature { .. } => "pkcs11_signature",
        Self::WrongSignature => "pkcs11_wrong_signature",
        Self::Function { .. } => "pkcs11_function",
        Self::Malformed => "pkcs11_malformed",
    }
}

impl Pkcs11Reason {
    pub(super) fn of(error: Error) -> Self {
        match error {
            Error::Pkcs11(code, _) if is_about_pin(code) => Self::Pin {
                code: constant(code),
            },
            Error::Pkcs11(code, function) => Self::Function {
                function: format!("C_{function:?}"),
                code: constant(code),
            },
            // The message would tell the path.
            Error::LibraryLoading(_) | Error::MissingSymbol(_) => Self::Module,
            _ => Self::Malformed,
        }
    }
}

/// After these the same PIN is not tried again.
fn is_about_pin(code: RvError) -> bool {
    matches!(
        code,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized
    )
}

/// Whether a new session may succeed where this one failed: it, the login, the token or what the
/// key was known by is gone.
pub(super) fn is_session_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::UserNotLoggedIn
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid
                | RvError::OperationActive
                | RvError::DeviceError
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent
                | RvError::CryptokiNotInitialized,
            _
        )
    )
}

/// `SessionClosed` as the standard writes it: `CKR_SESSION_CLOSED`.
fn constant(code: RvError) -> String {
    let mut constant = String::from("CKR");
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() {
            constant.push('_');
        }
        constant.push(character.to_ascii_uppercase());
    }
    constant
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn answers_are_named_as_the_standard_names_them() {
        for (code, name) in [
            (RvError::DeviceRemoved, "CKR_DEVICE_REMOVED"),
            (RvError::Cancel, "CKR_CANCEL"),
            (RvError::VendorDefined(1), "CKR_VENDOR_DEFINED(1)"),
        ] {
            let reason = Pkcs11Reason::of(Error::Pkcs11(code, Function::Sign));
            assert_eq!(reason.to_string(), format!("C_Sign answered {name}"));
        }
        let locked = Error::Pkcs11(RvError::PinLocked, Function::Login);
        let code = "CKR_PIN_LOCKED".to_owned();
        assert_eq!(Pkcs11Reason::of(locked), Pkcs11Reason::Pin { code });
        let broken = Error::NullFunctionPointer;
        assert_eq!(Pkcs11Reason::of(broken), Pkcs11Reason::Malformed);
    }

    #[test]
    fn a_lost_session_is_told_from_a_key_that_may_not_sign() {
        let lost = |code| is_session_lost(&Error::Pkcs11(code, Function::Sign));
        assert!(lost(RvError::SessionClosed) && lost(RvError::DeviceRemoved));
        assert!(!lost(RvError::KeyFunctionNotPermitted) && !lost(RvError::PinIncorrect));
    }
}
