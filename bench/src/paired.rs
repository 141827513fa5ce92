//! Measuring several things in one run, so that the machine's moods meet all of them alike.
//!
//! The sides take turns in short blocks, and each turn of all sides gives one figure, such as the
//! ratio of two. The median of these is the result: a disturbance spoils the turn that it falls
//! into, and a slow drift (frequency, a neighbour's load) is in both sides of every turn. A turn goes
//! through the sides and back again, so that it is not always the same side that finds the caches
//! full of something else. Blocks are timed by what the thread used of its processor, so that
//! another program's turn counts for nobody.

use std::time::{Duration, Instant};

use crate::clock::thread_cpu_time;

/// How long one side runs before the next one does: long beside a look at the clock, short beside
/// anything that disturbs.
const BLOCK: Duration = Duration::from_millis(4);

/// Before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// Runs the sides by turns for `time` in all and answers the nanoseconds that one call of each took,
/// turn by turn.
pub fn turns<const N: usize>(mut sides: [&mut dyn FnMut(); N], time: Duration) -> Vec<[f64; N]> {
    let calls = sides
        .each_mut()
        .map(|side| calls_in_a_block(&mut **side, WARM_UP));
    let mut turns = Vec::new();
    let start = Instant::now();
    while start.elapsed() < time {
        let mut turn = [0.0; N];
        for side in (0..N).chain((0..N).rev()) {
            turn[side] += block(&mut *sides[side], calls[side]) / 2.0;
        }
        turns.push(turn);
    }
    turns
}

/// Nanoseconds of one call, over `calls` of them.
fn block(side: &mut dyn FnMut(), calls: u32) -> f64 {
    let start = thread_cpu_time();
    for _ in 0..calls {
        side();
    }
    (thread_cpu_time() - start).as_nanos() as f64 / f64::from(calls)
}

fn calls_in_a_block(side: &mut dyn FnMut(), warm_up: Duration) -> u32 {
    let start = thread_cpu_time();
    let mut calls = 0_u32;
    while thread_cpu_time() - start < warm_up {
        side();
        calls += 1;
    }
    let blocks = warm_up.as_secs_f64() / BLOCK.as_secs_f64();
    (f64::from(calls) / blocks).ceil() as u32
}

/// The middle of the values, with the quartiles around it.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// A quarter of the values is below.
    pub lower: f64,
    /// Half of them are.
    pub median: f64,
    /// Three quarters are.
    pub upper: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let quantile = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Self {
            lower: quantile(1),
            median: quantile(2),
            upper: quantile(3),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            lower,
            median,
            upper,
        } = self;
        write!(f, "{median:.3} (quartiles {lower:.3} and {upper:.3})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_a_few_values() {
        let spread = Spread::of([5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((spread.lower, spread.median, spread.upper), (2.0, 3.0, 4.0));
        assert_eq!(Spread::of([7.0]).median, 7.0);
    }
}
