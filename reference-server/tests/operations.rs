//! The operators' page names every setting and every metric.

#![allow(clippy::unwrap_used, reason = "tests")]

mod sources;

use std::cell::RefCell;
use std::collections::BTreeSet;

use reference_server::config::Config;
use sources::{root, sources};

const PAGE: &str = include_str!("../../docs/OPERATIONS.md");

#[test]
fn every_variable_that_is_read_is_on_the_operators_page() {
    let read = RefCell::new(BTreeSet::new());
    let note = |name: &'static str| {
        read.borrow_mut().insert(name);
        None
    };
    Config::from_lookup(note, false).unwrap();
    let read = read.into_inner();
    assert!(
        read.contains("DATABASE_URL"),
        "the look-up sees the variables: {read:?}"
    );
    let missing: Vec<_> = read
        .iter()
        .filter(|name| !PAGE.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}

/// The names that the sources give to counters, gauges and histograms.
fn recorded(sources: &str) -> BTreeSet<&str> {
    let uses = sources.split("metrics::").skip(1);
    let names = uses.filter_map(|text| {
        let kinds = ["counter!(", "gauge!(", "histogram!("];
        let named = kinds.iter().find_map(|kind| text.strip_prefix(kind))?;
        named.trim_start().strip_prefix('"')?.split('"').next()
    });
    names.collect()
}

/// The names in the first column of the page's table.
fn listed() -> BTreeSet<&'static str> {
    let table = PAGE.split_once("### Metrics").unwrap().1;
    let table = table.split("\n## ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.flat_map(|row| row.split(" |").next().unwrap().split("`, `"))
        .map(|name| name.trim_end_matches('`'))
        .collect()
}

#[test]
fn the_metrics_are_those_of_the_operators_page() {
    let sources = sources(&root().join("reference-server/src"));
    assert_eq!(listed(), recorded(&sources));
}
