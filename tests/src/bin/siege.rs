//! Floods a server on loopback while honest clients talk to it, and tells what they noticed.
//!
//! `cargo run --release -p handfast-tests --bin siege`, with `-- --help` for choices. It fails when
//! a promise is broken.

#![forbid(unsafe_code)]

use std::env;
use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use handfast_tests::Runtime;
use handfast_tests::siege::{ServeOptions, SiegeOptions, besiege, namespace, serve};

/// Floods a server on loopback while honest clients talk to it, and tells what they noticed.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    siege: SiegeOptions,
    /// Fail only for promises that hold on any machine, however slow and busy
    #[arg(long)]
    lenient: bool,
    /// Stay in the network of this machine: no addresses are spoofed
    #[arg(long)]
    outside: bool,
    /// We are in a network of our own
    #[arg(long, hide = true)]
    inside: bool,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Be the server, until standard input ends
    Serve(ServeOptions),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("siege: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every promise was kept.
fn run(cli: &Cli) -> io::Result<bool> {
    if let Some(Role::Serve(options)) = &cli.role {
        return serve(options).map(|()| true);
    }
    if cli.inside {
        namespace::start_loopback()?;
    } else if cli.outside {
        println!("SKIPPED: spoofed addresses (--outside)");
    } else {
        match namespace::run_inside("--inside") {
            Ok(status) => return Ok(status.success()),
            Err(error) => println!("SKIPPED: spoofed addresses, no network of our own: {error}"),
        }
    }
    let program = env::current_exe()?;
    let mut kept = true;
    for runtime in Runtime::ALL {
        if cli.siege.runtime.is_some_and(|only| only != runtime) {
            continue;
        }
        let findings = besiege(&program, &cli.siege, runtime, cli.inside)?;
        println!("{findings}");
        let verdicts = findings.verdicts();
        let mut counting = verdicts.iter().filter(|v| !(cli.lenient && v.depends_on_machine));
        kept &= counting.all(|verdict| verdict.holds);
    }
    Ok(kept)
}
