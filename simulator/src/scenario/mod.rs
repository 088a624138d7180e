//! Whole random runs, each from one seed, with everything checked that was promised.

mod model;
mod payload;
mod plan;
mod report;
mod run;
mod traffic;

pub use report::{Report, Seen};

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
/// - 30 seconds after the traffic ends (the faults end before) all peers are connected and
///   nothing is outstanding;
/// - then goodbyes are said and confirmed.
#[derive(Clone, Debug)]
pub struct Scenario {
    seed: u64,
    plan: Plan,
}

/// A kind of fault that a scenario is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Independent loss.
    Loss,
    /// Loss in bursts.
    Bursts,
    /// Datagrams that overtake each other.
    Reordering,
    /// Datagrams that arrive twice.
    Duplication,
    /// Flipped bits.
    Corruption,
    /// A slow link with a short queue.
    Congestion,
    /// A link that carries only small datagrams for a while.
    Mtu,
    /// Nodes cut off, both ways or one way.
    Partition,
    /// Addresses that change, with or without the node's knowledge.
    Rebind,
    /// Nodes that lose their state.
    Restart,
    /// Clocks that jump ahead.
    ClockJump,
    /// No fault, but keys that change often.
    Rekey,
    /// No fault, but messages of many packets.
    Fragmentation,
}

impl Fault {
    /// All kinds. The scenario of a seed is about the kind at `seed % len`, and sometimes another.
    pub const ALL: [Self; 13] = [
        Self::Loss,
        Self::Bursts,
        Self::Reordering,
        Self::Duplication,
        Self::Corruption,
        Self::Congestion,
        Self::Mtu,
        Self::Partition,
        Self::Rebind,
        Self::Restart,
        Self::ClockJump,
        Self::Rekey,
        Self::Fragmentation,
    ];
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
