//! Keys, signature algorithms and proofs of possession.

use crate::support::der::{bits, integer, oid, p256_algorithm, seq};
use crate::support::request::Request;
use crate::{Refusal, check};

pub(crate) fn keys() -> Vec<Refusal> {
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

pub(crate) fn signature_algorithms() -> Vec<Refusal> {
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

pub(crate) fn signatures() -> Vec<Refusal> {
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
