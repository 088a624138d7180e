//! handfast on mio.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use handfast_mio::{Bytes, Endpoint, Event, Identity, PeerHandle, SendError, entropy};

use super::on_tokio::{ORDERED, UNRELIABLE};
use super::run::{Job, LARGE, LOST, Run, SMALL, message, sequence};
use super::system::{LOOPBACK, System, cannot, text};

fn endpoint(system: System) -> Result<Endpoint, String> {
    let identity = Identity::from_seed(entropy().map_err(text)?);
    let mut endpoint = Endpoint::bind(system.config(), identity, LOOPBACK).map_err(text)?;
    endpoint.set_busy_poll(system.busy_poll());
    Ok(endpoint)
}

pub(super) fn send(system: System, to: SocketAddr, run: &Run) -> Result<(), String> {
    let mut endpoint = endpoint(system)?;
    let peer = endpoint.connect(to).map_err(text)?;
    let mut sender = Speaker { run, peer, sent: 0, called: None };
    let mut is_connected = false;
    while !run.is_over() {
        let wait = if is_connected { sender.speak(&mut endpoint)? } else { PAUSE };
        endpoint.turn(Some(wait)).map_err(text)?;
        while let Some(event) = endpoint.poll_event() {
            match event {
                Event::Connected { .. } => {
                    is_connected = true;
                    run.begin();
                }
                Event::Readable { .. } => sender.hear(&mut endpoint),
                Event::Ended { reason, .. } => return Err(text(reason)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The end that sends.
struct Speaker<'r> {
    run: &'r Run,
    peer: PeerHandle,
    /// Bytes, or messages that are not reliable.
    sent: u64,
    /// When the last small message left that is to come back, and has not.
    called: Option<Instant>,
}

impl Speaker<'_> {
    /// Sends what there is room for, and returns how long to wait then.
    fn speak(&mut self, endpoint: &mut Endpoint) -> Result<Duration, String> {
        match self.run.job {
            Job::Bulk => self.pour(endpoint, LARGE),
            Job::Messages { reliable: true } => self.pour(endpoint, SMALL),
            Job::Messages { reliable: false } => self.scatter(endpoint),
            Job::Echo => self.call(endpoint),
            Job::Handshakes => cannot(self.run.job).map(|()| PAUSE),
        }
    }

    fn pour(&mut self, endpoint: &mut Endpoint, len: usize) -> Result<Duration, String> {
        for _ in 0..AT_ONCE {
            let piece = Bytes::from_static(sequence().piece(self.sent, len));
            match endpoint.send(self.peer, ORDERED, piece) {
                Ok(_) => self.sent += len as u64,
                Err(SendError::Blocked) => return Ok(PAUSE),
                Err(error) => return Err(text(error)),
            }
        }
        Ok(Duration::ZERO)
    }

    fn scatter(&mut self, endpoint: &mut Endpoint) -> Result<Duration, String> {
        for _ in 0..AT_ONCE {
            let message = Bytes::from_static(message(self.sent));
            match endpoint.send(self.peer, UNRELIABLE, message) {
                Ok(_) => self.sent += 1,
                Err(SendError::NoRoom) => break,
                Err(error) => return Err(text(error)),
            }
        }
        // Nothing tells when there is room for the next.
        Ok(Duration::ZERO)
    }

    fn call(&mut self, endpoint: &mut Endpoint) -> Result<Duration, String> {
        // A lost one is no round trip.
        if self.called.is_none_or(|called| called.elapsed() > LOST) {
            let message = Bytes::from_static(message(self.sent));
            self.called = Some(Instant::now());
            endpoint.send(self.peer, UNRELIABLE, message).map_err(text)?;
        }
        Ok(PAUSE)
    }

    fn hear(&mut self, endpoint: &mut Endpoint) {
        while let Some(answer) = endpoint.receive(self.peer) {
            if answer.payload == message(self.sent)
                && let Some(called) = self.called.take()
            {
                self.run.came_back(called.elapsed());
                self.sent += 1;
            }
        }
    }
}

pub(super) fn receive(system: System, tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    let mut endpoint = endpoint(system)?;
    tell.send(endpoint.local_addresses()[0]).ok();
    let mut taker = run.taker();
    while !run.is_over() {
        endpoint.turn(Some(PAUSE)).map_err(text)?;
        while let Some(event) = endpoint.poll_event() {
            match event {
                Event::Readable { peer } => {
                    while let Some(message) = endpoint.receive(peer) {
                        match run.job {
                            Job::Bulk | Job::Messages { reliable: true } => {
                                taker.take(&message.payload);
                            }
                            Job::Messages { reliable: false } => taker.take_any(&message.payload),
                            Job::Echo => drop(endpoint.send(peer, UNRELIABLE, message.payload)),
                            Job::Handshakes => cannot(run.job)?,
                        }
                    }
                }
                Event::Ended { reason, .. } => return Err(text(reason)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// How many messages are handed over before the endpoint has its turn.
const AT_ONCE: usize = 256;
/// How often it is asked whether all is over.
const PAUSE: Duration = Duration::from_millis(10);
