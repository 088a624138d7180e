//! `handfast`: see [`handfast_client`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    handfast_client::main(std::env::args_os())
}
