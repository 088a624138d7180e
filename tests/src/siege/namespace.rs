//! A network of our own, in which addresses can be spoofed.

use std::env;
use std::io;
use std::process::{Command, ExitStatus, Stdio};

use socket2::{Domain, Protocol, Socket, Type};

/// Runs this program again, with the same arguments and `extra`, as the administrator of a new
/// network that has nothing but a loopback.
///
/// # Errors
/// When the system does not let us.
pub fn run_inside(extra: &str) -> io::Result<ExitStatus> {
    let unshare = |what: &str| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--", what]);
        command
    };
    let rehearsal = unshare("true").stderr(Stdio::null()).status()?;
    if !rehearsal.success() {
        return Err(io::Error::other("unshare --user --map-root-user --net fails"));
    }
    let program = env::current_exe()?;
    let program = program.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    unshare(program).args(env::args_os().skip(1)).arg(extra).status()
}

/// Starts the loopback of a new network, which is down at first.
///
/// # Errors
/// When the system refuses.
pub fn start_loopback() -> io::Result<()> {
    // A request of rtnetlink(7): header, and which flag of which interface to set.
    const SET_LINK: u16 = 16;
    const REQUEST_AND_ACK: u16 = 1 | 4;
    const LOOPBACK: i32 = 1;
    const UP: u32 = 1;
    let mut request = Vec::new();
    request.extend_from_slice(&32_u32.to_ne_bytes());
    request.extend_from_slice(&SET_LINK.to_ne_bytes());
    request.extend_from_slice(&REQUEST_AND_ACK.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    request.extend_from_slice(&[0; 4]);
    request.extend_from_slice(&LOOPBACK.to_ne_bytes());
    request.extend_from_slice(&UP.to_ne_bytes());
    request.extend_from_slice(&UP.to_ne_bytes());
    // Netlink is family 16, its part for routes and links protocol 0.
    let socket = Socket::new(Domain::from(16), Type::RAW, Some(Protocol::from(0)))?;
    socket.send(&request)?;
    let mut answer = [0; 64];
    let len = io::Read::read(&mut &socket, &mut answer)?;
    // Behind the header of the answer stands the negative error.
    let code = answer[..len].get(16..20).and_then(|bytes| bytes.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
