//! Two ends without a protocol: one sends as long as little is under way, the other counts.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{iter, thread};

use super::ROUND_TRIPS;
use crate::trips::Trips;

/// How packets go out, and come in: with a header before them, perhaps.
pub(super) struct Way<'s> {
    pub(super) socket: &'s UdpSocket,
    pub(super) header: &'s [u8],
}

impl Way<'_> {
    fn send(&self, payload: &[u8]) -> io::Result<()> {
        let packet = [self.header, payload].concat();
        match self.socket.send(&packet) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Sends for so long. Returns how many packets of [`LEN`] bytes arrived.
pub(super) fn flood(from: &Way<'_>, to: &UdpSocket, time: Duration) -> io::Result<u64> {
    let (arrived, over) = (AtomicU64::new(0), AtomicBool::new(false));
    to.set_read_timeout(Some(Duration::from_millis(20)))?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if to.recv(&mut buffer).is_ok() {
                    arrived.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let (end, mut sent) = (Instant::now() + time, 0);
        let (mut known, mut since) = (0, Instant::now());
        let result: io::Result<()> = iter::repeat_with(|| {
            let now = arrived.load(Ordering::Relaxed);
            if now != known {
                (known, since) = (now, Instant::now());
            } else if since.elapsed() > LOST {
                // What is under way is lost.
                (sent, since) = (known, Instant::now());
            }
            if sent - known.min(sent) >= UNDER_WAY {
                thread::yield_now();
                return Ok(());
            }
            sent = sent.max(known) + 1;
            from.send(&[7; LEN])
        })
        .take_while(|_| Instant::now() < end)
        .collect();
        over.store(true, Ordering::Relaxed);
        result
    })
    .map(|()| arrived.load(Ordering::Relaxed))
}

/// Round trips of small packets: the far end sends back what comes, to where it came from.
pub(super) fn round_trips(from: &Way<'_>, to: &UdpSocket) -> io::Result<Trips> {
    let over = AtomicBool::new(false);
    // What is left of a flood is no answer.
    for socket in [to, from.socket] {
        socket.set_read_timeout(Some(LOST))?;
        while socket.recv(&mut [0; 2048]).is_ok() {}
    }
    from.socket.set_read_timeout(Some(LOST * 10))?;
    let all: io::Result<Vec<_>> = thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if let Ok((len, back)) = to.recv_from(&mut buffer) {
                    to.send_to(&buffer[..len], back).ok();
                }
            }
        });
        let one = |_| {
            let began = Instant::now();
            from.send(&[7; 64])?;
            from.socket.recv(&mut [0; 2048]).map(|_| began.elapsed())
        };
        let all = (0..ROUND_TRIPS).map(one).collect();
        over.store(true, Ordering::Relaxed);
        all
    });
    Trips::of(all?).ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// Bytes of payload in a packet of a flood.
pub(super) const LEN: usize = 1000;
/// Packets that were sent and have not arrived.
const UNDER_WAY: u64 = 64;
const LOST: Duration = Duration::from_millis(20);
