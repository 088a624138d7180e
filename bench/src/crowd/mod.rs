//! One server and many clients: what a peer costs that is there, and what a packet costs beside many.
//!
//! The server is an endpoint of the core, alone in a process, so that its memory and its processor time are told
//! apart from those of the clients. Datagrams pass through pipes, in virtual time: a minute of rest takes no
//! minute.

mod clients;
mod server;
mod wire;

use std::time::Duration;

use clients::{AT_ONCE, Crowd};
pub(crate) use server::{WORD, serve};

use crate::figure::{Figure, median};

/// Measures crowds of several sizes in turn, round after round; one alone and one of so many, if that is said.
///
/// # Errors
/// If a peer ends, or a message does not arrive.
pub(crate) fn scale(quick: bool, peers: Option<u32>) -> Result<Vec<Figure>, String> {
    let (sizes, rounds) = if quick { (QUICK, QUICK_ROUNDS) } else { (FULL, ROUNDS) };
    println!("{HEAD}");
    if let Some(peers) = peers {
        return match peers > LARGEST_WHOLE {
            true => remembered(peers),
            false => compare(vec![settled(1)?, settled(peers)?], rounds),
        };
    }
    let settled = sizes.iter().map(|size| settled(*size));
    let mut figures = compare(settled.collect::<Result<_, _>>()?, rounds)?;
    if !quick {
        figures.extend(remembered(MILLION)?);
    }
    Ok(figures)
}

/// Measures these crowds, and prints a line for each.
fn compare(mut crowds: Vec<(Crowd, Option<f64>)>, rounds: usize) -> Result<Vec<Figure>, String> {
    let mut taken = vec![[Vec::new(), Vec::new()]; crowds.len()];
    for _ in 0..rounds {
        for ((crowd, _), taken) in crowds.iter_mut().zip(&mut taken) {
            taken[0].push(one_talks(crowd)?);
            if crowd.len() >= AT_ONCE {
                taken[1].push(all_talk(crowd)?);
            }
        }
    }
    let mut figures = Vec::new();
    for ((crowd, memory), costs) in crowds.iter_mut().zip(&taken) {
        let row = Row {
            peers: crowd.len(),
            memory: *memory,
            one: Cost::of(&costs[0], &taken[0][0]),
            // The least crowd in which all can take turns is the second.
            all: Cost::of(&costs[1], &taken[1][1]),
            upkeep: (crowd.len() >= AT_ONCE).then(|| upkeep(crowd)).transpose()?,
        };
        row.print();
        figures.extend(row.figures());
    }
    Ok(figures)
}

/// A crowd that has talked and rested, and the bytes that the server needs for each of its peers; `None` if
/// they are too few to tell.
fn settled(size: u32) -> Result<(Crowd, Option<f64>), String> {
    let mut crowd = Crowd::new()?;
    // What is made once is there, then.
    crowd.grow(1)?;
    crowd.talk(MESSAGES)?;
    let before = crowd.memory()?;
    crowd.grow(size - 1)?;
    crowd.talk(MESSAGES)?;
    crowd.rest(REST)?;
    let grown = (crowd.memory()? - before) / f64::from(size.max(2) - 1);
    Ok((crowd, (size >= AT_ONCE).then_some(grown)))
}

/// The memory of so many peers that only shook hands. All but one are gone without the server's knowing yet: their own
/// memory would be more than its. What it sends them is not answered, so nothing else can be measured.
fn remembered(size: u32) -> Result<Vec<Figure>, String> {
    let mut crowd = Crowd::new()?;
    crowd.grow(1)?;
    let before = crowd.memory()?;
    crowd.grow_and_forget(size - 1)?;
    let memory = Some((crowd.memory()? - before) / f64::from(size - 1));
    let row = Row { peers: size, memory, one: None, all: None, upkeep: None };
    row.print();
    Ok(row.figures())
}

/// The share of a core that the server needs for 100,000 silent peers: an hour of heartbeats and new keys.
fn upkeep(crowd: &mut Crowd) -> Result<f64, String> {
    let cpu = crowd.cpu;
    crowd.rest(HOUR)?;
    let share = (crowd.cpu - cpu).as_secs_f64() / HOUR.as_secs_f64();
    Ok(share * 100_000.0 / f64::from(crowd.len()))
}

/// What a packet of one peer costs the server while the others are silent, in nanoseconds.
fn one_talks(crowd: &mut Crowd) -> Result<f64, String> {
    cost(crowd, |crowd| (0..PACKETS / A_TURN).try_for_each(|_| crowd.burst((0..A_TURN).map(|_| 0))))
}

/// What a packet costs the server while its peers take turns, in nanoseconds.
fn all_talk(crowd: &mut Crowd) -> Result<f64, String> {
    let peers = crowd.len();
    cost(crowd, |crowd| {
        (0..ALL_PACKETS / AT_ONCE)
            .try_for_each(|turn| crowd.burst((0..AT_ONCE).map(|it| (turn * AT_ONCE + it) % peers)))
    })
}

fn cost(
    crowd: &mut Crowd,
    work: impl FnOnce(&mut Crowd) -> Result<(), String>,
) -> Result<f64, String> {
    let (sent, cpu) = (crowd.sent, crowd.cpu);
    work(crowd)?;
    let cpu = crowd.cpu - cpu;
    let cost = cpu.as_nanos() as f64 / (crowd.sent - sent).max(1) as f64;
    // Acknowledgements that wait are not the next measurement's.
    crowd.rest(PAUSE)?;
    Ok(cost)
}

/// What a packet costs, and that by what it costs in the least crowd.
#[derive(Clone, Copy)]
struct Cost {
    nanos: f64,
    ratio: f64,
}

impl Cost {
    fn of(rounds: &[f64], least: &[f64]) -> Option<Self> {
        let ratios = rounds.iter().zip(least).map(|(cost, least)| cost / least).collect();
        let cost = Self { nanos: median(rounds.to_vec()), ratio: median(ratios) };
        (!rounds.is_empty()).then_some(cost)
    }
}

struct Row {
    peers: u32,
    memory: Option<f64>,
    one: Option<Cost>,
    all: Option<Cost>,
    upkeep: Option<f64>,
}

impl Row {
    fn print(&self) {
        let cost = |cost: Option<Cost>| match cost {
            Some(Cost { nanos, ratio }) => format!("{nanos:>10.0} {ratio:>6.2}"),
            None => format!("{:>10} {:>6}", "-", "-"),
        };
        let memory = self.memory.map_or("-".into(), |bytes| format!("{bytes:.0}"));
        let upkeep = self.upkeep.map_or("-".into(), |share| format!("{:.2} %", share * 100.0));
        let (one, all) = (cost(self.one), cost(self.all));
        println!("{:>9} {memory:>10}   {one}   {all}   {upkeep:>8}", self.peers);
    }

    fn figures(&self) -> Vec<Figure> {
        let metrics = [
            ("memory", self.memory, "bytes/peer"),
            ("one_talks", self.one.map(|cost| cost.nanos), "ns/packet"),
            ("one_talks_ratio", self.one.map(|cost| cost.ratio), "this/least crowd"),
            ("all_talk", self.all.map(|cost| cost.nanos), "ns/packet"),
            ("all_talk_ratio", self.all.map(|cost| cost.ratio), "this/least crowd"),
            ("upkeep", self.upkeep, "of a core"),
        ];
        let figure = |(metric, value, unit)| {
            let (case, system) = (format!("{} peers", self.peers), "handfast".to_owned());
            Option::map(value, |value| Figure { bench: "scale", case, system, metric, value, unit })
        };
        metrics.into_iter().filter_map(figure).collect()
    }
}

const FULL: &[u32] = &[1, 1_000, 10_000, 100_000];
const MILLION: u32 = 1_000_000;
/// Of more, the clients are forgotten.
const LARGEST_WHOLE: u32 = 100_000;
const QUICK: &[u32] = &[1, 1_000, 10_000];
const ROUNDS: usize = 15;
const QUICK_ROUNDS: usize = 5;
/// Messages of each peer before it rests, on two channels.
const MESSAGES: u32 = 100;
const REST: Duration = Duration::from_secs(60);
/// Peers that are silent change keys once in it.
const HOUR: Duration = Duration::from_secs(3600);
const PAUSE: Duration = Duration::from_millis(500);
/// Packets of one peer that talks, and how many of them come in a turn.
const PACKETS: u32 = 4_096;
const A_TURN: u32 = 8;
/// Packets of peers that take turns.
const ALL_PACKETS: u32 = 16_384;

const HEAD: &str = "\
One server of the core in a process of its own; 64-byte reliable messages, each in a packet of its own; what the server
computes for a packet, acknowledgements and timers included. Defaults, but as many peers and handshakes as come. Medians of
interleaved rounds; ratios are to the least crowd of the column. Memory: what the process grows by for a peer that sent 100 messages on two
channels and was silent for 60 s (more than 100,000 peers: only shook hands). Upkeep: the share of a core that 100,000 silent peers take, an hour's heartbeats and new keys.
    peers bytes/peer    one talks, ns  ratio    all talk, ns  ratio     upkeep";
