//! One cell of the matrix: a stack under a load in a network, once for each seed.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_sim::{Conditions, NodeId, World};

use super::rows::{Act, HEADER, Row};
use super::stack::{Kind, Rider, Setup};
use super::traffic::{Flow, LARGE, Load, SMALL, Traffic};

/// What happened in one run, or in several together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    runs: u32,
    seconds: f64,
    payload: u64,
    all_payload: u64,
    wire: u64,
    latencies: Vec<u64>,
    drops: u64,
    spurious: Option<u64>,
    missing: u64,
    disconnects: u64,
}

/// The figures of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Mbit/s of payload.
    pub(crate) goodput: f64,
    /// Milliseconds of small messages; none if there are none.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Bytes of datagrams and their headers, both directions, by bytes of payload that arrived.
    pub(crate) wire: f64,
    /// Sums of all runs.
    pub(crate) drops: u64,
    pub(crate) spurious: Option<u64>,
    pub(crate) missing: u64,
    pub(crate) disconnects: u64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.seconds += other.seconds;
        self.payload += other.payload;
        self.all_payload += other.all_payload;
        self.wire += other.wire;
        self.latencies.extend(other.latencies);
        self.drops += other.drops;
        self.spurious = match (self.spurious, other.spurious) {
            (Some(ours), Some(theirs)) => Some(ours + theirs),
            (ours, theirs) => ours.or(theirs),
        };
        self.missing += other.missing;
        self.disconnects += other.disconnects;
    }

    pub(crate) fn figures(mut self) -> Figures {
        self.latencies.sort_unstable();
        let quantile = |percent: usize| {
            let last = self.latencies.len().checked_sub(1)?;
            Some(self.latencies[last * percent / 100] as f64 / 1_000.0)
        };
        Figures {
            goodput: self.payload as f64 * 8.0 / 1e6 / self.seconds,
            p50: quantile(50),
            p99: quantile(99),
            wire: self.wire as f64 / self.all_payload.max(1) as f64,
            drops: self.drops,
            spurious: self.spurious,
            missing: self.missing,
            disconnects: self.disconnects,
        }
    }
}

/// One run: `stack` under `load` in the network of `row`, for so long.
pub(crate) fn run(row: &Row, load: Load, kind: Kind, seed: u64, takes: Duration) -> Sums {
    let mut world = World::of(seed);
    world.set_timer_grain(TIMER_GRAIN);
    let address = |number: u8| SocketAddr::from(([10, 0, 0, number], 4263));
    let [server, client] = [(2, 1, false), (1, 2, true)].map(|(own, other, calls)| {
        let setup = Setup { kind, other: address(other), calls, has_classes: load.has_classes() };
        world.add(setup, &[address(own)])
    });
    let ends = [client, server];
    let flows = match load {
        Load::Hz50Both => vec![ends, [server, client]],
        _ => vec![ends],
    };
    let chunks = if row.has_chunks { takes / 2 } else { Duration::ZERO };
    let flow = |ends| Flow::new(ends, load, START, takes).in_chunks(START + chunks);
    let flows = flows.into_iter().map(flow).collect();
    let mut traffic = Traffic { flows, ..Traffic::default() };
    // They meet where nothing goes wrong, so that all begin alike.
    let calm = |it: Conditions| Conditions { latency: it.latency, ..Conditions::default() };
    set_links(&mut world, ends, [calm(row.there), calm(row.back)]);
    world.run_until_with(START - Duration::from_millis(1), &mut traffic);
    assert_eq!(traffic.connected, 2, "{} did not connect", kind.name());
    set_links(&mut world, ends, [row.there, row.back]);
    for flow in &traffic.flows {
        let token = if load == Load::Bulk { LARGE } else { SMALL };
        world.set_timer(flow.from, START, token as u64);
    }
    let before = (wire(&mut world, ends), world.faults().dropped(), world.faults().lost_all());
    act(&mut world, row, ends, &mut traffic, takes);
    // What was sent at the end may take a while; of bulk there is always more.
    let rest = if load.is_bulk() { Duration::ZERO } else { PATIENCE };
    world.run_until_with(START + takes + rest, &mut traffic);
    let lost = world.faults().lost_all() - before.2;
    let spurious = ends.map(|end| world.endpoint(end).and_then(Rider::spurious));
    Sums {
        runs: 1,
        seconds: (takes - chunks).as_secs_f64(),
        payload: traffic.flows.iter().map(|flow| flow.bytes).sum(),
        all_payload: traffic.flows.iter().map(|flow| flow.all_bytes).sum(),
        wire: wire(&mut world, ends) - before.0,
        drops: world.faults().dropped() - before.1 - lost,
        spurious: spurious.into_iter().flatten().reduce(|a, b| a + b),
        missing: if load.is_bulk() { 0 } else { traffic.flows.iter().map(Flow::missing).sum() },
        disconnects: traffic.ended,
        latencies: traffic.flows.into_iter().flat_map(|flow| flow.latencies).collect(),
    }
}

/// Lets happen what happens in the row, until its time is over.
fn act(
    world: &mut World<Rider>,
    row: &Row,
    ends: [NodeId; 2],
    traffic: &mut Traffic,
    takes: Duration,
) {
    let elsewhere = SocketAddr::from(([10, 0, 0, 9], 4263));
    for (percent, act) in &row.acts {
        world.run_until_with(START + takes * *percent / 100, traffic);
        match act {
            Act::Change(links) => set_links(world, ends, **links),
            Act::JumpClocks(by) => ends.iter().for_each(|end| world.jump_clock(*end, *by)),
            Act::Rebind => world.rebind(ends[0], elsewhere),
            Act::Roam => world.roam_with(ends[0], elsewhere, traffic),
            Act::Outage(span) => {
                world.network().partition(ends[0], ends[1]);
                let until = world.now() + *span;
                world.run_until_with(until, traffic);
                world.network().heal();
            }
        }
    }
    world.run_until_with(START + takes, traffic);
}

fn set_links(world: &mut World<Rider>, [a, b]: [NodeId; 2], [there, back]: [Conditions; 2]) {
    world.network().set_link(a, b, there);
    world.network().set_link(b, a, back);
}

/// Bytes that both ends sent, with headers.
fn wire(world: &mut World<Rider>, [a, b]: [NodeId; 2]) -> u64 {
    let (there, back) = (world.network().traffic(a, b), world.network().traffic(b, a));
    let datagrams = there.datagrams + back.datagrams;
    there.bytes + back.bytes + datagrams * HEADER as u64
}

/// When the load begins: at no round time, as the timers of some stacks tick at round times.
const START: Duration = Duration::from_millis(2_003);

/// How long small messages may still arrive after the last was sent.
const PATIENCE: Duration = Duration::from_secs(20);

/// The grain of a driver's timers.
const TIMER_GRAIN: Duration = Duration::from_millis(1);
