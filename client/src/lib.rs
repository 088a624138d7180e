//! The program `handfast`: it pings peers, sends files to them, and says how the network is.
//!
//! `cli` reads the command line, `node` opens an endpoint and stays connected to the servers that are named.
//! The tasks are `ping`, `transfer` (`send` and `receive`) and `netcheck`. What the program shares with
//! `p2p_server` is in [`handfast_program`].
#![forbid(unsafe_code)]

mod cli;
mod netcheck;
mod node;
mod path;
mod ping;
mod stop;
mod transfer;
mod whom;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use handfast_program::{Error, keys, output};
use handfast_tokio::{KeyFile, explain};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use cli::{Invocation, Task};
use stop::Stop;

/// Runs the program with these arguments, the first being its own name.
///
/// The exit code is 0 when what was asked for is done, 1 when it failed or was interrupted, 2 when the command
/// line or a file it names is at fault, and 3 when the other end does not want it. An error is one line
/// on stderr that says what to do.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a stderr the exit code alone has to do.
            writeln!(io::stderr(), "handfast: {error}").ok();
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    match cli::read(arguments)? {
        Invocation::Help(text) => output::print(&text),
        Invocation::Task(Task::Id(identity)) => {
            keys::show_id(&KeyFile::new(identity.file()?), "handfast")
        }
        Invocation::Task(Task::Genkey { file, identity }) => {
            keys::make(&KeyFile::new(file.map_or_else(|| identity.file(), Ok)?))
        }
        Invocation::Task(task) => {
            show_logs();
            let stop = Stop::catch()?;
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .map_err(|error| Error::Run(format!("cannot start: {}", explain(&error))))?;
            let result = runtime.block_on(async {
                match task {
                    Task::Ping(choices) => ping::run(choices, stop).await,
                    Task::Send(choices) => transfer::send::run(choices, stop).await,
                    Task::Receive(choices) => transfer::receive::run(choices, stop).await,
                    Task::Netcheck(choices) => netcheck::run(choices, stop).await,
                    Task::Id(_) | Task::Genkey { .. } => Ok(()),
                }
            });
            // Somebody who was asked on the terminal may never answer.
            runtime.shutdown_background();
            result
        }
    }
}

/// What `RUST_LOG` chooses, on stderr; nothing without it.
fn show_logs() {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let Some(wanted) = wanted else { return };
    // A console of Windows does not show colours unless asked to.
    let lines = fmt::layer().with_ansi(io::stderr().is_terminal() && !cfg!(windows));
    tracing_subscriber::registry().with(lines.with_writer(io::stderr).with_filter(wanted)).init();
}

/// Says something beside the result, on stderr.
fn say(text: std::fmt::Arguments<'_>) {
    // Whoever does not read it is no reason to end.
    writeln!(io::stderr(), "{text}").ok();
}
