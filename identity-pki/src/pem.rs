//! Textual encoding (RFC 7468), of exactly what is expected and nothing around it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of base64 on each line that we write (RFC 7468 §2).
const LINE_LEN: usize = 64;

/// The rule of the textual encoding that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PemRule {
    /// Longer than anything that is read here.
    #[error("{length} bytes of PEM are over this crate's limit of {limit}")]
    TooLarge {
        /// Bytes given.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The text does not begin with the boundary of the kind that is expected.
    #[error("the text does not begin with -----BEGIN {label}----- (RFC 7468 §2)")]
    Label {
        /// The label that is expected.
        label: &'static str,
    },
    /// The closing boundary is missing or has another label.
    #[error("the block does not end with -----END {label}----- (RFC 7468 §2)")]
    Unterminated {
        /// The label that is expected.
        label: &'static str,
    },
    /// Text after the last block.
    #[error("{length} bytes follow the block, which stands alone (this crate's own rule)")]
    TrailingText {
        /// How many.
        length: usize,
    },
    /// The body is not base64 in its one canonical form.
    #[error("the body is not base64 with canonical padding (RFC 4648 §§3.5, 4)")]
    Base64,
}

codes! {
    PemRule {
        Self::TooLarge { .. } => "pem_too_large",
        Self::Label { .. } => "pem_label",
        Self::Unterminated { .. } => "pem_unterminated",
        Self::TrailingText { .. } => "pem_trailing_text",
        Self::Base64 => "pem_base64",
    }
}

/// The DER of the one block that `text` consists of.
pub(crate) fn decode(label: &'static str, text: &str, limit: usize) -> Result<Vec<u8>, PemRule> {
    check_length(text, limit)?;
    let (der, rest) = block(label, text.trim_ascii_start())?;
    match rest.trim_ascii().len() {
        0 => Ok(der),
        length => Err(PemRule::TrailingText { length }),
    }
}

/// Base64 without boundaries, on one line or many.
pub(crate) fn decode_base64(text: &str, limit: usize) -> Result<Vec<u8>, PemRule> {
    check_length(text, limit)?;
    body(text)
}

/// One block, which ends in a newline.
pub(crate) fn encode(label: &'static str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(LINE_LEN / 4 * 3) {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn check_length(text: &str, limit: usize) -> Result<(), PemRule> {
    match text.len() {
        length if length > limit => Err(PemRule::TooLarge { length, limit }),
        _ => Ok(()),
    }
}

/// The first block, and what follows it.
fn block<'a>(label: &'static str, text: &'a str) -> Result<(Vec<u8>, &'a str), PemRule> {
    let rest = text
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.strip_prefix(label))
        .and_then(|rest| rest.strip_prefix("-----"))
        .ok_or(PemRule::Label { label })?;
    let unterminated = PemRule::Unterminated { label };
    let (base64, rest) = rest.split_once("-----END ").ok_or(unterminated)?;
    let rest = rest
        .strip_prefix(label)
        .and_then(|rest| rest.strip_prefix("-----"))
        .ok_or(unterminated)?;
    Ok((body(base64)?, rest))
}

/// Lines may be of any length: honest encoders wrap at 64 or 76 characters, or not at all.
fn body(base64: &str) -> Result<Vec<u8>, PemRule> {
    let joined: Vec<u8> = base64
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n' | b' ' | b'\t'))
        .collect();
    STANDARD.decode(joined).map_err(|_| PemRule::Base64)
}
