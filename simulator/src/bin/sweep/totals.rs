//! What many scenarios came to.

use std::collections::BTreeMap;
use std::time::Duration;

use handfast_sim::{Fault, Faults, InstancesReport, MeetingReport, MeshReport, Report};

use crate::meetings::Meetings;
use crate::meshes::Meshes;

/// Sums over reports, the same in whatever order they come.
#[derive(Default)]
pub(crate) struct Totals {
    seeds: u64,
    simulated: Duration,
    connected: Duration,
    /// The longest that a pair took to be connected again after the last fault, and the seed.
    slowest: (Duration, u64),
    datagrams: u64,
    events: u64,
    seals: u64,
    delivered: u64,
    handshakes: u64,
    /// Seeds that did not see what they were about.
    dull: u64,
    faults: Faults,
    kinds: BTreeMap<Fault, Kind>,
    seen: BTreeMap<&'static str, u64>,
    instances: Instances,
    meetings: Meetings,
    meshes: Meshes,
    /// By seed.
    pub(crate) failures: BTreeMap<u64, String>,
}

/// Several instances of one identity.
#[derive(Default)]
struct Instances {
    acked: u64,
    arrived: u64,
    undeliverable: u64,
    restarts: u64,
    told_server: u64,
    told_instances: u64,
    slowest: Duration,
}

/// Seeds about a kind of fault.
#[derive(Default)]
struct Kind {
    about: u64,
    hit: u64,
}

impl Instances {
    fn add(&mut self, other: &Self) {
        self.acked += other.acked;
        self.arrived += other.arrived;
        self.undeliverable += other.undeliverable;
        self.restarts += other.restarts;
        self.told_server += other.told_server;
        self.told_instances += other.told_instances;
        self.slowest = self.slowest.max(other.slowest);
    }

    fn print(&self) {
        let Self { acked, arrived, undeliverable, restarts, slowest, .. } = self;
        println!("\nseveral instances of one identity:");
        println!(
            "{acked} messages acknowledged, {arrived} arrived, {undeliverable} told as undeliverable"
        );
        println!("{restarts} times one took another's place, told to {} servers", self.told_server);
        println!(
            "and {} instances; the last was back {slowest:?} after the others or sooner",
            self.told_instances
        );
    }
}

impl Totals {
    pub(crate) fn add(
        &mut self,
        report: &Report,
        instances: &InstancesReport,
        meeting: &MeetingReport,
    ) {
        self.meetings.add(meeting);
        let InstancesReport { acked, arrived, undeliverable, restarts, .. } = *instances;
        let InstancesReport { told_server, told_instances, recovered: slowest, .. } = *instances;
        self.instances.add(&Instances {
            acked,
            arrived,
            undeliverable,
            restarts,
            told_server,
            told_instances,
            slowest,
        });
        self.simulated += report.simulated;
        self.connected += report.connected;
        self.slowest = self.slowest.max((report.recovered, report.seed));
        self.datagrams += report.datagrams;
        self.events += report.events;
        self.seals += report.seals;
        self.delivered += report.delivered;
        self.handshakes += report.handshakes;
        self.dull += u64::from(report.shortfall().is_some());
        self.faults += report.faults;
        for &kind in &report.kinds {
            let entry = self.kinds.entry(kind).or_default();
            entry.about += 1;
            entry.hit += u64::from(report.happened(kind));
        }
        for (name, seen) in report.seen.iter() {
            *self.seen.entry(name).or_default() += u64::from(seen);
        }
    }

    /// The mesh of a seed, of which all the rest was added.
    pub(crate) fn add_mesh(&mut self, mesh: &MeshReport) {
        self.seeds += 1;
        self.meshes.add(mesh);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.simulated += other.simulated;
        self.connected += other.connected;
        self.slowest = self.slowest.max(other.slowest);
        self.datagrams += other.datagrams;
        self.events += other.events;
        self.seals += other.seals;
        self.delivered += other.delivered;
        self.handshakes += other.handshakes;
        self.dull += other.dull;
        self.faults += other.faults;
        for (kind, Kind { about, hit }) in other.kinds {
            let entry = self.kinds.entry(kind).or_default();
            entry.about += about;
            entry.hit += hit;
        }
        for (name, seeds) in other.seen {
            *self.seen.entry(name).or_default() += seeds;
        }
        self.instances.add(&other.instances);
        self.meetings.merge(other.meetings);
        self.meshes.merge(&other.meshes);
        self.failures.extend(other.failures);
    }

    /// How many seeds were run, those that failed included.
    pub(crate) fn run(&self) -> u64 {
        self.seeds + self.failures.len() as u64
    }

    pub(crate) fn print(&self, took: Duration, jobs: usize, meshes_alone: bool) {
        let run = self.run();
        let rate = run as f64 / took.as_secs_f64();
        println!("{run} seeds in {took:.1?}: {rate:.1} a second on {jobs} threads");
        if !meshes_alone {
            self.print_others();
        }
        self.meshes.print();
        println!("\n{} failures", self.failures.len());
        for (seed, text) in &self.failures {
            println!("seed {seed}: {text}\n  {}", crate::replay_command(*seed));
        }
    }

    fn print_others(&self) {
        let hours = |time: Duration| time.as_secs() as f64 / 3600.0;
        println!(
            "{:.1} simulated connection-hours in {:.1} simulated hours",
            hours(self.connected),
            hours(self.simulated)
        );
        println!("{} events, {} datagrams", self.events, self.datagrams);
        println!("{} messages delivered, {} handshakes", self.delivered, self.handshakes);
        println!("{} seals, none under a nonce that its key had used", self.seals);
        let (slowest, seed) = self.slowest;
        println!(
            "all pairs connected for good {slowest:?} after the last fault or sooner (seed {seed})"
        );
        self.instances.print();
        self.meetings.print();
        println!("\nkind of fault: seeds about it, seeds that really met it");
        for (kind, Kind { about, hit }) in &self.kinds {
            println!("{:<16} {about:>8} {hit:>8}", format!("{kind:?}"));
        }
        println!("{} seeds did not meet what they were about", self.dull);
        println!("\nseen by endpoints: seeds");
        for (name, seeds) in &self.seen {
            println!("{name:<20} {seeds:>10}");
        }
        println!("\ndone by the world: times");
        for (name, count) in self.faults.iter() {
            println!("{name:<20} {count:>10}");
        }
    }
}
