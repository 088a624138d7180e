//! What a seed means: nodes, configurations, base conditions, traffic and faults over time.

use std::time::Duration;

use handfast_core::Config;

use super::Fault;
use super::configs::{Dial, configs, dials, nat};
use crate::attacker::Acts;
use crate::conditions::{Bursts, Conditions, EcnTreatment};
use crate::nat::NatKind;
use crate::rng::{Probability, Rng};

/// Everything that is decided before a scenario runs.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) faults: Vec<Fault>,
    pub(crate) configs: Vec<Config>,
    /// What the leaves are behind.
    pub(crate) nat: Option<NatPlan>,
    pub(crate) batch: usize,
    /// Who dials whom. Every pair is node 0 and another.
    pub(crate) dials: Vec<Dial>,
    /// When there is no fault, and while the world heals.
    pub(crate) calm: Conditions,
    /// While there are faults of links.
    pub(super) storm: Conditions,
    /// Sorted by time.
    pub(crate) steps: Vec<(Duration, Step)>,
    pub(crate) traffic: TrafficPlan,
    /// Peers may be out of each other's hearing for as long as the idle timeout.
    pub(crate) may_expire: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct NatPlan {
    pub(crate) kind: NatKind,
    /// All leaves are behind one, or each behind its own.
    pub(crate) shared: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct TrafficPlan {
    /// The time between two sends of a node, in microseconds, at most.
    pub(crate) pause: u64,
    /// The largest usual message.
    pub(crate) small: u64,
    /// The largest message, and how many of all are of such size.
    pub(crate) large: (u64, Probability),
    /// When nobody sends anything: from, until.
    pub(crate) quiet: Vec<(Duration, Duration)>,
}

/// Something that befalls the world.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Links(Conditions),
    Mtu(usize),
    Block { from: u8, to: u8, both: bool },
    Heal,
    Rebind { node: u8, knowing: bool },
    NatTimeout(Duration),
    NatReboot,
    Kill { node: u8, redial: bool },
    Start { node: u8 },
    Replace { node: u8 },
    Suspend { node: u8, buffer: usize, clock_stops: bool },
    Resume { node: u8 },
    JumpClock { node: u8, by: Duration },
    Attacker(Option<Acts>),
}

/// When faults begin, if not at once, and when the last ends.
pub(crate) const FAULTS: (u64, u64) = (3, 45);

impl Plan {
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut faults = vec![Fault::ALL[(seed % Fault::ALL.len() as u64) as usize]];
        let second = rng.pick(&Fault::ALL);
        if rng.chance(Probability::percent(35)) && !faults.contains(&second) {
            faults.push(second);
        }
        let nodes = if rng.chance(Probability::percent(25)) { 3 } else { 2 };
        let calm = Conditions {
            latency: rng.duration(Duration::from_micros(200)..=Duration::from_millis(90)),
            jitter: rng.duration(Duration::ZERO..=Duration::from_millis(10)),
            ..Conditions::default()
        };
        let about_nat = faults.iter().any(|fault| matches!(fault, Fault::Nat | Fault::NatReboot));
        let behind = rng.chance(Probability::percent(15)) || about_nat;
        let shared = rng.chance(Probability::percent(60));
        let mut plan = Self {
            configs: configs(nodes, &mut rng),
            nat: behind.then(|| NatPlan { kind: nat(&mut rng), shared }),
            batch: rng.pick(&[2_048, 4_096, 16_384]),
            dials: dials(nodes, behind, &mut rng),
            calm,
            storm: calm,
            steps: Vec::new(),
            traffic: TrafficPlan {
                pause: 220_000 * u64::from(nodes - 1),
                small: 300,
                large: (4_000, Probability::percent(1)),
                quiet: Vec::new(),
            },
            may_expire: false,
            faults,
        };
        for fault in plan.faults.clone() {
            plan.add(fault, nodes, &mut rng);
        }
        plan.storm.ecn = marks(seed);
        plan.finish(&mut rng);
        plan
    }

    /// All pairs are connected so long after the last fault.
    pub(crate) fn recovery(&self) -> Duration {
        let heartbeat = self.configs.iter().map(|config| config.timers.heartbeat).max();
        heartbeat.unwrap_or_default() * 9 / 8 + Duration::from_secs(15)
    }

    fn finish(&mut self, rng: &mut Rng) {
        let start = Duration::from_secs(rng.pick(&[0, FAULTS.0]));
        let end = Duration::from_secs(FAULTS.1);
        self.steps.insert(0, (start, Step::Links(self.storm)));
        self.steps.extend([(end, Step::Links(self.calm)), (end, Step::Heal)]);
        self.steps.sort_by_key(|step| step.0);
    }

    fn add(&mut self, fault: Fault, nodes: u8, rng: &mut Rng) {
        let percent = |rng: &mut Rng, low, high| {
            Probability::per_million(rng.range(low..=high) as u32 * 10_000)
        };
        let links = &mut self.storm;
        match fault {
            Fault::Loss => links.loss = percent(rng, 2, 20),
            Fault::Bursts => links.bursts = Some(bursts(rng)),
            Fault::Reordering => {
                links.reordering = percent(rng, 15, 40);
                links.reordering_delay =
                    rng.duration(Duration::from_millis(20)..=Duration::from_millis(80));
                if rng.chance(Probability::percent(50)) {
                    links.free_jitter =
                        rng.duration(Duration::from_millis(5)..=Duration::from_millis(80));
                }
            }
            Fault::Duplication => links.duplication = percent(rng, 3, 30),
            Fault::Corruption => links.corruption = percent(rng, 2, 10),
            Fault::Congestion => {
                links.rate = Some(rng.range(5_000..=10_000));
                links.queue = rng.range(2_500..=5_000) as usize;
                links.ce_threshold = rng.pick(&[None, Some(1_500)]);
                self.traffic.large = (12_000, Probability::percent(4));
            }
            Fault::Mtu => self.narrow(rng),
            Fault::Partition => self.cut(nodes, true, rng),
            Fault::OneWay => self.cut(nodes, false, rng),
            Fault::Expiry => self.expire(nodes, rng),
            Fault::Nat => self.forget_often(rng),
            Fault::Attack => self.attack(rng),
            Fault::Rekey => {
                let after = rng.duration(Duration::from_secs(1)..=Duration::from_secs(8));
                let packets = rng.range(40..=120);
                let by_packets = rng.chance(Probability::percent(50));
                for config in &mut self.configs {
                    config.keys.rekey_after =
                        if by_packets { config.keys.rekey_after } else { after };
                    config.keys.rekey_after_packets = if by_packets { packets } else { 1 << 27 };
                }
            }
            Fault::Fragmentation => {
                self.traffic.large = (rng.range(5_000..=60_000), Probability::percent(3));
            }
            Fault::NewIdentity => {
                self.hasten_expiry(rng);
                self.shake(fault, nodes, rng);
            }
            Fault::Suspend => {
                if rng.chance(Probability::percent(50)) {
                    self.hasten_expiry(rng);
                }
                self.shake(fault, nodes, rng);
            }
            Fault::NatReboot | Fault::Rebind | Fault::Restart | Fault::ClockJump => {
                self.shake(fault, nodes, rng);
            }
        }
    }
}

/// What becomes of ECN marks in the storm. Numbers of its own: the rest of a seed does not depend on it.
fn marks(seed: u64) -> EcnTreatment {
    let mut rng = Rng::from_seed(seed ^ 0x6d61_726b_7321_2121);
    let share = Probability::percent(rng.pick(&[1, 10, 100]));
    rng.pick(&[
        EcnTreatment::Kept,
        EcnTreatment::Bleached,
        EcnTreatment::Changed,
        EcnTreatment::Congested(share),
        EcnTreatment::Dropped,
    ])
}

fn bursts(rng: &mut Rng) -> Bursts {
    Bursts {
        enter: Probability::per_million(rng.range(15_000..=40_000) as u32),
        leave: Probability::percent(rng.range(10..=50) as u32),
        loss: Probability::percent(rng.range(70..=100) as u32),
    }
}
