//! pyca/cryptography reads the lists. `IDENTITY_PYTHON` names a Python that has it.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::ffi::OsString;
use std::process::Command;

use identity_pki::{
    CrlNumber, PlatformCa, RevocationReason, RevokedCertificate, SerialNumber, Terms,
};
use support::{NOW, SKEW, ca, rng};
use time::Duration;

fn main() {
    support::run(
        support::tests![pyca_reads_what_was_meant, pyca_reads_a_list_of_nothing],
        python().is_some(),
        "IDENTITY_PYTHON names no Python with pyca/cryptography",
    );
}

fn python() -> Option<OsString> {
    std::env::var_os("IDENTITY_PYTHON")
}

/// What Python prints about a list with these entries, line by line.
fn read(ca: &PlatformCa, entries: &[RevokedCertificate], serials: &[SerialNumber]) -> Vec<String> {
    let terms = Terms::new(NOW, Duration::DAY, SKEW);
    let number = CrlNumber::from(0x1234);
    let crl = ca.issue_crl(number, &terms, entries.iter().copied());
    let directory = tempfile::tempdir().unwrap();
    let (ca_file, crl_file) = (directory.path().join("ca"), directory.path().join("crl"));
    std::fs::write(&ca_file, ca.certificate().der()).unwrap();
    std::fs::write(&crl_file, crl.unwrap().der()).unwrap();
    let output = Command::new(python().unwrap())
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/read_crl.py"
        ))
        .args([ca_file, crl_file])
        .args(serials.iter().map(ToString::to_string))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

const UPDATES: &str = "updates 2026-11-22T11:55:00+00:00 2026-11-23T12:00:00+00:00";

fn pyca_reads_what_was_meant() {
    let serials: Vec<SerialNumber> = (0..3).map(|_| SerialNumber::generate(&mut rng())).collect();
    let entry = |serial, reason| RevokedCertificate::new(serial, NOW, reason).unwrap();
    let entries = [
        entry(serials[0], RevocationReason::CessationOfOperation),
        entry(serials[1], RevocationReason::Unspecified),
    ];
    assert_eq!(
        read(&ca(), &entries, &serials),
        [
            "signed True",
            "issuer True",
            "number 4660",
            "key True",
            UPDATES,
            "entries 2",
            "revoked 2026-11-22T12:00:00+00:00 cessationOfOperation",
            "revoked 2026-11-22T12:00:00+00:00",
            "absent",
        ]
    );
}

fn pyca_reads_a_list_of_nothing() {
    let said = read(&ca(), &[], &[SerialNumber::generate(&mut rng())]);
    assert_eq!(said[0], "signed True");
    assert_eq!(said[5..], ["entries 0", "absent"]);
}
