//! The threat model names a test for each incident: those tests exist.

#![allow(clippy::unwrap_used, reason = "tests")]

mod sources;

use std::fs;

use sources::{root, sources};

const HEADING: &str = "## Incidents elsewhere";
/// Where those tests are.
const FOLDERS: [&str; 5] = [
    "identity-mtls/tests",
    "identity-pki/tests",
    "identity-store/src",
    "reference-server/src",
    "reference-server/tests",
];

/// The names in code spans of the table's last column, row by row.
fn named_tests(page: &str) -> Vec<Vec<&str>> {
    let section = page.split_once(HEADING).unwrap().1;
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    rows.skip(1)
        .map(|row| {
            let tests = row.trim_end_matches('|').rsplit('|').next().unwrap();
            tests.split('`').skip(1).step_by(2).collect()
        })
        .collect()
}

/// Whether a test of that name is run: a function with an attribute, a story that a list of `stories!`
/// has, or one of the conformance suite, which has its line in the suite's list.
fn is_run(test: &str, sources: &str) -> bool {
    let mut lists = sources.split("stories![").skip(1);
    let story = format!("::{test}");
    let is_listed = lists.any(|list| {
        let list = list.split(']').next().unwrap_or_default();
        list.split(',').any(|entry| entry.trim().ends_with(&story))
    });
    let line = format!("{test},");
    let is_told = sources.lines().any(|other| other.trim() == line);
    let function = format!("fn {test}(");
    let mut functions = sources.match_indices(&function);
    let is_function = functions.any(|(at, _)| {
        let before = sources[..at].trim_end();
        let before = before.strip_suffix("async").unwrap_or(before);
        before.trim_end().ends_with(']')
    });
    is_listed || is_told || is_function
}

#[test]
fn a_story_counts_when_it_is_listed() {
    let sources = "let all = stories![\n    one::it_is_told,\n    two::so_is_it,\n];";
    let told = "#[test]\nfn it_is_a_test() {}\npub(crate) async fn nobody_calls_it() {}\n\
                proptest! {\n    #[test]\n    fn it_is_a_property(n in 0..9) {}\n}\n\
                suite: [\n    the_suite_has_it,\n]";
    let sources = [sources, told].concat();
    for (test, expected) in [
        ("it_is_told", true),
        ("so_is_it", true),
        ("it_is_a_test", true),
        ("it_is_a_property", true),
        ("the_suite_has_it", true),
        ("is_told", false),
        ("nobody_calls_it", false),
    ] {
        assert_eq!(is_run(test, &sources), expected, "{test}");
    }
}

#[test]
fn each_incident_of_the_threat_model_has_its_test() {
    let page = fs::read_to_string(root().join("docs/THREAT_MODEL.md")).unwrap();
    let sources: String = FOLDERS.map(|folder| sources(&root().join(folder))).concat();
    let rows = named_tests(&page);
    assert!(!rows.is_empty());
    for row in rows {
        assert!(!row.is_empty(), "an incident without a test");
        for test in row {
            assert!(is_run(test, &sources), "{test} is no test");
        }
    }
}

/// The types of `sources` that hold a secret, and how each is declared.
fn secret_types(sources: &str) -> Vec<(&str, &str)> {
    let items = sources.split("\n\n");
    let secret = items.filter(|item| item.contains("Zeroizing<") || item.contains("ZeroizeOnDrop"));
    let types = secret.flat_map(|item| {
        let words: Vec<_> = code(item).flat_map(words).collect();
        let declared = words
            .windows(2)
            .filter(|pair| ["struct", "enum"].contains(&pair[0]));
        let names: Vec<_> = declared.map(|pair| pair[1]).collect();
        names.into_iter().map(move |name| (name, item))
    });
    types.collect()
}

/// The lines that are no comment.
fn code(item: &str) -> impl Iterator<Item = &str> {
    item.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    let parts = line.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.filter(|word| !word.is_empty())
}

/// How a type that holds a secret can be compared: by what it derives, or by an implementation.
fn comparisons(sources: &str) -> Vec<String> {
    let derived = |(_, item): &(&str, &str)| code(item).flat_map(words).any(|w| w == "PartialEq");
    let secret = secret_types(sources);
    let deriving = secret.iter().filter(|declared| derived(declared));
    let mut found: Vec<_> = deriving.map(|(_, item)| (*item).to_owned()).collect();
    let implementations = code(sources).filter(|line| line.trim_start().starts_with("impl"));
    found.extend(implementations.map(str::to_owned).filter(|line| {
        let words: Vec<_> = words(line).collect();
        let is_secret = || secret.iter().any(|(name, _)| words.contains(name));
        words.contains(&"PartialEq") && is_secret()
    }));
    found
}

#[test]
fn comparisons_of_secrets_are_found_however_they_are_written() {
    let declared =
        "/// A struct of ours.\npub struct Key(Zeroizing<[u8; 32]>);\n\nstruct Open(u8);\n\n";
    for (comparison, is_found) in [
        ("impl PartialEq for Key {", true),
        ("    impl<'a> PartialEq<super::Key> for &'a [u8] {", true),
        (
            "#[derive(PartialEq)]\nenum Other { One(Zeroizing<String>) }",
            true,
        ),
        ("impl PartialEq for Open {", false),
        ("impl PartialEq for KeyId {", false),
        ("// impl PartialEq for Key {", false),
        ("impl Drop for Key {", false),
    ] {
        let found = comparisons(&[declared, comparison].concat());
        assert_eq!(!found.is_empty(), is_found, "{comparison}: {found:?}");
    }
}

/// A comparison with `==` ends at the first byte that differs. What is secret is found by a digest, or
/// compared by `subtle` as a digest.
#[test]
fn no_type_that_holds_a_secret_can_be_compared() {
    let crates = ["identity-pki", "identity-store", "reference-server"];
    let sources = crates
        .map(|folder| sources(&root().join(folder).join("src")))
        .concat();
    let secret = secret_types(&sources);
    assert!(secret.len() > 5, "they are found: {secret:?}");
    assert_eq!(comparisons(&sources), [""; 0]);
    assert!(sources.contains("known.hash.0.ct_eq(&given.0)"));
}
