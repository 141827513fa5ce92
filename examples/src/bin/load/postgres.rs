//! A temporary PostgreSQL cluster from the installed binaries, for peers and for those who have none.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use crate::Failure;
use crate::process::{self, Process, free_address, until_it_listens};

/// The user that the cluster runs as where this program is root, whom PostgreSQL refuses: Debian's
/// package makes it.
const UNPRIVILEGED: &str = "postgres";

/// A cluster that goes with this value.
#[derive(Debug)]
pub(crate) struct Postgres {
    // In this order: the server has ended when its folder goes.
    _server: Process,
    address: SocketAddr,
    binaries: PathBuf,
    _folder: TempDir,
}

impl Postgres {
    /// Starts a cluster from the programs in the folder `binaries`, on this processor if one is named.
    pub(crate) async fn start(binaries: &Path, processor: Option<usize>) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let user = unprivileged_user(folder.path())?;
        let data = folder.path().join("data");
        let mut initdb = as_user(Command::new(binaries.join("initdb")), user);
        initdb
            .args([
                "--auth=trust",
                "--username=load",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .arg("--pgdata")
            .arg(&data)
            .current_dir(folder.path());
        process::run(&mut initdb)?;

        let address = free_address()?;
        let program = binaries.join("postgres");
        let command = match processor {
            Some(processor) => process::pinned(processor, program),
            None => Command::new(program),
        };
        let mut command = as_user(command, user);
        command
            .arg("-D")
            .arg(&data)
            .arg("-h")
            .arg(address.ip().to_string())
            .arg("-p")
            .arg(address.port().to_string())
            .arg("-k")
            .arg(folder.path())
            .current_dir(folder.path());
        let mut server = Process::start(&mut command, &folder.path().join("postgres.log"))?;
        until_it_listens(&mut server, address).await?;
        let cluster = Self {
            _server: server,
            address,
            binaries: binaries.to_owned(),
            _folder: folder,
        };
        cluster.until_it_answers().await?;
        Ok(cluster)
    }

    /// The URL of its one database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://load@{}/postgres", self.address)
    }

    /// Runs a script with these variables, which it writes as `:name`.
    pub(crate) fn run(&self, script: &Path, variables: &[(&str, usize)]) -> Result<(), Failure> {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--single-transaction",
        ]);
        for (name, value) in variables {
            psql.arg(format!("--set={name}={value}"));
        }
        psql.arg("--file").arg(script).arg(self.url());
        process::run(&mut psql)
    }

    /// It takes connections before it is ready for them.
    async fn until_it_answers(&self) -> Result<(), Failure> {
        let mut ready = Command::new(self.binaries.join("pg_isready"));
        ready.args(["--quiet", "--dbname", &self.url()]);
        let begun = Instant::now();
        while let Err(failure) = process::run(&mut ready) {
            if begun.elapsed() > process::PATIENCE {
                return Err(failure);
            }
            tokio::time::sleep(process::LOOK_AGAIN).await;
        }
        Ok(())
    }
}

/// The ids of the user who has to run the cluster, to whom the folder is given; `None` where that is
/// this one.
fn unprivileged_user(folder: &Path) -> Result<Option<(u32, u32)>, Failure> {
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let id = |flag| -> Result<u32, Failure> {
        let said = Command::new("id").args([flag, UNPRIVILEGED]).output()?;
        let text = String::from_utf8(said.stdout)?;
        let no_user = |_| format!("there is no user {UNPRIVILEGED} to run PostgreSQL as");
        Ok(text.trim().parse().map_err(no_user)?)
    };
    let (user, group) = (id("--user")?, id("--group")?);
    chown(folder, Some(user), Some(group))?;
    Ok(Some((user, group)))
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    if let Some((user, group)) = user {
        command.gid(group).uid(user);
    }
    command
}
