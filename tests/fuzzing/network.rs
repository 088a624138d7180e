//! The network between several ends: what is sent arrives late, twice, changed or not at all, as it
//! was told.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use handfast_core::Instant;

use super::end::Datagram;
use super::operation::{Fault, Tamper};

/// Datagrams under way and those that passed lately.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// By the time of arrival, in the order of sending.
    flight: BTreeMap<(Instant, u64), Datagram>,
    sent: u64,
    links: BTreeMap<(usize, usize), Link>,
    /// What someone on the way wrote down, oldest first.
    seen: VecDeque<Datagram>,
}

/// One direction between two ends.
#[derive(Clone, Copy, Debug)]
struct Link {
    delay: Duration,
    drop: u8,
    duplicate: u8,
    hold: u8,
    corrupt: u8,
    count: u64,
}

impl Default for Link {
    fn default() -> Self {
        Self { delay: BASE_DELAY, drop: 0, duplicate: 0, hold: 0, corrupt: 0, count: 0 }
    }
}

impl Network {
    /// From now on the link is like this, too.
    pub(super) fn disturb(&mut self, link: (usize, usize), fault: Fault) {
        let link = self.links.entry(link).or_default();
        match fault {
            Fault::Delay(delay) => link.delay = delay,
            Fault::Drop(every) => link.drop = every,
            Fault::Duplicate(every) => link.duplicate = every,
            Fault::Hold(every) => link.hold = every,
            Fault::Corrupt(every) => link.corrupt = every,
        }
    }

    /// Nothing is lost, changed or held back from now on.
    pub(super) fn heal(&mut self) {
        self.links.clear();
    }

    /// Takes a datagram in. `to` is who was there when it left.
    pub(super) fn send(&mut self, now: Instant, from: usize, to: Option<usize>, sent: Datagram) {
        self.seen.push_back(sent.clone());
        if self.seen.len() > MAX_SEEN {
            self.seen.pop_front();
        }
        // Nobody's address: it may be somebody's on arrival.
        let link = self.links.entry((from, to.unwrap_or(usize::MAX))).or_default();
        link.count += 1;
        let (link, mut datagram) = (*link, sent);
        let hits = |every: u8| every > 0 && link.count.is_multiple_of(every.into());
        if hits(link.drop) {
            return;
        }
        if hits(link.corrupt) {
            let at = link.count as usize % datagram.bytes.len().max(1);
            datagram.bytes[at] ^= 1 << (link.count % 8);
        }
        let held = if hits(link.hold) { HOLD } else { Duration::ZERO };
        let arrival = now + link.delay + held;
        if hits(link.duplicate) {
            self.put(arrival + BASE_DELAY, datagram.clone());
        }
        self.put(arrival, datagram);
    }

    /// Sends what passed before once more.
    pub(super) fn replay(&mut self, now: Instant, which: u8, tamper: Tamper, stranger: SocketAddr) {
        let Some(at) = usize::from(which).checked_rem(self.seen.len()) else { return };
        let mut datagram = self.seen[self.seen.len() - 1 - at].clone();
        if let Some(byte) = datagram.bytes.get_mut(usize::from(tamper.at)) {
            *byte = byte.wrapping_add(tamper.change);
        }
        if tamper.is_spoofed {
            datagram.from = stranger;
        }
        self.put(now, datagram);
    }

    /// When the next datagram arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.flight.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next datagram that has arrived.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<Datagram> {
        let entry = self.flight.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(entry.remove())
    }

    fn put(&mut self, arrival: Instant, datagram: Datagram) {
        // A full router drops what comes last.
        if self.flight.len() < MAX_FLIGHT {
            self.sent += 1;
            self.flight.insert((arrival, self.sent), datagram);
        }
    }
}

/// One way, undisturbed.
const BASE_DELAY: Duration = Duration::from_millis(5);
/// How much later than the others a datagram comes that was held back.
const HOLD: Duration = Duration::from_millis(120);
const MAX_FLIGHT: usize = 512;
const MAX_SEEN: usize = 256;
