//! Everything between the core and the sockets, whatever a driver waits with.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::time::Duration;

use handfast_core::{Endpoint, Instant, SocketId};

use crate::{Clock, Inbox, Outbox, Socket, SocketStats};

/// A socket of a runtime.
pub trait Port {
    /// Reads one batch. False when there is nothing to read. Not called while the socket
    /// [pauses](Socket::is_pausing), which is no reason to wake the driver either.
    ///
    /// # Errors
    /// When the socket failed for good.
    fn receive(&mut self, inbox: &mut Inbox) -> io::Result<bool>;

    /// Sends what is pending. False when the system's send buffer is full: then the rest stays
    /// pending, and the runtime waits for room.
    ///
    /// # Errors
    /// When the runtime failed.
    fn flush(&mut self, outbox: &mut Outbox) -> io::Result<bool>;

    /// What is known about the socket.
    fn socket(&self) -> &Socket;
}

/// The batches of a driver on their way in and out.
///
/// A driver's sockets are its ports in the order of their [`SocketId`]s, the same at every call.
///
/// While a socket has no room, its batch waits. With a single socket nothing more is taken from
/// the core then: what waits, waits there. With several, the others go on, and what the core has
/// for the blocked one meanwhile waits behind its batch: a megabyte at most, the rest is lost.
pub struct Traffic {
    inbox: Inbox,
    filling: Outbox,
    /// One that waited and was sent: a socket that blocks now and then costs no memory each time.
    spare: Option<Outbox>,
    /// For each port, what it had no room for.
    waiting: Vec<VecDeque<Outbox>>,
    overflowed: u64,
    /// When what waits is given up: known once the end has come.
    give_up: Option<Instant>,
}

impl Traffic {
    /// For a driver with so many sockets.
    #[must_use]
    pub fn new(ports: usize) -> Self {
        Self {
            inbox: Inbox::new(),
            filling: Outbox::new(),
            spare: None,
            waiting: (0..ports).map(|_| VecDeque::new()).collect(),
            overflowed: 0,
            give_up: None,
        }
    }

    /// Hands one batch of each port to the core: what arrived is answered before more is read. The
    /// ports remember whether there may be more.
    ///
    /// # Errors
    /// When a socket failed for good.
    pub fn receive(
        &mut self,
        core: &mut Endpoint,
        clock: &Clock,
        ports: &mut [impl Port],
    ) -> io::Result<()> {
        for (id, port) in (0..).map(SocketId).zip(ports) {
            if !port.socket().is_pausing() && port.receive(&mut self.inbox)? {
                let now = clock.now();
                for (origin, datagram) in self.inbox.datagrams(id) {
                    core.handle_datagram(now, origin, datagram);
                }
            }
        }
        Ok(())
    }

    /// Sends until there is nothing to send, or no room, or it is somebody else's turn. Returns
    /// whether it stopped for the last reason.
    ///
    /// # Errors
    /// When a runtime failed.
    pub fn transmit<P: Port>(
        &mut self,
        core: &mut Endpoint,
        clock: &Clock,
        ports: &mut [P],
    ) -> io::Result<bool> {
        for (waiting, port) in self.waiting.iter_mut().zip(ports.iter_mut()) {
            while let Some(batch) = waiting.front_mut()
                && port.flush(batch)?
            {
                self.spare = waiting.pop_front();
            }
        }
        let batch_len = ports.iter().map(|port| port.socket().batch_len()).min().unwrap_or(0);
        for _ in 0..BATCHES_PER_TURN {
            let all_blocked = self.waiting.iter().all(|waiting| !waiting.is_empty());
            if all_blocked || !self.filling.fill(core, clock.now(), batch_len) {
                return Ok(false);
            }
            self.dispatch(ports)?;
        }
        Ok(true)
    }

    /// Sends the batch that was filled, or has it wait.
    fn dispatch(&mut self, ports: &mut [impl Port]) -> io::Result<()> {
        let id = self.filling.pending().unwrap_or_default();
        let at = usize::from(id.0);
        let (Some(port), Some(waiting)) = (ports.get_mut(at), self.waiting.get_mut(at)) else {
            tracing::warn!(target: "handfast::driver", ?id, "a batch for no socket of ours");
            self.filling.discard();
            return Ok(());
        };
        if waiting.is_empty() && port.flush(&mut self.filling)? {
            return Ok(());
        }
        if waiting.len() < MAX_WAITING {
            let empty = self.spare.take().unwrap_or_default();
            waiting.push_back(mem::replace(&mut self.filling, empty));
        } else {
            self.overflowed += self.filling.discard();
        }
        Ok(())
    }

    /// Whether the port at this position has something to send once there is room.
    #[must_use]
    pub fn is_waiting(&self, port: usize) -> bool {
        self.waiting.get(port).is_some_and(|waiting| !waiting.is_empty())
    }

    /// To be asked at every turn once the core is closed: whether nothing waits to be sent any more.
    ///
    /// A socket that stays blocked would have the driver wait for ever. So what still waits a second
    /// after the first call is dropped.
    pub fn wind_up(&mut self, now: Instant) -> bool {
        if self.is_idle() {
            return true;
        }
        if now < *self.give_up.get_or_insert(now + LAST_CHANCE) {
            return false;
        }
        let batches = self.waiting.iter_mut().flat_map(|waiting| waiting.drain(..));
        self.overflowed += batches.map(|mut batch| batch.discard()).sum::<u64>();
        true
    }

    /// When the traffic itself needs another turn, whatever the sockets say: a socket that failed
    /// is to be tried again, or what waits is to be given up.
    #[must_use]
    pub fn deadline(&self, clock: &Clock, ports: &[impl Port]) -> Option<Instant> {
        let pauses = ports.iter().filter_map(|port| port.socket().pauses_until());
        let give_up = self.give_up.filter(|_| !self.is_idle());
        pauses.map(|until| clock.at(until)).chain(give_up).min()
    }

    /// Whether nothing waits to be sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.waiting.iter().all(VecDeque::is_empty)
    }

    /// The counters of all ports together.
    #[must_use]
    pub fn stats(&self, ports: &[impl Port]) -> SocketStats {
        let mut sum =
            SocketStats { datagrams_overflowed: self.overflowed, ..SocketStats::default() };
        for port in ports {
            sum += *port.socket().stats();
        }
        sum
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: Vec<_> = self.waiting.iter().map(VecDeque::len).collect();
        f.debug_struct("Traffic").field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// Fires the core's deadline if it is due: by the clock, for what woke the driver may be late or
/// early.
pub fn fire_timers(core: &mut Endpoint, clock: &Clock) {
    let now = clock.now();
    if core.poll_timeout().is_some_and(|deadline| now >= deadline) {
        core.handle_timeout(now);
    }
}

/// A few milliseconds at most.
const BATCHES_PER_TURN: usize = 32;
/// For the system to find room for the last goodbye.
const LAST_CHANCE: Duration = Duration::from_secs(1);
/// Of batches of 64 KiB.
const MAX_WAITING: usize = 16;

#[cfg(test)]
mod tests;
