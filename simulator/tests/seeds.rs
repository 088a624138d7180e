//! The promise of the simulator: thousands of random worlds, and nothing breaks.

use std::collections::BTreeMap;
use std::ops::Range;

use handfast_sim::Scenario;

/// `HANDFAST_SEED=X` runs that seed alone, `HANDFAST_SEEDS=N` the first N instead of 2,000.
fn seeds() -> Range<u64> {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    match number("HANDFAST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HANDFAST_SEEDS").unwrap_or(2_000),
    }
}

#[test]
fn two_thousand_seeds_keep_every_promise_and_see_every_kind_of_trouble() {
    let mut seen = BTreeMap::new();
    let seeds = seeds();
    for seed in seeds.clone() {
        let report = Scenario::from_seed(seed).run();
        assert_eq!(report.shortfall(), None, "seed {seed} proves little: adjust its plan");
        for (name, happened) in report.seen.iter() {
            *seen.entry(name).or_insert(0) += u32::from(happened);
        }
    }
    println!("seeds that saw each: {seen:?}");
    if seeds.end - seeds.start < 2_000 {
        return; // Too few to ask for every kind of trouble.
    }
    assert!(seen.len() >= 6 && seen.values().all(|&seeds| seeds > 100), "{seen:?}");
}

#[test]
fn a_seed_replays_to_the_same_trace_and_another_does_not() {
    for seed in 0..26 {
        let first = Scenario::from_seed(seed).run();
        assert_eq!(first, Scenario::from_seed(seed).run());
        assert_ne!(first.trace_hash, Scenario::from_seed(seed + 26).run().trace_hash);
    }
}
