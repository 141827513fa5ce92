//! Why not the stock verifier?
//!
//! rustls' `WebPkiClientVerifier` does what it is for: it finds a path from the client's certificate
//! to a root, in time and for client authentication. A platform that gives out devices' certificates
//! has further questions, which that verifier was never asked:
//!
//! | a certificate that | stock | here |
//! |---|---|---|
//! | reaches the root by an intermediate CA | accepted | refused: one link from leaf to CA |
//! | was signed by a CA whose own validity is over | accepted: a trust anchor has no dates | refused |
//! | names two devices, or a DNS name beside the device | accepted | refused: exactly one name, counted in the raw bytes |
//! | may authenticate servers as well | accepted | refused: clientAuth and nothing more |
//! | had its signature rewritten, (r, s) as (r, n−s) | accepted | refused: low s, as the CA writes it |
//! | is revoked | accepted, unless it was built with a CRL that says so | refused from the moment of [`Denylist::add`](crate::Denylist::add) |
//! | comes back on a resumed session | **not looked at** | no session is ever resumed |
//!
//! The last row is the one that hurt others (CVE-2025-23419, CVE-2025-68121): the verifier is not called
//! for a resumed session, and resumption is on by default. [`server_config()`](crate::server_config())
//! stores no session, sends no ticket and takes no early data.
//!
//! Everything is decided in one pure function, [`decide`](crate::decide), which the handshake, the look
//! after it and your tests share.
