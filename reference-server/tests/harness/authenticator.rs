use aws_lc_rs::hmac;
use reference_server::clock::{Clock as _, SystemClock};

/// An authenticator, by another implementation of SHA-1 than the server's.
pub struct Authenticator {
    key: hmac::Key,
    /// The step at which it was set up: what is good one step later is good for a minute at least.
    step: u64,
}

impl Authenticator {
    /// Reads base32 (RFC 4648 §6).
    pub fn new(secret: &str) -> Self {
        let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
        for letter in secret.bytes() {
            let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
                .iter()
                .position(|l| *l == letter);
            bits = bits << 5 | u32::try_from(value.expect("base32")).expect("five bits");
            held += 5;
            if held >= 8 {
                held -= 8;
                bytes.push(u8::try_from(bits >> held & 0xff).expect("eight bits"));
            }
        }
        assert_eq!(bytes.len(), 20);
        let now = SystemClock.now().unix_timestamp();
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes),
            step: u64::try_from(now).expect("after 1970") / 30,
        }
    }

    /// The code of a step, counted from the one at which it was set up.
    pub fn code(&self, later: u64) -> String {
        let mac = hmac::sign(&self.key, &(self.step + later).to_be_bytes());
        let mac = mac.as_ref();
        let offset = usize::from(mac[19] & 15);
        let word = mac[offset..offset + 4].try_into().expect("four bytes");
        let code = (u32::from_be_bytes(word) & 0x7fff_ffff) % 1_000_000;
        format!("{code:06}")
    }

    /// The code that it shows next: it is good already, and was not used.
    pub fn next_code(&self) -> String {
        let now = SystemClock.now().unix_timestamp() / 30;
        self.code(u64::try_from(now).expect("after 1970") - self.step + 1)
    }

    /// A code of a step that is long over.
    pub fn old_code(&self) -> String {
        let good: Vec<_> = (0..9).map(|later| self.code(later)).collect();
        let over = Self {
            step: self.step - 1000,
            key: self.key.clone(),
        };
        let mut codes = (0..9).map(|later| over.code(later));
        codes.find(|code| !good.contains(code)).expect("another")
    }
}
