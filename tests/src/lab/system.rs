//! The calls of the system that have no safe form: networks of a thread, and devices in the hands of a
//! program.

#![allow(unsafe_code, reason = "the system's calls for this have no safe form")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{CLONE_NEWNET, IFF_NO_PI, IFF_TUN, TUNSETIFF};

/// Moves this thread into a new network that has nothing but a loopback, which is down.
pub(super) fn enter_new_network() -> io::Result<()> {
    // SAFETY: the call takes no pointers.
    check(unsafe { libc::unshare(CLONE_NEWNET) })
}

/// Moves this thread into that network.
pub(super) fn enter(network: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes no pointers, and the descriptor is open.
    check(unsafe { libc::setns(network.as_raw_fd(), CLONE_NEWNET) })
}

/// A new device of this name in this thread's network. What the network sends to it is read from the
/// file, one IP packet a time; what is written to the file arrives in the network.
pub(super) fn tun(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // The system's `ifreq`: sixteen bytes of name, then the flags, in 40 bytes.
    let mut request = [0_u8; 40];
    let flags = u16::try_from(IFF_TUN | IFF_NO_PI).map_err(io::Error::other)?;
    request
        .get_mut(..name.len())
        .ok_or(io::ErrorKind::InvalidInput)?
        .copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the request is as long as the system's structure, and outlives the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) })?;
    Ok(file)
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
