//! Child processes: started, watched in `/proc`, and ended.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::Failure;

/// Ticks of `/proc/PID/stat` a second (`USER_HZ`, which is 100 on every architecture of Linux).
const TICKS: u64 = 100;

/// So long a start or an end may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks whether it is over.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A child process that does not outlive this value.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts `command`; what it says goes to the file `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, Failure> {
        let log = fs::File::create(log)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{program} does not start: {error}"))?;
        Ok(Self(child))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(mut self) -> Result<(), Failure> {
        run(Command::new("kill").args(["-TERM", &self.id().to_string()]))?;
        match self.0.wait()? {
            status if status.success() => Ok(()),
            status => Err(format!("a program ended badly: {status}").into()),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, Failure> {
        Ok(self.0.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `program`, on one processor alone.
pub(crate) fn pinned(processor: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command
        .arg("--cpu-list")
        .arg(processor.to_string())
        .arg(program);
    command
}

/// Moves every thread of this process to one processor, where those that they start will be too.
pub(crate) fn move_to(processor: usize) -> Result<(), Failure> {
    let (processor, process) = (processor.to_string(), std::process::id().to_string());
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", &processor, &process]);
    run(&mut command)
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ended = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program} does not start: {error}"))?;
    if ended.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&ended.stderr);
    Err(format!("{program} failed: {complaint}").into())
}

/// An address that nobody listens on at this moment, for programs that choose none themselves.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Waits until `process` takes connections at `address`.
pub(crate) async fn until_it_listens(
    process: &mut Process,
    address: SocketAddr,
) -> Result<(), Failure> {
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if let Some(status) = process.ended()? {
            return Err(format!("a program ended before it listened: {status}").into());
        }
        if begun.elapsed() > PATIENCE {
            return Err("a program does not listen".into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// What a process used of all processors since it started.
pub(crate) fn cpu_time(process: u32) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field, the program's name in parentheses, may hold anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field = |index| -> Result<u64, Failure> {
        let text = fields.split_whitespace().nth(index);
        Ok(text.ok_or("a short /proc/PID/stat")?.parse()?)
    };
    // utime and stime, the 14th and 15th fields of proc(5), of which 12 are before the first one here.
    let ticks = field(11)? + field(12)?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_time() {
        let own = std::process::id();
        let before = cpu_time(own).unwrap();
        let mut sum = 0_u64;
        while cpu_time(own).unwrap() == before {
            sum = (0..100_000).fold(sum, u64::wrapping_add);
        }
        assert!(cpu_time(own).unwrap() > before);
    }
}
