//! Everything between the core and the sockets, whatever a driver waits with.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::time::Duration;

use handfast_core::{Endpoint, Instant, SocketId};

use crate::{Clock, Inbox, Outbox, Port, SocketStats};

mod sockets;

/// The sockets of a driver, and the batches on their way in and out.
///
/// While a socket has no room, its batch waits. With a single socket nothing more is taken from
/// the core then: what waits, waits there. With several, the others go on, and what the core has
/// for the blocked one meanwhile waits behind its batch: a megabyte at most, the rest is lost.
pub struct Traffic<P> {
    inbox: Inbox,
    filling: Outbox,
    /// One that waited and was sent: a socket that blocks now and then costs no memory each time.
    spare: Option<Outbox>,
    lanes: BTreeMap<SocketId, Lane<P>>,
    /// What is counted beside the sockets: by those that are closed, and datagrams dropped here.
    retired: SocketStats,
    /// When what waits is given up: known once the end has come.
    give_up: Option<Instant>,
}

/// A socket, and what it had no room for.
struct Lane<P> {
    port: P,
    waiting: VecDeque<Outbox>,
}

impl<P> Lane<P> {
    const fn new(port: P) -> Self {
        Self { port, waiting: VecDeque::new() }
    }

    /// Forgets what waits. Returns how many datagrams that were.
    fn discard(&mut self) -> u64 {
        self.waiting.drain(..).map(|mut batch| batch.discard()).sum()
    }
}

impl<P: Port> Traffic<P> {
    fn new() -> Self {
        Self {
            inbox: Inbox::new(),
            filling: Outbox::new(),
            spare: None,
            lanes: BTreeMap::new(),
            retired: SocketStats::default(),
            give_up: None,
        }
    }

    /// Hands one batch of each socket to the core: what arrived is answered before more is read. The
    /// ports remember whether there may be more.
    ///
    /// # Errors
    /// When a socket failed for good.
    pub fn receive(&mut self, core: &mut Endpoint, clock: &Clock) -> io::Result<()> {
        for (socket, Lane { port, .. }) in &mut self.lanes {
            if !port.socket().is_pausing() && port.receive(&mut self.inbox)? {
                let now = clock.now();
                for (origin, datagram) in self.inbox.datagrams(*socket) {
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
    pub fn transmit(&mut self, core: &mut Endpoint, clock: &Clock) -> io::Result<bool> {
        for Lane { port, waiting } in self.lanes.values_mut() {
            while let Some(batch) = waiting.front_mut()
                && port.flush(batch)?
            {
                self.spare = waiting.pop_front();
            }
        }
        let batch_len = self.lanes.values().map(|lane| lane.port.socket().batch_len()).min();
        for _ in 0..BATCHES_PER_TURN {
            let all_blocked = self.lanes.values().all(|lane| !lane.waiting.is_empty());
            if all_blocked || !self.filling.fill(core, clock.now(), batch_len.unwrap_or(0)) {
                return Ok(false);
            }
            self.dispatch()?;
        }
        Ok(true)
    }

    /// Sends the batch that was filled, or has it wait.
    fn dispatch(&mut self) -> io::Result<()> {
        let socket = self.filling.pending().unwrap_or_default();
        let Some(Lane { port, waiting }) = self.lanes.get_mut(&socket) else {
            // No other reaches the destination, or the core would have named that one.
            tracing::debug!(target: "handfast::driver", ?socket, "a batch for a closed socket");
            self.retired.datagrams_overflowed += self.filling.discard();
            return Ok(());
        };
        if waiting.is_empty() && port.flush(&mut self.filling)? {
            return Ok(());
        }
        if waiting.len() < MAX_WAITING {
            let empty = self.spare.take().unwrap_or_default();
            waiting.push_back(mem::replace(&mut self.filling, empty));
        } else {
            self.retired.datagrams_overflowed += self.filling.discard();
        }
        Ok(())
    }

    /// All sockets, those first that were opened first.
    pub fn ports(&self) -> impl Iterator<Item = (SocketId, &P)> {
        self.lanes.iter().map(|(socket, lane)| (*socket, &lane.port))
    }

    /// The same, to change their state.
    pub fn ports_mut(&mut self) -> impl Iterator<Item = &mut P> {
        self.lanes.values_mut().map(|lane| &mut lane.port)
    }

    /// One socket, to change its state. `None` once it is closed.
    pub fn port_mut(&mut self, socket: SocketId) -> Option<&mut P> {
        self.lanes.get_mut(&socket).map(|lane| &mut lane.port)
    }

    /// Whether this socket has something to send once there is room.
    #[must_use]
    pub fn is_waiting(&self, socket: SocketId) -> bool {
        self.lanes.get(&socket).is_some_and(|lane| !lane.waiting.is_empty())
    }

    /// To be called at every turn: whether the endpoint is closed, as [`Self::is_closed`] says.
    ///
    /// A socket that stays blocked would have the driver wait for ever. So what still waits a second
    /// after the first call that found the core closed is dropped.
    pub fn shutdown(&mut self, core: &Endpoint, now: Instant) -> bool {
        if core.is_closed()
            && !self.is_idle()
            && now >= *self.give_up.get_or_insert(now + LAST_CHANCE)
        {
            let dropped: u64 = self.lanes.values_mut().map(Lane::discard).sum();
            self.retired.datagrams_overflowed += dropped;
        }
        self.is_closed(core)
    }

    /// Whether an endpoint that was told to close is closed: the core is
    /// ([`Endpoint::is_closed`]), and nothing waits to be sent.
    #[must_use]
    pub fn is_closed(&self, core: &Endpoint) -> bool {
        core.is_closed() && self.is_idle()
    }

    /// When the traffic itself needs another turn, whatever the sockets say: a socket that failed
    /// is to be tried again, or what waits is to be given up.
    #[must_use]
    pub fn deadline(&self, clock: &Clock) -> Option<Instant> {
        let pauses = self.lanes.values().filter_map(|lane| lane.port.socket().pauses_until());
        let give_up = self.give_up.filter(|_| !self.is_idle());
        pauses.map(|until| clock.at(until)).chain(give_up).min()
    }

    /// Whether nothing waits to be sent.
    fn is_idle(&self) -> bool {
        self.lanes.values().all(|lane| lane.waiting.is_empty())
    }

    /// The counters of all sockets together, also of those that are closed.
    #[must_use]
    pub fn stats(&self) -> SocketStats {
        let mut sum = self.retired;
        for lane in self.lanes.values() {
            sum += *lane.port.socket().stats();
        }
        sum
    }
}

impl<P> fmt::Debug for Traffic<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting: BTreeMap<_, _> =
            self.lanes.iter().map(|(socket, lane)| (socket, lane.waiting.len())).collect();
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
