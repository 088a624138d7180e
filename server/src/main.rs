//! `p2p_server`: see [`handfast_server`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    handfast_server::main(std::env::args_os())
}
