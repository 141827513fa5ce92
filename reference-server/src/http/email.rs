/// An e-mail address in the canonical form under which it is looked up, counted and stored: trimmed
/// and lower-case, so that no second spelling evades a lock-out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

/// Text that is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an e-mail address")]
pub struct EmailError;

impl Email {
    /// Reads an address: one `@` between a local part and a domain, at most 254 visible ASCII
    /// characters (RFC 5321 §4.5.3.1.3).
    ///
    /// # Errors
    ///
    /// [`EmailError`].
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        let (local, domain) = text.split_once('@').ok_or(EmailError)?;
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        let whole = !local.is_empty() && !domain.is_empty() && !domain.contains('@');
        if visible && whole && text.len() <= 254 {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(EmailError)
        }
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for spelling in ["a@b.example", " A@B.Example ", "a@B.EXAMPLE"] {
            assert_eq!(
                Email::parse(spelling).map(Email::into_string).as_deref(),
                Ok("a@b.example")
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "ä@b",
            &format!("{}@b", "a".repeat(253)),
        ] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }
}
