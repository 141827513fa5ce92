//! A scanner and a bank's backend meet at the real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod platform;
mod program;
mod server_binary;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use platform::Platform;
use program::Program;
use serde_json::json;

fn scanner(platform: &Platform, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scanner"));
    command.args(["--server", &platform.base]);
    command.arg("--ca").arg(&platform.ca_file);
    command.arg("--folder").arg(folder);
    command
}

fn integrator(platform: &Platform, user: &str, device: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_integrator"));
    command.args(["--server", &platform.base]);
    command.arg("--ca").arg(&platform.ca_file);
    command.args(["--client-id", &platform.client_id]);
    command.env("CLIENT_SECRET", &platform.client_secret);
    command.args(["--user", user, "--device", device, "--document", "doc_7"]);
    command
}

#[tokio::test]
async fn a_scanner_pairs_enrols_verifies_renews_and_stops_when_revoked() {
    let platform = Platform::start().await;
    let (device_id, code) = platform.register().await;
    platform.welcome("grace").await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("scanner");

    let mut device = Program::start(
        scanner(&platform, &folder)
            .args(["--palm", "7"])
            .args(["--code", &code]),
    );
    assert_eq!(device.line(), "paired\n");
    assert_eq!(device.line(), format!("{device_id} is on\n"));
    let kept = std::fs::metadata(folder.join("device.pem")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);

    let enroll = json!({"user_id": "grace", "device_id": device_id, "type": "right"});
    let challenge = platform.post("/v1/enroll", enroll).await;
    let id = challenge["challenge_id"].as_str().unwrap();
    assert_eq!(device.line(), format!("enroll {id}: enrolled\n"));

    let signed = integrator(&platform, "grace", &device_id).output().unwrap();
    let stdout = String::from_utf8(signed.stdout).unwrap();
    assert!(
        signed.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&signed.stderr)
    );
    assert!(
        stdout.contains("completed: grace signed doc_7\n"),
        "{stdout}"
    );
    assert!(device.line().ends_with(": completed\n"));

    // After a restart it is the same device, with a new certificate and somebody else's palm.
    drop(device);
    let mut device =
        Program::start(scanner(&platform, &folder).args(["--palm", "8", "--renew-now"]));
    assert_eq!(device.line(), format!("{device_id} is on\n"));
    assert_eq!(device.line(), "renewed\n");
    let refused = integrator(&platform, "grace", &device_id).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains(" ended failed: "), "{stderr}");
    for reason in [
        "Palm not recognized",
        "Palm not recognized",
        "Max attempts exceeded",
    ] {
        let line = device.line();
        assert!(line.ends_with(&format!(": failed, {reason}\n")), "{line}");
    }

    platform.delete(&format!("/v1/devices/{device_id}")).await;
    let (status, complaint) = device.end();
    assert_eq!(status.code(), Some(1));
    assert!(complaint.contains("pair the scanner again"), "{complaint}");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_one_line() {
    let platform = Platform::start().await;
    let folder = tempfile::tempdir().unwrap();
    let says = |command: &mut Command, what: &str| {
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(what), "{stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    };
    says(
        &mut scanner(&platform, folder.path()),
        "pair the scanner with --code",
    );
    says(
        scanner(&platform, folder.path()).args(["--code", "AAAAAAAAA"]),
        "401 pairing_code_invalid",
    );
    says(
        integrator(&platform, "grace", "dev_1").env("CLIENT_SECRET", "guessed"),
        "401 Unauthorized invalid_client",
    );
    says(
        &mut integrator(&platform, "nobody", "dev_1"),
        "404 Not Found",
    );
}
