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
//! Until it has read, a revoked device may still connect there. Where that second is too long, ask the
//! database on each request for the device's active serial number as well: that is one indexed read,
//! and what the reference server does.
//!
//! # The task beside the accept loop
//!
//! Without it the list ages until every device is refused, and a connection outlives its certificate:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use identity_mtls::{Denylist, DeviceAcceptor};
//! use identity_pki::TbsSha256;
//! use time::OffsetDateTime;
//!
//! /// The denials in your database: rows numbered from 1 in the order of their commits, no number twice.
//! trait Denials {
//!     /// What the rows after this one deny, and the number of the last row. It has a time limit.
//!     async fn after(&self, row: u64) -> std::io::Result<(Vec<TbsSha256>, u64)>;
//! }
//!
//! async fn keep_up(
//!     acceptor: DeviceAcceptor,
//!     denylist: Arc<Denylist>,
//!     denials: impl Denials,
//!     clock: impl Fn() -> OffsetDateTime,
//! ) {
//!     let mut seconds = tokio::time::interval(Duration::from_secs(1));
//!     let mut last = 0;
//!     for second in 0_u64.. {
//!         seconds.tick().await;
//!         let read = match denylist.begin_catch_up(clock()) {
//!             // What came since the last read.
//!             Some(catch_up) if second % 600 != 0 => denials.after(last).await.map(|(rows, row)| {
//!                 catch_up.publish(rows);
//!                 row
//!             }),
//!             // The whole list: at the start, until that has succeeded, and each ten minutes.
//!             Some(_) | None => {
//!                 let reload = denylist.begin_reload(clock());
//!                 denials.after(0).await.map(|(rows, row)| {
//!                     reload.publish(rows);
//!                     row
//!                 })
//!             }
//!         };
//!         match read {
//!             Ok(row) => last = row,
//!             Err(error) => eprintln!("the denylist ages: {error}"),
//!         }
//!         let (now, tls) = (clock(), acceptor.tls());
//!         acceptor.live().close_expired(now);
//!         acceptor.live().re_decide(now, tls.devices().trust());
//!     }
//! }
//! ```
//!
//! [`re_decide`](crate::LiveConnections::re_decide) looks at each connection, for additions as well as
//! for a list that became too old; where there are very many, call it when rows came or the list
//! [is stale](crate::Denylist::is_stale), and
//! [`close_expired`](crate::LiveConnections::close_expired) each second, which looks at the expired
//! ones alone.
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
