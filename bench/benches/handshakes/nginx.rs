use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process;

/// One worker, no resumption, and as little else as nginx can do: the answer is 204 for whom the
/// handshake proved, and 400 for anybody else.
const CONFIGURATION: &str = include_str!("nginx.conf");

/// A running nginx, which ends when it is dropped.
pub(crate) struct Nginx {
    prefix: PathBuf,
    port: u16,
    master: u32,
}

impl Nginx {
    /// Starts nginx in a folder of its own under `folder`, which holds what the server needs.
    pub(crate) fn start(folder: &Path, name: &str, crl: Option<&Path>) -> Result<Self, String> {
        let prefix = folder.join(name);
        fs::create_dir(&prefix).expect("its folder");
        let port = free_port();
        let crl = crl.map_or(String::new(), |crl| format!("ssl_crl {};", crl.display()));
        let configuration = CONFIGURATION
            .replace("@PORT@", &port.to_string())
            .replace("@FOLDER@", &folder.display().to_string())
            .replace("@CRL@", &crl);
        fs::write(prefix.join("nginx.conf"), configuration).expect("its configuration");
        // It goes to the background once it listens.
        command(&prefix, &[])?;
        let pid =
            fs::read_to_string(prefix.join("nginx.pid")).map_err(|error| error.to_string())?;
        Ok(Self {
            master: pid.trim().parse().expect("a process id"),
            prefix,
            port,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        process::children(self.master)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if let Err(why) = command(&self.prefix, &["-s", "stop"]) {
            eprintln!("nginx goes on: {why}");
        }
    }
}

fn command(prefix: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("nginx")
        .args(["-p".as_ref(), prefix.as_os_str()])
        .args(["-c", "nginx.conf", "-e", "error.log"])
        .args(arguments)
        .output()
        .map_err(|error| format!("nginx does not start: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its number").port()
}
