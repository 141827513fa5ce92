//! The operators' page names every setting and every metric, and the dashboard's queries ask for what
//! there is.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

mod sources;

use std::cell::RefCell;
use std::collections::BTreeSet;

use reference_server::config::Config;
use serde_json::Value;
use sources::{OPERATIONS as PAGE, metrics_of_the_page, root, sources};

const DASHBOARD: &str = include_str!("../../docs/grafana/identity.json");

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

#[test]
fn the_metrics_are_those_of_the_operators_page() {
    let sources = sources(&root().join("reference-server/src"));
    let listed: BTreeSet<_> = metrics_of_the_page().into_keys().collect();
    assert_eq!(listed, recorded(&sources));
}

/// Prometheus gives each of its targets these labels, and renames a metric's own of that name.
const OF_THE_TARGET: [&str; 2] = ["instance", "job"];

#[test]
fn no_label_is_one_of_prometheus_own() {
    for (name, labels) in metrics_of_the_page() {
        let own = OF_THE_TARGET.iter().find(|own| labels.contains(*own));
        assert_eq!(own, None, "{name}");
    }
}

#[test]
fn the_dashboard_asks_for_every_metric_and_by_labels_that_there_are() {
    let listed = metrics_of_the_page();
    let mut asked = BTreeSet::new();
    for query in queries() {
        let series = Series::of(&query);
        assert!(!series.names.is_empty(), "{query}");
        let mut known = BTreeSet::from(OF_THE_TARGET);
        for name in &series.names {
            let bucket = name.strip_suffix("_bucket");
            let labels = listed.get(bucket.unwrap_or(name));
            known.extend(labels.unwrap_or_else(|| panic!("{name} is no metric: {query}")));
            known.extend(bucket.map(|_| "le"));
            asked.insert(bucket.unwrap_or(name).to_owned());
        }
        for label in &series.labels {
            assert!(
                known.contains(label.as_str()),
                "{label} is no label: {query}"
            );
        }
    }
    assert_eq!(asked, listed.into_keys().map(str::to_owned).collect());
}

/// The queries of every panel.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let query = |target: &Value| target["expr"].as_str().unwrap().to_owned();
    targets.map(query).collect()
}

/// What a query names.
#[derive(Default)]
struct Series {
    names: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Series {
    fn of(query: &str) -> Self {
        let mut series = Self::default();
        let words = words(query);
        let behind = words.iter().skip(1).map(String::as_str).chain([""]);
        // Whether the word is in braces, in the list of `by`, or elsewhere.
        let (mut in_braces, mut in_list) = (false, false);
        for (word, next) in words.iter().zip(behind) {
            match (word.as_str(), next) {
                ("by" | "without", _) => in_list = true,
                (")", _) => in_list = false,
                ("{", _) => in_braces = true,
                ("}", _) => in_braces = false,
                (_, "(" | "by" | "without") => {}
                (name, _) if !name.starts_with(|first: char| first.is_ascii_alphabetic()) => {}
                (label, _) if in_braces || in_list => {
                    series.labels.insert(label.to_owned());
                }
                (name, _) => {
                    series.names.insert(name.to_owned());
                }
            }
        }
        series
    }
}

/// The words and the signs of a query, without what is in quotes and in brackets.
fn words(query: &str) -> Vec<String> {
    let outside = |text: &str, delimiters: &[char]| {
        let pieces = text.split(delimiters).step_by(2);
        pieces.collect::<Vec<_>>().join(" ")
    };
    let query = outside(&outside(query, &['"']), &['[', ']']);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let spaced = query.chars().map(|letter| match is_part(letter) {
        true => letter.to_string(),
        false => format!(" {letter} "),
    });
    let spaced: String = spaced.collect();
    spaced.split_whitespace().map(str::to_owned).collect()
}
