//! Whole random runs, each from one seed, with everything checked that was promised.

mod configs;
mod events;
mod kind;
mod model;
mod payload;
mod plan;
mod player;
mod report;
mod run;
mod setting;
mod traffic;

pub use kind::Fault;
pub use report::{Report, Seen};

use std::time::Duration;

use plan::Plan;

/// A random run: a few endpoints, messages of every kind of delivery both ways, faults.
///
/// While it runs the contract of the core is checked after every step, and what the applications
/// see is held against a plain model:
///
/// - reliable messages arrive exactly once, whole, ordered ones in order and without gaps;
///   unreliable ones at most once; sequenced ones never go backwards;
/// - every message with a receipt gets exactly one fate, and `Acked` means that it arrived;
/// - what a restart interrupts is delivered or `Unknown`, never delivered twice;
/// - no peer ends unless it was silent for the idle timeout, no stranger gets in;
/// - once the faults end, all pairs are connected within [`Scenario::recovery`];
/// - 30 seconds after the traffic ends nothing is outstanding;
/// - then goodbyes are said and confirmed.
///
/// An application whose peer ended by the idle timeout dials it again at once. A hub does not dial
/// leaves behind a NAT, it waits for them.
#[derive(Clone, Debug)]
pub struct Scenario {
    seed: u64,
    plan: Plan,
}

impl Scenario {
    /// The scenario of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, plan: Plan::from_seed(seed) }
    }

    /// The kinds of fault it is about.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.plan.faults
    }

    /// Once all faults have ended, all pairs are connected within this time: 9/8 of the longest
    /// heartbeat plus 15 seconds.
    ///
    /// An end that takes the peer for alive says something within 9/8 of its heartbeat, or within 2
    /// seconds if it waits for an acknowledgement (the longest probe interval). If the other end has
    /// forgotten it, a hint makes it shake hands anew, but not within 5 seconds of the last hint. A
    /// handshake is tried again after 6 seconds at most (a dial to an address not proved). The rest
    /// is for round trips. Peers that are gone for good go after their idle timeout.
    #[must_use]
    pub fn recovery(&self) -> Duration {
        self.plan.recovery()
    }

    /// Runs it.
    ///
    /// # Panics
    /// When a promise or the contract is broken, with the seed, the time and the node.
    #[must_use]
    pub fn run(self) -> Report {
        run::Run::new(self.seed, self.plan, false).finish().0
    }

    /// Runs it and records what happened, a time-stamped line each. Slower.
    ///
    /// # Panics
    /// Like [`Self::run`]; the lines up to there are printed first.
    #[must_use]
    pub fn run_recorded(self) -> (Report, Vec<String>) {
        run::Run::new(self.seed, self.plan, true).finish()
    }
}
