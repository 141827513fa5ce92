//! The threat model names a test for each incident: those tests exist.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

const HEADING: &str = "## Incidents elsewhere";
/// Where those tests are.
const FOLDERS: [&str; 3] = [
    "identity-mtls/tests",
    "identity-pki/tests",
    "reference-server/tests",
];

fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).to_owned()
}

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

fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| match path.extension() {
            _ if path.is_dir() => sources(&path),
            Some(extension) if extension == "rs" => fs::read_to_string(path).unwrap(),
            _ => String::new(),
        })
        .collect()
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
            let function = format!("]\nasync fn {test}()");
            let plain = format!("]\nfn {test}()");
            let exists = sources.contains(&function) || sources.contains(&plain);
            assert!(exists, "{test} is no test");
        }
    }
}
