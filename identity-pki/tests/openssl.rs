//! OpenSSL, which shares no code with this crate, makes the requests and judges the certificates.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use identity_pki::{
    CsrPolicy, DeviceCertificate, ECDSA_P256_SHA256, Fingerprint, PlatformCa, SoftwareSigner,
};
use support::der::{DIGITAL_SIGNATURE, KEY_USAGE, extension, seq, tlv};
use support::request::Request;
use support::{NOW, OpenSsl, SKEW, ca, identity, issue, rng};
use time::Duration;

fn main() {
    support::run(
        support::tests![
            the_certificate_that_openssl_prints_is_the_table_of_the_specification,
            the_ca_that_openssl_prints_is_a_ca_without_subordinates,
            openssl_verifies_the_chain_within_its_validity_only,
            openssl_and_we_agree_on_serial_and_fingerprint,
            a_ca_that_openssl_made_issues_under_its_own_name_byte_for_byte,
            a_p384_ca_that_openssl_made_issues_certificates_that_openssl_verifies,
            honest_requests_of_openssl_pass,
            openssl_verifies_the_requests_that_the_gate_accepts,
            openssl_walks_what_is_issued_to_its_last_byte,
            openssl_reads_the_key_that_the_signer_writes,
            what_was_issued_reads_back_the_same,
        ],
        OpenSsl::is_installed(),
        "openssl is not installed",
    );
}

/// The seconds for which OpenSSL is to judge.
fn at(time: time::OffsetDateTime) -> String {
    time.unix_timestamp().to_string()
}

fn the_certificate_that_openssl_prints_is_the_table_of_the_specification() {
    let openssl = OpenSsl::new();
    let ca = ca();
    let issued = issue(&ca);
    openssl.write("device.pem", issued.pem());

    let text = openssl.line("x509 -in device.pem -noout -text -nameopt RFC2253");
    let text: Vec<&str> = text.lines().map(str::trim).collect();
    let after = |title: &str| {
        let position = text.iter().position(|line| *line == title);
        position.map(|position| text[position + 1])
    };
    let has = |line: &str| assert!(text.contains(&line), "no {line:?} in {text:#?}");

    has("Version: 3 (0x2)");
    has("Signature Algorithm: ecdsa-with-SHA256");
    has("Public Key Algorithm: id-ecPublicKey");
    has("NIST CURVE: P-256");
    has("Subject: CN=dev_789");
    has("Not Before: Nov 22 11:55:00 2026 GMT");
    has("Not After : Feb 20 12:00:00 2027 GMT");
    assert_eq!(
        after("X509v3 Subject Alternative Name:"),
        Some("URI:urn:link:tenant:acme:device:dev_789")
    );
    assert_eq!(
        after("X509v3 Key Usage: critical"),
        Some("Digital Signature")
    );
    assert_eq!(
        after("X509v3 Extended Key Usage:"),
        Some("TLS Web Client Authentication")
    );
    assert_eq!(
        after("X509v3 Basic Constraints: critical"),
        Some("CA:FALSE")
    );
    let extensions: Vec<&&str> = text
        .iter()
        .filter(|line| line.starts_with("X509v3 "))
        .collect();
    assert_eq!(extensions.len(), 7, "the title and six: {extensions:?}");

    let key_id = |title: &str| after(title).map(|id| id.replace(':', "").to_lowercase());
    assert_eq!(
        key_id("X509v3 Authority Key Identifier:"),
        Some(hex::encode(ca.certificate().subject_key_id()))
    );
    assert!(key_id("X509v3 Subject Key Identifier:").is_some());
}

fn the_ca_that_openssl_prints_is_a_ca_without_subordinates() {
    let openssl = OpenSsl::new();
    let ca = ca();
    openssl.write("ca.pem", ca.certificate().pem());
    let text = openssl.line("x509 -in ca.pem -noout -text -nameopt RFC2253");
    for line in [
        "CA:TRUE, pathlen:0",
        "Certificate Sign, CRL Sign",
        "Not Before: Nov 22 11:55:00 2026 GMT",
        "Not After : Nov 19 12:00:00 2036 GMT",
        "X509v3 Basic Constraints: critical",
        "X509v3 Key Usage: critical",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let subject = openssl.line("x509 -in ca.pem -noout -subject");
    assert!(
        subject.contains("CN = Link Identity Device CA, serialNumber = "),
        "{subject}"
    );
}

fn openssl_verifies_the_chain_within_its_validity_only() {
    let openssl = OpenSsl::new();
    let ca = ca();
    let issued = issue(&ca);
    openssl.write("ca.pem", ca.certificate().pem());
    openssl.write("other.pem", support::ca().certificate().pem());
    openssl.write("device.pem", issued.pem());
    let verify = |anchor: &str, time| {
        let time = at(time);
        openssl.try_run([
            "verify",
            "-x509_strict",
            "-check_ss_sig",
            "-purpose",
            "sslclient",
            "-attime",
            &time,
            "-CAfile",
            anchor,
            "device.pem",
        ])
    };
    let (verified, output) = verify("ca.pem", NOW);
    assert!(verified, "{output}");
    assert!(verify("ca.pem", issued.not_before()).0);
    // OpenSSL takes the last second for expired.
    assert!(verify("ca.pem", issued.not_after() - Duration::SECOND).0);
    assert!(!verify("ca.pem", issued.not_after() + Duration::SECOND).0);
    assert!(!verify("ca.pem", NOW - SKEW - Duration::SECOND).0);
    assert!(!verify("other.pem", NOW).0);
    let (verified, output) = openssl.try_run([
        "verify",
        "-purpose",
        "sslserver",
        "-attime",
        &at(NOW),
        "-CAfile",
        "ca.pem",
        "device.pem",
    ]);
    assert!(!verified, "a device certificate is no server's: {output}");
}

fn openssl_and_we_agree_on_serial_and_fingerprint() {
    let openssl = OpenSsl::new();
    let issued = issue(&ca());
    openssl.write("device.pem", issued.pem());
    let facts = openssl.line("x509 -in device.pem -noout -serial -fingerprint -sha256");
    let facts = facts.replace(':', "").to_lowercase();
    assert!(
        facts.contains(&format!("={}", issued.fingerprint())),
        "{facts}"
    );
    let serial = issued.serial().to_string();
    assert!(
        facts.contains(serial.trim_start_matches("00")),
        "{facts} {serial}"
    );
}

fn a_ca_that_openssl_made_issues_under_its_own_name_byte_for_byte() {
    let openssl = OpenSsl::new();
    openssl.line("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key");
    openssl.run([
        "req",
        "-x509",
        "-new",
        "-key",
        "ca.key",
        "-days",
        "30",
        "-sha256",
        "-out",
        "ca.pem",
        "-subj",
        "/C=CH/O=Exämple/OU=PKI/CN=Uploaded CA",
        "-utf8",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
    ]);
    let signer = SoftwareSigner::from_pkcs8_pem(&openssl.read("ca.key")).unwrap();
    let ca = PlatformCa::load(&openssl.read("ca.pem"), Box::new(signer)).unwrap();
    assert_eq!(
        ca.certificate().subject(),
        "C=CH, O=Exämple, OU=PKI, CN=Uploaded CA"
    );

    let terms = identity_pki::Terms::new(ca.certificate().not_before(), Duration::days(90), SKEW);
    let issued = ca
        .issue(&support::csr(), &identity(), &terms, &mut rng())
        .unwrap();
    assert_eq!(
        issued.not_after(),
        ca.certificate().not_after(),
        "never past the CA's"
    );
    openssl.write("device.pem", issued.pem());
    openssl.run([
        "verify",
        "-x509_strict",
        "-attime",
        &at(issued.not_after() - Duration::SECOND),
        "-CAfile",
        "ca.pem",
        "device.pem",
    ]);
}

fn a_p384_ca_that_openssl_made_issues_certificates_that_openssl_verifies() {
    let openssl = OpenSsl::new();
    openssl.line("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out ca.key");
    openssl.line(
        "req -x509 -new -key ca.key -days 30 -sha384 -out ca.pem -subj /CN=Uploaded \
         -addext keyUsage=critical,keyCertSign,cRLSign",
    );
    let signer = SoftwareSigner::from_pkcs8_pem(&openssl.read("ca.key")).unwrap();
    let again = signer.to_pkcs8_pem().unwrap();
    openssl.write("again.key", again.as_bytes());
    openssl.line("pkey -in again.key -check -noout");
    let ca = PlatformCa::load(&openssl.read("ca.pem"), Box::new(signer)).unwrap();

    let now = ca.certificate().not_before();
    let terms = identity_pki::Terms::new(now, Duration::days(20), Duration::ZERO);
    let issued = ca
        .issue(&support::csr(), &identity(), &terms, &mut rng())
        .unwrap();
    openssl.write("device.pem", issued.pem());
    let text = openssl.line("x509 -in device.pem -noout -text");
    assert_eq!(text.matches("ecdsa-with-SHA384").count(), 2, "{text}");
    assert!(text.contains("NIST CURVE: P-256"), "{text}");
    openssl.run([
        "verify",
        "-x509_strict",
        "-check_ss_sig",
        "-purpose",
        "sslclient",
        "-attime",
        &at(now),
        "-CAfile",
        "ca.pem",
        "device.pem",
    ]);
    let webpki = support::path::webpki(ca.certificate().der(), issued.der(), now);
    assert_eq!(webpki, Ok(()));
}

fn honest_requests_of_openssl_pass() {
    let openssl = OpenSsl::new();
    openssl.line("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
    openssl.line("pkey -in key.pem -pubout -outform DER -out spki.der");
    let spki = std::fs::read(openssl.path("spki.der")).unwrap();
    let extensions = [
        &[][..],
        &["basicConstraints=CA:FALSE"],
        &["basicConstraints=critical,CA:FALSE"],
        &["keyUsage=critical,digitalSignature"],
        &["extendedKeyUsage=clientAuth"],
        &[
            "basicConstraints=CA:FALSE",
            "keyUsage=digitalSignature",
            "extendedKeyUsage=clientAuth",
        ],
    ];
    for list in extensions {
        let added = list.iter().flat_map(|extension| ["-addext", extension]);
        let request = [
            "req",
            "-new",
            "-key",
            "key.pem",
            "-subj",
            "/O=Maker/CN=x",
            "-out",
            "r.pem",
        ];
        openssl.run(request.into_iter().chain(added));
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_pem(&openssl.read("r.pem"));
        assert_eq!(csr.unwrap().spki_der(), spki, "{list:?}");
    }
}

fn openssl_verifies_the_requests_that_the_gate_accepts() {
    let openssl = OpenSsl::new();
    let password = tlv(0x0c, &[b"hunter2"]);
    let usage = extension(KEY_USAGE, true, &DIGITAL_SIGNATURE);
    let plain = Request::new();
    for request in [
        plain.clone(),
        plain.clone().with(|request| request.subject = seq(&[])),
        plain
            .with_attribute("1.2.840.113549.1.9.7", &[&password])
            .with_extensions(&[&usage]),
    ] {
        let der = request.der();
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_der(&der).unwrap();
        openssl.write("r.der", &der);
        let answer = openssl.line("req -inform DER -in r.der -verify -noout -pubkey");
        assert!(answer.contains("verify OK"), "{answer}");
        openssl.write("r.pub", answer);
        openssl.line("pkey -pubin -in r.pub -outform DER -out r.spki");
        let spki = std::fs::read(openssl.path("r.spki")).unwrap();
        assert_eq!(csr.spki_der(), spki);
    }
}

fn openssl_walks_what_is_issued_to_its_last_byte() {
    let openssl = OpenSsl::new();
    let ca = ca();
    for der in [issue(&ca).der(), ca.certificate().der()] {
        openssl.write("c.der", der);
        let lines = openssl.line("asn1parse -inform DER -in c.der -i");
        assert!(!lines.to_lowercase().contains("error"), "{lines}");
        let outer = lines.lines().next().unwrap_or_default();
        let contents = format!("hl=4 l={:4}", der.len() - 4);
        assert!(outer.contains(&contents), "{outer:?}, not {contents:?}");
        // Each element's own length and offset add up, or the next would not be where it is.
        let last = lines.lines().last().unwrap_or_default();
        let number = |after: &str| -> usize {
            let (_, rest) = last.split_once(after).unwrap();
            let rest = rest.trim_start();
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
            digits.unwrap_or_default().parse().unwrap()
        };
        let offset: usize = last.split(':').next().unwrap().trim().parse().unwrap();
        assert_eq!(offset + number("hl=") + number(" l="), der.len());
    }
}

fn openssl_reads_the_key_that_the_signer_writes() {
    let openssl = OpenSsl::new();
    let signer = SoftwareSigner::generate(&mut rng());
    openssl.write("key.pem", signer.to_pkcs8_pem().unwrap().as_bytes());
    openssl.line("pkey -in key.pem -check -noout");
    let again = SoftwareSigner::from_pkcs8_pem(&openssl.read("key.pem")).unwrap();
    assert_eq!(
        identity_pki::CaSigner::spki_der(&again),
        identity_pki::CaSigner::spki_der(&signer)
    );
}

fn what_was_issued_reads_back_the_same() {
    let issued = issue(&ca());
    let read = DeviceCertificate::from_der(issued.der()).unwrap();
    assert_eq!(read.identity(), &identity());
    assert_eq!(read.serial(), issued.serial());
    assert_eq!(read.tbs_sha256(), issued.tbs_sha256());
    assert_eq!(read.spki_sha256(), support::csr().spki_sha256());
    assert_eq!(
        read.fingerprint(),
        Fingerprint::of_certificate(issued.der())
    );
    assert_eq!(read.not_before(), NOW - SKEW);
    assert_eq!(read.not_after(), NOW + identity_pki::DEVICE_VALIDITY);
    assert!(issued.pem().ends_with("-----END CERTIFICATE-----\n"));
}
