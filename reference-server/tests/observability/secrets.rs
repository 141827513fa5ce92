//! Secrets that a story used, looked for in what it left.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

#[derive(Default)]
pub(crate) struct Secrets(Vec<(&'static str, Vec<String>)>);

impl Secrets {
    /// Keeps a secret, as it is and as it might be written down.
    pub(crate) fn keep(&mut self, what: &'static str, secret: &str) {
        assert!(
            secret.len() >= 6,
            "{what}: too short to be told from anything else"
        );
        let encoded = [
            secret.to_owned(),
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
            data_encoding::HEXLOWER.encode(secret.as_bytes()),
            percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC)
                .to_string(),
            format!("{:?}", secret.as_bytes()),
        ];
        self.0.push((what, encoded.into()));
    }

    /// Keeps a private key: a line in the midst of its PEM.
    pub(crate) fn keep_key(&mut self, what: &'static str, pem: &str) {
        let line = pem.lines().nth(2).expect("three lines at least");
        self.0.push((what, vec![line.to_owned()]));
    }

    pub(crate) fn assert_absent(&self, place: &str, text: &str) {
        for (what, encoded) in &self.0 {
            let told = encoded.iter().find(|form| text.contains(form.as_str()));
            assert!(
                told.is_none(),
                "{what} is told by {place} as {told:?}: {}",
                around(text, told)
            );
        }
    }
}

/// The text about what was found in it.
fn around<'t>(text: &'t str, found: Option<&String>) -> &'t str {
    let at = found
        .and_then(|found| text.find(found.as_str()))
        .unwrap_or(0);
    let start = text.floor_char_boundary(at.saturating_sub(200));
    let end = text.floor_char_boundary((at + 300).min(text.len()));
    &text[start..end]
}
