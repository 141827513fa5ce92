//! PostgreSQL for tests: servers that a test makes, breaks, and leaves no trace of.
//!
//! A [`Server`] gives each test a fresh database, as fast as can be; a [`Cluster`] is one that a
//! test may stop, kill, copy and promote. Both run the programs of an [`Installation`]:
//! those that `IDENTITY_POSTGRES` lists (folders like `/usr/lib/postgresql/15/bin`, separated by
//! colons, all of them tested), or else the newest that Debian or `PATH` has. `TEST_DATABASE_URL`
//! names a running server instead, on which databases may be created: [`Server::all`] then uses
//! that and nothing else, and there is no [`Installation`].
//!
//! ```no_run
//! use postgres_cluster::{Cluster, Installation, Server, Stop};
//!
//! for server in Server::all() {
//!     let database = server.database();
//!     println!("{} at {}", server.name(), database.url());
//! }
//!
//! for installation in Installation::all() {
//!     let cluster = Cluster::start(&installation);
//!     cluster.execute("postgres", "CREATE TABLE answers (answer INT)");
//!     cluster.stop(Stop::Fast);
//!     cluster.resume();
//! }
//! ```
//!
//! Everything here waits until it is done and panics when it cannot be: that is the test's report.
//! A cluster listens on 127.0.0.1 and asks for a password that is made for it. Its files go, and its
//! processes end, when it is dropped, when the test panics, and when the test's process is killed.

#![expect(
    clippy::panic,
    reason = "a cluster that cannot be made or broken as a test asks is the test's report"
)]

mod account;
mod backup;
mod cluster;
mod crash;
mod home;
mod installation;
mod options;
mod port;
mod random;
mod server;
mod sql;
mod trials;

pub use backup::Backup;
pub use cluster::{Cluster, Stop};
pub use installation::Installation;
pub use options::Options;
pub use server::{Database, Server};
pub use sql::{ask, execute, refusal};
pub use trials::{InstallationTest, Place, on_each, on_installations};
