//! What a process holds in memory and in descriptors, as `/proc` says.

use std::fs;

use crate::Failure;

/// The memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Pages of its own and its share of shared ones (Pss).
    pub(crate) proportional: u64,
    /// Pages that back no file (RssAnon): heap and stacks.
    pub(crate) anonymous: u64,
}

impl Memory {
    pub(crate) fn of(process: u32) -> Result<Self, Failure> {
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        Ok(Self {
            proportional: kibibytes(&rollup, "Pss:")? * 1024,
            anonymous: kibibytes(&status, "RssAnon:")? * 1024,
        })
    }

    /// What each of `count` things took that came after `before`.
    pub(crate) fn grown_for_each(self, before: Self, count: usize) -> (f64, f64) {
        let each = |now: u64, then: u64| now.saturating_sub(then) as f64 / count as f64;
        (
            each(self.proportional, before.proportional),
            each(self.anonymous, before.anonymous),
        )
    }
}

fn kibibytes(text: &str, name: &str) -> Result<u64, Failure> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number
        .ok_or_else(|| format!("no {name} in /proc"))?
        .parse()?)
}

/// Refuses to begin what this process, or a child with its limits, has too few descriptors for.
pub(crate) fn require_descriptors(count: usize) -> Result<(), Failure> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    let soft = soft.ok_or("no limit of open files in /proc")?;
    if soft == "unlimited" || soft.parse::<usize>()? >= count {
        return Ok(());
    }
    Err(
        format!("{count} file descriptors are needed: raise the limit, as `ulimit -n {count}`")
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_taken_shows() {
        let own = std::process::id();
        let before = Memory::of(own).unwrap();
        let taken = vec![1_u8; 64 << 20];
        let (proportional, anonymous) =
            Memory::of(own).unwrap().grown_for_each(before, taken.len());
        assert!((0.9..1.5).contains(&proportional), "{proportional}");
        assert!((0.9..1.5).contains(&anonymous), "{anonymous}");
    }

    #[test]
    fn there_are_some_descriptors_and_not_as_many_as_one_likes() {
        assert!(require_descriptors(3).is_ok());
        assert!(require_descriptors(usize::MAX).is_err());
    }
}
