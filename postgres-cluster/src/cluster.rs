use std::path::Path;

use crate::home::{Home, succeed};
use crate::options::SUPERUSER;
use crate::port::free_ports;
use crate::{Installation, Options, crash, sql};

/// How often a change is looked for before it counts as not coming: half a minute or more.
const LOOKS: u32 = 1_500;
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(20);

/// A PostgreSQL server with files of its own. Dropping it ends both.
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    port: u16,
    password: String,
}

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Connections are closed, transactions under way rolled back, everything written out.
    Fast,
    /// Everything ends at once; the next start recovers from the log.
    Immediate,
}

impl Cluster {
    /// Makes a cluster whose commits are durable, and starts it. See [`Cluster::options`].
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(installation: &Installation) -> Self {
        Self::options(installation).start()
    }

    /// For a cluster that is not like the others.
    pub fn options(installation: &Installation) -> Options {
        Options::new(installation)
    }

    /// Starts what is in `home`, which another cluster's configuration may have come with.
    pub(crate) fn on_a_free_port(home: Home, password: String) -> Self {
        for port in free_ports() {
            home.configure([("port", port.to_string().as_str())]);
            if launch(&home) {
                return Self {
                    home,
                    port,
                    password,
                };
            }
            // Between the look and the start somebody else may have taken it.
            if !home.log().contains("could not bind") {
                break;
            }
        }
        panic!("PostgreSQL does not start:\n{}", home.log())
    }

    /// The port on 127.0.0.1 that it listens on, the same after each start.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The version's first number.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.home.installation().major()
    }

    /// A folder that the server can write to, and that goes with it: for archives and the like.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// What the server has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.home.log()
    }

    /// The superuser's URL for a database. `postgres` is always there.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.url_at(self.port, database)
    }

    /// The same by way of another port of 127.0.0.1: a proxy's.
    #[must_use]
    pub fn url_at(&self, port: u16, database: &str) -> String {
        let password = &self.password;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
    }

    /// [`execute`](crate::execute) in a database, as the superuser.
    ///
    /// # Panics
    ///
    /// When a statement fails.
    pub fn execute(&self, database: &str, statements: &str) {
        sql::execute(&self.url(database), statements);
    }

    /// [`ask`](crate::ask) in a database, as the superuser.
    ///
    /// # Panics
    ///
    /// When it fails, gives no row, or gives something that is not text.
    #[must_use]
    pub fn ask(&self, database: &str, query: &str) -> Option<String> {
        sql::ask(&self.url(database), query)
    }

    /// Asks `query`, which gives `true` or `false`, until it gives `true`.
    ///
    /// # Panics
    ///
    /// When it fails, or does not within half a minute.
    pub fn wait_until(&self, database: &str, query: &str) {
        let asked = format!("SELECT ({query})::text");
        for _ in 0..LOOKS {
            if self.ask(database, &asked).as_deref() == Some("true") {
                return;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        panic!("not within half a minute: {query}");
    }

    /// Changes parameters of the running server, for every connection that is made afterwards.
    /// Parameters that only a start reads count from the next [`resume`](Self::resume).
    ///
    /// # Panics
    ///
    /// When the server does not take one.
    pub fn set(&self, settings: &[(&str, &str)]) {
        let loaded = self
            .ask("postgres", "SELECT pg_conf_load_time()::text")
            .unwrap_or_default();
        for (name, value) in settings {
            let value = value.replace('\'', "''");
            self.execute("postgres", &format!("ALTER SYSTEM SET {name} = '{value}'"));
        }
        self.execute("postgres", "SELECT pg_reload_conf()");
        let reloaded = format!("pg_conf_load_time() > '{loaded}'");
        self.wait_until("postgres", &reloaded);
    }

    /// Stops the server. Its data and its port stay its own.
    ///
    /// # Panics
    ///
    /// When it does not stop.
    pub fn stop(&self, how: Stop) {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        succeed(control(&self.home, "stop").args(["--mode", mode]));
    }

    /// Starts the server again after [`stop`](Self::stop) or [`kill`](Self::kill).
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn resume(&self) {
        if !launch(&self.home) {
            panic!("PostgreSQL does not start again:\n{}", self.log());
        }
    }

    /// `kill -9` for the server and all its processes, as when the machine's power goes: what was
    /// under way ends without a word. Returns when they are gone.
    ///
    /// # Panics
    ///
    /// When there is no server to kill.
    pub fn kill(&self) {
        crash::kill(&self.home);
    }

    /// Makes a standby the primary. Returns when it takes writes.
    ///
    /// # Panics
    ///
    /// When it is no standby, or is stopped.
    pub fn promote(&self) {
        succeed(&mut control(&self.home, "promote"));
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

/// Starts the server and waits until it can be connected to. Whether it could be.
fn launch(home: &Home) -> bool {
    let mut start = control(home, "start");
    start.arg("--log").arg(home.log_file());
    // What `pg_ctl` says is in the log, and the server would keep a pipe open.
    start
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn control(home: &Home, action: &str) -> std::process::Command {
    let mut control = home.program("pg_ctl");
    control
        .args([action, "--wait", "--timeout=60", "--pgdata"])
        .arg(home.data());
    control
}
