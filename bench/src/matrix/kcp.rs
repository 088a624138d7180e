//! kcp with its "turbo" settings and a large window. It has no handshake, no encryption and no end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use handfast_core::{Instant, Origin, Transmit};
use kcp::Kcp;

use super::framing::{Framing, framed};
use super::stack::{Arrived, Setup, Stack, Told};

pub(crate) struct Turbo {
    other: SocketAddr,
    lanes: [Lane; 2],
    written: Written,
    told: VecDeque<Told>,
    due: Instant,
    /// It has no handshake: it says so when it is first woken.
    connected: bool,
    dead: bool,
    buffer: Vec<u8>,
}

struct Lane {
    kcp: Kcp<Written>,
    framing: Framing,
}

/// The datagrams that wait to be sent, those of both lanes.
#[derive(Clone, Default)]
struct Written(Rc<RefCell<VecDeque<Vec<u8>>>>);

impl io::Write for Written {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push_back(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Turbo {
    pub(crate) fn new(setup: &Setup, now: Instant) -> Self {
        let written = Written::default();
        let lanes = [1, 2].map(|number| {
            let mut kcp = Kcp::new_stream(number, written.clone());
            kcp.set_nodelay(true, 10, 2, true);
            kcp.set_wndsize(WINDOW, WINDOW);
            Lane { kcp, framing: Framing::default() }
        });
        let mut turbo = Self {
            other: setup.other,
            lanes,
            written,
            told: VecDeque::new(),
            connected: false,
            due: now,
            dead: false,
            buffer: vec![0; 2048],
        };
        turbo.update(now);
        turbo
    }

    fn update(&mut self, now: Instant) {
        for Lane { kcp, .. } in &mut self.lanes {
            kcp.update(millis(now)).expect("nothing fails here");
        }
        self.refresh(now);
    }

    fn refresh(&mut self, now: Instant) {
        let waits = self.lanes.iter().map(|lane| lane.kcp.check(millis(now))).min();
        self.due = now + Duration::from_millis(u64::from(waits.unwrap_or(1).max(1)));
        if self.lanes.iter().any(|lane| lane.kcp.is_dead_link()) && !self.dead {
            self.dead = true;
            self.told.push_back(Told::Ended);
        }
    }
}

impl Stack for Turbo {
    fn send(&mut self, _now: Instant, lane: usize, message: &Bytes) -> bool {
        let kcp = &mut self.lanes[lane].kcp;
        if kcp.wait_snd() >= 2 * usize::from(WINDOW) {
            return false;
        }
        for piece in framed(message).chunks(kcp.mss() * 32) {
            kcp.send(piece).expect("a piece is small");
        }
        true
    }

    fn receive(&mut self, _now: Instant) -> Option<Arrived> {
        let Self { lanes, buffer, .. } = self;
        for (number, Lane { kcp, framing }) in lanes.iter_mut().enumerate() {
            while let Ok(len) = kcp.recv(buffer) {
                framing.take(&buffer[..len]);
            }
            if let Some(arrived) = framing.next(number) {
                return Some(arrived);
            }
        }
        None
    }

    fn handle_datagram(&mut self, now: Instant, origin: Origin, datagram: &mut [u8]) {
        self.other = origin.remote;
        let lane = kcp::get_conv(datagram) as usize - 1;
        let kcp = &mut self.lanes[lane].kcp;
        // What it does not understand it drops.
        kcp.input(datagram).ok();
        if kcp.peeksize().is_ok() {
            self.told.push_back(Told::Readable);
        }
        self.refresh(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.update(now);
        if !std::mem::replace(&mut self.connected, true) {
            self.told.push_back(Told::Connected);
        }
        self.told.push_back(Told::Writable);
    }

    fn poll_transmit(&mut self, _now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        let datagram = self.written.0.borrow_mut().pop_front()?;
        buf[..datagram.len()].copy_from_slice(&datagram);
        Some(Transmit::new(self.other, datagram.len()))
    }

    fn poll_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.due)
    }

    fn addresses_changed(&mut self, _now: Instant) {}

    fn spurious(&self) -> Option<u64> {
        None
    }
}

fn millis(now: Instant) -> u32 {
    (now.as_micros() / 1_000) as u32
}

/// In packets.
const WINDOW: u16 = 1024;
