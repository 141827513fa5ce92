//! Runs a program as its reader would, and stops it when the test ends.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

pub(crate) struct Program {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next line that the program prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        if self.lines.read_line(&mut line).unwrap() == 0 {
            let (status, complaint) = self.wait();
            panic!("the program ended, {status}: {complaint}");
        }
        line
    }

    /// The word of the next line that begins with `prefix`.
    #[allow(dead_code, reason = "not every test looks for words")]
    pub(crate) fn word(&mut self, prefix: &str) -> String {
        let line = self.line();
        let word = line
            .split_whitespace()
            .find(|word| word.starts_with(prefix));
        word.unwrap_or_else(|| panic!("no word begins with {prefix:?} in {line:?}"))
            .to_owned()
    }

    /// Waits for the program's own end: how it ended, and what it complained of.
    #[allow(dead_code, reason = "not every program ends by itself")]
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        std::io::copy(&mut self.lines, &mut std::io::sink()).unwrap();
        self.wait()
    }

    fn wait(&mut self) -> (ExitStatus, String) {
        let mut complaint = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut complaint).unwrap();
        (self.child.wait().unwrap(), complaint)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
