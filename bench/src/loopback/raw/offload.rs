//! A socket whose datagrams the kernel cuts (GSO), and puts together again (GRO).

use std::io::{ErrorKind, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Sender;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{DATAGRAM, Job, LOOPBACK, Run, text};
use crate::loopback::system::cannot;

struct End {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl End {
    fn new(job: Job) -> Result<Self, String> {
        if job != Job::Bulk {
            cannot(job)?;
        }
        let socket = UdpSocket::bind(LOOPBACK).map_err(text)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket)).map_err(text)?;
        Ok(Self { socket, state })
    }

    fn wait(&self, flags: PollFlags) {
        let mut sockets = [PollFd::new(&self.socket, flags)];
        // It is tried again, whatever came of it.
        poll(&mut sockets, Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 })).ok();
    }
}

pub(crate) fn send(to: SocketAddr, run: &Run) -> Result<(), String> {
    let end = End::new(run.job)?;
    run.begin();
    let datagrams = end.state.max_gso_segments().min(MOST / DATAGRAM);
    let contents = vec![7; datagrams * DATAGRAM];
    let transmit = Transmit {
        destination: to,
        ecn: None,
        contents: &contents,
        segment_size: (datagrams > 1).then_some(DATAGRAM),
        src_ip: None,
    };
    while !run.is_over() {
        match end.state.try_send(UdpSockRef::from(&end.socket), &transmit) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => end.wait(PollFlags::OUT),
            Err(error) => return Err(text(error)),
        }
    }
    Ok(())
}

pub(crate) fn receive(tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    let end = End::new(run.job)?;
    tell.send(end.socket.local_addr().map_err(text)?).ok();
    let taker = run.taker();
    let mut buffers = vec![vec![0; MOST]; BATCH_SIZE];
    let mut meta = vec![RecvMeta::default(); BATCH_SIZE];
    while !run.is_over() {
        let mut slices: Vec<_> = buffers.iter_mut().map(|it| IoSliceMut::new(it)).collect();
        match end.state.recv(UdpSockRef::from(&end.socket), &mut slices, &mut meta) {
            Ok(count) => meta[..count].iter().for_each(|meta| taker.count_alone(meta.len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => end.wait(PollFlags::IN),
            Err(error) => return Err(text(error)),
        }
    }
    Ok(())
}

/// Bytes of the longest datagram of IPv4, which all pieces together must fit.
const MOST: usize = 65_507;
