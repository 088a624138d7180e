//! Which cases are played, and how.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use clap::Args;

use super::Kind;
use super::case::Case;
use super::link::Link;
use super::mapping::{Asked, Mapping};
use super::netcheck::Netcheck;
use super::network::{Network, feed};
use super::program::{self, Pair};
use super::relay::{self, Servers};
use super::table::Findings;
use super::trouble::Trouble;
use super::world::World;

/// Choices for a lab.
#[derive(Args, Clone, Debug)]
pub struct LabOptions {
    /// Each pair of kinds once, in turn with and without a later start and loss: minutes
    #[arg(long)]
    pub(super) quick: bool,
    /// Only neighbours that find each other by beacons, and ports of routers: seconds
    #[arg(long)]
    pub(super) beacons: bool,
    /// Only what befalls pairs that talk, and the program handfast
    #[arg(long)]
    pub(super) troubles: bool,
    /// Only what `handfast netcheck` says behind each kind
    #[arg(long)]
    pub(super) netcheck: bool,
    /// How many cases are played at the same time
    #[arg(long, default_value_t = 8)]
    pub(super) jobs: usize,
    /// The kind that the caller is behind; may be repeated [default: all]
    #[arg(long, value_enum)]
    pub(super) caller: Vec<Kind>,
    /// The kind that the called one is behind; may be repeated [default: all]
    #[arg(long, value_enum)]
    pub(super) called: Vec<Kind>,
    /// Write the table to this file
    #[arg(long)]
    pub(super) table: Option<PathBuf>,
    /// The program p2p_server [default: the one beside this program]
    #[arg(long)]
    pub(super) server: Option<PathBuf>,
    /// The program handfast [default: the one beside this program]
    #[arg(long)]
    pub(super) client: Option<PathBuf>,
    /// Decides what is random
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

/// Something to play.
#[derive(Clone, Copy, Debug)]
enum Play {
    Case(Case),
    Link(Link),
    Mapping(Mapping),
    Trouble(Trouble, u64),
    Program(Pair, u64),
    Netcheck(Netcheck),
}

/// Plays everything that was asked for and says what came of it. Whether all was as it must be.
///
/// # Errors
/// When the server's program is not there, or a file cannot be written.
pub fn run(options: &LabOptions) -> io::Result<bool> {
    let plays = plays(options);
    if let Err(refusal) = ready() {
        let refusal = refusal.to_string().to_uppercase();
        println!("0 ran, {} skipped: {refusal}", plays.len());
        return Ok(true);
    }
    let program = relay::find(options.server.as_deref(), "p2p_server", "handfast-server")?;
    let client = relay::find(options.client.as_deref(), "handfast", "handfast-client")?;
    let home = env::temp_dir().join(format!("handfast-nat-lab-{}", process::id()));
    fs::create_dir(&home)?;
    let servers = Servers { program, client, home: home.clone() };
    // The keys are there before several servers want them.
    let made = ["server.key", "second.key"].iter().try_for_each(|name| servers.make_key(name));
    let start = Instant::now();
    let findings = made.map(|()| play_all(&plays, options.jobs, &servers));
    fs::remove_dir_all(&home)?;
    let findings = findings?;
    let table = findings.table();
    println!("{table}");
    if let Some(path) = &options.table {
        fs::write(path, &table)?;
    }
    let failures: Vec<_> = findings.failures().collect();
    for failure in &failures {
        println!("FAILED {failure}");
    }
    let (ran, failed) = (findings.count(), failures.len());
    println!(
        "{ran} ran, {} skipped, {failed} failed, in {:.0?}",
        plays.len() - ran,
        start.elapsed()
    );
    Ok(failures.is_empty() && ran == plays.len())
}

/// Whether this machine grants what a lab is made of.
fn ready() -> io::Result<()> {
    for program in ["ip", "nft", "conntrack"] {
        feed(program, &["-V"], "")?;
    }
    Network::new()?;
    // Devices of a program, translation, filters.
    World::new([Kind::FullCone, Kind::Carrier], 1).map(drop)
}

fn plays(options: &LabOptions) -> Vec<Play> {
    let chosen =
        |kinds: &[Kind]| if kinds.is_empty() { Kind::ALL.to_vec() } else { kinds.to_vec() };
    let (callers, called) = (chosen(&options.caller), chosen(&options.called));
    let mut seed = options.seed;
    let mut plays = Vec::new();
    let all_kinds = options.caller.is_empty() && options.called.is_empty();
    let some = options.beacons || options.netcheck || options.troubles;
    if options.netcheck || (all_kinds && !some) {
        let checks = Kind::ALL.into_iter().zip(seed..);
        plays.extend(checks.map(|(kind, seed)| Play::Netcheck(Netcheck { kind, seed })));
    }
    if options.troubles || (all_kinds && !some) {
        let troubles = Trouble::ALL.iter().zip(seed..);
        plays.extend(troubles.map(|(trouble, seed)| Play::Trouble(*trouble, seed)));
        let programs = Pair::all().zip(seed..);
        plays.extend(programs.map(|(pair, seed)| Play::Program(pair, seed)));
    }
    if options.beacons || (all_kinds && !some) {
        plays.extend(local_plays());
    }
    if some {
        return plays;
    }
    let weathers = [(0, 0), (400, 50), (400, 0), (0, 50)];
    for (row, one) in callers.iter().enumerate() {
        for (column, other) in called.iter().enumerate() {
            for (number, (skew, lost_per_mille)) in weathers.iter().enumerate() {
                // Each pair has two orders: they have different weathers.
                let turn = (row + column + usize::from(row > column)) % weathers.len();
                if options.quick && turn != number {
                    continue;
                }
                let (kinds, skew) = ([*one, *other], Duration::from_millis(*skew));
                seed += 1;
                let lost_per_mille = *lost_per_mille;
                plays.push(Play::Case(Case { kinds, skew, lost_per_mille, seed }));
            }
        }
    }
    plays
}

/// What needs no world.
fn local_plays() -> impl Iterator<Item = Play> {
    if !Mapping::is_possible() {
        println!("NO miniupnpd: PORTS OF ROUTERS ARE NOT TRIED");
    }
    let asked = Asked::ALL.into_iter().filter(|_| Mapping::is_possible());
    Link::all().map(Play::Link).chain(asked.map(|asked| Play::Mapping(Mapping(asked))))
}

/// Plays them, several at a time.
fn play_all(plays: &[Play], jobs: usize, servers: &Servers) -> Findings {
    let next = AtomicUsize::new(0);
    let findings = Mutex::new(Findings::default());
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(play) = plays.get(next.fetch_add(1, Relaxed)) {
                    match *play {
                        Play::Case(case) => {
                            let found = case.play(servers).map_err(|error| error.to_string());
                            lock(&findings).cases.push((case, found));
                        }
                        Play::Link(link) => {
                            let met = link.play().map_err(|error| error.to_string());
                            lock(&findings).local.push((link.to_string(), met));
                        }
                        Play::Mapping(mapping) => {
                            let mapped = mapping.play(&servers.home.join(mapping.to_string()));
                            let mapped = mapped.map_err(|error| error.to_string());
                            lock(&findings).local.push((mapping.to_string(), mapped));
                        }
                        Play::Trouble(trouble, seed) => {
                            let survived =
                                trouble.play(servers, seed).map_err(|error| error.to_string());
                            lock(&findings).troubles.push((trouble, survived));
                        }
                        Play::Program(pair, seed) => {
                            let said = program::ping_until_direct(pair, servers, seed)
                                .map_err(|error| error.to_string());
                            lock(&findings).programs.push((pair, said));
                        }
                        Play::Netcheck(check) => {
                            let said = check.play(servers).map_err(|error| error.to_string());
                            lock(&findings).checks.push((check, said));
                        }
                    }
                }
            });
        }
    });
    findings.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock(findings: &Mutex<Findings>) -> std::sync::MutexGuard<'_, Findings> {
    findings.lock().unwrap_or_else(PoisonError::into_inner)
}
