//! How to rotate a CA, or bring your own.
//!
//! Which CA issues and which CAs are trusted are two questions. [`CaRotation`](crate::CaRotation)
//! answers both from one stored state for each CA, and says what may happen next:
//!
//! | state | issues | trusted |
//! |---|---|---|
//! | `prepared` | no | yes |
//! | `active`, at most one | yes | yes |
//! | `retiring` | no, but may again | yes |
//! | `tainted` | never again | yes |
//! | `retired` | never again | no |
//!
//! # An ordinary rotation
//!
//! 1. **Add** the new CA as `prepared`. Every server takes it into its trust bundle; nothing else
//!    changes. [`PlatformCa::generate`](crate::PlatformCa::generate) gives it a subject of its own,
//!    so that path building never confuses it with the old one.
//! 2. **Activate** it when all servers trust it. Pairings and renewals use it from now on; the old
//!    one is `retiring`, and its devices go on working. Should anything be wrong, activate the old
//!    one again: the two change places.
//! 3. **Wait** for the renewals. Devices renew before their certificates expire, so that after one
//!    validity nobody has a certificate of the old CA.
//! 4. **Retire** the old one. While devices have certificates of it that is refused, unless it is
//!    forced, which locks them out. The issuing CA is never retired.
//!
//! # When a key may be known
//!
//! [`regenerate`](crate::CaRotation::regenerate) adds another CA as `active` at once and **taints** the
//! old one: it never issues again, not even by way of a rollback. Its devices have to work until they have moved, or there is nobody left to
//! renew; who holds the key can imitate them until then. Revoke what does not move, and retire it.
//!
//! # A CA of your own
//!
//! [`PlatformCa::import`](crate::PlatformCa::import) takes a CA that was made elsewhere. It refuses
//! what would lock the fleet out later: each [`CaRule`](crate::CaRule) is a reason for which a
//! verifier would turn away devices, or the CA could not sign. In short:
//!
//! - one certificate in PEM, of version 3, valid now, and its own key;
//! - on P-256 or P-384; certificates are then signed with the hash of that curve;
//! - CA:true, keyCertSign, a subject key identifier; if it has purposes, clientAuth is one;
//! - no critical extension but basic constraints, usages, purposes and name constraints;
//! - name constraints on hosts, IP and mail addresses alone. Device certificates have none of them.
//!   Any on URIs, be it one that permits all, makes rustls-webpki refuse every device; those on
//!   directory names are about the devices' subjects, which the operator of another CA cannot know.
//!
//! It may be self-signed or under another CA: verifiers have it as their trust anchor and look no
//! further (with OpenSSL, `-partial_chain`). Its certificate and its subject are kept byte for byte,
//! whatever string types it uses, since issuer names are compared as bytes.
