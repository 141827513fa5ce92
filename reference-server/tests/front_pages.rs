//! Each library's README is the front page of its documentation. `just readmes` writes them.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

const LIBRARIES: [&str; 5] = [
    "biowave-client",
    "identity-challenge",
    "identity-mtls",
    "identity-pki",
    "identity-store",
];

fn folder(library: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(library)
}

/// The documentation of a crate's root as plain Markdown: examples without their hidden lines,
/// names of items without their links, headings below the crate's name.
fn readme(library: &str) -> String {
    let root = fs::read_to_string(folder(library).join("src/lib.rs")).unwrap();
    let mut page = format!("# {library}\n\n");
    let mut in_example = false;
    for line in root.lines() {
        if let Some(file) = included(line) {
            page += &fs::read_to_string(folder(library).join("src").join(file)).unwrap();
        }
        let Some(line) = documentation(line) else {
            continue;
        };
        if let Some(language) = line.strip_prefix("```") {
            in_example = !in_example;
            let language = if in_example { rendered(language) } else { "" };
            page += &format!("```{language}\n");
        } else if !in_example {
            let level = if line.starts_with('#') { "#" } else { "" };
            page += &format!("{level}{}\n", unlinked(line));
        } else if !(line == "#" || line.starts_with("# ")) {
            page += &format!("{line}\n");
        }
    }
    page.trim_end().to_owned() + "\n\n## Licence\n\nMIT or Apache-2.0, at your choice.\n"
}

/// The file that a line of source adds to the documentation.
fn included(line: &str) -> Option<&str> {
    let file = line.strip_prefix("#![doc = include_str!(\"")?;
    file.strip_suffix("\")]")
}

/// What a line of source says in the documentation of the crate's root.
fn documentation(line: &str) -> Option<&str> {
    match line.strip_prefix("//!") {
        Some(text) => Some(text.strip_prefix(' ').unwrap_or(text)),
        // An example that is compiled with some features only.
        None if line.starts_with("#![cfg_attr(feature") => {
            line.contains("doc = \"```\"").then_some("```")
        }
        // A line that is there with some features only.
        None => line.strip_prefix("    doc = \"")?.strip_suffix('"'),
    }
}

/// The language of an example: Rust unless it says otherwise.
fn rendered(language: &str) -> &str {
    match language {
        "text" | "toml" | "sh" | "mermaid" => language,
        _ => "rust",
    }
}

/// `[name](path)` and `[name]` without the link, unless it leads to a page of the web.
fn unlinked(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, name, after)) = bracketed(rest) {
        let target = after.strip_prefix('(').and_then(|t| t.split_once(')'));
        text += before;
        match target {
            Some((target, beyond)) if target.starts_with("http") => {
                text += &format!("[{name}]({target})");
                rest = beyond;
            }
            Some((_, beyond)) => {
                text += name;
                rest = beyond;
            }
            None => {
                text += name;
                rest = after;
            }
        }
    }
    text + rest
}

fn bracketed(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('[')?;
    let (name, after) = rest.split_once(']')?;
    Some((before, name, after))
}

#[test]
fn each_readme_is_the_front_page_of_its_crate() {
    for library in LIBRARIES {
        let file = folder(library).join("README.md");
        let page = readme(library);
        if std::env::var_os("WRITE_READMES").is_some() {
            fs::write(&file, &page).unwrap();
        }
        let stored = fs::read_to_string(&file).unwrap_or_default();
        assert!(stored == page, "{library}/README.md: run `just readmes`");
    }
}

#[test]
fn each_library_has_a_changelog_and_its_licences() {
    for library in LIBRARIES {
        for file in ["CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
            let path = folder(library).join(file);
            let text = fs::read_to_string(&path).unwrap_or_default();
            assert!(!text.is_empty(), "{}", path.display());
        }
    }
}
