//! Migrations are append-only: databases that have applied one will not apply it again.
//!
//! `migrations/checksums` has a line for each file, as `sha256sum` writes it. The newest of a database
//! may stand there with `unreleased` in place of the sum while it is still written. CI holds the
//! list to its own history: a sum that was once there stays.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

const UNRELEASED: &str = "unreleased";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")
}

/// Each listed file, like `sqlite/0001_initial.sql`, with what stands before it.
fn listed() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(folder().join("checksums")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_once("  ").unwrap())
        .map(|(sum, file)| (file.to_owned(), sum.to_owned()))
        .collect()
}

/// Each file that is there, with its sum.
fn present() -> BTreeMap<String, String> {
    let databases = std::fs::read_dir(folder()).unwrap();
    let databases = databases.map(|entry| entry.unwrap().path());
    let files = databases
        .filter(|path| path.is_dir())
        .flat_map(|database| std::fs::read_dir(database).unwrap())
        .map(|entry| entry.unwrap().path());
    files
        .map(|file| {
            let sum = hex::encode(Sha256::digest(std::fs::read(&file).unwrap()));
            let name = file.strip_prefix(folder()).unwrap();
            (name.to_str().unwrap().to_owned(), sum)
        })
        .collect()
}

#[test]
fn a_released_migration_is_as_it_was() {
    let present = present();
    for (file, sum) in listed().iter().filter(|(_, sum)| *sum != UNRELEASED) {
        let found = present.get(file);
        assert_eq!(
            found,
            Some(sum),
            "{file} has changed: write the next migration instead"
        );
    }
}

#[test]
fn a_new_migration_is_listed() {
    let (listed, present) = (listed(), present());
    let unlisted: Vec<_> = present
        .iter()
        .filter(|(file, _)| !listed.contains_key(*file))
        .collect();
    assert!(
        unlisted.is_empty(),
        "migrations/checksums lacks {unlisted:?}"
    );
    let missing: Vec<_> = listed
        .keys()
        .filter(|file| !present.contains_key(*file))
        .collect();
    assert!(missing.is_empty(), "migrations/ lacks {missing:?}");
}

#[test]
fn migrations_are_numbered_without_a_gap_and_only_the_newest_is_unreleased() {
    let mut numbers: BTreeMap<String, Vec<(u32, bool)>> = BTreeMap::new();
    for (file, sum) in listed() {
        let (database, name) = file.split_once('/').unwrap();
        let number = name.split('_').next().unwrap().parse().unwrap();
        let of_database = numbers.entry(database.to_owned()).or_default();
        of_database.push((number, sum == UNRELEASED));
    }
    for (database, files) in numbers {
        let counted: Vec<u32> = files.iter().map(|(number, _)| *number).collect();
        let expected: Vec<u32> = (1..).take(files.len()).collect();
        assert_eq!(counted, expected, "{database}");
        let older = files.iter().rev().skip(1);
        let open: Vec<_> = older.filter(|(_, unreleased)| *unreleased).collect();
        assert!(open.is_empty(), "{database}: {open:?}");
    }
}
