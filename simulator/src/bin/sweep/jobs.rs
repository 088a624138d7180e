//! Many seeds on many threads. What is counted does not depend on how they share the work.

use std::ops::Range;
use std::panic::{catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use handfast_sim::{Instances, Meeting, Mesh, Scenario};

use crate::totals::Totals;

/// Runs the seeds, or their meshes alone, telling of each that fails as soon as it does.
pub(crate) fn run(
    seeds: Range<u64>,
    jobs: usize,
    meshes_alone: bool,
    failed: impl Fn(u64, &str) + Sync,
) -> Totals {
    // A failure is told in one line; `--seed` shows the rest.
    let usual = take_hook();
    set_hook(Box::new(|_| {}));
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut mine = Totals::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return mine;
            }
            run_one(seed, meshes_alone, &mut mine, &failed);
        }
    };
    let ended: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join()).collect()
    });
    set_hook(usual);
    let mut totals = Totals::default();
    for mine in ended {
        // Failures of scenarios are caught: this is our own, and what it counted is lost.
        totals.merge(mine.unwrap_or_else(|panic| resume_unwind(panic)));
    }
    totals
}

fn run_one(seed: u64, mesh_alone: bool, totals: &mut Totals, failed: &impl Fn(u64, &str)) {
    let others = || {
        let scenario = Scenario::from_seed(seed).run();
        (scenario, Instances::from_seed(seed).run(), Meeting::from_seed(seed).run())
    };
    let all = || ((!mesh_alone).then(others), Mesh::from_seed(seed).run());
    match catch_unwind(all) {
        Ok((others, mesh)) => {
            if let Some((report, instances, meeting)) = others {
                totals.add(&report, &instances, &meeting);
            }
            totals.add_mesh(&mesh);
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("it panicked without words");
            failed(seed, text);
            totals.failures.insert(seed, text.to_owned());
        }
    }
}
