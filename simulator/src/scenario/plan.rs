//! What a seed means: nodes, configurations, base conditions, traffic and faults over time.

use std::time::Duration;

use handfast_core::{Config, NetworkSecret, Retry};

use super::Fault;
use crate::link::{Bursts, Conditions};
use crate::rng::{Probability, Rng};

/// Everything that is decided before a scenario runs.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) faults: Vec<Fault>,
    pub(crate) configs: Vec<Config>,
    pub(crate) batch: usize,
    /// Who dials whom. Every pair is node 0 and another.
    pub(crate) dials: Vec<Dial>,
    /// When there is no fault, and while the world heals.
    pub(crate) calm: Conditions,
    /// While there are faults of links.
    storm: Conditions,
    /// Sorted by time.
    pub(crate) steps: Vec<(Duration, Step)>,
    pub(crate) traffic: TrafficPlan,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial {
    pub(crate) from: u8,
    pub(crate) to: u8,
    /// The caller knows the identity and not only the address.
    pub(crate) knows_id: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct TrafficPlan {
    /// The time between two sends of a node, in microseconds, at most.
    pub(crate) pause: u64,
    /// The largest usual message.
    pub(crate) small: u64,
    /// The largest message, and how many of all are of such size.
    pub(crate) large: (u64, Probability),
}

/// Something that befalls the world.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Links(Conditions),
    Mtu(usize),
    Block { from: u8, to: u8, both: bool },
    Heal,
    Rebind { node: u8, knowing: bool },
    Kill { node: u8, redial: bool },
    Start { node: u8 },
    JumpClock { node: u8, by: Duration },
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
        let mut plan = Self {
            configs: configs(nodes, &mut rng),
            batch: rng.pick(&[2_048, 4_096, 16_384]),
            dials: dials(nodes, &mut rng),
            calm,
            storm: calm,
            steps: Vec::new(),
            traffic: TrafficPlan {
                pause: 220_000 * u64::from(nodes - 1),
                small: 300,
                large: (4_000, Probability::percent(1)),
            },
            faults: Vec::new(),
        };
        for fault in faults {
            plan.add(fault, nodes, &mut rng);
            plan.faults.push(fault);
        }
        let start = Duration::from_secs(rng.pick(&[0, FAULTS.0]));
        let end = Duration::from_secs(FAULTS.1);
        plan.steps.insert(0, (start, Step::Links(plan.storm)));
        plan.steps.extend([(end, Step::Links(calm)), (end, Step::Heal)]);
        plan.steps.sort_by_key(|step| step.0);
        plan
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
            Fault::Partition => self.partition(nodes, rng),
            Fault::Rekey => {
                let after = rng.duration(Duration::from_secs(1)..=Duration::from_secs(8));
                let packets = rng.range(40..=120);
                let by_packets = rng.chance(Probability::percent(50));
                for config in &mut self.configs {
                    config.rekey_after = if by_packets { config.rekey_after } else { after };
                    config.rekey_after_packets = if by_packets { packets } else { 1 << 27 };
                }
            }
            Fault::Fragmentation => {
                self.traffic.large = (rng.range(5_000..=60_000), Probability::percent(3));
            }
            Fault::Rebind | Fault::Restart | Fault::ClockJump => {
                self.shake(fault, nodes, rng);
            }
        }
    }

    /// The links carry only small datagrams for a while.
    fn narrow(&mut self, rng: &mut Rng) {
        let start = Duration::from_secs(rng.range(5..=25));
        let end = start + rng.duration(Duration::from_secs(2)..=Duration::from_secs(10));
        let mtu = rng.range(60..=250) as usize;
        self.steps.extend([(start, Step::Mtu(mtu)), (end, Step::Mtu(usize::MAX))]);
    }

    fn partition(&mut self, nodes: u8, rng: &mut Rng) {
        for start in [5, 20, 33].into_iter().take(rng.range(1..=3) as usize) {
            let start = Duration::from_secs(start);
            let (hub, leaf) = (0, rng.range(1..=u64::from(nodes) - 1) as u8);
            let (from, to) = rng.pick(&[(hub, leaf), (leaf, hub)]);
            let both = rng.chance(Probability::percent(50));
            let lasts = rng.duration(Duration::from_millis(500)..=Duration::from_secs(10));
            self.steps.push((start, Step::Block { from, to, both }));
            self.steps.push((start + lasts, Step::Heal));
        }
    }

    /// Things that happen to single nodes, far enough apart for each to be got over.
    fn shake(&mut self, fault: Fault, nodes: u8, rng: &mut Rng) {
        for start in [6, 16, 26, 36].into_iter().take(rng.range(1..=4) as usize) {
            let at =
                Duration::from_secs(start) + rng.duration(Duration::ZERO..=Duration::from_secs(4));
            let node = rng.index(usize::from(nodes)) as u8;
            let coin = rng.chance(Probability::percent(50));
            // Two jumps and a partition together stay below the idle timeout.
            let by = rng.duration(Duration::from_millis(10)..=Duration::from_secs(20));
            let step = match fault {
                Fault::Rebind => Step::Rebind { node, knowing: coin },
                Fault::Restart => {
                    let down = rng.duration(Duration::from_millis(1)..=Duration::from_secs(4));
                    self.steps.push((at + down, Step::Start { node }));
                    Step::Kill { node, redial: coin }
                }
                _ => Step::JumpClock { node, by },
            };
            self.steps.push((at, step));
        }
    }
}

fn configs(nodes: u8, rng: &mut Rng) -> Vec<Config> {
    let secret = rng.chance(Probability::percent(30)).then(|| NetworkSecret::new(rng.bytes()));
    let clocked = rng.chance(Probability::percent(70));
    (0..nodes)
        .map(|_| {
            let mut config = Config::default();
            config.application = *b"a simulated app.";
            config.network_secret = secret.clone();
            config.retry = rng.pick(&[Retry::WhenNeeded, Retry::WhenNeeded, Retry::Always]);
            config.heartbeat = rng.duration(Duration::from_secs(1)..=Duration::from_secs(5));
            // Faults may hold up a dial, but not for longer than this.
            config.connect_timeout = Duration::from_secs(60);
            config.max_datagram = rng.range(1_200..=1_452) as u16;
            config.aes_hardware = rng.chance(Probability::percent(50));
            config.wall_clock = clocked.then(|| Duration::from_secs(1_700_000_000));
            config
        })
        .collect()
}

/// Leaves dial the hub, the hub dials them, or both do.
fn dials(nodes: u8, rng: &mut Rng) -> Vec<Dial> {
    let mut dials = Vec::new();
    for leaf in 1..nodes {
        let who = rng.range(0..=3);
        let mut dial = |from, to| {
            dials.push(Dial { from, to, knows_id: rng.chance(Probability::percent(70)) });
        };
        if who != 0 {
            dial(leaf, 0);
        }
        if who < 2 {
            dial(0, leaf);
        }
    }
    dials
}

fn bursts(rng: &mut Rng) -> Bursts {
    Bursts {
        enter: Probability::per_million(rng.range(15_000..=40_000) as u32),
        leave: Probability::percent(rng.range(10..=50) as u32),
        loss: Probability::percent(rng.range(70..=100) as u32),
    }
}
