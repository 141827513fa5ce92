//! aiosmtpd, which shares no code with what sends the mail.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// The interpreter that has aiosmtpd.
pub(crate) fn python() -> Option<OsString> {
    std::env::var_os("IDENTITY_PYTHON")
}

/// A mail server, which ends with this.
pub(crate) struct Sink {
    pub(crate) port: u16,
    child: Child,
    orders: ChildStdin,
    letters: BufReader<ChildStdout>,
}

impl Sink {
    /// One that is busy.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/sink.py");
        let mut child = Command::new(python().unwrap())
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut letters = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        letters.read_line(&mut port).unwrap();
        Self {
            port: port.trim().parse().unwrap(),
            child,
            orders,
            letters,
        }
    }

    /// From now on it takes letters. It does before it answers whoever asks after this.
    pub(crate) fn take(&mut self) {
        self.orders.write_all(b"take\n").unwrap();
    }

    /// The next letter.
    pub(crate) fn letter(&mut self) -> Value {
        let mut line = String::new();
        self.letters.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
