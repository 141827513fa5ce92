//! Writes the corpus of `stored_value`: encrypted values as a database holds them, and what may be
//! there in their place. They are made by aes-gcm alone, from the description in docs/DATA_MODEL.md.
//!
//!     cargo run --manifest-path fuzz/Cargo.toml --example stored_values

use std::fs;
use std::path::Path;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};

const HERE: [&str; 3] = ["fuzz", "row", "column"];
const NEW: (&str, u8) = ("new", 2);
const OLD: (&str, u8) = ("old", 1);

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/stored_value");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, value) in values() {
        fs::write(folder.join(name), value).expect("a file");
    }
}

fn values() -> Vec<(&'static str, Vec<u8>)> {
    let good = value(NEW, HERE, b"ada@example.org");
    let id_end = 2 + NEW.0.len();
    let changed = |at: usize, to: u8| {
        let mut value = good.clone();
        value[at] = to;
        value
    };
    vec![
        ("under_the_current_key", good.clone()),
        (
            "under_the_earlier_key",
            value(OLD, HERE, b"ada@example.org"),
        ),
        ("of_nothing", value(NEW, HERE, b"")),
        ("of_a_kibibyte", value(NEW, HERE, &[0xa5; 1024])),
        (
            "under_an_unknown_key",
            value(("lost", 3), HERE, b"ada@example.org"),
        ),
        (
            "under_an_unknown_key_whose_id_is_as_long",
            value(("abc", 3), HERE, b"ada@example.org"),
        ),
        (
            "under_an_unknown_key_whose_id_is_long",
            value(("a-key-of-twenty-byte", 3), HERE, b"ada@example.org"),
        ),
        (
            "under_another_key_of_that_id",
            value(("new", 3), HERE, b"ada@example.org"),
        ),
        (
            "under_a_key_without_id",
            value(("", 2), HERE, b"ada@example.org"),
        ),
        (
            "of_another_table",
            value(NEW, ["fuz", "zrow", "column"], b"ada@example.org"),
        ),
        (
            "of_another_row",
            value(NEW, ["fuzz", "wor", "column"], b"ada@example.org"),
        ),
        (
            "of_another_column",
            value(NEW, ["fuzz", "row", "mobile"], b"ada@example.org"),
        ),
        ("of_another_version", changed(0, 2)),
        ("with_another_nonce", changed(id_end, good[id_end] ^ 1)),
        (
            "with_another_tag",
            changed(good.len() - 1, good[good.len() - 1] ^ 0x80),
        ),
        ("id_as_long_as_everything", changed(1, 255)),
        ("id_cut_off", good[..id_end - 1].to_vec()),
        ("nonce_cut_off", good[..id_end + 11].to_vec()),
        ("no_ciphertext", good[..id_end + 12].to_vec()),
        ("ciphertext_of_one_octet", good[..id_end + 13].to_vec()),
        ("tag_cut_off", good[..good.len() - 1].to_vec()),
        ("trailing_octet", [&good[..], &[0]].concat()),
        ("version_alone", vec![1]),
        ("nothing", Vec::new()),
        ("open_text", b"ada@example.org".to_vec()),
    ]
}

/// A stored value: version, length of the id, id, nonce, ciphertext and tag.
fn value((id, key): (&str, u8), place: [&str; 3], plaintext: &[u8]) -> Vec<u8> {
    let nonce = [7; 12];
    let associated_data: Vec<u8> = place
        .iter()
        .flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part.as_bytes()].concat())
        .collect();
    let payload = Payload {
        msg: plaintext,
        aad: &associated_data,
    };
    let cipher = Aes256Gcm::new(&[key; 32].into());
    let ciphertext = cipher.encrypt(&nonce.into(), payload).expect("encrypted");
    let id_len = u8::try_from(id.len()).expect("a short id");
    [&[1, id_len], id.as_bytes(), &nonce, &ciphertext].concat()
}
