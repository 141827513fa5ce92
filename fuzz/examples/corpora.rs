//! Writes the inputs that have to be encoded anew when a certificate's profile changes: the platform
//! of `client_certificate`, its corpus and that of `ca_upload`. Keys are drawn, so each run writes
//! other bytes; what the inputs are is in their names.
//!
//!     cargo run --manifest-path fuzz/Cargo.toml --example corpora

#[allow(dead_code)]
#[path = "../../identity-pki/tests/support/der.rs"]
mod der;
#[allow(dead_code)]
#[path = "../../identity-pki/tests/support/leaf.rs"]
mod leaf;

use std::fs;
use std::path::Path;

use der::{
    BASIC_CONSTRAINTS, EXT_KEY_USAGE, KEY_USAGE, SUBJECT_ALT_NAME, SUBJECT_KEY_IDENTIFIER, TRUE,
    common_name, extension, integer, octets, oid, san_uri, seq, tlv,
};
use leaf::{Leaf, validity};
use rand_core::UnwrapErr;

fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

fn write(path: &str, contents: impl AsRef<[u8]>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, contents).expect("a file");
}

fn main() {
    // Both have the one name that the leaves give as their issuer's, as after a renewal.
    let (active, retiring) = (Leaf::ca().der(), Leaf::ca().der());
    write("platform/active_ca.pem", pem(&active));
    write("platform/retiring_ca.pem", pem(&retiring));
    for (name, chain) in clients(&active, &retiring) {
        write(&format!("corpus/client_certificate/{name}"), chain);
    }
    for (name, upload) in uploads() {
        write(&format!("corpus/ca_upload/{name}"), upload);
    }
}

fn pem(der: &[u8]) -> String {
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let base64 = base64(der);
    let lines: Vec<&str> = (0..base64.len())
        .step_by(64)
        .map(|start| &base64[start..base64.len().min(start + 64)])
        .collect();
    format!("{begin}\n{}\n{end}\n", lines.join("\n"))
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0, |word, byte| word << 8 | usize::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for position in 0..4 {
            match position <= chunk.len() {
                true => text.push(char::from(ALPHABET[word >> (18 - 6 * position) & 0x3f])),
                false => text.push('='),
            }
        }
    }
    text
}

fn clients(active: &[u8], retiring: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let honest = Leaf::device().der();
    let with = |position, kind: &str, critical, value: &[u8]| {
        let extension = extension(kind, critical, value);
        Leaf::device().with_extension(position, extension).der()
    };
    let changed = |change: fn(&mut Leaf)| Leaf::device().with(change).der();
    let uri = tlv(0x86, &[b"urn:link:tenant:acme:device:dev_789"]);
    let client = oid("1.3.6.1.5.5.7.3.2");
    let server = oid("1.3.6.1.5.5.7.3.1");
    vec![
        ("alone", honest.clone()),
        ("with_its_ca", [&honest, active].concat()),
        ("with_the_other_ca", [&honest, retiring].concat()),
        (
            "with_key_identifier",
            with(9, SUBJECT_KEY_IDENTIFIER, false, &octets(&[1; 20])),
        ),
        ("with_both_cas", [&honest, active, retiring].concat()),
        ("with_itself", [&honest[..], &honest].concat()),
        (
            "with_a_strangers_ca",
            [honest.clone(), Leaf::ca().der()].concat(),
        ),
        (
            "with_a_hundred_cas",
            [honest.clone(), active.repeat(99)].concat(),
        ),
        ("the_ca_itself", active.to_vec()),
        ("nothing", Vec::new()),
        ("trailing_octet", [&honest[..], &[0]].concat()),
        ("high_s", changed(|leaf| leaf.high_s = true)),
        ("ca_true", with(0, BASIC_CONSTRAINTS, true, &seq(&[&TRUE]))),
        (
            "server_auth",
            with(2, EXT_KEY_USAGE, false, &seq(&[&server])),
        ),
        (
            "client_and_server",
            with(2, EXT_KEY_USAGE, false, &seq(&[&client, &server])),
        ),
        ("no_purpose", with(2, EXT_KEY_USAGE, false, &seq(&[]))),
        (
            "key_agreement_too",
            with(1, KEY_USAGE, true, &[0x03, 0x02, 0x03, 0x88]),
        ),
        (
            "two_uris",
            with(3, SUBJECT_ALT_NAME, false, &seq(&[&uri, &uri])),
        ),
        (
            "uri_and_host",
            with(
                3,
                SUBJECT_ALT_NAME,
                false,
                &seq(&[&uri, &tlv(0x82, &[b"a.example"])]),
            ),
        ),
        (
            "upper_case_scheme",
            with(
                3,
                SUBJECT_ALT_NAME,
                false,
                &san_uri("URN:link:tenant:acme:device:dev_789"),
            ),
        ),
        ("no_name", Leaf::device().without_extension(3).der()),
        (
            "another_common_name",
            changed(|leaf| leaf.subject = common_name("dev_790")),
        ),
        (
            "unknown_extension",
            with(9, "1.3.6.1.4.1.99999.1", false, &[5, 0]),
        ),
        (
            "unknown_critical_extension",
            with(9, "1.3.6.1.4.1.99999.1", true, &[5, 0]),
        ),
        (
            "expired",
            changed(|leaf| {
                leaf.validity = validity(0x17, b"251122115500Z", 0x17, b"260220120000Z")
            }),
        ),
        (
            "not_yet_valid",
            changed(|leaf| {
                leaf.validity = validity(0x17, b"270122115500Z", 0x17, b"270220120000Z")
            }),
        ),
        ("version_1", changed(|leaf| leaf.version = Vec::new())),
        (
            "negative_serial",
            changed(|leaf| leaf.serial = integer(&[0x80])),
        ),
    ]
}

fn uploads() -> Vec<(&'static str, Vec<u8>)> {
    let honest = Leaf::ca().der();
    let with = |position, kind: &str, critical, value: &[u8]| {
        let extension = extension(kind, critical, value);
        Leaf::ca().with_extension(position, extension).der()
    };
    let constraint = seq(&[&tlv(0xa0, &[&seq(&[&tlv(0x86, &[b".example"])])])]);
    let text = pem(&honest);
    vec![
        ("self_signed", honest.clone()),
        ("pem", text.clone().into_bytes()),
        ("pem_crlf", text.replace('\n', "\r\n").into_bytes()),
        ("pem_twice", text.repeat(2).into_bytes()),
        (
            "pem_of_a_key",
            text.replace("CERTIFICATE", "PRIVATE KEY").into_bytes(),
        ),
        ("pem_cut_off", text[..text.len() / 2].as_bytes().to_vec()),
        ("trailing_octet", [&honest[..], &[0]].concat()),
        ("a_device", Leaf::device().der()),
        (
            "not_critical",
            with(0, BASIC_CONSTRAINTS, false, &seq(&[&TRUE])),
        ),
        (
            "path_length",
            with(0, BASIC_CONSTRAINTS, true, &seq(&[&TRUE, &integer(&[0])])),
        ),
        (
            "may_not_sign",
            with(1, KEY_USAGE, true, &[0x03, 0x02, 0x01, 0x02]),
        ),
        ("no_key_identifier", Leaf::ca().without_extension(2).der()),
        ("uri_constraint", with(9, "2.5.29.30", true, &constraint)),
        (
            "policy_constraints",
            with(9, "2.5.29.36", true, &seq(&[&tlv(0x80, &[&[0]])])),
        ),
        (
            "for_servers",
            with(9, EXT_KEY_USAGE, false, &seq(&[&oid("1.3.6.1.5.5.7.3.1")])),
        ),
        (
            "empty_subject",
            Leaf::ca().with(|leaf| leaf.subject = seq(&[])).der(),
        ),
    ]
}
