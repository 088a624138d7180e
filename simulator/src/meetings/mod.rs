//! Two peers behind NATs, from one seed: they meet by way of relays, and look for a direct way.

mod model;
mod plan;
mod play;
mod site;

pub use play::MeetingReport;
pub use site::Site;

use plan::Plan;

/// Two peers, each behind a kind of NAT of its own, who know one or two relays and each other's identity. They talk from
/// the beginning, by way of a relay at first. Links lose, delay and reorder; NATs are switched off and on, relays are killed
/// and started, ways are cut.
///
/// While it runs, and at its end:
///
/// - every message arrives exactly once and in its order, in spite of all that, and is acknowledged;
/// - the peers never end for each other;
/// - a pair that its NATs let become direct ([`Site::lets_meet`]) is so within [`Self::recovery`] after the last trouble,
///   unless a NAT forgot a mapping in use and one of them is spoilt by strangers, and then the relays pass no message on; another pair stays routed and says why
///   (but for luck with a symmetric NAT that keeps ports, and forgot them);
/// - who is direct stays so, and next to nothing is said by way of relays;
/// - packets that look for a way, and the mappings that they make in NATs, are few.
///
/// The contract of the core is checked after every step, as everywhere.
#[derive(Clone, Debug)]
pub struct Meeting {
    seed: u64,
    plan: Plan,
}

impl Meeting {
    /// Everything is drawn from the seed, but the pair of kinds: all pairs take turns.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, plan: Plan::from_seed(seed) }
    }

    /// What the two are behind.
    #[must_use]
    pub const fn sites(&self) -> [Site; 2] {
        self.plan.sites
    }

    /// A pair that can be direct is so this long after the last trouble, or sooner: by then a search that failed was
    /// repeated.
    #[must_use]
    pub const fn recovery() -> std::time::Duration {
        plan::RECOVERY
    }

    /// Runs it.
    ///
    /// # Panics
    /// When a promise or the contract is broken, with the seed and the time.
    #[must_use]
    pub fn run(self) -> MeetingReport {
        play::Play::new(self.seed, self.plan, false).finish()
    }

    /// Runs it and prints what happened, a time-stamped line each, if a promise is broken. Slower.
    ///
    /// # Panics
    /// Like [`Self::run`].
    #[must_use]
    pub fn run_recorded(self) -> MeetingReport {
        play::Play::new(self.seed, self.plan, true).finish()
    }
}
