//! How a revocation takes effect.
//!
//! 1. Your application commits the denial to its database: the certificate's
//!    [`TbsSha256`](identity_pki::TbsSha256), until a day past its notAfter.
//! 2. [`Denylist::add`](crate::Denylist::add): handshakes from now on are refused with the alert
//!    `certificate_revoked`.
//! 3. [`LiveConnections::close_where`](crate::LiveConnections::close_where) or
//!    [`re_decide`](crate::LiveConnections::re_decide): connections that were open already are told to
//!    close.
//! 4. Now answer whoever asked for the revocation. Nothing that starts later gets through in this
//!    process.
//!
//! # Other processes
//!
//! Each process has a copy of the list. It reads additions once a second or when it is told to
//! ([`Denylist::begin_catch_up`](crate::Denylist::begin_catch_up)), and the whole list from time to
//! time ([`Denylist::begin_reload`](crate::Denylist::begin_reload)), which is how purged entries leave.
//! Until it has read, a revoked device may still connect there. Where that second is too long, ask the database on each request for
//! the device's active serial number as well: that is one indexed read, and what the reference server
//! does.
//!
//! # When the database cannot be read
//!
//! Before the first snapshot every device certificate is refused: nobody knows yet which are denied.
//! Later the list ages; [`Denylist::age`](crate::Denylist::age) says by how much. A read that succeeds
//! renews it, one that fails does not, and a revocation of this process' own says nothing about others.
//! Beyond the [`AgeLimit`](crate::AgeLimit) every device is refused again, after an hour unless you say
//! otherwise. A server that asks its database on each request may serve instead, and show
//! [`Denylist::is_stale`](crate::Denylist::is_stale) to its operators; so may one that is the only writer.
//!
//! # Why the hash of the `TBSCertificate`
//!
//! An ECDSA signature (r, s) has a twin (r, n−s) that anybody can compute and that verifies as well.
//! A list of certificate fingerprints is walked around by that twin. The hash of what the CA signed is
//! the same for both, and to change it takes the CA's key.
