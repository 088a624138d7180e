//! Whatever applications may do, at random, from many tasks and threads at once: nothing hangs,
//! nothing panics, everything closes, and nothing is left behind.
//!
//! `HANDFAST_SEED` is what they do; the default is 1. `HANDFAST_SPIN_SECONDS` is how long; the
//! default is 3 for each runtime. Tasks and threads do not repeat themselves to the step: a seed
//! tells what each of them tries, not when.

mod spinning;

use std::env;
use std::time::Duration;

use handfast_tests::{Vitals, within};

#[test]
fn random_calls_from_many_tasks_and_threads_hang_nothing_and_leave_nothing() {
    let (seed, time) = (variable("HANDFAST_SEED", 1), variable("HANDFAST_SPIN_SECONDS", 3));
    let time = Duration::from_secs(time);
    println!("HANDFAST_SEED={seed}");
    for spin in [spinning::tokio::spin, spinning::mio::spin] {
        within(time * 2 + HANG, move || {
            // Whatever is made once and kept is made now.
            spin(seed, time / 3);
            let before = Vitals::now();
            let mut tally = spin(seed + 1, time * 2 / 3);
            // A busy machine does less in that time. What was not all done proves nothing.
            for more in 2..MOST_SPINS {
                if tally.missing().is_some() {
                    tally.add(spin(seed + more, time / 3));
                }
            }
            Vitals::assert_back(before, 64 << 20);
            println!("{tally:?}");
            assert_eq!(tally.missing(), None, "never done: {tally:?}");
        });
    }
}

fn variable(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().expect("a number"))
}

/// How often each runtime is spun to see everything done.
const MOST_SPINS: u64 = 20;
const HANG: Duration = Duration::from_secs(90);
