//! Two endpoints, and the datagrams between them.

use core::time::Duration;
use std::collections::VecDeque;

use handfast_core::{Config, Instant, PeerHandle, PeerId, Target};

use super::end::{Datagram, End, FUEL};

/// Two endpoints and a network that does nothing by itself.
#[derive(Debug)]
pub struct Pair {
    /// The time of both.
    pub now: Instant,
    /// Both ends.
    pub ends: [End; 2],
    /// Datagrams under way, oldest first.
    pub flight: VecDeque<Datagram>,
}

impl Pair {
    /// Two endpoints with the same choices that do not know each other.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let now = Instant::from_micros(1_000_000_000);
        let ends = [End::new(0, config.clone(), now), End::new(1, config, now)];
        Self { now, ends, flight: VecDeque::new() }
    }

    /// The same after the first called the second.
    ///
    /// # Panics
    /// They did not connect.
    #[must_use]
    pub fn connected(config: Config) -> Self {
        let mut pair = Self::new(config);
        let target = Target::new(pair.ends[1].endpoint.id(), [pair.ends[1].address]);
        let now = pair.now;
        pair.ends[0].endpoint.connect(now, target).expect("nothing speaks against it");
        pair.step(Duration::from_millis(100));
        assert!(pair.peer(0).is_some() && pair.peer(1).is_some(), "connected");
        pair
    }

    /// The identity of an end.
    #[must_use]
    pub fn id(&self, side: usize) -> PeerId {
        self.ends[side].endpoint.id()
    }

    /// How an end calls the other.
    #[must_use]
    pub fn peer(&self, side: usize) -> Option<PeerHandle> {
        self.ends[side].endpoint.peer_by_id(&self.id(1 - side))
    }

    /// Seals bytes with the live keys of one end for the other.
    pub fn lie(&mut self, liar: usize, path: u8, plaintext: &[u8]) -> Option<Datagram> {
        let peer = self.peer(liar)?;
        let end = &mut self.ends[liar];
        let (transmit, bytes) = end.endpoint.seal_for_test(self.now, peer, path, plaintext)?;
        Some(Datagram { from: end.address, to: transmit.destination, bytes })
    }

    /// Hands a datagram to whoever is at its destination. True if someone is.
    pub fn deliver(&mut self, datagram: Datagram) -> bool {
        let Some(side) = self.ends.iter().position(|end| end.address == datagram.to) else {
            return false;
        };
        self.ends[side].take(self.now, datagram);
        self.poll(side);
        true
    }

    /// Moves the time and lets both ends act on it.
    ///
    /// # Panics
    /// An end has something left to do at a time that it was told.
    pub fn advance(&mut self, to: Instant) {
        self.now = self.now.max(to);
        for side in 0..2 {
            self.ends[side].fire(self.now);
            self.poll(side);
        }
    }

    /// Delivers all that is under way and all that follows from it, for a while.
    pub fn step(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            for _ in 0..FUEL {
                let Some(datagram) = self.flight.pop_front() else { break };
                self.deliver(datagram);
            }
            let timeouts = self.ends.iter().filter_map(|end| end.endpoint.poll_timeout());
            let next = timeouts.min().map_or(end, |at| at.max(self.now)).min(end);
            let done = next == end;
            self.advance(next);
            if done && self.flight.is_empty() {
                return;
            }
        }
    }

    /// Collects what an end has to send and to tell.
    ///
    /// # Panics
    /// It does not come to an end, or something does not hold that always must.
    pub fn poll(&mut self, side: usize) {
        self.ends[side].poll(self.now, &mut self.flight);
    }

    /// The end loses all it knows, but its identity.
    pub fn restart(&mut self, side: usize) {
        self.ends[side].restart(self.now);
    }
}
