//! A socket of mio.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::{Job, LOOPBACK, LOST, PAUSE, Run, message, text};
use crate::loopback::system::cannot;

/// A socket, and what waits for it.
struct End {
    socket: UdpSocket,
    poll: Poll,
    events: Events,
}

impl End {
    fn new(job: Job) -> Result<Self, String> {
        if job != Job::Echo {
            cannot(job)?;
        }
        let mut socket = UdpSocket::bind(LOOPBACK).map_err(text)?;
        let poll = Poll::new().map_err(text)?;
        poll.registry().register(&mut socket, Token(0), Interest::READABLE).map_err(text)?;
        Ok(Self { socket, poll, events: Events::with_capacity(8) })
    }

    fn wait(&mut self) -> Result<(), String> {
        self.poll.poll(&mut self.events, Some(PAUSE)).map_err(text)
    }

    /// `None` if nothing is there.
    fn next(&self, buffer: &mut [u8]) -> Result<Option<(usize, SocketAddr)>, String> {
        match self.socket.recv_from(buffer) {
            Ok(next) => Ok(Some(next)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(text(error)),
        }
    }
}

pub(crate) fn send(to: SocketAddr, run: &Run) -> Result<(), String> {
    let mut end = End::new(run.job)?;
    run.begin();
    let (mut buffer, mut number, mut called) = ([0; 2048], 0, None::<Instant>);
    while !run.is_over() {
        if called.is_none_or(|called| called.elapsed() > LOST) {
            called = Some(Instant::now());
            end.socket.send_to(message(number), to).map_err(text)?;
        }
        end.wait()?;
        while let Some((len, _)) = end.next(&mut buffer)? {
            if buffer[..len] == *message(number)
                && let Some(called) = called.take()
            {
                run.came_back(called.elapsed());
                number += 1;
            }
        }
    }
    Ok(())
}

pub(crate) fn receive(tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    let mut end = End::new(run.job)?;
    tell.send(end.socket.local_addr().map_err(text)?).ok();
    let mut buffer = [0; 2048];
    while !run.is_over() {
        end.wait()?;
        while let Some((len, from)) = end.next(&mut buffer)? {
            end.socket.send_to(&buffer[..len], from).map_err(text)?;
        }
    }
    Ok(())
}
