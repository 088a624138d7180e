//! Two flows in one queue: what each gets of the line, once the second has been there for a while.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use handfast_sim::{NodeId, World};

use super::rows::{Row, queue_rows};
use super::stack::{Kind, Rider, Setup};
use super::traffic::{Flow, LARGE, Load, Traffic};
use super::{Options, THREADS};

/// Two flows in the queue of a row. The first was there before.
pub(super) struct Pair {
    row: Row,
    kinds: [Kind; 2],
    figures: Figures,
}

/// Sums of all runs.
#[derive(Clone, Copy, Default)]
struct Figures {
    runs: u32,
    /// Mbit/s of payload.
    goodput: [f64; 2],
    drops: u64,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.drops += other.drops;
        self.goodput = [0, 1].map(|at| self.goodput[at] + other.goodput[at]);
    }
}

impl Pair {
    fn key(&self) -> String {
        let [first, second] = self.kinds.map(Kind::name);
        format!("two flows, {} | {} | {first}, {second}", self.row.name, Load::Bulk.name())
    }

    /// The name of its row, and its stacks.
    pub(super) const fn who(&self) -> (&'static str, [Kind; 2]) {
        (self.row.name, self.kinds)
    }

    /// What the second gets, in percent.
    pub(super) fn share(&self) -> f64 {
        let [first, second] = self.figures.goodput;
        100.0 * second / (first + second).max(f64::MIN_POSITIVE)
    }
}

/// Measures the pairs that were asked for.
pub(super) fn run(options: &Options) -> Vec<Pair> {
    let mut pairs = asked(options);
    measure(&mut pairs, options.quick);
    pairs
}

/// For people.
pub(super) fn table(pairs: &[Pair]) -> String {
    let mut table = COLUMNS.to_owned();
    for pair in pairs {
        let Figures { runs, goodput, drops } = pair.figures;
        let [first, second] = goodput.map(|sum| sum / f64::from(runs));
        let (key, share) = (pair.key(), pair.share());
        writeln!(table, "| {key} | {first:.1} | {second:.1} | {share:.0} % | {drops} |")
            .expect("a string takes all that is written");
    }
    table
}

/// For programs: a JSON object on a line.
pub(super) fn json(pair: &Pair) -> String {
    let (row, share, [system, other]) = (pair.row.name, pair.share(), pair.kinds.map(Kind::name));
    format!(
        r#"{{"bench":"matrix","case":"two flows, {row}, bulk beside {other}","system":"{system}","metric":"share of the other","value":{share:.1},"unit":"%"}}"#,
    ) + "\n"
}

fn asked(options: &Options) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for row in queue_rows() {
        for kinds in PAIRS {
            let pair = Pair { row: row.clone(), kinds, figures: Figures::default() };
            let is_wanted = !options.targets || pair.kinds.contains(&Kind::Handfast);
            if is_wanted && options.wants(&pair.key()) {
                pairs.push(pair);
            }
        }
    }
    pairs
}

fn measure(pairs: &mut [Pair], quick: bool) {
    // After the second has been there for 20 or 30 s.
    let (settles, takes, seeds) = if quick { (20, 10, 1..=1) } else { (30, 30, 1..=3) };
    let [settles, takes] = [settles, takes].map(Duration::from_secs);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(pair) = pairs.get(at) else { break };
            let mut figures = Figures::default();
            for seed in seeds.clone() {
                figures.add(share(&pair.row, pair.kinds, seed, settles, takes));
            }
            done.lock().expect("no thread failed").push((at, figures));
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    for (at, figures) in done.into_inner().expect("no thread failed") {
        pairs[at].figures = figures;
    }
}

/// Measures two flows for so long, after they have shared the line for a while.
fn share(row: &Row, kinds: [Kind; 2], seed: u64, settles: Duration, takes: Duration) -> Figures {
    let mut world: World<Rider> = World::of(seed);
    world.set_timer_grain(Duration::from_millis(1));
    let address = |number: u8| SocketAddr::from(([10, 0, 0, number], 4263));
    let ends = [(kinds[0], 1), (kinds[1], 3)].map(|(kind, first)| {
        let [server, client] =
            [(first + 1, first, false), (first, first + 1, true)].map(|(own, other, calls)| {
                world.add(
                    Setup { kind, other: address(other), calls, has_classes: false },
                    &[address(own)],
                )
            });
        [client, server]
    });
    connect(&mut world, row, ends);
    let ends_at = START + LEAD + settles + takes;
    let flow = |ends, begins: Duration| Flow::new(ends, Load::Bulk, begins, ends_at - begins);
    let flows = vec![flow(ends[0], START), flow(ends[1], START + LEAD)];
    let mut traffic = Traffic { flows, ..Traffic::default() };
    world.run_until_with(START - Duration::from_millis(1), &mut traffic);
    assert_eq!(traffic.connected, 4, "not all connected");
    for (flow, at) in traffic.flows.iter().zip([START, START + LEAD]) {
        world.set_timer(flow.from, at, LARGE as u64);
    }
    world.run_until_with(ends_at - takes, &mut traffic);
    let (before, dropped) = (bytes(&traffic), world.faults().dropped());
    world.run_until_with(ends_at, &mut traffic);
    let after = bytes(&traffic);
    let goodput = [0, 1].map(|at| (after[at] - before[at]) as f64 * 8e-6 / takes.as_secs_f64());
    Figures { runs: 1, goodput, drops: world.faults().dropped() - dropped }
}

/// Both flows take the row's line and its queue.
fn connect(world: &mut World<Rider>, row: &Row, ends: [[NodeId; 2]; 2]) {
    let network = world.network();
    for [client, server] in ends {
        network.set_link(client, server, row.there);
        network.set_link(server, client, row.back);
    }
    let there = ends.map(|[client, server]| (client, server));
    let back = ends.map(|[client, server]| (server, client));
    network.share(&there);
    network.share(&back);
}

fn bytes(traffic: &Traffic) -> [u64; 2] {
    [0, 1].map(|at| traffic.flows[at].all_bytes)
}

const COLUMNS: &str = "\
| row | load | first, second | first, Mbit/s | second, Mbit/s | share of the second | drops |
|---|---|---|---|---|---|---|
";

/// Itself and itself, and beside the others.
const PAIRS: [[Kind; 2]; 7] = [
    [Kind::Handfast, Kind::Handfast],
    [Kind::HandfastCubic, Kind::Handfast],
    [Kind::Handfast, Kind::HandfastCubic],
    [Kind::HandfastTolerant, Kind::HandfastTolerant],
    [Kind::HandfastCubic, Kind::HandfastTolerant],
    [Kind::HandfastTolerant, Kind::HandfastCubic],
    [Kind::Handfast, Kind::HandfastTolerant],
];

/// When the first flow begins, and how much earlier than the second.
const START: Duration = Duration::from_millis(2_003);
const LEAD: Duration = Duration::from_secs(5);
