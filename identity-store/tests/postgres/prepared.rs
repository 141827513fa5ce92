use std::sync::{Arc, OnceLock};

use identity_store::Store as _;
use postgres_cluster::{Database, Place, Server};

use crate::{open, wait};

/// A server, and a database on it whose migrations the others need not wait for.
pub(crate) struct Prepared {
    /// Dropped before its server.
    migrated: OnceLock<Database>,
    server: Server,
}

impl Prepared {
    pub(crate) fn of(server: Server) -> Arc<Self> {
        Arc::new(Self {
            migrated: OnceLock::new(),
            server,
        })
    }

    /// A database of its own, empty.
    pub(crate) fn database(&self) -> Database {
        self.server.database()
    }

    /// A database of its own with the tables in it.
    pub(crate) fn migrated(&self) -> Database {
        let migrated = self.migrated.get_or_init(|| {
            let database = self.server.database();
            wait(async { open(&database).await.close().await });
            database
        });
        migrated.copy()
    }
}

impl Place for Prepared {
    fn name(&self) -> String {
        self.server.name()
    }
}
