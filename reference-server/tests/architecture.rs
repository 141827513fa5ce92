//! The arrows between the crates are those of `docs/ARCHITECTURE.md`, and no others; the files that
//! the pages name are there.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

type Arrows = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What each crate of the workspace depends on, within the workspace, outside of its tests.
fn actual() -> Arrows {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let uses = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        dependencies
            .iter()
            .filter(|dependency| dependency["kind"] != "dev")
            .map(name)
            .filter(|dependency| ours.contains(dependency))
            .collect()
    };
    packages
        .iter()
        .map(|package| (name(package), uses(package)))
        .collect()
}

/// The rows of the page's table: the crate, and what it may use.
fn documented() -> Arrows {
    let page = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let krate = cells.first()?.strip_prefix('`')?.strip_suffix('`')?;
        let uses = cells.get(3)?;
        let named = uses
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        Some((krate.to_owned(), named))
    };
    let mut arrows: Arrows = page
        .lines()
        .filter(|l| l.starts_with('|'))
        .filter_map(row)
        .collect();
    let crates: BTreeSet<String> = arrows.keys().cloned().collect();
    for top in ["reference-server", "examples"] {
        let others = crates
            .iter()
            .filter(|&c| c != "examples" && c != "postgres-cluster" && c != top)
            .cloned()
            .collect();
        arrows.insert(top.to_owned(), others);
    }
    // The load tool's peer has a database of its own.
    let examples = arrows.entry("examples".to_owned()).or_default();
    examples.insert("postgres-cluster".to_owned());
    arrows
}

#[test]
fn no_arrow_between_crates_runs_against_the_architecture_page() {
    let (actual, documented) = (actual(), documented());
    let crates = |arrows: &Arrows| arrows.keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        crates(&actual),
        crates(&documented),
        "the page lists every crate and no other"
    );
    for (krate, uses) in &actual {
        let beyond: Vec<_> = uses.difference(&documented[krate]).collect();
        assert!(beyond.is_empty(), "{krate} must not use {beyond:?}");
    }
}

#[test]
fn foreign_types_stay_in_the_crates_that_own_them() {
    let owners = [
        (
            "rustls",
            &["identity-mtls", "reference-server", "examples"][..],
        ),
        ("sqlx", &["identity-store", "postgres-cluster"]),
        (
            "reqwest",
            &["biowave-client", "reference-server", "examples"],
        ),
    ];
    for (krate, _) in actual() {
        let manifest = std::fs::read_to_string(root().join(&krate).join("Cargo.toml")).unwrap();
        let runtime = manifest.split("[dev-dependencies]").next().unwrap();
        for (dependency, allowed) in owners {
            let used = runtime.lines().any(|line| {
                line.strip_prefix(dependency)
                    .is_some_and(|rest| rest.starts_with(['.', ' ']))
            });
            assert!(
                !used || allowed.contains(&krate.as_str()),
                "{krate} must not use {dependency}"
            );
        }
    }
}

/// The pages that a newcomer reads.
fn pages() -> Vec<PathBuf> {
    let folders = [
        root().to_owned(),
        root().join("docs"),
        root().join("docs/adr"),
    ];
    let entries = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let pages: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    assert!(pages.len() > 5, "{pages:?}");
    pages
}

#[test]
fn the_files_that_the_pages_name_are_there() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let sources = text.split('`').skip(1).step_by(2);
        for source in sources.filter(|name| name.contains('/') && name.ends_with(".rs")) {
            let places = [
                root().join(source),
                root().join("reference-server/src").join(source),
            ];
            assert!(
                places.iter().any(|p| p.exists()),
                "{}: {source}",
                page.display()
            );
        }
        let links = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split_once(')'));
        for (link, _) in links.filter(|(link, _)| !link.contains("://")) {
            let target = page.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}
