//! A CA whose key is in a token: SoftHSM 2 makes and keeps the keys, OpenSSL judges what they sign.
//!
//! A module is initialised once in a process, and reads the path of its tokens from the environment
//! then: each test is a process of its own, with a token of its own.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::path::Path;
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use identity_pki::{
    CaSigner as _, CrlNumber, Curve, Error, KeyName, Pkcs11Reason, Pkcs11Signer, Pkcs11Token,
    PlatformCa, Terms, TokenId, TokenPin,
};
use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::DecodePublicKey as _;
use support::{NOW, OpenSsl, SKEW, ca_terms, issue, rng};
use time::Duration;

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKEN: &str = "device ca";
const PIN: &str = "the-user's-pin";
const LABEL: &str = "ca-2026";

/// Names the test that this process is for.
const TEST: &str = "IDENTITY_PKI_PKCS11_TEST";

fn main() {
    let tests = support::tests![
        a_key_made_in_the_token_signs_a_ca_its_devices_and_its_lists,
        a_p384_key_signs_as_well,
        the_private_key_never_leaves_the_token,
        a_session_that_a_new_start_of_the_module_ended_is_opened_again,
        a_session_that_the_end_of_the_module_ended_is_opened_again,
        a_login_that_somebody_else_ended_is_made_again,
        threads_that_sign_at_once_take_turns_and_lose_the_session_together,
        a_key_that_changed_behind_a_lost_session_signs_nothing,
        a_wrong_pin_is_tried_once_and_never_shown,
        a_pin_that_was_changed_is_tried_once_and_never_again,
        no_pin_is_tried_where_one_more_would_lock_the_token,
        one_line_end_after_a_pin_is_not_part_of_it,
        a_handle_that_names_another_ca_by_now_signs_nothing,
        a_session_that_failed_for_any_reason_is_not_used_again,
        a_key_that_is_not_there_is_named,
        of_two_keys_with_one_label_the_id_names_the_one,
        a_key_without_an_id_is_paired_by_its_label,
        a_private_key_without_its_public_key_is_refused,
        keys_that_cannot_serve_are_refused,
        a_name_that_is_taken_makes_no_second_key,
        a_token_that_is_not_there_is_named,
        of_two_tokens_with_one_label_the_serial_number_names_the_one,
        a_file_that_is_no_module_is_refused_without_its_path,
    ];
    if let Ok(name) = std::env::var(TEST) {
        let test = tests.into_iter().find(|(test, _)| *test == name);
        let (_, test) = test.expect("one of the tests");
        return test();
    }
    let alone = tests
        .into_iter()
        .map(|(name, _)| (name, move || run_alone(name)));
    let available = Path::new(MODULE).exists() && OpenSsl::is_installed();
    support::run(alone, available, "softhsm2 or openssl is not installed");
}

fn run_alone(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("tokens")).unwrap();
    let tokens = format!("directories.tokendir = {}\n", path("tokens").display());
    std::fs::write(path("softhsm2.conf"), tokens).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .env("SOFTHSM2_CONF", path("softhsm2.conf"))
        .env(TEST, name)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
}

/// Makes a token. The module sees it if it is not initialised yet.
fn make_token(label: &str) {
    let output = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--so-pin", "so-pin"])
        .args(["--label", label, "--pin", PIN])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn token() -> Pkcs11Token {
    token_with(PIN)
}

fn token_with(pin: &str) -> Pkcs11Token {
    let pin = TokenPin::new(pin.to_owned());
    Pkcs11Token::new(MODULE, TokenId::Label(TOKEN.to_owned()), pin)
}

fn generate() -> Pkcs11Signer {
    make_token(TOKEN);
    Pkcs11Signer::generate(token(), LABEL, &[1], Curve::P256).unwrap()
}

fn ca() -> PlatformCa {
    let signer = Box::new(generate());
    PlatformCa::generate(signer, "Link Identity Device CA", &ca_terms(), &mut rng()).unwrap()
}

fn open(key: KeyName) -> Result<Pkcs11Signer, Pkcs11Reason> {
    match Pkcs11Signer::open(token(), key) {
        Err(Error::Pkcs11(reason)) => Err(reason),
        other => Ok(other.unwrap()),
    }
}

/// The module as another part of the process uses it.
struct Neighbour {
    module: Pkcs11,
    slot: Slot,
}

impl Neighbour {
    fn new() -> Self {
        let module = Pkcs11::new(MODULE).unwrap();
        let _ = module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slots = module.get_slots_with_initialized_token().unwrap();
        let mut named = slots
            .into_iter()
            .filter(|slot| module.get_token_info(*slot).unwrap().label() == TOKEN);
        let slot = named.next().unwrap();
        Self { module, slot }
    }

    /// A session, logged in.
    fn session(&self) -> Session {
        let session = self.module.open_rw_session(self.slot).unwrap();
        let _ = session.login(UserType::User, Some(&pin(PIN)));
        session
    }

    /// Whether a wrong PIN was tried since the last right one.
    fn saw_a_wrong_pin(&self) -> bool {
        let token = self.module.get_token_info(self.slot).unwrap();
        token.user_pin_count_low()
    }
}

fn pin(pin: &str) -> AuthPin {
    AuthPin::new(pin.into())
}

/// Makes a pair of keys, each half with attributes of its own.
fn make_pair(session: &Session, curve: &str, names: &[Attribute], private: &[Attribute]) {
    let curve = Attribute::EcParams(support::der::oid(curve));
    let token = [Attribute::Token(true), Attribute::Sign(true)];
    let public = [&[Attribute::Token(true), curve][..], names].concat();
    let private = [&token[..], names, private].concat();
    let made = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
    made.unwrap();
}

const P256: &str = "1.2.840.10045.3.1.7";

fn label(label: &str) -> Attribute {
    Attribute::Label(label.as_bytes().to_vec())
}

fn objects(session: &Session, class: ObjectClass) -> Vec<ObjectHandle> {
    session.find_objects(&[Attribute::Class(class)]).unwrap()
}

fn openssl_verifies(ca: &PlatformCa) {
    let openssl = OpenSsl::new();
    openssl.write("ca.pem", ca.certificate().pem());
    openssl.write("device.pem", issue(ca).pem());
    let terms = Terms::new(NOW, Duration::DAY, SKEW);
    let crl = ca.issue_crl(CrlNumber::from(1), &terms, []).unwrap();
    openssl.write("crl.pem", crl.pem());
    let at = NOW.unix_timestamp();
    openssl.line(&format!(
        "verify -x509_strict -check_ss_sig -purpose sslclient -attime {at} -crl_check \
         -CRLfile crl.pem -CAfile ca.pem device.pem"
    ));
}

fn a_key_made_in_the_token_signs_a_ca_its_devices_and_its_lists() {
    let ca = ca();
    openssl_verifies(&ca);
    // The next start of the server.
    for key in [
        KeyName::label(LABEL),
        KeyName::id([1]),
        KeyName::label_and_id(LABEL, [1]),
    ] {
        let signer = Box::new(open(key).unwrap());
        let again = PlatformCa::load(&ca.certificate().pem(), signer).unwrap();
        openssl_verifies(&again);
    }
}

fn a_p384_key_signs_as_well() {
    make_token(TOKEN);
    let signer = Pkcs11Signer::generate(token(), LABEL, &[1], Curve::P384).unwrap();
    let ca = PlatformCa::generate(Box::new(signer), "CA", &ca_terms(), &mut rng()).unwrap();
    assert_eq!(ca.certificate().curve(), Curve::P384);
    openssl_verifies(&ca);
}

fn the_private_key_never_leaves_the_token() {
    let signer = generate();
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    let key = objects(&session, ObjectClass::PRIVATE_KEY)[0];
    let kinds = [
        AttributeType::Sensitive,
        AttributeType::AlwaysSensitive,
        AttributeType::NeverExtractable,
        AttributeType::Extractable,
        AttributeType::Derive,
        AttributeType::Value,
    ];
    let attributes = session.get_attributes(key, &kinds).unwrap();
    let meant = [
        Attribute::Sensitive(true),
        Attribute::AlwaysSensitive(true),
        Attribute::NeverExtractable(true),
        Attribute::Extractable(false),
        Attribute::Derive(false),
    ];
    assert_eq!(attributes, meant, "and no value");
    let shown = format!("{signer:?} {:?}", token());
    assert!(shown.contains(LABEL) && !shown.contains(PIN), "{shown}");
}

fn a_session_that_a_new_start_of_the_module_ended_is_opened_again() {
    let ca = ca();
    let neighbour = Neighbour::new();
    neighbour.module.clone().finalize().unwrap();
    let started = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    neighbour.module.initialize(started).unwrap();
    openssl_verifies(&ca);
}

fn a_session_that_the_end_of_the_module_ended_is_opened_again() {
    let ca = ca();
    Neighbour::new().module.finalize().unwrap();
    openssl_verifies(&ca);
}

fn a_login_that_somebody_else_ended_is_made_again() {
    let ca = ca();
    let neighbour = Neighbour::new();
    neighbour.session().logout().unwrap();
    openssl_verifies(&ca);
}

fn threads_that_sign_at_once_take_turns_and_lose_the_session_together() {
    let ca = ca();
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    for _ in 0..3 {
        session.logout().unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| issue(&ca))).collect();
            let issued = threads.into_iter().map(|thread| thread.join().unwrap());
            let mut serials: Vec<_> = issued.map(|issued| issued.serial()).collect();
            serials.sort();
            serials.dedup();
            assert_eq!(serials.len(), 8);
        });
    }
    openssl_verifies(&ca);
}

fn a_key_that_changed_behind_a_lost_session_signs_nothing() {
    let signer = generate();
    assert!(signer.sign(b"before").is_ok());
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
        for object in objects(&session, class) {
            session.destroy_object(object).unwrap();
        }
    }
    make_pair(&session, P256, &[label(LABEL), Attribute::Id(vec![1])], &[]);
    let refused = signer.sign(b"after").unwrap_err().to_string();
    assert!(refused.contains("is another one than it was"), "{refused}");
}

fn a_wrong_pin_is_tried_once_and_never_shown() {
    make_token(TOKEN);
    let wrong = "not-the-user's-pin";
    let refused = Pkcs11Signer::open(token_with(wrong), KeyName::label(LABEL)).unwrap_err();
    let code = "CKR_PIN_INCORRECT".to_owned();
    assert_eq!(refused, Error::Pkcs11(Pkcs11Reason::Pin { code }));
    let shown = format!("{refused} {refused:?} {:?}", token_with(wrong));
    assert!(!shown.contains(wrong), "{shown}");
}

fn a_pin_that_was_changed_is_tried_once_and_never_again() {
    let signer = generate();
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    session.set_pin(&pin(PIN), &pin("another")).unwrap();
    session.logout().unwrap();
    assert!(!neighbour.saw_a_wrong_pin());
    let first = signer.sign(b"message").unwrap_err();
    assert!(first.to_string().contains("CKR_PIN_INCORRECT"), "{first}");
    assert!(neighbour.saw_a_wrong_pin());
    // A right PIN resets the count; the signer does not raise it again.
    session
        .login(UserType::User, Some(&pin("another")))
        .unwrap();
    session.logout().unwrap();
    assert!(!neighbour.saw_a_wrong_pin());
    assert_eq!(signer.sign(b"message"), Err(first));
    assert!(!neighbour.saw_a_wrong_pin());
}

/// Sets flags of the one token in the file where SoftHSM keeps them. It never sets these itself.
fn set_token_flags(flags: u8) {
    let configuration = std::fs::read_to_string(std::env::var("SOFTHSM2_CONF").unwrap()).unwrap();
    let (_, tokens) = configuration.trim().split_once(" = ").unwrap();
    let mut directories = std::fs::read_dir(tokens).unwrap();
    let token = directories.next().unwrap().unwrap().path();
    let path = token.join("token.object");
    let mut object = std::fs::read(&path).unwrap();
    // CKA_OS_TOKENFLAGS, a number of eight octets.
    let name = [0x80, 0, 0x53, 0x4b, 0, 0, 0, 0, 0, 0, 0, 2];
    let position = object.windows(12).position(|octets| octets == name);
    object[position.unwrap() + 12 + 5] |= flags;
    std::fs::write(path, object).unwrap();
}

fn no_pin_is_tried_where_one_more_would_lock_the_token() {
    make_token(TOKEN);
    set_token_flags(2); // CKF_USER_PIN_FINAL_TRY, 0x20000
    let neighbour = Neighbour::new();
    for pin in ["not-the-user's-pin", PIN] {
        let generated = Pkcs11Signer::generate(token_with(pin), LABEL, &[1], Curve::P256);
        let opened = Pkcs11Signer::open(token_with(pin), KeyName::label(LABEL));
        for refused in [generated.unwrap_err(), opened.unwrap_err()] {
            assert_eq!(refused, Error::Pkcs11(Pkcs11Reason::PinFinalTry));
        }
    }
    assert!(!neighbour.saw_a_wrong_pin());
    neighbour.module.finalize().unwrap();

    set_token_flags(4); // CKF_USER_PIN_LOCKED, 0x40000
    let refused = open(KeyName::label(LABEL)).unwrap_err();
    assert_eq!(refused, Pkcs11Reason::PinLocked);
}

fn one_line_end_after_a_pin_is_not_part_of_it() {
    generate();
    let open = |line: String| {
        let id = TokenId::Label(TOKEN.to_owned());
        let token = Pkcs11Token::new(MODULE, id, TokenPin::from_line(line));
        Pkcs11Signer::open(token, KeyName::label(LABEL))
    };
    for end in ["", "\n", "\r\n"] {
        assert!(open(format!("{PIN}{end}")).is_ok(), "{end:?}");
    }
    for end in ["\n\n", "\n\r\n", "\r", " ", " \n"] {
        let refused = open(format!("{PIN}{end}")).unwrap_err();
        let code = "CKR_PIN_INCORRECT".to_owned();
        let meant = Error::Pkcs11(Pkcs11Reason::Pin { code });
        assert_eq!(refused, meant, "{end:?}");
    }
}

/// A signer for one key, of whose session and private key the numbers have come to mean a new
/// session and an object of another pair: SoftHSM counts both from one at each start.
fn signer_with_swapped_handles(class: ObjectClass) -> (Pkcs11Signer, Neighbour, Session) {
    make_token(TOKEN);
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    for (name, id) in [(LABEL, 1), ("another", 2)] {
        make_pair(&session, P256, &[label(name), Attribute::Id(vec![id])], &[]);
    }
    drop(session);
    neighbour.module.finalize().unwrap();
    let signer = open(KeyName::label(LABEL)).unwrap();
    Neighbour::new().module.finalize().unwrap();
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    let another = [Attribute::Class(class), label("another")];
    assert_eq!(session.find_objects(&another).unwrap().len(), 1);
    (signer, neighbour, session)
}

fn verifies(signer: &Pkcs11Signer, message: &[u8], signature: &[u8]) -> bool {
    let key = p256::ecdsa::VerifyingKey::from_public_key_der(signer.spki_der()).unwrap();
    let signature = p256::ecdsa::Signature::from_der(signature).unwrap();
    key.verify(message, &signature).is_ok()
}

fn a_handle_that_names_another_ca_by_now_signs_nothing() {
    let (signer, _neighbour, session) = signer_with_swapped_handles(ObjectClass::PRIVATE_KEY);
    let signature = signer.sign(b"message").unwrap();
    assert!(verifies(&signer, b"message", &signature));
    drop(session);
}

fn a_session_that_failed_for_any_reason_is_not_used_again() {
    let (signer, _neighbour, session) = signer_with_swapped_handles(ObjectClass::PUBLIC_KEY);
    let first = signer.sign(b"message").unwrap_err().to_string();
    assert!(first.contains("CKR_KEY_FUNCTION_NOT_PERMITTED"), "{first}");
    let signature = signer.sign(b"message").unwrap();
    assert!(verifies(&signer, b"message", &signature));
    drop(session);
}

fn a_key_that_is_not_there_is_named() {
    generate();
    for key in [
        KeyName::label("ca-2025"),
        KeyName::id([2]),
        KeyName::label_and_id(LABEL, [2]),
    ] {
        let refused = open(key.clone()).unwrap_err();
        assert_eq!(refused, Pkcs11Reason::NoKey { key });
    }
}

fn of_two_keys_with_one_label_the_id_names_the_one() {
    make_token(TOKEN);
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    for id in [7, 8] {
        make_pair(
            &session,
            P256,
            &[label(LABEL), Attribute::Id(vec![id])],
            &[],
        );
    }
    let key = KeyName::label(LABEL);
    let refused = open(key.clone()).unwrap_err();
    assert_eq!(refused, Pkcs11Reason::ManyKeys { key, count: 2 });
    let first = open(KeyName::label_and_id(LABEL, [7])).unwrap();
    let second = open(KeyName::id([8])).unwrap();
    assert_ne!(first.spki_der(), second.spki_der());
}

fn a_key_without_an_id_is_paired_by_its_label() {
    make_token(TOKEN);
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    for name in ["another", LABEL] {
        make_pair(&session, P256, &[label(name)], &[]);
    }
    let signer = Box::new(open(KeyName::label(LABEL)).unwrap());
    // It asks for a signature by the key and verifies it.
    let ca = PlatformCa::generate(signer, "CA", &ca_terms(), &mut rng()).unwrap();
    openssl_verifies(&ca);
}

fn a_private_key_without_its_public_key_is_refused() {
    generate();
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    let public = objects(&session, ObjectClass::PUBLIC_KEY)[0];
    session.destroy_object(public).unwrap();
    let key = KeyName::label(LABEL);
    let refused = open(key.clone()).unwrap_err();
    assert_eq!(refused, Pkcs11Reason::PublicKey { key, count: 0 });
}

fn keys_that_cannot_serve_are_refused() {
    make_token(TOKEN);
    let neighbour = Neighbour::new();
    let session = neighbour.session();
    let p521 = "1.3.132.0.35";
    make_pair(
        &session,
        p521,
        &[label("p521"), Attribute::Id(vec![1])],
        &[],
    );
    let refused = open(KeyName::label("p521")).unwrap_err();
    assert_eq!(refused, Pkcs11Reason::Curve);

    let asks = [Attribute::AlwaysAuthenticate(true)];
    let names = [label("asks"), Attribute::Id(vec![2])];
    make_pair(&session, P256, &names, &asks);
    let refused = open(KeyName::label("asks")).unwrap_err();
    assert_eq!(refused, Pkcs11Reason::AlwaysAuthenticate);
}

fn a_name_that_is_taken_makes_no_second_key() {
    generate();
    for (label, id) in [(LABEL, 2), ("ca-2027", 1), (LABEL, 1)] {
        let refused = Pkcs11Signer::generate(token(), label, &[id], Curve::P256);
        let key = KeyName::label_and_id(label, [id]);
        let refused = refused.unwrap_err();
        assert_eq!(refused, Error::Pkcs11(Pkcs11Reason::KeyExists { key }));
    }
    let session = Neighbour::new().session();
    assert_eq!(objects(&session, ObjectClass::PRIVATE_KEY).len(), 1);
    Pkcs11Signer::generate(token(), "ca-2027", &[2], Curve::P256).unwrap();
}

fn a_token_that_is_not_there_is_named() {
    make_token("another");
    for id in [
        TokenId::Label(TOKEN.to_owned()),
        TokenId::SerialNumber("0000".to_owned()),
        TokenId::Slot(4_000_000_000),
    ] {
        let pin = TokenPin::new(PIN.to_owned());
        let token = Pkcs11Token::new(MODULE, id.clone(), pin);
        let refused = Pkcs11Signer::open(token, KeyName::label(LABEL)).unwrap_err();
        let reason = Pkcs11Reason::NoToken { token: id };
        assert_eq!(refused, Error::Pkcs11(reason));
    }
}

fn of_two_tokens_with_one_label_the_serial_number_names_the_one() {
    make_token(TOKEN);
    make_token(TOKEN);
    let refused = open(KeyName::label(LABEL)).unwrap_err();
    let token = TokenId::Label(TOKEN.to_owned());
    assert_eq!(refused, Pkcs11Reason::ManyTokens { token, count: 2 });

    let neighbour = Neighbour::new();
    let info = neighbour.module.get_token_info(neighbour.slot).unwrap();
    let serial = TokenId::SerialNumber(info.serial_number().to_owned());
    for id in [serial, TokenId::Slot(neighbour.slot.id())] {
        let name = format!("{id:?}");
        let token = Pkcs11Token::new(MODULE, id, TokenPin::new(PIN.to_owned()));
        Pkcs11Signer::generate(token, &name, name.as_bytes(), Curve::P256).unwrap();
    }
    let session = neighbour.session();
    assert_eq!(objects(&session, ObjectClass::PRIVATE_KEY).len(), 2);
}

fn a_file_that_is_no_module_is_refused_without_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    for path in [text, directory.path().join("missing.so")] {
        let id = TokenId::Label(TOKEN.to_owned());
        let token = Pkcs11Token::new(&path, id, TokenPin::new(PIN.to_owned()));
        let refused = Pkcs11Signer::open(token, KeyName::label(LABEL)).unwrap_err();
        assert_eq!(refused, Error::Pkcs11(Pkcs11Reason::Module));
        let path = path.display().to_string();
        assert!(!refused.to_string().contains(&path), "{refused}");
    }
}
