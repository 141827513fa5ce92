use std::fmt;
use std::path::PathBuf;

use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

/// How a token is found among the slots of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenId {
    /// The label that it got when it was initialised; the usual way.
    Label(String),
    /// The serial number, where several tokens have one label.
    SerialNumber(String),
    /// The number of the slot that it is in, which some modules change at each start.
    Slot(u64),
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => write!(f, "a token labelled {label:?}"),
            Self::SerialNumber(number) => write!(f, "a token with serial number {number:?}"),
            Self::Slot(slot) => write!(f, "a token in slot {slot}"),
        }
    }
}

/// The user's PIN of a token. It is wiped when dropped, and never shown.
pub struct TokenPin(AuthPin);

impl TokenPin {
    /// Takes the PIN as it is, and wipes what it came in. A line end would be part of it, and make it
    /// a wrong one: what was read from a file is for [`from_line`](Self::from_line).
    #[must_use]
    pub fn new(pin: String) -> Self {
        let pin = Zeroizing::new(pin);
        Self(AuthPin::new(pin.as_str().into()))
    }

    /// Takes the PIN from a line of text, such as a file's, and wipes what it came in. One line end
    /// after it, LF or CR LF, is not part of the PIN; everything else is.
    #[must_use]
    pub fn from_line(line: String) -> Self {
        let line = Zeroizing::new(line);
        let pin = ["\r\n", "\n"].iter().find_map(|end| line.strip_suffix(end));
        Self(AuthPin::new(pin.unwrap_or(&line).into()))
    }

    pub(super) const fn expose(&self) -> &AuthPin {
        &self.0
    }
}

impl fmt::Debug for TokenPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPin").finish_non_exhaustive()
    }
}

/// A token and what it takes to use it.
#[derive(Debug)]
pub struct Pkcs11Token {
    pub(super) module: PathBuf,
    pub(super) id: TokenId,
    pub(super) pin: TokenPin,
}

impl Pkcs11Token {
    /// The token that the shared library `module` knows as `id`, such as
    /// `/usr/lib/softhsm/libsofthsm2.so`.
    ///
    /// The library becomes part of the process and stays until it ends: take its path from the
    /// operator alone.
    #[must_use]
    pub fn new(module: impl Into<PathBuf>, id: TokenId, pin: TokenPin) -> Self {
        Self {
            module: module.into(),
            id,
            pin,
        }
    }
}

/// What a key in a token is called: `CKA_LABEL`, `CKA_ID`, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    pub(super) label: Option<String>,
    pub(super) id: Option<Vec<u8>>,
}

impl KeyName {
    /// The key with this `CKA_LABEL`.
    #[must_use]
    pub fn label(label: impl Into<String>) -> Self {
        Self {
            label: Some(label.into()),
            id: None,
        }
    }

    /// The key with this `CKA_ID`.
    #[must_use]
    pub fn id(id: impl Into<Vec<u8>>) -> Self {
        Self {
            label: None,
            id: Some(id.into()),
        }
    }

    /// The key with both.
    #[must_use]
    pub fn label_and_id(label: impl Into<String>, id: impl Into<Vec<u8>>) -> Self {
        Self {
            label: Some(label.into()),
            id: Some(id.into()),
        }
    }
}

/// The label in quotes, the id in hexadecimal digits.
impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.label, &self.id) {
            (Some(label), Some(id)) => write!(f, "{label:?} with id {}", hex::encode(id)),
            (Some(label), None) => write!(f, "{label:?}"),
            (None, Some(id)) => write!(f, "with id {}", hex::encode(id)),
            (None, None) => f.write_str("of any name"),
        }
    }
}
