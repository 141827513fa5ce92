//! The folder that a cluster lives in, and the shell that clears it away.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::Installation;
use crate::account::Account;

/// Waits until the test's process closes the pipe, of its own will or by dying, then ends the
/// cluster and its files. `$1` is `pg_ctl`, `$2` the folder.
const JANITOR: &str = r#"cat >/dev/null; "$1" stop -D "$2/data" -m immediate; rm -rf "$2""#;

/// The folder of one cluster. Dropping it ends the cluster.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
    installation: Installation,
    account: Option<Account>,
    janitor: Child,
}

impl Home {
    pub(crate) fn new(installation: &Installation) -> Self {
        let account = Account::unprivileged();
        let folder = tempfile::Builder::new()
            .prefix("postgres-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir()
            .unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        if let Some(account) = account {
            account.owns(folder.path());
        }
        let mut janitor = within(folder.path(), account, "/bin/sh".as_ref());
        janitor.args(["-c", JANITOR, "janitor"]);
        janitor.arg(installation.program("pg_ctl"));
        janitor.arg(folder.path()).stdin(Stdio::piped());
        // Not in the foreground: an interrupt from the keyboard must not end it first.
        std::os::unix::process::CommandExt::process_group(&mut janitor, 0);
        let janitor = janitor
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("/bin/sh does not run: {error}"));
        Self {
            folder: TempDir::keep(folder),
            installation: installation.clone(),
            account,
            janitor,
        }
    }

    pub(crate) fn installation(&self) -> &Installation {
        &self.installation
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the server logs.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Appends to a file that the server's account alone can read, and makes it if need be.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let file = self.folder.join(name);
        let written = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&file)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.unwrap_or_else(|error| panic!("{} cannot be written: {error}", file.display()));
        if let Some(account) = self.account {
            account.owns(&file);
        }
        file
    }

    /// Appends parameters to the configuration file, where the last of a name counts.
    pub(crate) fn configure<'a>(&self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let line = |(name, value): (&str, &str)| {
            let value = value.replace('\'', "''");
            format!("{name} = '{value}'\n")
        };
        let lines: String = settings.into_iter().map(line).collect();
        self.write("data/postgresql.conf", &lines);
    }

    /// One of the installation's programs, under the server's account.
    pub(crate) fn program(&self, name: &str) -> Command {
        self.command(self.installation.program(name).as_os_str())
    }

    /// A program of the system, under the server's account.
    pub(crate) fn command(&self, program: &OsStr) -> Command {
        within(&self.folder, self.account, program)
    }
}

/// A command that sees nothing of this process' environment: no `PGPORT`, no locale.
fn within(folder: &Path, account: Option<Account>, program: &OsStr) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C")])
        .current_dir(folder)
        .stdin(Stdio::null());
    if let Some(account) = account {
        account.runs(&mut command);
    }
    command
}

/// Runs `command` to its end, which has to be a good one.
pub(crate) fn succeed(command: &mut Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!(
            "{}: {}\n{}{}",
            command.get_program().display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        ),
        Err(error) => panic!("{} does not run: {error}", command.get_program().display()),
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        // Nothing can be done about a janitor that was killed.
        let _ = self.janitor.wait();
    }
}
