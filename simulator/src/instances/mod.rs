//! Several instances of one identity, from one seed: a copied disk, a program started twice.

mod model;
mod plan;
mod play;

pub use play::InstancesReport;

use std::time::Duration;

use plan::{Act, Plan};

/// A server and up to three endpoints with one key: they are started, killed, suspended and resumed at
/// any time, all of them dial the server, and messages go both ways.
///
/// While it runs, and at its end:
///
/// - what was acknowledged was handed over, or stood in an ordered stream behind a gap and was counted in
///   `Restarted` or `Ended` (only what a killed instance held is counted by nobody);
/// - a sender hears `Restarted` or `Ended` before anything that it sends is taken under another pair of
///   incarnations;
/// - nothing comes twice, ordered streams have no gaps while a pair lasts, and each message has one fate;
/// - no honest peer is ended for breaking the protocol;
/// - once a single instance is left, it and the server reach each other within
///   [`Self::recovery`], by themselves.
#[derive(Clone, Debug)]
pub struct Instances {
    seed: u64,
    plan: Plan,
}

impl Instances {
    /// Everything is drawn from the seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, plan: Plan::from_seed(seed) }
    }

    /// The first instance runs from the beginning. The second starts at 10 s, and is killed after
    /// `stay`. The network is quiet, and heartbeats come each 20 s.
    #[must_use]
    pub fn a_short_visit(seed: u64, stay: Duration) -> Self {
        let start = Duration::from_secs(10);
        let acts = [(start, Act::Start(2)), (start + stay, Act::Kill(2))];
        Self { seed, plan: Plan::calm(&acts) }
    }

    /// Two instances run side by side for a minute; then the second is killed.
    #[must_use]
    pub fn side_by_side(seed: u64) -> Self {
        let acts = [(Duration::ZERO, Act::Start(2)), (Duration::from_secs(60), Act::Kill(2))];
        Self { seed, plan: Plan::calm(&acts) }
    }

    /// Once a single instance is left, it is connected within this time: 9/8 of a heartbeat and 6 seconds.
    #[must_use]
    pub fn recovery(&self) -> Duration {
        self.plan.recovery()
    }

    /// Runs it.
    ///
    /// # Panics
    /// When a promise or the contract is broken, with the seed and the time.
    #[must_use]
    pub fn run(self) -> InstancesReport {
        play::Play::new(self.seed, self.plan).finish()
    }
}
