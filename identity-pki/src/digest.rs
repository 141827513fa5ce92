use std::fmt;
use std::str::FromStr;

use crate::Error;

macro_rules! sha256_digest {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// A digest that was computed before, such as one read back from storage.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes of the digest.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        /// 64 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            /// Reads what `Display` writes: 64 lower-case hexadecimal digits and nothing else.
            fn from_str(text: &str) -> Result<Self, Error> {
                let refused = || Error::Hex {
                    what: $what,
                    expected: "64 lower-case hexadecimal digits",
                    length: text.len(),
                };
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(refused());
                }
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| refused())?;
                Ok(Self(bytes))
            }
        }
    };
}

sha256_digest! {
    /// SHA-256 of a certificate's DER, as people see and compare it.
    ///
    /// It names a certificate but is no key for a denylist: whoever holds a certificate can rewrite
    /// its ECDSA signature (r, s) as (r, n−s), which still verifies and changes every fingerprint.
    /// Decide by [`TbsSha256`].
    Fingerprint, "a fingerprint"
}

sha256_digest! {
    /// SHA-256 of a certificate's `TBSCertificate` (RFC 5280 §4.1.2): what the CA signed, which
    /// nobody can re-encode without breaking the signature. Denylists are keyed by it.
    TbsSha256, "a TBSCertificate hash"
}

sha256_digest! {
    /// SHA-256 of a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7): it names a key pair across
    /// certificates.
    SpkiSha256, "a SubjectPublicKeyInfo hash"
}

sha256_digest! {
    /// HMAC-SHA-256 of a pairing code under the server's pepper: what is stored in the code's place.
    /// Looking one up is one indexed equality, and reveals nothing without the pepper.
    PairingCodeHash, "a pairing code hash"
}

#[cfg(feature = "x509")]
impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Self {
        Self(sha256(der))
    }
}

#[cfg(feature = "x509")]
impl TbsSha256 {
    /// The hash of an encoded `TBSCertificate`.
    #[must_use]
    pub fn of_tbs(der: &[u8]) -> Self {
        Self(sha256(der))
    }
}

#[cfg(feature = "x509")]
impl SpkiSha256 {
    /// The hash of an encoded `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn of_spki(der: &[u8]) -> Self {
        Self(sha256(der))
    }
}

#[cfg(feature = "x509")]
fn sha256(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;

    sha2::Sha256::digest(bytes).into()
}
