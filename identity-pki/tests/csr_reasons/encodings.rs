//! Requests that are not even in the one form that a request has.

use identity_pki::MAX_CSR_LEN;

use crate::support;
use crate::support::der::{
    BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, KEY_USAGE, attribute_value, bits, extension, integer,
    oid, seq, tlv,
};
use crate::support::request::Request;
use crate::{Refusal, check, check_pem};

pub(crate) fn texts() -> Vec<Refusal> {
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

pub(crate) fn encodings() -> Vec<Refusal> {
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
