//! The instruction gate: counts what operations of the core cost, and fails when they cost more.
//!
//! ```text
//! cargo run --release --manifest-path bench/gate/Cargo.toml -- check
//! cargo run --release --manifest-path bench/gate/Cargo.toml -- commit
//! ```
//!
//! Counts are the same in every run: valgrind executes the instructions one by one, the core draws
//! nothing from the system (its seeds, its time and the suite are inputs that are fixed here), one
//! thread does everything, and no container here is keyed by an address or by a random hash. What
//! does differ between machines, libc and the AEADs, is taken off.

#![forbid(unsafe_code)]

mod check;
mod counts;
mod operations;
mod pair;
mod probe;
mod profile;
mod relayed;
mod rows;
mod setting;
mod valgrind;

use std::env;
use std::process::ExitCode;

use check::Comparison;
use counts::Committed;
use setting::Setting;

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["check"] => check(),
        ["commit"] => commit(),
        [valgrind::RUN, ref names @ ..] => {
            valgrind::run(names);
            Ok(true)
        }
        _ => {
            eprintln!("say `check` to compare counts or `commit` to write them");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts and compares; whether all is well.
fn check() -> Result<bool, String> {
    let committed = Committed::load()?.ok_or_else(|| format!("no counts yet: {COMMIT}"))?;
    if valgrind::version().is_none() {
        if committed.setting.is_toolchain_here() {
            return Err(format!(
                "{INSTALL}: a skip does not count with {}",
                committed.setting.rustc
            ));
        }
        println!("NOTHING WAS COUNTED: NO VALGRIND, AND NO COUNTS OF THIS TOOLCHAIN.");
        println!("{INSTALL}, then {COMMIT}");
        return Ok(true);
    }
    let counts = valgrind::count()?;
    let comparison = Comparison::new(&counts.rows, Some(&committed));
    print!("{comparison}");
    let here = Setting::here(&counts.features);
    if here != committed.setting {
        println!(
            "\nNOTHING WAS COMPARED: THE COMMITTED COUNTS ARE OF ANOTHER TOOLCHAIN OR PROCESSOR."
        );
        println!("committed  {}\nhere       {here}\n{COMMIT}", committed.setting);
        return Ok(true);
    }
    let faults = comparison.faults();
    for fault in &faults {
        println!("FAILED: {fault}");
    }
    if !faults.is_empty() {
        println!("if the change is worth it, say why in its message and {COMMIT}");
    }
    Ok(faults.is_empty())
}

/// Counts and writes the counts down.
fn commit() -> Result<bool, String> {
    valgrind::version().ok_or(INSTALL)?;
    let committed = Committed::load()?;
    let counts = valgrind::count()?;
    let ours: Vec<_> = counts.rows.iter().map(|(name, split)| (*name, split.ours)).collect();
    let here = Setting::here(&counts.features);
    Committed::next(committed.as_ref(), here, &ours).store()?;
    print!("{}", Comparison::new(&counts.rows, committed.as_ref()));
    Ok(true)
}

/// What to do about missing counts.
const COMMIT: &str =
    "commit new ones: cargo run --release --manifest-path bench/gate/Cargo.toml -- commit";

/// What to do about a missing valgrind.
const INSTALL: &str = "install valgrind";
