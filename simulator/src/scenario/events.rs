//! The faults of a plan that happen at a time.

use std::time::Duration;

use super::Fault;
use super::plan::{FAULTS, Plan, Step};
use crate::attacker::Acts;
use crate::rng::{Probability, Rng};

impl Plan {
    /// The links carry only small datagrams for a while.
    pub(super) fn narrow(&mut self, rng: &mut Rng) {
        let start = Duration::from_secs(rng.range(5..=25));
        let end = start + rng.duration(Duration::from_secs(2)..=Duration::from_secs(10));
        let mtu = rng.range(60..=250) as usize;
        self.steps.extend([(start, Step::Mtu(mtu)), (end, Step::Mtu(usize::MAX))]);
    }

    /// The hub and a leaf do not hear each other, or one not the other, for up to ten seconds.
    pub(super) fn cut(&mut self, nodes: u8, both: bool, rng: &mut Rng) {
        for start in [5, 20, 33].into_iter().take(rng.range(1..=3) as usize) {
            let lasts = rng.duration(Duration::from_millis(500)..=Duration::from_secs(10));
            self.block(nodes, both, Duration::from_secs(start), lasts, rng);
        }
    }

    /// One does not hear the other for longer than its patience lasts.
    pub(super) fn expire(&mut self, nodes: u8, rng: &mut Rng) {
        self.hasten_expiry(rng);
        let idle = self.configs[0].timers.idle_timeout;
        for start in [7, 27].into_iter().take(rng.range(1..=2) as usize) {
            let lasts = rng.duration(idle * 11 / 10..=idle * 2);
            self.block(nodes, false, Duration::from_secs(start), lasts, rng);
        }
    }

    fn block(&mut self, nodes: u8, both: bool, start: Duration, lasts: Duration, rng: &mut Rng) {
        let (hub, leaf) = (0, rng.range(1..=u64::from(nodes) - 1) as u8);
        let (from, to) = rng.pick(&[(hub, leaf), (leaf, hub)]);
        self.steps.push((start, Step::Block { from, to, both }));
        self.steps.push((start + lasts, Step::Heal));
    }

    /// Peers give each other up sooner.
    pub(super) fn hasten_expiry(&mut self, rng: &mut Rng) {
        self.may_expire = true;
        let idle = rng.duration(Duration::from_secs(5)..=Duration::from_secs(8));
        for config in &mut self.configs {
            config.timers.idle_timeout = idle;
            config.timers.connect_timeout = Duration::from_secs(20);
            config.timers.heartbeat = rng.duration(Duration::from_secs(1)..=Duration::from_secs(2));
        }
    }

    /// The NATs forget within seconds, and there are pauses long enough for them to.
    pub(super) fn forget_often(&mut self, rng: &mut Rng) {
        let short = rng.duration(Duration::from_millis(300)..=Duration::from_millis(1_800));
        for config in &mut self.configs {
            config.timers.heartbeat = config.timers.heartbeat.max(Duration::from_secs(2));
        }
        self.steps.push((Duration::ZERO, Step::NatTimeout(short)));
        self.steps.push((Duration::from_secs(FAULTS.1), Step::NatTimeout(super::configs::PATIENT)));
        for start in [8, 20, 32].map(Duration::from_secs) {
            let lasts = rng.duration(Duration::from_secs(4)..=Duration::from_secs(10));
            self.traffic.quiet.push((start, start + lasts));
        }
    }

    /// Someone on the path, who does a little of everything or much of a few things.
    pub(super) fn attack(&mut self, rng: &mut Rng) {
        let all = rng.chance(Probability::percent(50));
        let mut often = |most: u64| {
            let does = all || rng.index(3) == 0;
            let parts = rng.range(10_000..=most * 10_000) as u32;
            if does { Probability::per_million(parts) } else { Probability::NEVER }
        };
        let mut acts = Acts {
            replay: often(20),
            mangle: often(15),
            race: often(15),
            relay: false,
            delay: often(8),
            reflect: often(10),
            spoof: often(15),
            forge: often(15),
        };
        // An attacker that stands between two nodes and leaves is two nodes that move at once: each
        // must still know where the other was before, so none may move or forget meanwhile.
        let keeps = |fault: &Fault| {
            use Fault::{Expiry, Nat, NatReboot, NewIdentity, Rebind, Restart, Suspend};
            let loses = [Expiry, Nat, NatReboot, NewIdentity, Rebind, Restart, Suspend];
            !loses.contains(fault)
        };
        acts.relay = rng.index(2) == 0 && self.faults.iter().all(keeps);
        if acts == (Acts { relay: acts.relay, ..Acts::default() }) {
            acts.replay = Probability::percent(20);
        }
        let start = Duration::from_secs(rng.pick(&[0, FAULTS.0]));
        self.steps.push((start, Step::Attacker(Some(acts))));
        self.steps.push((Duration::from_secs(FAULTS.1), Step::Attacker(None)));
    }

    /// Things that happen to single nodes, far enough apart for each to be got over.
    pub(super) fn shake(&mut self, fault: Fault, nodes: u8, rng: &mut Rng) {
        for start in [6, 16, 26, 36].into_iter().take(rng.range(1..=4) as usize) {
            let at =
                Duration::from_secs(start) + rng.duration(Duration::ZERO..=Duration::from_secs(4));
            // A hub that moves is lost to leaves whose NAT lets nobody else in, and one that comes
            // back as someone else cannot be dialled by whoever knew the other.
            let leaf_only = fault == Fault::NewIdentity || self.nat.is_some();
            let first = u64::from(leaf_only && matches!(fault, Fault::NewIdentity | Fault::Rebind));
            let node = rng.range(first..=u64::from(nodes) - 1) as u8;
            let coin = rng.chance(Probability::percent(50));
            // Two jumps and a partition together stay below the idle timeout.
            let by = rng.duration(Duration::from_millis(10)..=Duration::from_secs(20));
            let down = rng.duration(Duration::from_millis(1)..=Duration::from_secs(4));
            let step = match fault {
                Fault::Rebind => Step::Rebind { node, knowing: coin },
                Fault::NatReboot => Step::NatReboot,
                Fault::Restart => {
                    self.steps.push((at + down, Step::Start { node }));
                    Step::Kill { node, redial: coin }
                }
                Fault::NewIdentity => {
                    self.steps.push((at + down, Step::Replace { node }));
                    Step::Kill { node, redial: true }
                }
                Fault::Suspend => {
                    let away = rng.duration(Duration::from_millis(100)..=Duration::from_secs(9));
                    let back = (at + away).min(Duration::from_secs(FAULTS.1));
                    self.steps.push((back, Step::Resume { node }));
                    let buffer = rng.pick(&[0, 2_000, 200_000]);
                    Step::Suspend { node, buffer, clock_stops: coin }
                }
                _ => Step::JumpClock { node, by },
            };
            self.steps.push((at, step));
        }
    }
}
