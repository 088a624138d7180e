//! handfast beside its peers, in one run on one machine.
//!
//! ```text
//! cargo run --release --manifest-path bench/Cargo.toml -- core|matrix [--quick] [--json FILE]
//! cargo run --release --manifest-path bench/Cargo.toml --features sockets -- all [--quick] [--json FILE]
//! ```
//!
//! `publish FILE` writes what `all --json FILE` measured into the README, and its picture to `docs`.
//!
//! `shards`, which `all` leaves out, has one server with several tasks or threads.
//!
//! `idle` and `scale` know `--peers N`. With `--features sockets,mimalloc` every process has the allocator of `p2p_server`.
//!
//! With `--features sockets` there are rows on real sockets too; the error of an unknown word lists all. `matrix`
//! also knows `--only TEXT` (may be said several times), `--targets`, `--more-seeds` and `--commit`.

#![forbid(unsafe_code)]

mod about;
mod arguments;
mod case;
mod clock;
#[cfg(feature = "sockets")]
mod contest;
#[cfg(feature = "sockets")]
mod crowd;
mod entry;
#[cfg(feature = "sockets")]
mod fairness;
mod figure;
mod goals;
#[cfg(feature = "sockets")]
mod idle;
mod load;
#[cfg(feature = "sockets")]
mod loopback;
#[cfg(feature = "sockets")]
mod loss;
mod matrix;
mod payload;
#[cfg(feature = "sockets")]
mod process;
mod publish;
#[cfg(feature = "sockets")]
mod relay;
mod report;
mod rounds;
#[cfg(feature = "sockets")]
mod shards;
#[cfg(feature = "sockets")]
mod summary;
mod systems;
#[cfg(feature = "sockets")]
mod trips;

use std::process::ExitCode;
use std::{env, fs};

use arguments::{Arguments, Bench};
use figure::Figure;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    if let Some((publish::WORD, words)) =
        words.split_first().map(|(first, rest)| (first.as_str(), rest))
    {
        return finish(publish::run(words));
    }
    #[cfg(feature = "sockets")]
    if let Some(result) = serve(&words) {
        return finish(result);
    }
    let arguments = match Arguments::parse(words.iter().cloned()) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("error: {error}; say `{}`", Bench::usage());
            return ExitCode::from(2);
        }
    };
    finish(run(&arguments, &words))
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a process does that another of this program started; `None` if it was not.
#[cfg(feature = "sockets")]
fn serve(words: &[String]) -> Option<Result<(), String>> {
    let (first, words) = words.split_first()?;
    match first.as_str() {
        relay::WORD => Some(relay::serve(words)),
        loss::WORD => Some(loss::serve(words)),
        idle::WORD => Some(idle::serve(words)),
        idle::CLIENTS => Some(idle::clients(words)),
        crowd::WORD => Some(crowd::serve()),
        _ => None,
    }
}

/// Measures each case in turn, printing its table as soon as it is there.
fn run(arguments: &Arguments, words: &[String]) -> Result<(), String> {
    // A file that cannot be written is better known now than after minutes.
    if let Some(file) = &arguments.json {
        fs::write(file, "").map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let json = match arguments.bench {
        Bench::Matrix => matrix::run(&arguments.options)?,
        _ => about::json(words) + &figure::json(&measure(arguments)?),
    };
    match &arguments.json {
        Some(file) => fs::write(file, json).map_err(|error| format!("{}: {error}", file.display())),
        None => Ok(()),
    }
}

#[cfg(feature = "sockets")]
fn measure(arguments: &Arguments) -> Result<Vec<Figure>, String> {
    let (quick, peers) = (arguments.options.quick, arguments.peers);
    match arguments.bench {
        Bench::Bulk => contest::bulk(quick),
        Bench::Messages => contest::messages(quick),
        Bench::Echo => contest::echo(quick),
        Bench::Idle => idle::run(quick, peers),
        Bench::Handshakes => contest::handshakes(quick),
        Bench::Fairness => fairness::run(quick),
        Bench::Relay => relay::run(quick),
        Bench::Loss => loss::run(quick),
        Bench::Scale => crowd::scale(quick, peers),
        Bench::Shards => shards::run(quick),
        Bench::All => summary::all(quick),
        Bench::Core | Bench::Matrix => core(quick),
    }
}

#[cfg(not(feature = "sockets"))]
fn measure(arguments: &Arguments) -> Result<Vec<Figure>, String> {
    match arguments.bench {
        Bench::Core => core(arguments.options.quick),
        _ => Err("this needs `--features sockets`".into()),
    }
}

fn core(quick: bool) -> Result<Vec<Figure>, String> {
    println!("{}", report::HEAD);
    let mut figures = Vec::new();
    for case in &case::CASES {
        let results = rounds::measure(case, quick)?;
        print!("\n{}", report::Table { case, results: &results });
        figures.extend(report::figures(case, &results));
    }
    Ok(figures)
}
