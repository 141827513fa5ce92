//! Passwords, and names that nobody else has.

/// 128 random bits in hexadecimal digits.
pub(crate) fn random_hex() -> String {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .unwrap_or_else(|error| panic!("/dev/urandom: {error}"));
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
