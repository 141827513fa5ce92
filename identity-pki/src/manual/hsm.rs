//! How to keep the CA's key where it cannot be taken out.
//!
//! Whoever has the CA's key is every device. A key in memory ([`SoftwareSigner`](crate::SoftwareSigner))
//! is as safe as the process, its memory dumps and the place where the key sleeps. There are two other
//! places, and neither changes what is issued.
//!
//! # A hardware security module
//!
//! With the feature `pkcs11`, `Pkcs11Signer` signs in any token whose vendor ships a PKCS #11 module.
//! Make the key **in** the token; a key that was ever in a file may still be in a backup of it.
//! Rehearse with SoftHSM 2, which speaks the same interface:
//!
//! ```sh
//! softhsm2-util --init-token --free --label device-ca --so-pin 87654321 --pin 12345678
//! ```
//!
//! Then `Pkcs11Signer::generate` once, [`PlatformCa::generate`](crate::PlatformCa::generate), and at each
//! start `Pkcs11Signer::open` and [`PlatformCa::load`](crate::PlatformCa::load), which asks for one
//! signature to see that the token holds the certificate's key. Sessions that a token ends are opened
//! again; a PIN that it refused is not tried twice.
//!
//! # A key management service
//!
//! A service across a network answers later, and waiting for it is the application's business, not
//! this crate's. So the bytes to sign and the signature are two steps, with whatever the
//! application awaits in between:
//!
//! ```
//! # use std::error::Error;
//! use identity_pki::{
//!     CaCertificate, CaSigner, DeviceIdentity, IssuedCertificate, Terms, ValidatedCsr,
//! };
//!
//! # struct Kms<'a>(&'a dyn CaSigner);
//! # impl Kms<'_> {
//! #     async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, identity_pki::SigningError> {
//! #         self.0.sign(message)
//! #     }
//! # }
//! async fn issue(
//!     ca: &CaCertificate,
//!     kms: &Kms<'_>,
//!     csr: &ValidatedCsr,
//!     identity: &DeviceIdentity,
//!     terms: &Terms,
//!     rng: &mut (impl rand_core::CryptoRng + Send),
//! ) -> Result<IssuedCertificate, Box<dyn Error>> {
//!     let unsigned = ca.prepare(csr, identity, terms, rng)?;
//!     // Not hashed yet: the service hashes it by the algorithm of the CA's key.
//!     let signature = kms.sign(unsigned.tbs()).await?;
//!     Ok(unsigned.complete(&signature)?)
//! }
//! ```
//!
//! Between the two steps the bytes do not change. `complete` verifies the signature by the CA's key,
//! so that a service that used another key or another version of it, or answered another request,
//! is found out at once; then the certificate is read back and compared as always. Whether (r, s) or
//! (r, n−s) comes back does not matter: low s is written.
//!
//! [`PlatformCa::issue`](crate::PlatformCa::issue) itself verifies no signature of its own signer; it
//! relies on the proof at load. `Pkcs11Signer` verifies each that its token gives, since a handle may
//! name another key after the module was started anew.
//!
//! # Which curve?
//!
//! P-256 unless your policy says P-384 for CAs. The devices' keys are on P-256 either way, and each
//! handshake pays for verifying the CA's signature.
