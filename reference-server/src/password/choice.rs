//! Which passwords may be chosen (NIST SP 800-63B-4 §3.1.1.2): long ones that are not among the first
//! that anybody would try.

use std::cmp::Ordering;

/// The shortest password that may be chosen, in characters.
pub const MIN_LENGTH: usize = 12;
/// The longest password, in bytes: enough for any passphrase.
pub const MAX_LENGTH: usize = 1024;

/// The part of an address before its @, and the product's name, count from so many characters on:
/// shorter ones are in every other word.
const MIN_NAME: usize = 4;

/// The passwords of at least [`MIN_LENGTH`] printable ASCII characters among the 500,000 commonest of
/// Mark Burnett's ten million, which he collected from leaks and gave to the public domain in 2015 (in
/// `SecLists`, under the MIT licence, as `10-million-password-list-top-1000000.txt`): lower-case, sorted by
/// their bytes, each once, one a line.
const LEAKED: &str = include_str!("leaked.txt");

/// The rule that a new password breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoorPassword {
    /// It is too short.
    #[error("must have at least {MIN_LENGTH} characters")]
    Short,
    /// It is too long.
    #[error("must have at most {MAX_LENGTH} bytes")]
    Long,
    /// It is among the commonest that leaked elsewhere.
    #[error("must not be one of the commonest passwords, which attackers try first")]
    Leaked,
    /// It contains its user's address up to the @.
    #[error("must not contain the name in your address")]
    Address,
    /// It contains the product's name.
    #[error("must not contain the product's name")]
    Product,
}

/// Whether the console user at `email` may choose `password` for `product`.
pub(super) fn check(password: &str, email: &str, product: &str) -> Result<(), PoorPassword> {
    if password.chars().count() < MIN_LENGTH {
        return Err(PoorPassword::Short);
    }
    if password.len() > MAX_LENGTH {
        return Err(PoorPassword::Long);
    }
    let lower = password.to_lowercase();
    if is_a_line_of(LEAKED, &lower) {
        return Err(PoorPassword::Leaked);
    }
    let local_part = email.split('@').next().unwrap_or_default().to_lowercase();
    if local_part.chars().count() >= MIN_NAME && lower.contains(&local_part) {
        return Err(PoorPassword::Address);
    }
    let product = letters(product);
    if product.chars().count() >= MIN_NAME && letters(password).contains(&product) {
        return Err(PoorPassword::Product);
    }
    Ok(())
}

/// `text` in lower case, without spaces and signs.
fn letters(text: &str) -> String {
    let lower = text.chars().flat_map(char::to_lowercase);
    lower.filter(|c| c.is_alphanumeric()).collect()
}

/// Whether `word` is one of the lines, which are sorted by their bytes: a binary search over the text as
/// it lies in the program.
fn is_a_line_of(lines: &str, word: &str) -> bool {
    let mut rest = lines;
    while !rest.is_empty() {
        let middle = rest.floor_char_boundary(rest.len() / 2);
        let (before, behind) = rest.split_at(middle);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let end = behind.find('\n').map_or(rest.len(), |end| middle + end);
        let (left, line_and_right) = rest.split_at(start);
        let (line, right) = line_and_right.split_at(end - start);
        rest = match word.cmp(line) {
            Ordering::Equal => return true,
            Ordering::Less => left,
            Ordering::Greater => right.strip_prefix('\n').unwrap_or_default(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_password_breaks_no_rule() {
        let longest = "x".repeat(MAX_LENGTH);
        let too_long = "x".repeat(MAX_LENGTH + 1);
        for (password, expected) in [
            ("elevenchars", Err(PoorPassword::Short)),
            ("twelve chars", Ok(())),
            ("üüüüüüüüüüüy", Ok(())),
            (&longest, Ok(())),
            (&too_long, Err(PoorPassword::Long)),
            ("password1234", Err(PoorPassword::Leaked)),
            ("PassWord1234", Err(PoorPassword::Leaked)),
            ("1q2w3e4r5t6y", Err(PoorPassword::Leaked)),
            ("password1234 and more", Ok(())),
            ("i am Ada.Byron!", Err(PoorPassword::Address)),
            ("ada byron's own", Ok(())),
            ("Link-Identity 1", Err(PoorPassword::Product)),
            ("l i n k - IDENTITY", Err(PoorPassword::Product)),
            ("acme palms are ours", Ok(())),
            ("my own identity", Ok(())),
        ] {
            assert_eq!(
                check(password, "ada.byron@example.com", "Link Identity"),
                expected,
                "{password}"
            );
        }
        let of = |email, product| check("abracadabra!", email, product);
        assert_eq!(of("abr@example.com", "Link Identity"), Ok(()));
        let address = of("abra@example.com", "Link Identity");
        assert_eq!(address, Err(PoorPassword::Address));
        for (product, expected) in [
            ("Cada, Bra", Err(PoorPassword::Product)),
            ("Abr", Ok(())),
            ("...", Ok(())),
        ] {
            assert_eq!(of("eve@example.com", product), expected, "{product}");
        }
    }

    #[test]
    fn the_list_is_sorted_and_of_passwords_that_the_other_rules_let_through() {
        let lines: Vec<&str> = LEAKED.lines().collect();
        assert!(lines.len() > 5000, "{}", lines.len());
        assert!(lines.is_sorted_by(|one, next| one < next));
        for line in lines {
            assert!(line.len() >= MIN_LENGTH && line.is_ascii(), "{line}");
            assert_eq!(line.to_lowercase(), line);
            assert!(is_a_line_of(LEAKED, line), "{line}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_found_by_halving_as_by_reading(
            lines in prop::collection::btree_set("[a-cü]{0,3}", 0..12),
            word in "[a-cü]{0,3}",
            ended in any::<bool>(),
        ) {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let text = if ended { &text[..] } else { text.trim_end_matches('\n') };
            prop_assert_eq!(is_a_line_of(text, &word), text.lines().any(|line| line == word));
        }
    }
}
