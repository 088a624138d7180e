//! Sockets without a protocol, which lose what they have no room for: the limit of this machine.

pub(super) mod offload;
pub(super) mod on_mio;
pub(super) mod on_tokio;

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::run::{Job, LOST, Run, message};
use super::system::{LOOPBACK, cannot, text};

pub(super) fn send(to: SocketAddr, run: &Run) -> Result<(), String> {
    let socket = UdpSocket::bind(LOOPBACK).map_err(text)?;
    socket.connect(to).map_err(text)?;
    run.begin();
    match run.job {
        Job::Handshakes => cannot(run.job)?,
        Job::Bulk => {
            let mut pace = Pace::new(run.pace());
            while !run.is_over() {
                pace.wait(DATAGRAM);
                socket.send(&[7; DATAGRAM]).map_err(text)?;
            }
        }
        Job::Messages { .. } => {
            for number in 0.. {
                socket.send(message(number)).map_err(text)?;
                if run.is_over() {
                    break;
                }
            }
        }
        Job::Echo => {
            socket.set_read_timeout(Some(LOST)).map_err(text)?;
            let mut buffer = [0; 2048];
            for number in 0.. {
                let (began, sent) = (Instant::now(), message(number));
                socket.send(sent).map_err(text)?;
                if socket.recv(&mut buffer).is_ok_and(|len| buffer[..len] == *sent) {
                    run.came_back(began.elapsed());
                }
                if run.is_over() {
                    break;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn receive(tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    let socket = UdpSocket::bind(LOOPBACK).map_err(text)?;
    socket.set_read_timeout(Some(PAUSE)).map_err(text)?;
    tell.send(socket.local_addr().map_err(text)?).ok();
    let taker = run.taker();
    let mut buffer = [0; 2048];
    while !run.is_over() {
        let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
        match run.job {
            Job::Bulk => taker.count_alone(len),
            Job::Messages { .. } => taker.take_any(&buffer[..len]),
            Job::Echo => drop(socket.send_to(&buffer[..len], from)),
            Job::Handshakes => cannot(run.job)?,
        }
    }
    Ok(())
}

/// Holds bulk back to a rate: a path that is narrower than the sender is fast would only be flooded.
struct Pace {
    /// In bytes per second; `None`: as fast as it goes.
    rate: Option<u64>,
    started: Instant,
    sent: u64,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        Self { rate, started: Instant::now(), sent: 0 }
    }

    fn wait(&mut self, len: usize) {
        self.sent += len as u64;
        let Some(rate) = self.rate else { return };
        let due = Duration::from_secs_f64(self.sent as f64 / rate as f64);
        if let Some(early) = due.checked_sub(self.started.elapsed())
            && early > GRAIN
        {
            thread::sleep(early);
        }
    }
}

/// Bytes of a datagram in bulk: the most that all systems here send.
const DATAGRAM: usize = 1452;
/// How often it is asked whether all is over.
const PAUSE: Duration = Duration::from_millis(10);
/// A shorter time is not worth a sleep.
const GRAIN: Duration = Duration::from_millis(1);
