//! `strace`, which makes system calls fail, or shows them, while it is attached.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// An attached `strace`; it lets go when it is dropped.
pub(crate) struct Strace(Child);

impl Strace {
    /// Whether it is there, and may be used.
    pub(crate) fn is_there() -> bool {
        let traced = Command::new("strace")
            .args(["-e", "trace=none", "true"])
            .stderr(Stdio::null())
            .status();
        traced.is_ok_and(|status| status.success())
    }

    /// Attaches to all threads of a process, and waits until it has.
    pub(crate) fn attach(process: u32, arguments: &[&str]) -> Self {
        let mut child = Command::new("strace")
            .args(["-f", "-p", &process.to_string()])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace starts");
        let says = child.stderr.take().expect("what it says");
        let mut lines = BufReader::new(says).lines().map_while(Result::ok);
        let attached = lines.find(|line| line.contains("attached"));
        assert!(attached.is_some(), "strace does not attach");
        // It goes on talking; somebody has to listen.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    /// Makes system calls fail, or processes: `what` is as `strace -e inject=` takes it.
    pub(crate) fn inject(process: u32, what: &str) -> Self {
        let call = what.split(':').next().expect("a system call");
        let (trace, inject) = (format!("trace={call}"), format!("inject={what}"));
        Self::attach(process, &["-o", "/dev/null", "-e", &trace, "-e", &inject])
    }

    /// Lets go; the process runs on as if nothing had been.
    pub(crate) fn detach(self) {
        drop(self);
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        let id = self.0.id().to_string();
        // If it is gone, so is what it was attached to.
        let _ = Command::new("kill")
            .args(["-INT", &id])
            .stderr(Stdio::null())
            .status();
        let _ = self.0.wait();
    }
}
