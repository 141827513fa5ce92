//! OpenSSL, which is what nginx asks, reads the lists and judges devices by them.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use identity_pki::{
    Crl, CrlNumber, Error, IssuedCertificate, PlatformCa, RevocationReason, RevokedCertificate,
    SoftwareSigner, Terms,
};
use support::{NOW, OpenSsl, SKEW, ca, ca_terms, issue, rng};
use time::{Duration, OffsetDateTime};

fn main() {
    support::run(
        support::tests![
            the_list_that_openssl_prints_is_what_was_meant,
            openssl_verifies_the_signature_by_the_ca_that_signed_and_no_other,
            openssl_takes_the_good_device_and_refuses_the_revoked_one,
            openssl_takes_nobody_once_the_next_list_is_due,
            openssl_takes_everybody_by_a_list_of_nothing,
            a_ca_without_the_key_usage_for_it_signs_no_lists,
        ],
        OpenSsl::is_installed(),
        "openssl is not installed",
    );
}

fn terms() -> Terms {
    Terms::new(NOW, Duration::DAY, SKEW)
}

fn revoked(issued: &IssuedCertificate, reason: RevocationReason) -> RevokedCertificate {
    RevokedCertificate::new(issued.serial(), NOW, reason).unwrap()
}

/// A CA, two devices' certificates and a list with the second, as files and as values.
fn files(openssl: &OpenSsl) -> (PlatformCa, IssuedCertificate, Crl) {
    let ca = ca();
    let (good, bad) = (issue(&ca), issue(&ca));
    let entries = [revoked(&bad, RevocationReason::KeyCompromise)];
    let number = CrlNumber::from(0x1234);
    let crl = ca.issue_crl(number, &terms(), entries).unwrap();
    openssl.write("ca.pem", ca.certificate().pem());
    openssl.write("good.pem", good.pem());
    openssl.write("revoked.pem", bad.pem());
    openssl.write("crl.pem", crl.pem());
    openssl.write("crl.der", crl.der());
    (ca, bad, crl)
}

/// Whether a device passes, and what OpenSSL says.
fn verify(openssl: &OpenSsl, device: &str, at: OffsetDateTime) -> (bool, String) {
    openssl.try_run([
        "verify",
        "-x509_strict",
        "-crl_check",
        "-purpose",
        "sslclient",
        "-attime",
        &at.unix_timestamp().to_string(),
        "-CAfile",
        "ca.pem",
        "-CRLfile",
        "crl.pem",
        device,
    ])
}

fn the_list_that_openssl_prints_is_what_was_meant() {
    let openssl = OpenSsl::new();
    let (ca, bad, _) = files(&openssl);
    let text = openssl.line("crl -in crl.der -inform DER -noout -text -nameopt RFC2253");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let has = |line: &str| assert!(lines.contains(&line), "no {line:?} in {lines:#?}");
    has("Version 2 (0x1)");
    has("Signature Algorithm: ecdsa-with-SHA256");
    has("Last Update: Nov 22 11:55:00 2026 GMT");
    has("Next Update: Nov 23 12:00:00 2026 GMT");
    has("Revocation Date: Nov 22 12:00:00 2026 GMT");
    has("Key Compromise");
    has("4660");
    let serial = bad.serial().to_string().to_uppercase();
    let serial = serial.trim_start_matches("00");
    has(&format!("Serial Number: {serial}"));
    let key_id = hex::encode_upper(ca.certificate().subject_key_id());
    let text = text.replace(':', "");
    assert!(text.contains(&key_id), "no {key_id} in {text}");
    // DER and PEM are the same list.
    let from_pem = openssl.line("crl -in crl.pem -noout -fingerprint");
    let from_der = openssl.line("crl -in crl.der -inform DER -noout -fingerprint");
    assert_eq!(from_pem, from_der);
}

fn openssl_verifies_the_signature_by_the_ca_that_signed_and_no_other() {
    let openssl = OpenSsl::new();
    files(&openssl);
    let p384 = Box::new(support::p384_signer());
    let p384 = PlatformCa::generate(p384, "CA", &ca_terms(), &mut rng()).unwrap();
    let crl = p384.issue_crl(CrlNumber::from(1), &terms(), []).unwrap();
    openssl.write("p384.pem", p384.certificate().pem());
    openssl.write("p384.crl", crl.pem());
    openssl.write("other.pem", ca().certificate().pem());
    for (crl, ca, verifies) in [
        ("crl.pem", "ca.pem", true),
        ("p384.crl", "p384.pem", true),
        ("crl.pem", "other.pem", false),
        ("crl.pem", "p384.pem", false),
    ] {
        let verify = ["crl", "-in", crl, "-noout", "-verify", "-CAfile", ca];
        let (_, said) = openssl.try_run(verify);
        assert_eq!(said.contains("verify OK"), verifies, "{said}");
    }
    let text = openssl.line("crl -in p384.crl -noout -text");
    assert_eq!(text.matches("ecdsa-with-SHA384").count(), 2, "{text}");
}

fn openssl_takes_the_good_device_and_refuses_the_revoked_one() {
    let openssl = OpenSsl::new();
    files(&openssl);
    let (taken, said) = verify(&openssl, "good.pem", NOW);
    assert!(taken, "{said}");
    let (taken, said) = verify(&openssl, "revoked.pem", NOW);
    assert!(!taken && said.contains("certificate revoked"), "{said}");
}

fn openssl_takes_nobody_once_the_next_list_is_due() {
    let openssl = OpenSsl::new();
    let (_, _, crl) = files(&openssl);
    for (at, reason) in [
        (crl.next_update() + Duration::SECOND, "CRL has expired"),
        (crl.this_update() - Duration::SECOND, "not yet valid"),
    ] {
        let (taken, said) = verify(&openssl, "good.pem", at);
        assert!(!taken && said.contains(reason), "{said}");
    }
}

fn openssl_takes_everybody_by_a_list_of_nothing() {
    let openssl = OpenSsl::new();
    let (ca, ..) = files(&openssl);
    let crl = ca.issue_crl(CrlNumber::from(1), &terms(), []).unwrap();
    openssl.write("crl.pem", crl.pem());
    let text = openssl.line("crl -in crl.pem -noout -text");
    assert!(text.contains("No Revoked Certificates."), "{text}");
    assert!(verify(&openssl, "good.pem", NOW).0);
    assert!(verify(&openssl, "revoked.pem", NOW).0);
}

fn a_ca_without_the_key_usage_for_it_signs_no_lists() {
    let openssl = OpenSsl::new();
    openssl.line("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key");
    for (usage, may) in [("keyCertSign", false), ("keyCertSign,cRLSign", true)] {
        let usage = format!("keyUsage=critical,{usage}");
        openssl.run([
            "req",
            "-x509",
            "-new",
            "-key",
            "ca.key",
            "-days",
            "30",
            "-subj",
            "/CN=Uploaded CA",
            "-out",
            "ca.pem",
            "-addext",
            &usage,
        ]);
        let signer = SoftwareSigner::from_pkcs8_pem(&openssl.read("ca.key")).unwrap();
        let ca = PlatformCa::load(&openssl.read("ca.pem"), Box::new(signer)).unwrap();
        assert_eq!(ca.certificate().can_sign_crls(), may);
        let terms = Terms::new(ca.certificate().not_before(), Duration::DAY, SKEW);
        let issued = ca.issue_crl(CrlNumber::from(1), &terms, []);
        match may {
            true => assert!(issued.is_ok()),
            false => assert_eq!(issued, Err(Error::CaCannotSignCrls)),
        }
    }
}
