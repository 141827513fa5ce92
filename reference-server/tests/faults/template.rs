//! Platforms that have been through their first run, to be copied: it costs seconds.

use std::sync::Arc;

use postgres_cluster::{Cluster, Server};
use tokio::sync::OnceCell;

use crate::database::DATA_KEYS;
use crate::harness::{Exit, Platform, ServerKey};
use crate::postgres;
use crate::stage::{KEYS, TENANT};

/// Which database a stage has.
#[derive(Default)]
pub(crate) enum Backend {
    /// The embedded one.
    #[default]
    Sqlite,
    /// One of its own on a PostgreSQL server that stories share.
    Postgres,
    /// One on a PostgreSQL server that the story may stop.
    Cluster(Arc<Cluster>),
}

/// What there is after a first run, with a tenant.
pub(crate) struct FirstRun {
    /// What it left in its directory.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) server_key: ServerKey,
    /// Of the tenant's administrator.
    pub(crate) token: String,
}

/// A copy of a platform; on PostgreSQL with its database.
pub(crate) struct Copy {
    pub(crate) first_run: Arc<FirstRun>,
    pub(crate) database: Option<postgres_cluster::Database>,
}

static EMBEDDED: OnceCell<Arc<FirstRun>> = OnceCell::const_new();
static SHARED: OnceCell<Shared> = OnceCell::const_new();

struct Shared {
    first_run: Arc<FirstRun>,
    database: postgres_cluster::Database,
    /// It runs for as long as this is here.
    _server: Server,
}

impl Copy {
    pub(crate) async fn on(backend: &Backend) -> Self {
        match backend {
            Backend::Sqlite => Self {
                first_run: Arc::clone(EMBEDDED.get_or_init(embedded).await),
                database: None,
            },
            Backend::Postgres => {
                let shared = SHARED.get_or_init(shared).await;
                Self {
                    first_run: Arc::clone(&shared.first_run),
                    database: Some(shared.database.copy()),
                }
            }
            Backend::Cluster(cluster) => {
                let database = cluster.database();
                Self {
                    first_run: on_postgres(&database).await,
                    database: Some(database),
                }
            }
        }
    }
}

async fn embedded() -> Arc<FirstRun> {
    first_run(&[]).await
}

async fn shared() -> Shared {
    let server = postgres::server().expect("PostgreSQL");
    let database = server.database();
    Shared {
        first_run: on_postgres(&database).await,
        database,
        _server: server,
    }
}

async fn on_postgres(database: &postgres_cluster::Database) -> Arc<FirstRun> {
    let variables = [("DATABASE_URL", database.url()), (KEYS, DATA_KEYS)];
    first_run(&variables).await
}

/// Goes through the first run, with these variables beside the usual ones.
async fn first_run(variables: &[(&str, &str)]) -> Arc<FirstRun> {
    let mut platform = Platform::first_run_with(variables).await;
    let token = platform.tenant(TENANT).await.token().to_owned();
    assert_eq!(platform.process.terminate(), Exit::success());
    let files = std::fs::read_dir(platform.directory.path()).expect("a directory");
    let files = files.map(|file| {
        let file = file.expect("a file");
        let name = file.file_name().into_string().expect("a name");
        (name, std::fs::read(file.path()).expect("its bytes"))
    });
    Arc::new(FirstRun {
        files: files.collect(),
        server_key: platform.server_key,
        token,
    })
}
