//! The promise of the simulator: thousands of random worlds, and nothing breaks.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use handfast_sim::{Fault, Meeting, Mesh, Report, Scenario};

/// `HANDFAST_SEED=X` runs that seed alone, `HANDFAST_SEEDS=N` the first N instead of 600.
fn seeds() -> Range<u64> {
    let number = |name| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    match number("HANDFAST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("HANDFAST_SEEDS").unwrap_or(600),
    }
}

/// Runs the seeds on two threads.
fn run_each<R: Send>(seeds: &Range<u64>, run: impl Fn(u64) -> R + Sync) -> Vec<R> {
    let next = AtomicU64::new(seeds.start);
    let work = || -> Vec<R> {
        let seeds = std::iter::from_fn(|| {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            (seed < seeds.end).then_some(seed)
        });
        seeds.map(&run).collect()
    };
    thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("no broken promise")).collect()
    })
}

#[test]
fn hundreds_of_seeds_keep_every_promise_and_see_every_kind_of_trouble() {
    let seeds = seeds();
    let reports = run_each(&seeds, |seed| Scenario::from_seed(seed).run());
    let (mut seen, mut met) = (BTreeMap::new(), BTreeMap::new());
    for report in &reports {
        for (name, happened) in report.seen.iter() {
            *seen.entry(name).or_insert(0) += u32::from(happened);
        }
        for &kind in report.kinds.iter().filter(|kind| report.happened(**kind)) {
            *met.entry(kind).or_insert(0) += 1;
        }
        assert!(report.seals > report.datagrams / 2, "seed {}: who sealed?", report.seed);
    }
    println!("seeds that saw each: {seen:?}\nseeds that met what they are about: {met:?}");
    if seeds.end - seeds.start < 600 {
        return; // Too few to ask for every kind of trouble.
    }
    assert!(seen.len() >= 7 && seen.values().all(|&seeds| seeds > 30), "{seen:?}");
    for kind in Fault::ALL {
        // Of about 40 seeds that are about each.
        assert!(met.get(&kind).is_some_and(|&seeds| seeds > 22), "{kind:?}: {met:?}");
    }
    let dull: Vec<_> = reports.iter().filter_map(Report::shortfall).collect();
    assert!(dull.len() < 60, "too many prove little: {dull:?}");
}

#[test]
fn a_seed_replays_to_the_same_trace_and_another_does_not() {
    let kinds = Fault::ALL.len() as u64;
    for seed in 0..kinds * 2 {
        let first = Scenario::from_seed(seed).run();
        assert_eq!(first, Scenario::from_seed(seed).run());
        assert_ne!(first.trace_hash, Scenario::from_seed(seed + kinds * 2).run().trace_hash);
    }
}

/// As above, but 72 seeds: each pair of kinds twice.
#[test]
fn peers_behind_nats_of_all_pairs_of_kinds_meet_as_their_nats_allow() {
    let seeds = if seeds() == (0..600) { 0..72 } else { seeds() };
    let reports = run_each(&seeds, |seed| Meeting::from_seed(seed).run());
    let direct = reports.iter().filter(|report| report.direct).count();
    let punchable = reports.iter().filter(|report| report.punchable).count();
    println!("{direct} direct of {punchable} that could be, of {}", reports.len());
    if reports.len() >= 72 {
        // The others lost what they had when a NAT forgot them.
        assert!(direct > punchable * 9 / 10 && punchable < reports.len() * 9 / 10);
    }
}

/// As above, but the first 8, and seven that found something: a neighbour whose data took a route and that carried nothing
/// any more; a restart; a direct way that was not looked for again; answers that came back by another neighbour; statements that came by a
/// route; a metric that one neighbour asked for, and the others never heard; news of routes that came up while packets were written.
#[test]
fn leaves_of_a_mesh_talk_over_several_hops_whatever_befalls_it() {
    let seeds = if seeds() == (0..600) { 0..15 } else { seeds() };
    let all: Vec<_> = (0..8).chain([14, 29, 82, 98, 153, 280, 7928]).collect();
    let chosen = |n: u64| if seeds == (0..15) { all[n as usize] } else { n };
    let reports = run_each(&seeds, |n| Mesh::from_seed(chosen(n)).run());
    let hops = reports.iter().map(|report| report.hops).max();
    let slowest = reports.iter().map(|report| report.recovered).max();
    println!("{hops:?} hops at most, {slowest:?} after the last trouble, of {}", reports.len());
    if reports.len() >= 12 {
        assert!(hops >= Some(3), "they are far from each other");
        assert!(reports.iter().any(|report| report.troubled));
        assert!(reports.iter().all(|report| report.delivered > 100));
    }
}
