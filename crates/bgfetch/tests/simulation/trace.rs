//! What happened in a run, and when.

use std::fmt;
use std::time::Duration;

/// The lines of a run, in order.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Vec<(Duration, String)>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) runs: u64,
    pub(crate) steps: u64,
    pub(crate) crashes: u64,
    pub(crate) power_losses: u64,
    pub(crate) told: u64,
    pub(crate) told_again: u64,
    /// Of virtual time.
    pub(crate) seconds: u64,
}

impl Trace {
    pub(crate) fn add(&mut self, at: Duration, line: String) {
        self.lines.push((at, line));
    }

    pub(crate) fn steps(&self) -> u64 {
        self.lines.len() as u64
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.lines.iter().map(|(at, line)| format!("{:9.3} {line}", at.as_secs_f64()))
    }

    /// The last lines.
    pub(crate) fn tail(&self, count: usize) -> String {
        let skipped = self.lines.len().saturating_sub(count);
        self.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.power_losses += other.power_losses;
        self.told += other.told;
        self.told_again += other.told_again;
        self.seconds += other.seconds;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, steps, crashes, power_losses, told, told_again, seconds } = self;
        write!(
            f,
            "{runs} runs, {steps} steps in {seconds} s of virtual time, {crashes} crashes, \
             {power_losses} power losses, {told} events told, {told_again} told again"
        )
    }
}
