//! Nodes in a random graph of which each knows its neighbours alone, from one seed.

mod model;
mod plan;
mod play;
mod watch;

pub use play::MeshReport;

use plan::Plan;

/// Three to eight nodes that exchange routes, in a random graph, and two to four leaves that each know one or two of them. Leaves
/// talk with each other by identity alone. Links lose, delay and reorder; links are cut, and nodes are killed and started.
///
/// While it runs, and at its end:
///
/// - every reliable message arrives exactly once and in its order, or its sender is told that it may not have;
/// - at no time tables of routes lead in a circle; a packet may come to a node a second time, if routes changed while it was
///   under way, and to none a third time, and none is passed on more often than the hop limit allows;
/// - once the troubles are over, all leaves that talk are connected again, and what they say arrives;
/// - somewhat later what they say takes the best way, or one that costs little more;
/// - dials to ids that nobody has end in time, and say why.
///
/// The contract of the core is checked after every step, as everywhere.
#[derive(Clone, Debug)]
pub struct Mesh {
    seed: u64,
    plan: Plan,
}

impl Mesh {
    /// Everything is drawn from the seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, plan: Plan::from_seed(seed) }
    }

    /// Runs it.
    ///
    /// # Panics
    /// When a promise or the contract is broken, with the seed and the time.
    #[must_use]
    pub fn run(self) -> MeshReport {
        play::Play::new(self.seed, self.plan, false).finish()
    }

    /// Runs it and prints what happened, a time-stamped line each, if a promise is broken. Slower.
    ///
    /// # Panics
    /// Like [`Self::run`].
    #[must_use]
    pub fn run_recorded(self) -> MeshReport {
        play::Play::new(self.seed, self.plan, true).finish()
    }
}
