//! Every reason for which the gate refuses a request has a case here, and each case is refused for
//! that reason alone: the request is otherwise honest and properly signed.

#![cfg(feature = "x509")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // It is all test code.

mod support;

use std::collections::BTreeSet;

use identity_pki::{CsrCategory, CsrPolicy, CsrReason, ECDSA_P256_SHA256, MAX_CSR_LEN};
use support::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, EXT_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME,
    SUBJECT_KEY_IDENTIFIER, TRUE, attribute_value, bits, client_auth, extension, integer, oid,
    p256_algorithm, san_uri, seq, tlv,
};
use support::request::Request;

/// A request, what is wrong with it, and the kind of refusal.
struct Case {
    code: &'static str,
    category: CsrCategory,
    verdict: Result<(), CsrReason>,
}

fn check(der: &[u8]) -> Result<(), CsrReason> {
    CsrPolicy::new(ECDSA_P256_SHA256).check_der(der).map(drop)
}

fn check_pem(text: &str) -> Result<(), CsrReason> {
    CsrPolicy::new(ECDSA_P256_SHA256).check_pem(text).map(drop)
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |category, found: Vec<(&'static str, Result<(), CsrReason>)>| {
        cases.extend(found.into_iter().map(|(code, verdict)| Case {
            code,
            category,
            verdict,
        }));
    };
    add(CsrCategory::Malformed, texts());
    add(CsrCategory::Malformed, encodings());
    add(CsrCategory::Malformed, vec![refused_key()]);
    add(CsrCategory::Algorithm, keys());
    add(CsrCategory::Algorithm, signature_algorithms());
    add(CsrCategory::Extensions, attributes());
    add(CsrCategory::Extensions, extensions());
    add(CsrCategory::Signature, signatures());
    cases
}

fn texts() -> Vec<(&'static str, Result<(), CsrReason>)> {
    let honest = support::CSR_PEM;
    let other_label = honest.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
    let long = "A".repeat(3 * MAX_CSR_LEN);
    vec![
        ("pem_label", check_pem("")),
        ("pem_label", check_pem(&other_label)),
        ("pem_label", check_pem(&format!("my request\n{honest}"))),
        ("pem_unterminated", check_pem(&honest[..honest.len() - 40])),
        (
            "pem_unterminated",
            check_pem(&honest.replace("END CERTIFICATE", "END")),
        ),
        ("pem_trailing_text", check_pem(&format!("{honest}{honest}"))),
        ("pem_trailing_text", check_pem(&format!("{honest}x"))),
        (
            "pem_base64",
            check_pem(&honest.replacen("MII", "M!!", 1).replacen("MIH", "M*H", 1)),
        ),
        ("pem_base64", check_pem(&honest.replacen("=\n", "\n", 1))),
        ("pem_too_large", check_pem(&long)),
    ]
}

fn encodings() -> Vec<(&'static str, Result<(), CsrReason>)> {
    let request = Request::new();
    let honest = request.der();
    assert_eq!(
        honest[1], 0x81,
        "the cases below rewrite a length of this form"
    );
    let body = &honest[3..];
    let rewritten = |header: &[u8], tail: &[u8]| check(&[header, body, tail].concat());
    let named = |subject: Vec<u8>| check(&Request::new().with(|r| r.subject = subject).der());
    let rdn = |value: &[u8]| seq(&[&tlv(0x31, &[&seq(&[&oid("2.5.4.3"), value])])]);
    let deep = (0..16).fold(integer(&[1]), |inner, _| seq(&[&inner]));
    let extended = |extension: &[u8]| check(&Request::new().with_extensions(&[extension]).der());
    let usage = oid(KEY_USAGE);
    let in_octets = tlv(0x04, &[&DIGITAL_SIGNATURE]);
    let two_names = tlv(
        0x31,
        &[
            &attribute_value("2.5.4.5", "2"),
            &attribute_value("2.5.4.3", "1"),
        ],
    );
    vec![
        ("too_large", check(&vec![0x30; MAX_CSR_LEN + 1])),
        ("der_truncated", check(&[])),
        ("der_truncated", check(&honest[..honest.len() - 1])),
        ("der_trailing_data", check(&[&honest[..], &[0]].concat())),
        (
            "der_trailing_data",
            check(&seq(&[
                &request.info(),
                &request.signature_algorithm,
                &bits(b""),
                &integer(&[1]),
            ])),
        ),
        ("der_indefinite_length", rewritten(&[0x30, 0x80], &[0, 0])),
        (
            "der_non_minimal_length",
            rewritten(&[0x30, 0x82, 0, honest[2]], &[]),
        ),
        (
            "der_oversized_length",
            rewritten(&[0x30, 0x83, 1, 0, 0], &[]),
        ),
        ("der_high_tag_number", check(&[0x3f, 0x81, 0x01, 0x00])),
        (
            "der_unexpected_tag",
            check(&[&[0xa0], &honest[1..]].concat()),
        ),
        (
            "der_truncated",
            check(&seq(&[
                &seq(&[&request.version, &request.subject, &request.spki]),
                &request.signature_algorithm,
                &bits(b""),
            ])),
        ),
        (
            "der_forbidden_tag",
            named(rdn(&tlv(0x2c, &[&tlv(0x0c, &[b"x"])]))),
        ),
        ("der_depth", named(rdn(&deep))),
        (
            "der_boolean",
            extended(&seq(&[&usage, &[1, 1, 1], &in_octets])),
        ),
        (
            "der_boolean",
            extended(&extension(BASIC_CONSTRAINTS, true, &seq(&[&[1, 1, 1]]))),
        ),
        (
            "der_explicit_default",
            extended(&seq(&[&usage, &[1, 1, 0], &in_octets])),
        ),
        (
            "der_explicit_default",
            extended(&extension(BASIC_CONSTRAINTS, true, &seq(&[&[1, 1, 0]]))),
        ),
        (
            "der_integer",
            check(&Request::new().with(|r| r.version = integer(&[0, 0])).der()),
        ),
        (
            "der_bit_string",
            check(&request.der_with_signature(&tlv(0x03, &[&[1, 0x80]]))),
        ),
        (
            "der_bit_string",
            check(&request.der_with_signature(&tlv(0x03, &[&[1, 0x81]]))),
        ),
        (
            "der_bit_string",
            check(&request.der_with_signature(&tlv(0x03, &[]))),
        ),
        (
            "der_named_bit_list",
            extended(&extension(KEY_USAGE, true, &[0x03, 0x02, 0x00, 0x80])),
        ),
        (
            "der_named_bit_list",
            extended(&extension(KEY_USAGE, true, &[0x03, 0x03, 0x07, 0x80, 0x00])),
        ),
        ("der_null", named(rdn(&[0x05, 0x01, 0x00]))),
        ("der_object_identifier", named(rdn(&[0x06, 0x01, 0x80]))),
        ("der_object_identifier", named(rdn(&[0x06, 0x00]))),
        ("der_set_order", named(seq(&[&two_names]))),
        (
            "der_set_order",
            check(
                &Request::new()
                    .with(|r| {
                        r.attributes = vec![
                            seq(&[
                                &oid("1.2.840.113549.1.9.7"),
                                &tlv(0x31, &[&tlv(0x0c, &[b"secret"])]),
                            ]),
                            seq(&[
                                &oid("1.2.840.113549.1.9.2"),
                                &tlv(0x31, &[&tlv(0x0c, &[b"n"])]),
                            ]),
                        ];
                    })
                    .der(),
            ),
        ),
        ("der_character_string", named(rdn(&tlv(0x13, &[b"a@b"])))),
        ("der_character_string", named(rdn(&tlv(0x0c, &[&[0xff]])))),
        (
            "version",
            check(&Request::new().with(|r| r.version = integer(&[1])).der()),
        ),
        (
            "version",
            check(&Request::new().with(|r| r.version = integer(&[2])).der()),
        ),
    ]
}

fn refused_key() -> (&'static str, Result<(), CsrReason>) {
    let csr = support::csr();
    let keys = [csr.spki_sha256()];
    let policy = CsrPolicy::new(ECDSA_P256_SHA256).refuse_keys(&keys);
    ("key_refused", policy.check_pem(support::CSR_PEM).map(drop))
}

fn keys() -> Vec<(&'static str, Result<(), CsrReason>)> {
    let point = Request::new().point();
    let (x, last) = (&point[1..33], point[64]);
    let with =
        |algorithm: &[u8], point: &[u8]| check(&Request::new().with_spki(algorithm, point).der());
    let on_p256 = |point: &[u8]| with(&p256_algorithm(), point);
    let ec = oid("1.2.840.10045.2.1");
    let ec_with = |parameters: &[u8]| with(&seq(&[&ec, parameters]), &point);
    let generator = hex::decode(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
         4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    )
    .unwrap();
    // The generator's negation: the same x, and y subtracted from the field's prime.
    let negated = hex::decode(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
         b01cbd1c01e58065711814b583f061e9d431cca994cea1313449bf97c840ae0a",
    )
    .unwrap();
    let off_curve = [&point[..64], &[last ^ 1]].concat();
    let not_reduced = [&[4][..], &[0xff; 64]].concat();
    vec![
        (
            "key_algorithm",
            with(&seq(&[&oid("1.2.840.113549.1.1.1"), &[5, 0]]), &point),
        ),
        (
            "key_algorithm",
            with(&seq(&[&oid("1.3.101.112")]), &[1; 32]),
        ),
        (
            "key_algorithm",
            with(
                &seq(&[&oid("1.3.132.1.12"), &oid("1.2.840.10045.3.1.7")]),
                &point,
            ),
        ),
        ("key_missing_curve", with(&seq(&[&ec]), &point)),
        ("key_missing_curve", ec_with(&integer(&[1]))),
        ("key_explicit_curve", ec_with(&seq(&[&integer(&[1])]))),
        ("key_implicit_curve", ec_with(&[5, 0])),
        ("key_curve", ec_with(&oid("1.3.132.0.34"))),
        ("key_curve", ec_with(&oid("1.3.132.0.10"))),
        ("key_point_at_infinity", on_p256(&[0])),
        (
            "key_compressed_point",
            on_p256(&[&[2 + (last & 1)], x].concat()),
        ),
        (
            "key_hybrid_point",
            on_p256(&[&[6 + (last & 1)], &point[1..]].concat()),
        ),
        ("key_point_encoding", on_p256(&point[..64])),
        ("key_point_encoding", on_p256(&[&point[..], &[0]].concat())),
        ("key_point_encoding", on_p256(&[])),
        ("key_not_on_curve", on_p256(&off_curve)),
        ("key_not_on_curve", on_p256(&not_reduced)),
        ("key_generator", on_p256(&generator)),
        ("key_generator", on_p256(&negated)),
    ]
}

fn signature_algorithms() -> Vec<(&'static str, Result<(), CsrReason>)> {
    let signed_by = |algorithm: Vec<u8>| {
        check(
            &Request::new()
                .with(|r| r.signature_algorithm = algorithm)
                .der(),
        )
    };
    vec![
        (
            "signature_algorithm",
            signed_by(seq(&[&oid("1.2.840.10045.4.3.3")])),
        ),
        (
            "signature_algorithm",
            signed_by(seq(&[&oid("1.2.840.10045.4.1")])),
        ),
        (
            "signature_algorithm",
            signed_by(seq(&[&oid("1.2.840.113549.1.1.11"), &[5, 0]])),
        ),
        (
            "signature_algorithm",
            signed_by(seq(&[&oid("1.2.840.10045.4.3.2"), &[5, 0]])),
        ),
    ]
}

fn attributes() -> Vec<(&'static str, Result<(), CsrReason>)> {
    let extensions = seq(&[&extension(KEY_USAGE, true, &DIGITAL_SIGNATURE)]);
    let others = seq(&[&extension(BASIC_CONSTRAINTS, true, &seq(&[&TRUE]))]);
    let request = "1.2.840.113549.1.9.14";
    let password = "1.2.840.113549.1.9.7";
    let text = |text: &str| tlv(0x0c, &[text.as_bytes()]);
    let with =
        |kind: &str, values: &[&[u8]]| check(&Request::new().with_attribute(kind, values).der());
    let twice = Request::new()
        .with_attribute(request, &[&extensions])
        .with_attribute(request, &[&others]);
    let many = (0..9).fold(Request::new(), |request, number| {
        request.with_attribute(&format!("1.3.6.1.4.1.99999.{number}"), &[&[5, 0]])
    });
    vec![
        ("attributes_too_many", check(&many.der())),
        ("attribute_duplicate", check(&twice.der())),
        ("attribute_empty", with(request, &[])),
        (
            "attribute_multi_valued",
            with(request, &[&extensions, &others]),
        ),
        (
            "attribute_multi_valued",
            with(password, &[&text("a"), &text("b")]),
        ),
        (
            "attribute_microsoft_extension_request",
            with("1.3.6.1.4.1.311.2.1.14", &[&extensions]),
        ),
        ("attribute_unknown", with("1.3.6.1.4.1.99999.1", &[&[5, 0]])),
    ]
}

fn extensions() -> Vec<(&'static str, Result<(), CsrReason>)> {
    let with = |kind: &str, value: &[u8]| {
        check(
            &Request::new()
                .with_extensions(&[&extension(kind, false, value)])
                .der(),
        )
    };
    let purposes = |list: &[&str]| {
        let list: Vec<Vec<u8>> = list.iter().map(|purpose| oid(purpose)).collect();
        with(EXT_KEY_USAGE, &tlv(0x30, &[&list.concat()]))
    };
    let (client, server) = ("1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.1");
    let usage = extension(KEY_USAGE, true, &DIGITAL_SIGNATURE);
    let many: Vec<Vec<u8>> = (0..17)
        .map(|number| extension(&format!("1.3.6.1.4.1.99999.{number}"), false, &[5, 0]))
        .collect();
    let ours = support::identity().san_uri();
    let expecting = |value: &[u8]| {
        let request = Request::new().with_extensions(&[&extension(SUBJECT_ALT_NAME, false, value)]);
        let identity = support::identity();
        let policy = CsrPolicy::new(ECDSA_P256_SHA256).expect_identity(&identity);
        policy.check_der(&request.der()).map(drop)
    };
    let uri = |uri: &str| tlv(0x86, &[uri.as_bytes()]);
    vec![
        (
            "extensions_empty",
            check(&Request::new().with_extensions(&[]).der()),
        ),
        (
            "extensions_too_many",
            check(&Request::new().with_extensions(&[&many.concat()]).der()),
        ),
        (
            "extension_duplicate",
            check(&Request::new().with_extensions(&[&usage, &usage]).der()),
        ),
        ("extension_ca", with(BASIC_CONSTRAINTS, &seq(&[&TRUE]))),
        (
            "extension_ca",
            with(BASIC_CONSTRAINTS, &seq(&[&TRUE, &integer(&[0])])),
        ),
        (
            "extension_path_length",
            with(BASIC_CONSTRAINTS, &seq(&[&integer(&[0])])),
        ),
        (
            "extension_key_usage",
            with(KEY_USAGE, &[0x03, 0x02, 0x02, 0x84]),
        ),
        (
            "extension_key_usage",
            with(KEY_USAGE, &[0x03, 0x02, 0x05, 0xa0]),
        ),
        (
            "extension_key_usage",
            with(KEY_USAGE, &[0x03, 0x03, 0x07, 0x00, 0x80]),
        ),
        ("extension_key_usage", with(KEY_USAGE, &[0x03, 0x01, 0x00])),
        ("extension_ext_key_usage", purposes(&[])),
        ("extension_ext_key_usage", purposes(&[server])),
        ("extension_ext_key_usage", purposes(&[client, server])),
        ("extension_ext_key_usage", purposes(&[client, client])),
        ("extension_ext_key_usage", purposes(&["2.5.29.37.0"])),
        (
            "extension_subject_alt_name",
            with(SUBJECT_ALT_NAME, &san_uri(&ours)),
        ),
        (
            "extension_other_identity",
            expecting(&san_uri("urn:link:tenant:acme:device:dev_790")),
        ),
        (
            "extension_other_identity",
            expecting(&seq(&[&uri(&ours), &uri(&ours)])),
        ),
        (
            "extension_other_identity",
            expecting(&seq(&[&tlv(0x82, &[ours.as_bytes()])])),
        ),
        ("extension_other_identity", expecting(&seq(&[]))),
        (
            "extension_policies",
            with("2.5.29.32", &seq(&[&seq(&[&oid("2.5.29.32.0")])])),
        ),
        ("extension_policies", with("2.5.29.33", &seq(&[]))),
        ("extension_policies", with("2.5.29.36", &seq(&[]))),
        ("extension_policies", with("2.5.29.54", &integer(&[0]))),
        ("extension_name_constraints", with("2.5.29.30", &seq(&[]))),
        (
            "extension_proxy_certificate",
            with("1.3.6.1.5.5.7.1.14", &seq(&[])),
        ),
        (
            "extension_unknown",
            with(SUBJECT_KEY_IDENTIFIER, &tlv(0x04, &[&[1; 20]])),
        ),
        ("extension_unknown", with("1.3.6.1.4.1.99999.1", &[5, 0])),
    ]
}

fn signatures() -> Vec<(&'static str, Result<(), CsrReason>)> {
    let request = Request::new();
    let signed = |r: &[u8], s: &[u8]| {
        let value = seq(&[&integer(r), &integer(s)]);
        check(&request.der_with_signature(&bits(&value)))
    };
    let other = Request::new();
    let borrowed = other.clone().with(|r| r.key = Request::new().key);
    vec![
        (
            "signature_encoding",
            check(&request.der_with_signature(&bits(&[]))),
        ),
        (
            "signature_encoding",
            check(&request.der_with_signature(&bits(&[0x5a; 64]))),
        ),
        ("signature_encoding", signed(&[0], &[1])),
        ("signature_encoding", signed(&[1], &[0])),
        ("signature_encoding", signed(&[0xff], &[1])),
        ("signature_encoding", signed(&[0, 1], &[1])),
        (
            "signature_encoding",
            check(&request.der_with_signature(&bits(&seq(&[
                &integer(&[1]),
                &integer(&[1]),
                &integer(&[1]),
            ])))),
        ),
        ("signature_invalid", signed(&[1], &[1])),
        ("signature_invalid", check(&borrowed.der())),
        ("signature_invalid", signed(&[1; 40], &[1])),
    ]
}

#[test]
fn each_case_is_refused_for_its_reason() {
    for case in cases() {
        let reason = case.verdict.expect_err(case.code);
        assert_eq!(reason.code(), case.code, "{reason}");
        assert_eq!(reason.category(), case.category, "{reason}");
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn every_reason_has_a_case_and_a_code_of_its_own() {
    let covered: BTreeSet<&str> = cases().iter().map(|case| case.code).collect();
    let codes: Vec<&str> = CsrReason::codes().collect();
    let known: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!(covered, known);
    assert_eq!(codes.len(), known.len(), "a code is used twice");
}

#[test]
fn what_honest_devices_send_passes() {
    let accepted = |request: &Request| {
        let csr = CsrPolicy::new(ECDSA_P256_SHA256).check_der(&request.der());
        assert_eq!(csr.unwrap().spki_der(), request.spki);
    };
    accepted(&Request::new());
    accepted(&Request::new().with(|r| r.subject = seq(&[])));
    let text = tlv(0x0c, &[b"hunter2"]);
    accepted(&Request::new().with_attribute("1.2.840.113549.1.9.7", &[&text]));
    accepted(&Request::new().with_attribute("1.2.840.113549.1.9.2", &[&text]));
    for critical in [false, true] {
        accepted(
            &Request::new()
                .with_attribute("1.2.840.113549.1.9.7", &[&text])
                .with_extensions(&[
                    &extension(BASIC_CONSTRAINTS, critical, &seq(&[])),
                    &extension(KEY_USAGE, critical, &DIGITAL_SIGNATURE),
                    &extension(EXT_KEY_USAGE, critical, &client_auth()),
                ]),
        );
    }
}

#[test]
fn the_identity_about_to_be_issued_may_be_asked_for() {
    let identity = support::identity();
    let san = extension(SUBJECT_ALT_NAME, false, &san_uri(&identity.san_uri()));
    let request = Request::new().with_extensions(&[&san]);
    let policy = CsrPolicy::new(ECDSA_P256_SHA256);
    assert!(policy.check_der(&request.der()).is_err());
    assert!(
        policy
            .expect_identity(&identity)
            .check_der(&request.der())
            .is_ok()
    );
}

#[test]
fn the_challenge_password_is_in_no_message() {
    let text = tlv(0x0c, &[b"hunter2"]);
    let request =
        Request::new().with_attribute("1.2.840.113549.1.9.7", &[&text, &tlv(0x0c, &[b"hunter3"])]);
    let reason = check(&request.der()).unwrap_err();
    assert!(!format!("{reason} {reason:?}").contains("hunter"));
}

#[test]
fn text_may_be_pem_or_bare_base64_in_lines_of_any_length() {
    let policy = CsrPolicy::new(ECDSA_P256_SHA256);
    let key = support::csr();
    let lines: Vec<&str> = support::CSR_PEM.lines().collect();
    let base64 = lines[1..lines.len() - 1].concat();
    let (begin, end) = (lines[0], lines[lines.len() - 1]);
    for text in [
        support::CSR_PEM.to_owned(),
        support::CSR_PEM.replace('\n', "\r\n"),
        format!("\n\n{begin}\n{base64}\n{end}"),
        format!("{begin}\n{}\n{}\n{end}\n", &base64[..76], &base64[76..]),
    ] {
        assert_eq!(policy.check_pem(&text).as_ref(), Ok(&key), "{text}");
        assert_eq!(policy.check_text(&text).as_ref(), Ok(&key), "{text}");
    }
    assert_eq!(policy.check_text(&base64).as_ref(), Ok(&key));
    assert_eq!(
        policy.check_text(&format!("{base64}=")).unwrap_err().code(),
        "pem_base64"
    );
    assert_eq!(policy.check_pem(&base64).unwrap_err().code(), "pem_label");
}
