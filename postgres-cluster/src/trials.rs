use std::sync::Arc;

use libtest_mimic::Trial;

use crate::{Installation, Server};

/// Where a test is run: what is named in the test's name behind `::`.
pub trait Place: Send + Sync + 'static {
    /// Its name, for example `postgresql_15`.
    fn name(&self) -> String;
}

impl Place for Server {
    fn name(&self) -> String {
        Self::name(self)
    }
}

impl Place for Installation {
    fn name(&self) -> String {
        format!("postgresql_{}", self.major())
    }
}

/// A test for each place; where there is none, one that reports itself as ignored.
pub fn on_each<P: Place>(
    places: &[Arc<P>],
    name: &str,
    run: impl Fn(&P) + Clone + Send + 'static,
) -> Vec<Trial> {
    if places.is_empty() {
        return vec![Trial::test(name, || Ok(())).with_ignored_flag(true)];
    }
    let at = |place: &Arc<P>| {
        let (place, run) = (Arc::clone(place), run.clone());
        Trial::test(format!("{name}::{}", place.name()), move || {
            run(&place);
            Ok(())
        })
    };
    places.iter().map(at).collect()
}

/// A test of what is installed, and its name.
pub type InstallationTest = (&'static str, fn(&Installation));

/// Functions as [`InstallationTest`]s of their names.
#[macro_export]
macro_rules! installation_tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name)),*] };
}

/// `tests` on each installation, and those of `copying` where `pg_basebackup` is.
#[must_use]
pub fn on_installations(tests: &[InstallationTest], copying: &[InstallationTest]) -> Vec<Trial> {
    let all: Vec<_> = Installation::all().into_iter().map(Arc::new).collect();
    let can_copy = |place: &&Arc<Installation>| place.can_copy();
    let able: Vec<_> = all.iter().filter(can_copy).cloned().collect();
    let on = |tests: &[InstallationTest], places: &[Arc<Installation>]| -> Vec<Trial> {
        let each = tests.iter();
        each.flat_map(|&(name, run)| on_each(places, name, run))
            .collect()
    };
    let mut trials = on(tests, &all);
    trials.extend(on(copying, &able));
    trials
}
