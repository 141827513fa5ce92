//! Copies of a running cluster: standbys, and backups to go back to.

use std::path::PathBuf;
use std::process::Command;

use crate::home::{Home, succeed};
use crate::options::SUPERUSER;
use crate::random::random_hex;
use crate::{Cluster, Installation};

/// A base backup, which lasts as long as the cluster that it is of.
#[derive(Debug)]
pub struct Backup {
    data: PathBuf,
    installation: Installation,
    password: String,
}

impl Cluster {
    /// A standby that streams from this cluster under the name `name`, and can be read. Returns when
    /// it streams. With `synchronous_standby_names` [`set`](Self::set) to the name, and
    /// `synchronous_commit` to `remote_apply`, what is answered is on both. What was set before is set
    /// on the standby too.
    ///
    /// # Panics
    ///
    /// When it does not start, or the installation [cannot copy](Installation::can_copy).
    #[must_use]
    pub fn standby(&self, name: &str) -> Self {
        let home = Home::new(self.home().installation());
        let mut copy = self.copying(&home, name);
        succeed(
            copy.arg("--write-recovery-conf")
                .arg("--pgdata")
                .arg(home.data()),
        );
        let standby = Self::on_a_free_port(home, self.password().to_owned());
        let streams = format!(
            "EXISTS (SELECT FROM pg_stat_replication
                     WHERE application_name = '{name}' AND state = 'streaming')"
        );
        self.wait_until("postgres", &streams);
        standby
    }

    /// A base backup, made while the cluster goes on. With `archive_mode` on it is one to
    /// [restore](Backup::restore) to any later moment from.
    ///
    /// # Panics
    ///
    /// When it cannot be made, or the installation [cannot copy](Installation::can_copy).
    #[must_use]
    pub fn backup(&self) -> Backup {
        let data = self.folder().join(format!("backup-{}", random_hex()));
        succeed(
            self.copying(self.home(), "backup")
                .arg("--pgdata")
                .arg(&data),
        );
        Backup {
            data,
            installation: self.home().installation().clone(),
            password: self.password().to_owned(),
        }
    }

    /// `pg_basebackup` of this cluster, run in `home`.
    fn copying(&self, home: &Home, name: &str) -> Command {
        let mut copy = home.program("pg_basebackup");
        copy.env("PGPASSWORD", self.password());
        copy.env("PGAPPNAME", name);
        copy.args(["--host=127.0.0.1", "--username", SUPERUSER]);
        copy.arg(format!("--port={}", self.port()));
        copy.args(["--checkpoint=fast", "--wal-method=stream", "--no-sync"]);
        copy
    }
}

impl Backup {
    /// A cluster that starts from this backup and recovers by these parameters: `restore_command`
    /// and a target, such as `recovery_target_time`. It is promoted there; returns when it takes
    /// writes. Passwords are those of the cluster that the backup is of.
    ///
    /// # Panics
    ///
    /// When it does not get there.
    #[must_use]
    pub fn restore(&self, recovery: &[(&str, &str)]) -> Cluster {
        let home = Home::new(&self.installation);
        let mut copy = home.command("cp".as_ref());
        succeed(copy.arg("-a").arg(&self.data).arg(home.data()));
        home.write("data/recovery.signal", "");
        let mut settings = recovery.to_vec();
        settings.push(("recovery_target_action", "promote"));
        home.configure(settings);
        let restored = Cluster::on_a_free_port(home, self.password.clone());
        restored.wait_until("postgres", "NOT pg_is_in_recovery()");
        restored
    }
}
