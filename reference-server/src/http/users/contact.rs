//! What an integrator tells about a user.

use serde::Deserialize;

/// A telephone number: an optional `+`, then 3 to 31 digits, spaces, hyphens, dots and brackets, with
/// at least three digits. It is kept as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Mobile(String);

impl Mobile {
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Mobile {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let number = text.strip_prefix('+').unwrap_or(&text);
        let allowed = |b: u8| b.is_ascii_digit() || b" -.()".contains(&b);
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        if number.len() <= 31 && digits >= 3 && number.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err("must be a telephone number")
        }
    }
}

/// An e-mail address, kept as it was sent: nothing is looked up by it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct EmailAddress(String);

impl EmailAddress {
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let parts = text.rsplit_once('@');
        let whole = parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if whole && plain && text.len() <= 254 {
            Ok(Self(text))
        } else {
            Err("must be an e-mail address")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telephone_number_has_digits() {
        for good in ["+41 22 555 01 00", "0225550100", "(022) 555-01.00", "112"] {
            assert!(Mobile::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "+",
            "+1",
            "12",
            "0x12",
            "+41\n22555",
            "++41225550100",
            &"1".repeat(32),
        ] {
            assert!(Mobile::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_has_two_sides() {
        for good in [
            "ada@example.com",
            "a@b",
            "ädä@beispiel.example",
            "\"a@b\"@c",
        ] {
            assert!(EmailAddress::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@b",
            "a@",
            "a b@c",
            "a@b\n",
            &format!("{}@b", "a".repeat(253)),
        ] {
            assert!(EmailAddress::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
