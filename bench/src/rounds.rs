//! Rounds: the systems take turns, so that what slows the machine down slows all of them.

use crate::case::Case;
use crate::figure::median;
use crate::payload::Sequence;
use crate::systems::System;

/// What a system took in a case, in the case's unit.
pub(crate) struct Measured {
    pub(crate) system: System,
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// The time of the case's first system by that of this one: the median of the rounds' ratios.
    pub(crate) ratio: f64,
}

/// Measures all systems of a case.
///
/// # Errors
/// If one does not do what it should.
pub(crate) fn measure(case: &Case, quick: bool) -> Result<Vec<Measured>, String> {
    let (rounds, times) =
        if quick { (QUICK_ROUNDS, case.quick_times) } else { (ROUNDS, case.times) };
    let payloads = Sequence::new();
    let mut taken = vec![Vec::new(); case.systems.len()];
    for _ in 0..rounds {
        for (system, taken) in case.systems.iter().zip(&mut taken) {
            let time = system.run(case.load, times, &payloads)?;
            taken.push(time.as_nanos() as f64 / f64::from(times));
        }
    }
    let ours = taken[0].clone();
    let systems = case.systems.iter().zip(taken);
    Ok(systems.map(|(system, taken)| summary(*system, &ours, taken)).collect())
}

fn summary(system: System, ours: &[f64], taken: Vec<f64>) -> Measured {
    let ratios = ours.iter().zip(&taken).map(|(ours, taken)| ours / taken).collect();
    let least = taken.iter().copied().fold(f64::INFINITY, f64::min);
    let most = taken.iter().copied().fold(0.0, f64::max);
    Measured { system, median: median(taken), least, most, ratio: median(ratios) }
}

const ROUNDS: usize = 21;

const QUICK_ROUNDS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_rounds_and_not_of_medians() {
        // The machine was slow in the first round; the ratio of it is the same.
        let measured = summary(System::Enet, &[20.0, 2.0, 9.0], vec![40.0, 4.0, 3.0]);
        assert_eq!((measured.median, measured.least, measured.most), (4.0, 3.0, 40.0));
        assert_eq!(measured.ratio, 0.5);
    }
}
