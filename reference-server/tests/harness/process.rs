use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::{ADMIN, FIRST_PASSWORD};

/// So long a start or an end may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server; it is killed when this is dropped.
pub struct Process {
    /// Where the API is.
    pub address: SocketAddr,
    /// Where metrics and readiness are.
    pub metrics: SocketAddr,
    child: Child,
    log: Receiver<String>,
    logged: Logged,
}

/// Every line that a process logged.
#[derive(Clone, Default)]
pub struct Logged(Arc<Mutex<Vec<String>>>);

impl Logged {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("the reader does not panic").clone()
    }

    fn push(&self, line: String) {
        self.0.lock().expect("nobody panics with it").push(line);
    }
}

/// How a process ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: Option<i32>,
}

impl Exit {
    pub fn success() -> Self {
        Self { code: Some(0) }
    }
}

impl Process {
    /// Starts a server in `directory` and waits until it listens.
    pub fn start(directory: &Path, listen: &str, variables: &[(&str, &str)]) -> Self {
        Self::run(command(directory, listen, variables))
    }

    /// Starts a server by a command that is made of [`command`] and waits until it listens.
    pub fn run(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the server starts");
        let logged = Logged::default();
        let log = lines(child.stderr.take().expect("its log"), logged.clone());
        let Some((address, metrics)) = listening(&log) else {
            let _ = child.kill();
            panic!(
                "the server does not listen: {:?}",
                log.iter().collect::<Vec<_>>()
            );
        };
        Self {
            address,
            metrics,
            child,
            log,
            logged,
        }
    }

    /// Its process id; that of what it was wrapped in, if that has not become the server.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far, and will have.
    pub fn logged(&self) -> Logged {
        self.logged.clone()
    }

    /// Kills it where it stands, as `kill -9` does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.ended();
    }

    /// Whether it has ended, by whatever.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Waits for its own end.
    pub fn exit(mut self) -> Exit {
        self.ended()
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> Exit {
        self.signal("TERM");
        self.ended()
    }

    /// Sends SIGTERM, waits for the end, and gives what was logged and not yet read.
    pub fn terminate_and_read(mut self) -> Vec<String> {
        self.signal("TERM");
        let log: Vec<_> = std::iter::from_fn(|| self.log.recv_timeout(PATIENCE).ok()).collect();
        assert_eq!(self.ended(), Exit::success());
        log
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// The next log line that holds `text`.
    pub fn log_line(&self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).expect("the line comes");
            if line.contains(text) {
                return line;
            }
        }
    }

    fn ended(&mut self) -> Exit {
        // The log ends when the process does.
        loop {
            match self.log.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the server does not end"),
            }
        }
        Exit {
            code: self.child.wait().expect("the server ends").code(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with nothing of this process' environment.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reference-server"));
    command.env_clear();
    command
}

/// The command that starts a server in `directory`.
pub fn command(directory: &Path, listen: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = program();
    command
        .env(
            "DATABASE_URL",
            format!("sqlite://{}", directory.join("identity.db").display()),
        )
        .env("IDENTITY_LISTEN", listen)
        .env("IDENTITY_METRICS_LISTEN", "127.0.0.1:0")
        .env("IDENTITY_RATE_LIMITS", "off")
        .env("IDENTITY_LOG_FORMAT", "json")
        .env("PLATFORM_ADMIN_EMAIL", ADMIN)
        .env("PLATFORM_ADMIN_INITIAL_PASSWORD", FIRST_PASSWORD)
        .envs(variables.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// The same command, run by a wrapper that becomes it.
pub fn wrapped<S: AsRef<OsStr>>(wrapper: &[S], command: Command) -> Command {
    let Some((program, arguments)) = wrapper.split_first() else {
        return command;
    };
    let pair = |(name, value)| Option::zip(Some(name), value);
    let mut outer = Command::new(program);
    outer
        .args(arguments)
        .arg(command.get_program())
        .env_clear()
        .envs(command.get_envs().filter_map(pair))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    outer
}

/// The lines of a log, read as they come so that the writer never waits.
fn lines(log: impl std::io::Read + Send + 'static, logged: Logged) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            logged.push(line.clone());
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn listening(log: &Receiver<String>) -> Option<(SocketAddr, SocketAddr)> {
    loop {
        let line = log.recv_timeout(PATIENCE).ok()?;
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["message"] == "listening" {
            let address = |name: &str| event[name].as_str()?.parse().ok();
            return Some((address("address")?, address("metrics")?));
        }
        assert!(line.starts_with('{'), "the server says: {line}");
    }
}
