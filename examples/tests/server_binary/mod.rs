//! Where the server's binary is.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on stops"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The server's binary, which `cargo test --workspace` builds beside this test's folder.
pub(crate) fn reference_server() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile_folder = test.parent().and_then(Path::parent).unwrap();
    let binary = profile_folder.join("reference-server");
    if !binary.exists() {
        // This package was tested alone.
        let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(name) => name,
            None => panic!("no profile in {}", profile_folder.display()),
        };
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--package",
                "reference-server",
                "--profile",
                profile,
            ])
            .arg("--target-dir")
            .arg(profile_folder.parent().unwrap())
            .status();
        assert!(built.unwrap().success());
    }
    binary
}
