//! Has real endpoints meet through real NATs, and makes the table of who becomes direct.
//!
//! As root on Linux, with nftables, iproute2 and conntrack:
//! `cargo build -p handfast-server -p handfast-client && cargo run -p handfast-tests --bin nat-lab`, with `-- --help` for
//! choices. It fails when something becomes of a pair that must not; where networks of its own are refused, it
//! says so and does not fail.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Has real endpoints meet through real NATs, and makes the table of who becomes direct.
#[cfg(target_os = "linux")]
#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    lab: handfast_tests::lab::LabOptions,
}

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match handfast_tests::lab::run(&<Cli as clap::Parser>::parse().lab) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("nat-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    println!("0 ran: THE LAB NEEDS THE NETWORKS OF LINUX");
    ExitCode::SUCCESS
}
