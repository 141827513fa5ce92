//! One session with a token, from loading the module to a signature.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;

use crate::Curve;
use crate::key::CaKey;

use super::{KeyName, Pkcs11Reason, Pkcs11Token, TokenId, encoding, reason};

/// The modules of this process. `C_Initialize` counts for the whole process, so each is loaded once;
/// and none is unloaded, since some have threads of their own.
static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());

fn module(path: &Path) -> Result<Pkcs11, Pkcs11Reason> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let module = match modules.get(path) {
        Some(module) => module.clone(),
        None => Pkcs11::new(path).map_err(Pkcs11Reason::of)?,
    };
    // Somebody else in the process may have initialised it before, or finalised it since.
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(Pkcs11Reason::of(error)),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

fn slot(module: &Pkcs11, token: &TokenId) -> Result<Slot, Pkcs11Reason> {
    let mut slots = module.get_slots_with_token().map_err(Pkcs11Reason::of)?;
    slots.retain(|slot| match token {
        TokenId::Slot(number) => slot.id() == *number,
        // A token that cannot be asked is some other one, or as good as none.
        TokenId::Label(label) => module
            .get_token_info(*slot)
            .is_ok_and(|info| info.label() == label),
        TokenId::SerialNumber(number) => module
            .get_token_info(*slot)
            .is_ok_and(|info| info.serial_number() == number),
    });
    let token = token.clone();
    match slots[..] {
        [slot] => Ok(slot),
        [] => Err(Pkcs11Reason::NoToken { token }),
        _ => Err(Pkcs11Reason::ManyTokens {
            token,
            count: slots.len(),
        }),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    ReadWrite,
}

/// A session in which the user is logged in.
fn log_in(token: &Pkcs11Token, access: Access) -> Result<Session, Pkcs11Reason> {
    let module = module(&token.module)?;
    let slot = slot(&module, &token.id)?;
    let session = match access {
        Access::Read => module.open_ro_session(slot),
        Access::ReadWrite => module.open_rw_session(slot),
    };
    let session = session.map_err(Pkcs11Reason::of)?;
    check_tries_left(&module, slot)?;
    match session.login(UserType::User, Some(token.pin.expose())) {
        // A process logs in once, for all its sessions with the token (PKCS #11 §5.6, `C_Login`).
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(session),
        Err(error) => Err(Pkcs11Reason::of(error)),
    }
}

/// A supervisor that starts a server again and again would use up the tries of a wrong PIN.
fn check_tries_left(module: &Pkcs11, slot: Slot) -> Result<(), Pkcs11Reason> {
    let token = module.get_token_info(slot).map_err(Pkcs11Reason::of)?;
    if token.user_pin_locked() {
        return Err(Pkcs11Reason::PinLocked);
    }
    if token.user_pin_final_try() {
        return Err(Pkcs11Reason::PinFinalTry);
    }
    Ok(())
}

/// A private key, ready to sign, and its public half.
#[derive(Debug)]
pub(super) struct OpenKey {
    session: Session,
    private: ObjectHandle,
    pub(super) public: CaKey,
}

/// Why there is no signature.
pub(super) struct Failure {
    pub(super) reason: Pkcs11Reason,
    /// Whether another session may well sign at once.
    pub(super) is_session_lost: bool,
}

impl OpenKey {
    pub(super) fn open(token: &Pkcs11Token, key: &KeyName) -> Result<Self, Pkcs11Reason> {
        let session = log_in(token, Access::Read)?;
        let private = private_key(&session, key)?;
        let public = public_key(&session, private, key)?;
        let attributes = read(
            &session,
            public,
            &[AttributeType::EcParams, AttributeType::EcPoint],
        )?;
        let (Some(Attribute::EcParams(parameters)), Some(Attribute::EcPoint(point))) =
            (attributes.first(), attributes.get(1))
        else {
            return Err(Pkcs11Reason::Curve);
        };
        let curve = encoding::curve(parameters)?;
        let spki = encoding::spki(curve, point)?;
        Ok(Self {
            session,
            private,
            public: CaKey::from_der(&spki).map_err(|_| Pkcs11Reason::Point)?,
        })
    }

    /// An `ECDSA-Sig-Value` in DER that this key made. A handle that outlived its session may name
    /// another CA's key by now, so that each signature is verified.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let curve = self.public.curve();
        let digest = curve.hash().digest(message);
        let signature = self
            .session
            .sign(&Mechanism::Ecdsa, self.private, &digest)
            .map_err(|error| Failure {
                is_session_lost: reason::is_session_lost(&error),
                reason: Pkcs11Reason::of(error),
            })?;
        let wrong = |reason| Failure {
            reason,
            is_session_lost: true,
        };
        let signature = encoding::sig_value(curve, &signature).map_err(wrong)?;
        match curve.verifies(self.public.point(), &digest, &signature) {
            true => Ok(signature),
            false => Err(wrong(Pkcs11Reason::WrongSignature)),
        }
    }
}

fn private_key(session: &Session, key: &KeyName) -> Result<ObjectHandle, Pkcs11Reason> {
    let label = key
        .label
        .iter()
        .map(|label| Attribute::Label(label.as_bytes().into()));
    let id = key.id.iter().map(|id| Attribute::Id(id.clone()));
    let found = find(session, ObjectClass::PRIVATE_KEY, label.chain(id))?;
    let key = || key.clone();
    let handle = match found[..] {
        [handle] => handle,
        [] => return Err(Pkcs11Reason::NoKey { key: key() }),
        _ => {
            return Err(Pkcs11Reason::ManyKeys {
                key: key(),
                count: found.len(),
            });
        }
    };
    let asks = read(session, handle, &[AttributeType::AlwaysAuthenticate])?;
    if asks.contains(&Attribute::AlwaysAuthenticate(true)) {
        return Err(Pkcs11Reason::AlwaysAuthenticate);
    }
    Ok(handle)
}

/// The two halves of a pair have one `CKA_ID`; where it was left empty, one `CKA_LABEL`.
fn public_key(
    session: &Session,
    private: ObjectHandle,
    key: &KeyName,
) -> Result<ObjectHandle, Pkcs11Reason> {
    let names = read(session, private, &[AttributeType::Id, AttributeType::Label])?;
    let common = names.into_iter().find(|name| match name {
        Attribute::Id(octets) | Attribute::Label(octets) => !octets.is_empty(),
        _ => false,
    });
    let found = find(session, ObjectClass::PUBLIC_KEY, common)?;
    match found[..] {
        [handle] => Ok(handle),
        _ => Err(Pkcs11Reason::PublicKey {
            key: key.clone(),
            count: found.len(),
        }),
    }
}

fn find(
    session: &Session,
    class: ObjectClass,
    names: impl IntoIterator<Item = Attribute>,
) -> Result<Vec<ObjectHandle>, Pkcs11Reason> {
    let mut template = vec![
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(true),
    ];
    template.extend(names);
    session.find_objects(&template).map_err(Pkcs11Reason::of)
}

fn read(
    session: &Session,
    object: ObjectHandle,
    kinds: &[AttributeType],
) -> Result<Vec<Attribute>, Pkcs11Reason> {
    session
        .get_attributes(object, kinds)
        .map_err(Pkcs11Reason::of)
}

/// Makes a pair of keys in the token, of which the private one never leaves it.
pub(super) fn generate(
    token: &Pkcs11Token,
    label: &str,
    id: &[u8],
    curve: Curve,
) -> Result<(), Pkcs11Reason> {
    let session = log_in(token, Access::ReadWrite)?;
    let names = [
        Attribute::Label(label.as_bytes().into()),
        Attribute::Id(id.into()),
    ];
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for name in names.clone() {
            if !find(&session, class, [name])?.is_empty() {
                return Err(Pkcs11Reason::KeyExists {
                    key: KeyName::label_and_id(label, id),
                });
            }
        }
    }
    let public = [
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(encoding::parameters(curve)),
    ];
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Derive(false),
    ];
    let made = session.generate_key_pair(
        &Mechanism::EccKeyPairGen,
        &[&public[..], &names].concat(),
        &[&private[..], &names].concat(),
    );
    made.map(drop).map_err(Pkcs11Reason::of)
}
