//! Disks that fail, that are full, and that are asked to have written before an answer goes out.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::invariants::Invariants;
use crate::outage::{health_is_down, recovers, requests_are_refused};
use crate::stage::{Setting, Stage};
use crate::strace::Strace;
use crate::workload::Workload;

pub(crate) async fn a_disk_that_does_not_sync_is_answered_503_until_it_does() {
    while_failing("fsync,fdatasync:error=EIO").await;
}

pub(crate) async fn a_disk_without_space_is_answered_503_until_it_has_some() {
    while_failing("pwrite64:error=ENOSPC").await;
}

async fn while_failing(what: &str) {
    let mut stage = Stage::open().await;
    let workload = Workload::start(&stage, 2, 2);
    let strace = Strace::inject(stage.process().id(), what);
    refuses(&stage).await;
    strace.detach();
    recovers(&stage, workload).await;
    let extent = Invariants::check(&mut stage).await;
    assert!(extent.unavailable > 0, "{extent:?}");
}

/// The clients are told to come again, and health says why.
async fn refuses(stage: &Stage) {
    requests_are_refused(stage, 20).await;
    health_is_down(stage).await;
}

/// A file system in a mount namespace of its own, which ends with this. It has twice the space that the log
/// takes.
struct SmallDisk {
    holder: Child,
}

impl SmallDisk {
    const DIRECTORY: &str = "/mnt";

    fn mount() -> Self {
        let mount = format!(
            "mount -t tmpfs -o size=128m none {} && echo mounted && exec sleep 3600",
            Self::DIRECTORY
        );
        let mut holder = Command::new("unshare")
            .args(["-m", "sh", "-c", &mount])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut said = [0; 7];
        let stdout = holder.stdout.as_mut().expect("its output");
        std::io::Read::read_exact(stdout, &mut said).expect("it mounts");
        Self { holder }
    }

    /// As this process, outside the namespace, calls the directory.
    fn outside(&self) -> std::path::PathBuf {
        format!("/proc/{}/root{}", self.holder.id(), Self::DIRECTORY).into()
    }

    /// What runs a program inside.
    fn wrapper(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        let wrapper = ["/usr/bin/nsenter", "--target", &target, "--mount"];
        let wrapper = wrapper.map(str::to_owned);
        wrapper.into_iter().chain(["--".to_owned()]).collect()
    }

    /// Takes all the space that there is.
    fn fill(&self) {
        let filler = std::fs::File::create(self.filler()).expect("a file");
        let mut block = 64 * 1024;
        while block > 0 {
            match std::io::Write::write_all(&mut &filler, &vec![1; block]) {
                Ok(()) => {}
                Err(_) => block /= 2,
            }
        }
    }

    fn clear(&self) {
        std::fs::remove_file(self.filler()).expect("the filler");
    }

    fn filler(&self) -> std::path::PathBuf {
        self.outside().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Whether a mount namespace can be made here.
pub(crate) fn namespaces_are_there() -> bool {
    let made = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs none /mnt"])
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|status| status.success()) && Path::new("/usr/bin/nsenter").exists()
}

pub(crate) async fn a_full_disk_is_answered_503_until_there_is_space_again() {
    let disk = SmallDisk::mount();
    let mut stage = Stage::with(Setting {
        wrapper: disk.wrapper(),
        place: Some((disk.outside(), SmallDisk::DIRECTORY.into())),
        ..Setting::default()
    })
    .await;
    let workload = Workload::start(&stage, 2, 2);
    workload.goes_on().await;
    disk.fill();
    refuses(&stage).await;
    disk.clear();
    recovers(&stage, workload).await;
    // SQLite does not open files of another namespace by their path here.
    stage.stop();
    stage.move_home();
    stage.start(0);
    let extent = Invariants::check(&mut stage).await;
    assert!(extent.unavailable > 0, "{extent:?}");
}

/// A pairing and a renewal are on the disk before their answers go out.
pub(crate) async fn what_is_answered_has_been_synced() {
    let mut stage = Stage::open().await;
    let clients = stage.clients.clone();
    let (id, code) = clients.register().await;
    let trace = tempfile::NamedTempFile::new().unwrap();
    let port = stage.process().address.port();
    let calls = "trace=pwrite64,fsync,fdatasync,sendto,sendmsg,write,writev";
    let file = trace.path().to_str().unwrap();
    // A page of the database is seen whole.
    let options = ["-yy", "-s", "8192", "-o", file, "-e", calls];
    let strace = Strace::attach(stage.process().id(), &options);
    let mut device = clients.pair(&id, &code).await;
    let paired = device.holding.certificate.clone();
    clients.renew(&mut device).await;
    strace.detach();
    let trace = std::fs::read_to_string(trace.path()).unwrap();
    for certificate in [&paired, &device.holding.certificate] {
        must_be_synced_before_it_is_answered(&trace, port, certificate);
    }
    Invariants::check(&mut stage).await;
}

/// The certificate is written to the log, the log is synced, and then an answer goes out, none before.
fn must_be_synced_before_it_is_answered(trace: &str, port: u16, certificate: &str) {
    let client = format!("TCP:[127.0.0.1:{port}->");
    let body: Vec<&str> = certificate
        .lines()
        .filter(|l| !l.starts_with("-----"))
        .collect();
    let lines: Vec<&str> = trace.lines().collect();
    let writes = |line: &&str| {
        line.contains("pwrite64(")
            && line.contains("-wal>")
            && body.iter().any(|b| line.contains(b))
    };
    let written = lines.iter().rposition(writes);
    let since = &lines[written.expect("the certificate is written")..];
    let syncs = |line: &&str| {
        (line.contains("fsync") || line.contains("fdatasync")) && line.ends_with("= 0")
    };
    let synced = since.iter().position(syncs).expect("a sync");
    let answered = since.iter().position(|line| line.contains(&client));
    assert!(
        answered.expect("an answer") > synced,
        "an answer before the sync:\n{trace}"
    );
}
