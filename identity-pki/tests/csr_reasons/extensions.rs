//! What a device may not ask for.

use identity_pki::{CsrPolicy, ECDSA_P256_SHA256};

use crate::support;
use crate::support::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, EXT_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME,
    SUBJECT_KEY_IDENTIFIER, TRUE, extension, integer, oid, san_uri, seq, tlv,
};
use crate::support::request::Request;
use crate::{Refusal, check};

pub(crate) fn attributes() -> Vec<Refusal> {
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

pub(crate) fn extensions() -> Vec<Refusal> {
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
