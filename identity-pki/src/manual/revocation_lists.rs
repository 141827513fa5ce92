//! How to tell nginx, Envoy and others what is revoked.
//!
//! A server of ours asks its denylist in each handshake (`identity-mtls`), and needs no list. One that
//! stands in front and ends the TLS connection itself does: a certificate revocation list (RFC 5280
//! §5) that the CA signs.
//!
//! # From rows to lists
//!
//! A list names certificates by serial number, which is unique within one CA only. So **each CA has
//! a list of its own**, also one that is retiring or tainted, and one that revoked nothing: a CA
//! without a list has all its devices refused. Keep for each denial the serial number, the CA, the
//! time and the reason, as `identity-store`'s `DeniedCertificate` does:
//!
//! ```
//! use identity_pki::{
//!     Crl, CrlNumber, Error, Fingerprint, PlatformCa, RevocationReason, RevokedCertificate,
//!     SerialNumber, Terms,
//! };
//! use time::OffsetDateTime;
//!
//! enum Reason {
//!     Renewed,
//!     KeyLost,
//!     OutOfService,
//! }
//!
//! struct Denied {
//!     serial: SerialNumber,
//!     ca: Fingerprint,
//!     revoked_at: OffsetDateTime,
//!     reason: Reason,
//! }
//!
//! /// The list of one CA; `number` is higher than that of its list before.
//! fn list(ca: &PlatformCa, rows: &[Denied], number: u64, terms: &Terms) -> Result<Crl, Error> {
//!     let own = rows.iter().filter(|row| row.ca == ca.certificate().fingerprint());
//!     let entries = own.map(|row| {
//!         let reason = match row.reason {
//!             Reason::Renewed => RevocationReason::Superseded,
//!             Reason::KeyLost => RevocationReason::KeyCompromise,
//!             Reason::OutOfService => RevocationReason::CessationOfOperation,
//!         };
//!         RevokedCertificate::new(row.serial, row.revoked_at, reason)
//!     });
//!     let entries = entries.collect::<Result<Vec<_>, _>>()?;
//!     ca.issue_crl(CrlNumber::from(number), terms, entries)
//! }
//! # use identity_pki::{CA_VALIDITY, SoftwareSigner};
//! # use time::{Duration, macros::datetime};
//! # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
//! # let now = datetime!(2026-11-22 12:00 UTC);
//! # let ten_years = Terms::new(now, CA_VALIDITY, Duration::ZERO);
//! # let mut new_ca = || {
//! #     let signer = Box::new(SoftwareSigner::generate(&mut rng));
//! #     PlatformCa::generate(signer, "Device CA", &ten_years, &mut rng)
//! # };
//! # let (ca, other_ca) = (new_ca()?, new_ca()?);
//! # let mut row = |ca: &PlatformCa, reason| Denied {
//! #     serial: SerialNumber::generate(&mut rng),
//! #     ca: ca.certificate().fingerprint(),
//! #     revoked_at: now,
//! #     reason,
//! # };
//! # let rows = [
//! #     row(&ca, Reason::Renewed),
//! #     row(&other_ca, Reason::KeyLost),
//! #     row(&ca, Reason::OutOfService),
//! # ];
//!
//! let terms = Terms::new(now, Duration::days(1), Duration::minutes(5));
//! let lists = list(&ca, &rows, 42, &terms)?.pem() + &list(&other_ca, &rows, 7, &terms)?.pem();
//! # assert_eq!(lists.matches("BEGIN X509 CRL").count(), 2);
//! # let unsigned = |ca: &PlatformCa| list(ca, &rows, 8, &terms).map(|crl| crl.der().len());
//! # assert!(unsigned(&ca)? > unsigned(&other_ca)?);
//! # Ok::<(), Error>(())
//! ```
//!
//! A CA that was made elsewhere may not be allowed to sign lists:
//! [`CaCertificate::can_sign_crls`](crate::CaCertificate::can_sign_crls) tells before somebody relies
//! on it. An entry may go once a list was signed after its certificate's notAfter (§3.3).
//!
//! # Number, nextUpdate and cadence
//!
//! - **Number.** Each list of a CA has a higher one than those before (§5.2.3), also when nothing was
//!   revoked in between. Count in the transaction that reads the rows, one counter for each CA: two
//!   replicas that count by themselves sign two lists of one number.
//! - **nextUpdate.** OpenSSL, and with it nginx, refuses **every** device once it has passed. It
//!   is how long the job that signs may be broken before the fleet stands still: a day, say.
//! - **Cadence.** Far more often than that, since a revoked device is let in until the next list is
//!   loaded: at each revocation, and every hour if there was none. Raise an alarm when a list is older
//!   than a few of those.
//! - **thisUpdate** is backdated like a certificate, for servers whose clocks are late.
//!
//! # nginx
//!
//! Both files have one block for each CA, one after the other:
//!
//! ```text
//! ssl_verify_client       on;
//! ssl_verify_depth        1;
//! ssl_client_certificate  /etc/nginx/device-cas.pem;
//! ssl_crl                 /etc/nginx/device-cas.crl.pem;
//! ssl_session_cache       off;
//! ssl_session_tickets     off;
//! worker_shutdown_timeout 60s;    # outside http { }
//! ```
//!
//! nginx reads the list when it starts, so write a new file beside the old one, rename it, and `nginx
//! -s reload`. Old workers keep their connections until they shut down, hence the time limit; and a
//! resumed session is not checked again, hence none. nginx checks the whole chain up to a
//! self-signed certificate: for a CA under another CA, that one's certificate and list belong into
//! the files too.
//!
//! OpenSSL's cost of a list grows with its length; the project's performance page has figures. With
//! many revocations shorten the devices' validity, so that entries go sooner.
//!
//! # Envoy
//!
//! `crl` of the `CertificateValidationContext` takes the same PEM. Where one CA of a chain has a list,
//! all have to, unless `only_verify_leaf_cert_crl` is set. Serve the context by SDS with a
//! `watched_directory`, and Envoy loads the new file by itself. Connections that are open stay open;
//! bound them by `max_connection_duration`.
