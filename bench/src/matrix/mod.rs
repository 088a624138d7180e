//! The delivery matrix: how well messages get through bad networks, handfast's beside others'.
//!
//! All stacks ride in the same simulated network, in virtual time: the same seed gives handfast the same
//! figures on every machine.

mod baseline;
mod cell;
mod framing;
mod handfast;
mod kcp;
mod quinn;
mod rows;
mod sharing;
mod stack;
mod table;
mod targets;
mod traffic;

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cell::{Figures, Sums};
use rows::Row;
use stack::Kind;
use traffic::Load;

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Shorter, and with fewer seeds.
    pub(crate) quick: bool,
    /// Seeds 6 to 25 instead of 1 to 5.
    pub(crate) more_seeds: bool,
    /// Only cells whose line has one of these texts; all if there is none.
    pub(crate) only: Vec<String>,
    /// Only cells that a target is about.
    pub(crate) targets: bool,
    /// Write the figures as the new baseline instead of comparing.
    pub(crate) commit: bool,
}

impl Options {
    /// Whether a line that begins like this was asked for.
    fn wants(&self, key: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| key.contains(text.as_str()))
    }

    /// Whether no line was left out.
    const fn wants_all(&self) -> bool {
        self.only.is_empty() && !self.targets
    }
}

/// A line of the matrix.
struct Cell {
    row: Row,
    load: Load,
    kind: Kind,
    figures: Figures,
}

impl Cell {
    /// What tells it from all others.
    fn key(&self) -> String {
        key(&self.row, self.load, self.kind)
    }

    /// By how many percent a figure may be worse. Large messages count whole: one more or less decides much.
    fn tolerance(&self) -> u32 {
        if self.load.is_mixed() { rows::BY_CHANCE } else { self.row.tolerance }
    }
}

fn key(row: &Row, load: Load, kind: Kind) -> String {
    format!("{} | {} | {}", row.name, load.name(), kind.name())
}

/// Measures, prints, and compares with the committed baseline.
///
/// # Errors
/// Names the cells of handfast that are worse than the baseline by more than their tolerance.
pub(crate) fn run(options: &Options) -> Result<String, String> {
    let began = Instant::now();
    let mut cells = asked(options);
    measure(&mut cells, options);
    print!("{}\n{}", table::head(options), table::table(&cells));
    let pairs = sharing::run(options);
    if !pairs.is_empty() {
        print!("\n{}", sharing::table(&pairs));
    }
    print!("\n{}", targets::report(&cells, &pairs));
    if options.quick {
        println!(
            "The targets are meant for the whole matrix: much of a short run is its beginning."
        );
    }
    println!("\n{} cells in {} s", cells.len(), began.elapsed().as_secs());
    let json = cells.iter().map(table::json).chain(pairs.iter().map(sharing::json)).collect();
    if options.commit {
        baseline::write(&cells, options)?;
    } else if !options.more_seeds {
        baseline::check(&cells, options)?;
    }
    Ok(json)
}

/// All cells that were asked for, without figures.
fn asked(options: &Options) -> Vec<Cell> {
    let mut cells = Vec::new();
    for row in rows::rows() {
        for load in Load::ALL.into_iter().filter(|load| row.bears(*load)) {
            for kind in Kind::ALL.into_iter().filter(|kind| kind.rides(load)) {
                let is_wanted = !options.targets || targets::need(&row, load, kind);
                if is_wanted && options.wants(&key(&row, load, kind)) {
                    let (row, figures) = (row.clone(), Figures::default());
                    cells.push(Cell { row, load, kind, figures });
                }
            }
        }
    }
    cells
}

/// How long a load is measured, and with which seeds.
fn extent(load: Load, options: &Options) -> (Duration, RangeInclusive<u64>) {
    let seconds = match (load.is_bulk(), options.quick) {
        (true, true) => 10,
        (true, false) => 60,
        (false, true) => 30,
        (false, false) => 120,
    };
    let seeds = match (options.quick, options.more_seeds) {
        (true, _) if load.is_bulk() => 1..=1,
        (true, _) => 1..=2,
        (false, false) => 1..=5,
        (false, true) => 6..=25,
    };
    (Duration::from_secs(seconds), seeds)
}

/// Runs all cells on two threads, each cell on one.
fn measure(cells: &mut [Cell], options: &Options) {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (takes, seeds) = extent(cell.load, options);
            let mut sums = Sums::default();
            for seed in seeds {
                sums.add(cell::run(&cell.row, cell.load, cell.kind, seed, takes));
            }
            done.lock().expect("no thread failed").push((cell.key(), sums.figures()));
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    let done = done.into_inner().expect("no thread failed");
    for cell in cells {
        let key = cell.key();
        let found = done.iter().find(|(other, _)| *other == key);
        cell.figures = found.expect("every cell was run").1;
    }
}

const THREADS: usize = 2;
