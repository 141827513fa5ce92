//! The commands of the program.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::Config;
use crate::start::StartError;

const HEALTHCHECK_TIME: Duration = Duration::from_secs(5);

/// Asks the server that runs with this configuration whether it is ready.
///
/// # Errors
///
/// [`StartError`] when it does not answer, or is not ready.
pub async fn healthcheck(config: &Config) -> Result<(), StartError> {
    let failed = |source| StartError::System {
        what: "the server is not ready",
        source,
    };
    match tokio::time::timeout(HEALTHCHECK_TIME, readiness(config.metrics_listen)).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(failed(std::io::Error::other("/readyz answers an error"))),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(failed(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Whether `/readyz` of the metrics listener answers 200.
async fn readiness(listener: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(reachable(listener)).await?;
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut status_line = [0; 12];
    stream.read_exact(&mut status_line).await?;
    Ok(status_line == *b"HTTP/1.1 200")
}

/// Where a listener on all addresses is reached from this machine.
fn reachable(listener: SocketAddr) -> SocketAddr {
    let mut address = listener;
    if listener.ip().is_unspecified() {
        address.set_ip(match listener {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Prints `text` to standard output.
///
/// # Errors
///
/// [`StartError::System`] when standard output is closed.
pub fn print(text: &str) -> Result<(), StartError> {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{text}").map_err(|source| StartError::System {
        what: "standard output is closed",
        source,
    })
}

/// How the process ends: with one line on standard error if it failed.
#[must_use]
pub fn conclude(outcome: Result<(), StartError>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            // Nobody is left to tell that standard error is closed.
            let _ = writeln!(std::io::stderr(), "reference-server: {}", error.one_line());
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_loopback() {
        let to = |text: &str| reachable(text.parse().expect("address")).to_string();
        assert_eq!(to("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(to("[::]:9464"), "[::1]:9464");
        assert_eq!(to("192.0.2.1:9464"), "192.0.2.1:9464");
    }
}
