use std::time::Instant;

use crate::cli;
use crate::start::StartError;

/// Tells the story: a line for each step, with the time that the step took.
pub(super) struct Narrator {
    since: Instant,
}

impl Narrator {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
        }
    }

    /// The step that began with the last line is done.
    pub(super) fn tell(&mut self, text: &str) -> Result<(), StartError> {
        let millis = self.since.elapsed().as_secs_f64() * 1e3;
        cli::print(&format!("{millis:8.1} ms  {text}"))?;
        self.since = Instant::now();
        Ok(())
    }
}
