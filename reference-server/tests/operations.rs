//! The operators' page names every setting.

use std::cell::RefCell;
use std::collections::BTreeSet;

use reference_server::config::Config;

#[test]
fn every_variable_that_is_read_is_on_the_operators_page() {
    let page = include_str!("../../docs/OPERATIONS.md");
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
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}
