//! The project's own sources and pages, for tests that hold one to the other.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The operators' page.
pub(crate) const OPERATIONS: &str = include_str!("../../../docs/OPERATIONS.md");

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).to_owned()
}

/// All Rust in a folder.
pub(crate) fn sources(folder: &Path) -> String {
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

/// The metrics that the operators' page lists, each with its labels.
pub(crate) fn metrics_of_the_page() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let table = OPERATIONS.split_once("### Metrics").unwrap().1;
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let (mut metrics, mut above) = (BTreeMap::new(), BTreeSet::new());
    for row in rows {
        let mut columns = row.split('|').skip(1).map(str::trim);
        let (names, labels) = (columns.next().unwrap(), columns.next().unwrap());
        if labels != "as above" {
            above = in_backticks(labels);
        }
        metrics.extend(
            in_backticks(names)
                .into_iter()
                .map(|name| (name, above.clone())),
        );
    }
    metrics
}

fn in_backticks(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
