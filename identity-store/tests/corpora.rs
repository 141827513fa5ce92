//! The corpus of the fuzz target `stored_value`, replayed: which of its values open.

#![cfg(feature = "crypter")]
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use identity_store::fuzzing;
use proptest::prelude::{any, prop, proptest};

#[test]
fn stored_value() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/stored_value");
    let mut opened = Vec::new();
    for entry in fs::read_dir(corpus).expect("a corpus") {
        let file = entry.expect("an entry").path();
        if fuzzing::stored_value(&fs::read(&file).expect("an input")) {
            let name = file.file_name().expect("a name");
            opened.push(name.to_string_lossy().into_owned());
        }
    }
    opened.sort();
    let good = [
        "of_a_kibibyte",
        "of_nothing",
        "under_the_current_key",
        "under_the_earlier_key",
    ];
    assert_eq!(opened, good);
}

proptest! {
    #[test]
    fn nothing_that_was_made_up_opens(
        head in prop::sample::select(vec![&b""[..], b"\x01", b"\x01\x03new", b"\x01\x03old"]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        assert!(!fuzzing::stored_value(&[head, &rest].concat()));
    }
}
