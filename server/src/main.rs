//! `p2p_server`: see [`handfast_server`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// What peers held while they talked lies between what is kept of them while they are quiet. The allocators of most systems
/// never give that back; this one does.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    handfast_server::main(std::env::args_os())
}
