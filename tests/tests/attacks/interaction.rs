//! The transitions of the fuzz target `interaction`, drawn by proptest: a failure is shrunk to the
//! few operations that matter. Its bytes, head first, are a seed for the corpus.
//!
//! `PROPTEST_CASES=10000 PROPTEST_RNG_SEED=7` asks for more and for others.

use core::fmt;
use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::env;

use handfast_core::Config;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, RngSeed, TestRunner};

use crate::fuzzing::{Operation, Outcome, Setup, interact};
use crate::kit::Stage;

/// An operation in the form in which a corpus keeps it.
#[derive(Clone, Copy)]
struct Step([u8; Operation::LEN]);

impl Step {
    fn operation(self) -> Operation {
        Operation::from_bytes(self.0)
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?} {:?}", self.0, self.operation())
    }
}

/// The choices of the ends, and up to sixty operations.
fn cases() -> impl Strategy<Value = ([u8; Setup::LEN], Vec<Step>)> {
    (any::<[u8; Setup::LEN]>(), vec(any::<[u8; Operation::LEN]>().prop_map(Step), 0..60))
}

#[test]
fn whatever_ends_and_the_network_do_every_promise_is_kept_and_all_ends_well() {
    let mut config = Cases { failure_persistence: None, ..Cases::default() };
    if env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 400;
    }
    if env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(1);
    }
    let total = RefCell::new(Outcome::default());
    let kinds = RefCell::new(BTreeSet::new());
    let checked = TestRunner::new(config).run(&cases(), |(setup, steps)| {
        let operations: Vec<_> = steps.iter().map(|step| step.operation()).collect();
        kinds.borrow_mut().extend(operations.iter().map(Operation::kind));
        let outcome = interact(Setup(setup), &operations);
        let again = interact(Setup(setup), &operations);
        prop_assert_eq!(&outcome, &again, "the same inputs led elsewhere");
        total.borrow_mut().add(&outcome);
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
    let total = total.into_inner();
    println!("{total:?}");
    // Else the above would be true of nothing.
    assert_eq!(kinds.borrow().len(), 13, "{kinds:?}");
    let fates: Vec<_> = total.fates.keys().copied().collect();
    assert_eq!(fates, ["acked", "cancelled", "lost", "refused", "superseded", "unknown"]);
    assert!(total.received > 1_000 && total.restarts > 0, "{total:?}");
}

/// Packets without data wear out keys, too.
#[test]
fn ends_that_only_keep_in_touch_change_worn_keys_without_a_new_handshake() {
    let mut config = Config::default();
    config.timers.heartbeat = Duration::from_secs(1);
    config.keys.rekey_after_packets = 16;
    let mut pair = Stage::connected(config);
    pair.step(Duration::from_secs(100));
    let stats = [0, 1].map(|side| *pair.endpoint(side).stats());
    assert!(stats[0].rekeys >= 3, "{stats:?}");
    assert_eq!(stats.map(|stats| stats.handshakes), [1, 1]);
}
