//! Sockets that share an address, and a filter in the kernel that steers datagrams to the right one.
//!
//! The filter only saves time: a datagram that comes to another socket is handed over by [`Crossing`](crate::Crossing).

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::Socket;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use here::{attach, share};

/// Lets other sockets of ours be bound to the same address.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn share(_: &Socket) -> io::Result<()> {
    let why = "this system does not spread datagrams over sockets: use one shard";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn attach(_: &UdpSocket, _: SocketAddr) {}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod here {
    use super::{Socket, SocketAddr, UdpSocket, io};
    use handfast_core::Steering;
    use nix::libc::{sock_filter, sock_fprog};
    use nix::sys::socket::{setsockopt, sockopt::AttachReusePortCbpf};

    use crate::explain;

    /// Lets other sockets of this user be bound to the same address.
    pub(crate) fn share(socket: &Socket) -> io::Result<()> {
        socket.set_reuse_port(true)
    }

    /// Has the kernel steer what comes to this address, at which the socket of each shard is bound in the order of their
    /// numbers: by what [`handfast_core::steer`] looks at.
    pub(crate) fn attach(socket: &UdpSocket, address: SocketAddr) {
        #[cfg(any(test, feature = "faults"))]
        if !crate::faults::steers_in_kernel() {
            return;
        }
        let mut program = program();
        let len = u16::try_from(program.len()).unwrap_or(u16::MAX);
        let program = sock_fprog { len, filter: program.as_mut_ptr() };
        if let Err(error) = setsockopt(socket, AttachReusePortCbpf, &program) {
            let error = io::Error::from(error);
            let error = explain(&error);
            tracing::debug!(target: "handfast::driver", %address, %error, "not steered by the kernel");
        }
    }

    /// Classic BPF (Linux: Documentation/networking/filter.rst), which sees the datagram without its headers. It returns the
    /// number of a socket; if there is none with this number, the kernel chooses by addresses and ports, as without a filter.
    pub(super) fn program() -> Vec<sock_filter> {
        let kinds: Vec<u8> = (0..=u8::MAX).filter(|kind| names_shard(*kind)).collect();
        let count = kinds.len() as u8;
        let mut program = vec![instruction(LOAD_BYTE, 0, 0, 0)];
        for (at, kind) in (1..).zip(&kinds) {
            // To the load of the shard's number; from the last comparison on to the end otherwise.
            let otherwise = if at == count { 2 } else { 0 };
            program.push(instruction(JUMP_IF_EQUAL, count - at, otherwise, u32::from(*kind)));
        }
        program.push(instruction(LOAD_BYTE, 0, 0, SHARD_AT));
        program.push(instruction(RETURN_LOADED, 0, 0, 0));
        program.push(instruction(RETURN, 0, 0, u32::MAX));
        program
    }

    /// Whether packets of this type name a shard, at [`SHARD_AT`].
    fn names_shard(kind: u8) -> bool {
        handfast_core::steer(&[kind, 0, 0, 0, 1, 0, 0, 0], 2) == Steering::Shard(1)
    }

    const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
        sock_filter { code, jt, jf, k }
    }

    const SHARD_AT: u32 = 4;
    /// `BPF_LD | BPF_B | BPF_ABS`
    const LOAD_BYTE: u16 = 0x30;
    /// `BPF_JMP | BPF_JEQ | BPF_K`
    const JUMP_IF_EQUAL: u16 = 0x15;
    /// `BPF_RET | BPF_A`
    const RETURN_LOADED: u16 = 0x16;
    /// `BPF_RET | BPF_K`
    const RETURN: u16 = 0x06;
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;
    use crate::Listen;
    use handfast_core::{Steering, steer};
    use std::time::Duration;

    /// What a filter says about a datagram.
    fn run(datagram: &[u8]) -> u32 {
        let (program, mut at, mut loaded) = (here::program(), 0, 0);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                0x30 => match datagram.get(step.k as usize) {
                    Some(byte) => loaded = u32::from(*byte),
                    None => return 0,
                },
                0x15 => at += usize::from(if loaded == step.k { step.jt } else { step.jf }),
                0x16 => return loaded,
                0x06 => return step.k,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn the_filter_says_what_the_core_says() {
        for kind in 0..=u8::MAX {
            let datagram = [kind, 6, 0, 0, 3, 9, 9, 9];
            let expected = match steer(&datagram, 256) {
                Steering::Shard(shard) => u32::from(shard),
                Steering::Any => u32::MAX,
            };
            assert_eq!(run(&datagram), expected, "{kind:#x}");
        }
    }

    #[test]
    fn the_kernel_delivers_to_the_socket_that_a_packet_names() {
        let listen = Listen::from("127.0.0.1:0".parse::<SocketAddr>().expect("an address"));
        let shards: Vec<_> = listen.bind_shards(3).expect("bound").into_iter().flatten().collect();
        let address = shards[0].local_addr().expect("an address");
        for socket in &shards {
            socket.set_nonblocking(false).expect("set");
            socket.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        }
        let sealed = 0xc4;
        for round in 0..30_u8 {
            // A new address each time, so that chance would betray itself.
            let sender = UdpSocket::bind("127.0.0.1:0").expect("bound");
            sender.send_to(&[sealed, 6, 0, 0, round % 3, 0, 0, round], address).expect("sent");
            let mut buffer = [0; 16];
            let (len, _) = shards[usize::from(round % 3)].recv_from(&mut buffer).expect("arrives");
            assert_eq!((len, buffer[7]), (8, round));
        }
    }
}
