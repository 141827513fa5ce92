//! What a console user shows at a sign-in beside the password: one-time codes by the clock (TOTP,
//! RFC 6238) with the parameters that every authenticator knows, and recovery codes that stand in for
//! them.
//!
//! Thirty lines over `hmac`, rather than a crate: what is hard about codes is that each is used once, which
//! is the store's.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use identity_store::RecoveryCodeHash;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use time::OffsetDateTime;
use url::Url;
use zeroize::Zeroizing;

use crate::clock;

/// How long a code is good, in seconds.
const PERIOD: i64 = 30;
/// How many digits a code has.
const DIGITS: usize = 6;
/// So many steps a clock may be ahead or behind (RFC 6238 §5.2).
const SKEW: i64 = 1;
/// How many recovery codes there are.
const RECOVERY_CODES: usize = 10;

/// A secret of its own: as many bytes as SHA-1 has (RFC 4226 §4).
#[must_use]
pub fn new_secret() -> Zeroizing<[u8; 20]> {
    Zeroizing::new(clock::random_bytes())
}

/// A secret as people type it into an authenticator.
#[must_use]
pub fn base32(secret: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(BASE32_NOPAD.encode(secret))
}

/// What an authenticator reads from a QR code: codes of `issuer` for the console user at `email`.
///
/// # Errors
///
/// [`url::ParseError`], never.
pub fn otpauth_uri(
    issuer: &str,
    secret: &[u8],
    email: &str,
) -> Result<Zeroizing<String>, url::ParseError> {
    let mut uri = Url::parse("otpauth://totp")?;
    // Neither is a path, and only the colon between them is one that parts them.
    let (issuer, email) = (percent_encoded(issuer), percent_encoded(email));
    uri.set_path(&format!("{issuer}:{email}"));
    let secret = base32(secret);
    uri.set_query(Some(&format!(
        "secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={PERIOD}",
        *secret
    )));
    Ok(Zeroizing::new(uri.into()))
}

/// As RFC 3986 §2.1 writes a part of a URI, but for the @ and the + of addresses.
fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@+".contains(&byte);
    let encode = |byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// What somebody typed where a code is asked for. Spaces and hyphens do not matter, nor does case.
#[derive(Clone)]
pub enum TypedCode {
    /// Six digits.
    OneTime(Zeroizing<String>),
    /// Anything else.
    Recovery(RecoveryCodeHash),
}

impl TypedCode {
    /// Reads what was typed.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        let code = canonical(typed);
        let digits = code.bytes().all(|byte| byte.is_ascii_digit());
        match digits && code.len() == DIGITS {
            true => Self::OneTime(code),
            false => Self::Recovery(RecoveryCodeHash(Sha256::digest(code.as_bytes()).into())),
        }
    }
}

impl fmt::Debug for TypedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedCode(..)")
    }
}

fn canonical(typed: &str) -> Zeroizing<String> {
    let kept = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
    let mut code = Zeroizing::new(String::with_capacity(typed.len()));
    code.extend(kept.map(|c| c.to_ascii_lowercase()));
    code
}

/// The time step that `code` is of, if it is a code of `secret` that is good at `now`.
///
/// # Errors
///
/// [`InvalidLength`], never: HMAC takes keys of any length.
pub fn step_of(
    code: &str,
    secret: &[u8],
    now: OffsetDateTime,
) -> Result<Option<i64>, InvalidLength> {
    let current = now.unix_timestamp().div_euclid(PERIOD);
    let mut found = None;
    for step in current - SKEW..=current + SKEW {
        let expected = hotp(secret, step)?;
        if bool::from(code.as_bytes().ct_eq(expected.as_bytes())) {
            found = Some(step);
        }
    }
    Ok(found)
}

/// The code of a moving factor (RFC 4226 §5.3).
fn hotp(secret: &[u8], factor: i64) -> Result<Zeroizing<String>, InvalidLength> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret)?;
    mac.update(&factor.to_be_bytes());
    let mac = mac.finalize().into_bytes();
    let offset = usize::from(mac[19] & 0xf);
    let word = [
        mac[offset] & 0x7f,
        mac[offset + 1],
        mac[offset + 2],
        mac[offset + 3],
    ];
    let code = u32::from_be_bytes(word) % 1_000_000;
    Ok(Zeroizing::new(format!("{code:0DIGITS$}")))
}

/// Recovery codes to show once, each with what is stored of it: 80 bits in four groups of four letters.
#[must_use]
pub fn recovery_codes() -> Vec<(String, RecoveryCodeHash)> {
    let code = |_| {
        let random = Zeroizing::new(clock::random_bytes::<10>());
        let word = Zeroizing::new(BASE32_NOPAD.encode(&*random).to_ascii_lowercase());
        let hash = RecoveryCodeHash(Sha256::digest(word.as_bytes()).into());
        let (first, second) = word.split_at(8);
        let ((a, b), (c, d)) = (first.split_at(4), second.split_at(4));
        (format!("{a}-{b}-{c}-{d}"), hash)
    };
    (0..RECOVERY_CODES).map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
    }

    /// RFC 4226 appendix D.
    #[test]
    fn codes_are_those_of_rfc_4226() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (factor, code) in (0..).zip(codes) {
            assert_eq!(*hotp(SECRET, factor).expect("a code"), code);
        }
    }

    /// RFC 6238 appendix B, the last six of its eight digits.
    #[test]
    fn a_code_is_good_for_a_step_before_and_after_its_own() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = seconds / 30;
            let (first, last) = ((step - 1) * 30, (step + 2) * 30 - 1);
            for (now, expected) in [
                (seconds, Some(step)),
                (first, Some(step)),
                (first - 1, None),
                (last, Some(step)),
                (last + 1, None),
            ] {
                let found = step_of(code, SECRET, at(now)).expect("a decision");
                assert_eq!(found, expected, "{code} at {now}");
            }
        }
    }

    #[test]
    fn a_typed_code_is_read_without_spaces_hyphens_and_case() {
        for typed in ["287082", " 287 082\n", "287-082", "2 8 7 0 8 2"] {
            assert!(matches!(TypedCode::new(typed), TypedCode::OneTime(code) if *code == "287082"));
        }
        let hash = |typed: &str| match TypedCode::new(typed) {
            TypedCode::Recovery(hash) => Some(hash),
            TypedCode::OneTime(_) => None,
        };
        for (shown, stored) in recovery_codes() {
            for typed in [&shown, &shown.to_uppercase(), &shown.replace('-', " ")] {
                assert_eq!(hash(typed), Some(stored), "{typed}");
            }
        }
        for other in ["", "28708", "2870822", "２８７０８２", "abcdef"] {
            assert!(hash(other).is_some(), "{other}");
        }
        assert_eq!(format!("{:?}", TypedCode::new("287082")), "TypedCode(..)");
    }

    #[test]
    fn recovery_codes_are_drawn() {
        let codes = recovery_codes();
        let hashes: std::collections::BTreeSet<_> = codes.iter().map(|(_, hash)| hash).collect();
        assert_eq!(hashes.len(), RECOVERY_CODES);
        assert!(
            codes.iter().all(|(shown, _)| shown.len() == 19),
            "{codes:?}"
        );
    }

    #[test]
    fn an_authenticator_reads_issuer_address_and_secret() {
        let uri = otpauth_uri("Link Identity", SECRET, "a+b%c@example.com").expect("a URI");
        let expected = "otpauth://totp/Link%20Identity:a+b%25c@example.com?secret=\
            GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Link%20Identity&algorithm=SHA1&digits=6&period=30";
        assert_eq!(*uri, expected);
        // Nothing of a name passes for another part.
        let uri = otpauth_uri("A&B: 1/2?#%é", SECRET, "a@b.c").expect("a URI");
        let issuer = "A%26B%3A%201%2F2%3F%23%25%C3%A9";
        assert!(uri.starts_with(&format!("otpauth://totp/{issuer}:a@b.c?secret=")));
        assert!(
            uri.contains(&format!("&issuer={issuer}&algorithm")),
            "{}",
            *uri
        );
    }
}
