use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running `device-server`, which ends when it is dropped.
pub(crate) struct DeviceServer {
    process: Child,
    port: u16,
}

impl DeviceServer {
    pub(crate) fn start(folder: &Path, denied: u32) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_device-server"))
            .arg(folder)
            .arg(denied.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("its port");
        let port = line.trim().parse().expect("its port");
        Self { process, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        vec![self.process.id()]
    }
}

impl Drop for DeviceServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
