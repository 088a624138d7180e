//! `p2p_server`: see [`handfast_server`].

use std::process::ExitCode;

fn main() -> ExitCode {
    handfast_server::main(std::env::args_os())
}
