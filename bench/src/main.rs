//! handfast beside its peers, in one run on one machine.
//!
//! ```text
//! cargo run --release --manifest-path bench/Cargo.toml -- core|matrix [--quick] [--json FILE]
//! cargo run --release --manifest-path bench/Cargo.toml --features sockets -- fairness|relay [--quick]
//! ```
//!
//! `matrix` also knows `--only TEXT` (may be said several times), `--targets`, `--more-seeds` and `--commit`.

#![forbid(unsafe_code)]

mod arguments;
mod case;
mod clock;
#[cfg(feature = "sockets")]
mod fairness;
mod load;
mod matrix;
mod payload;
#[cfg(feature = "sockets")]
mod relay;
mod report;
mod rounds;
mod systems;

use std::process::ExitCode;
use std::{env, fs};

use arguments::{Arguments, Bench};

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    #[cfg(feature = "sockets")]
    if words.first().is_some_and(|word| word == relay::WORD) {
        return finish(relay::serve(&words[1..]));
    }
    let arguments = match Arguments::parse(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("error: {error}; say `core|matrix|fairness|relay [--quick] [--json FILE]`");
            return ExitCode::from(2);
        }
    };
    finish(run(&arguments))
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

/// Measures each case in turn, printing its table as soon as it is there.
fn run(arguments: &Arguments) -> Result<(), String> {
    // A file that cannot be written is better known now than after minutes.
    if let Some(file) = &arguments.json {
        fs::write(file, "").map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let json = match arguments.bench {
        Bench::Core => core(arguments.options.quick)?,
        Bench::Matrix => matrix::run(&arguments.options)?,
        Bench::Fairness | Bench::Relay => on_sockets(arguments)?,
    };
    match &arguments.json {
        Some(file) => fs::write(file, json).map_err(|error| format!("{}: {error}", file.display())),
        None => Ok(()),
    }
}

#[cfg(feature = "sockets")]
fn on_sockets(arguments: &Arguments) -> Result<String, String> {
    match arguments.bench {
        Bench::Relay => relay::run(arguments.options.quick),
        _ => fairness::run(arguments.options.quick),
    }
}

#[cfg(not(feature = "sockets"))]
fn on_sockets(_arguments: &Arguments) -> Result<String, String> {
    Err("this needs `--features sockets`".into())
}

fn core(quick: bool) -> Result<String, String> {
    println!("{}", report::HEAD);
    let mut json = String::new();
    for case in &case::CASES {
        let results = rounds::measure(case, quick)?;
        print!("\n{}", report::Table { case, results: &results });
        json.push_str(&report::json_rows(case, &results));
    }
    Ok(json)
}
