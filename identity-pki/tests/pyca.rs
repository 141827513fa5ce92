//! pyca/cryptography, which shares no code with this crate, makes requests, reads ours and what is
//! issued, and verifies the chain. `IDENTITY_PYTHON` names an interpreter that has it; without, these
//! tests report themselves as ignored.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::path::Path;
use std::process::Command;

use identity_pki::{CsrPolicy, ECDSA_P256_SHA256};
use support::{NOW, OpenSsl, SKEW, ca, identity, issue};
use time::{Duration, OffsetDateTime};

fn main() {
    support::run(
        support::tests![
            pyca_reads_in_the_certificate_what_was_meant,
            pyca_verifies_the_chain_within_its_validity_only,
            honest_requests_of_pyca_pass,
            pyca_and_the_gate_agree_on_a_request,
        ],
        std::env::var_os("IDENTITY_PYTHON").is_some(),
        "IDENTITY_PYTHON is not set",
    );
}

/// What the judge says, given a command and its arguments.
fn judge<S: AsRef<std::ffi::OsStr>>(command: &str, arguments: &[S]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judge.py");
    let output = Command::new(std::env::var_os("IDENTITY_PYTHON").unwrap())
        .arg(script)
        .arg(command)
        .args(arguments)
        .output()
        .expect("the interpreter that IDENTITY_PYTHON names");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn pyca_reads_in_the_certificate_what_was_meant() {
    let folder = OpenSsl::new();
    let ca = ca();
    let issued = issue(&ca);
    let text = judge("certificate", &[folder.write("device.pem", issued.pem())]);
    let key_id = hex::encode(ca.certificate().subject_key_id());
    let uri = identity().san_uri();
    let lines: Vec<&str> = text.lines().collect();
    for line in [
        "version v3",
        &format!("serial {}", issued.serial()),
        &format!("fingerprint {}", issued.fingerprint()),
        "algorithm 1.2.840.10045.4.3.2",
        &format!("key {}", hex::encode(support::csr().spki_der())),
        "curve secp256r1",
        "subject CN=dev_789",
        &format!("not_before {}", (NOW - SKEW).unix_timestamp()),
        &format!("not_after {}", issued.not_after().unix_timestamp()),
        "extension critical 2.5.29.19 3000",
        "extension critical 2.5.29.15 03020780",
        "extension 2.5.29.37 300a06082b06010505070302",
        &format!("extension 2.5.29.35 30168014{key_id}"),
        &format!("names [('UniformResourceIdentifier', '{uri}')]"),
    ] {
        assert!(lines.contains(&line), "no {line:?} in {lines:#?}");
    }
    let extensions = lines.iter().filter(|line| line.starts_with("extension"));
    assert_eq!(extensions.count(), 6);
}

fn pyca_verifies_the_chain_within_its_validity_only() {
    let folder = OpenSsl::new();
    let ca = ca();
    let issued = issue(&ca);
    let root = folder.write("ca.pem", ca.certificate().pem());
    let other = folder.write("other.pem", support::ca().certificate().pem());
    let leaf = folder.write("device.pem", issued.pem());
    let verify = |root: &Path, now: OffsetDateTime| {
        let seconds = now.unix_timestamp().to_string();
        let arguments = [root.as_os_str(), leaf.as_os_str(), seconds.as_ref()];
        judge("verify", &arguments)
    };
    let verified = format!("verified ['{}'] 2\n", identity().san_uri());
    for now in [issued.not_before(), NOW, issued.not_after()] {
        assert_eq!(verify(&root, now), verified);
    }
    for (root, now) in [
        (&root, issued.not_before() - Duration::SECOND),
        (&root, issued.not_after() + Duration::SECOND),
        (&other, NOW),
    ] {
        let answer = verify(root, now);
        assert!(answer.starts_with("refused"), "{answer}");
    }
}

fn honest_requests_of_pyca_pass() {
    let folder = OpenSsl::new();
    let made = judge("make", &[folder.path("")]);
    assert_eq!(made.lines().count(), 4);
    for line in made.lines() {
        let (title, key) = line.split_once(' ').unwrap();
        let text = folder.read(&format!("{title}.pem"));
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_pem(&text);
        assert_eq!(hex::encode(csr.unwrap().spki_der()), key, "{title}");
    }
}

fn pyca_and_the_gate_agree_on_a_request() {
    let folder = OpenSsl::new();
    let request = folder.write("request.pem", support::CSR_PEM);
    let key = hex::encode(support::csr().spki_der());
    assert_eq!(judge("request", &[request]), format!("True {key}\n"));
}
