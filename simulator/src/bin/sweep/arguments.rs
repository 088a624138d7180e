//! The command line.

use std::num::NonZero;
use std::thread::available_parallelism;

/// What to do.
pub(crate) enum Arguments {
    /// Run one seed and show everything.
    One(u64),
    /// Run many on so many threads.
    Many { start: u64, seeds: u64, jobs: usize, meshes_alone: bool },
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut one, mut start, mut seeds) = (None, 0, 2_000);
        let mut meshes_alone = false;
        let mut jobs = available_parallelism().map_or(1, NonZero::get);
        while let Some(word) = words.next() {
            if word == "--help" {
                return Err("Runs random scenarios in a simulated network.".to_owned());
            }
            if word == "--meshes" {
                meshes_alone = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            let number = value.parse().map_err(|_| format!("{value:?} is not a number"))?;
            match word.as_str() {
                "--seed" => one = Some(number),
                "--start" => start = number,
                "--seeds" => seeds = number,
                "--jobs" => jobs = usize::try_from(number.clamp(1, 1_024)).unwrap_or(1),
                _ => return Err(format!("unknown argument {word:?}")),
            }
        }
        Ok(one.map_or(Self::Many { start, seeds, jobs, meshes_alone }, Self::One))
    }
}

pub(crate) const USAGE: &str =
    "usage: sweep [--seeds N] [--start S] [--jobs J] [--meshes] | sweep --seed X";
