//! handfast beside its peers, in one run on one machine.
//!
//! ```text
//! cargo run --release --manifest-path bench/Cargo.toml -- core|fairness|relay [--quick] [--json FILE]
//! ```

#![forbid(unsafe_code)]

mod arguments;
mod case;
mod clock;
mod fairness;
mod load;
mod payload;
mod relay;
mod report;
mod rounds;
mod systems;

use std::process::ExitCode;
use std::{env, fs};

use arguments::{Arguments, Bench};

fn main() -> ExitCode {
    let words: Vec<_> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == relay::WORD) {
        return finish(relay::serve(&words[1..]));
    }
    let arguments = match Arguments::parse(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("error: {error}; say `core|fairness|relay [--quick] [--json FILE]`");
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
        Bench::Core => core(arguments.quick)?,
        Bench::Fairness => fairness::run(arguments.quick)?,
        Bench::Relay => relay::run(arguments.quick)?,
    };
    match &arguments.json {
        Some(file) => fs::write(file, json).map_err(|error| format!("{}: {error}", file.display())),
        None => Ok(()),
    }
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
