//! Everything between the core and the sockets, whatever a driver waits with.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::mem;
use std::ops::Bound;
use std::time::Duration;

use handfast_core::{Endpoint, Instant, SocketId};

use crate::interfaces::Interfaces;
use crate::{Clock, Crossing, Inbox, Outbox, Port, SocketStats};

mod sockets;
mod turn;

use turn::Turn;

/// The sockets of a driver, and the batches on their way in and out.
///
/// While a socket has no room, its batch waits. With a single socket nothing more is taken from
/// the core then: what waits, waits there. With several, the others go on, and what the core has
/// for the blocked one meanwhile waits behind its batch: a megabyte at most, the rest is lost.
///
/// A driver's *turn* begins with [`Self::receive`]. It takes in at most 64 datagrams and lasts about
/// 50 us, whichever is first; then [`Self::transmit`] sends one batch at least, and as many datagrams as came.
/// What is left is for the next turn ([`Self::is_behind`]), so that whoever shares the thread never waits for long.
pub struct Traffic<P> {
    inbox: Inbox,
    /// The socket that was read last: the inbox may have more of its datagrams.
    reading: SocketId,
    turn: Turn,
    filling: Outbox,
    /// One that waited and was sent: a socket that blocks now and then costs no memory each time.
    spare: Option<Outbox>,
    lanes: BTreeMap<SocketId, Lane<P>>,
    /// What is counted beside the sockets: by those that are closed, and datagrams dropped here.
    retired: SocketStats,
    /// When what waits is given up: known once the end has come.
    give_up: Option<Instant>,
    /// What the core is told of this machine; nothing unless it tells its peers.
    interfaces: Option<Interfaces>,
    /// The way to the other shards, if this is a shard.
    crossing: Option<Box<Crossing>>,
}

/// A socket, and what it had no room for.
struct Lane<P> {
    port: P,
    waiting: VecDeque<Outbox>,
    /// The core closes it again when it has no use for it: nobody is told of it.
    is_temporary: bool,
}

impl<P> Lane<P> {
    const fn new(port: P, is_temporary: bool) -> Self {
        Self { port, waiting: VecDeque::new(), is_temporary }
    }

    /// Forgets what waits. Returns how many datagrams that were.
    fn discard(&mut self) -> u64 {
        self.waiting.drain(..).map(|mut batch| batch.discard()).sum()
    }
}

impl<P: Port> Traffic<P> {
    fn new(now: Instant, longest_turn: Duration) -> Self {
        Self {
            inbox: Inbox::new(),
            reading: SocketId::default(),
            turn: Turn::begin(now, longest_turn),
            filling: Outbox::new(),
            spare: None,
            lanes: BTreeMap::new(),
            retired: SocketStats::default(),
            give_up: None,
            interfaces: None,
            crossing: None,
        }
    }

    /// Begins a turn: hands datagrams to the core until each socket was read once or the turn is
    /// over. Sockets take turns, too. The ports remember whether there may be more to read.
    ///
    /// # Errors
    /// When a socket failed for good.
    pub fn receive(&mut self, core: &mut Endpoint, clock: &Clock) -> io::Result<()> {
        let now = clock.now();
        self.turn = self.turn.next(now);
        self.tell_interfaces(core, now);
        let mut has_enough = self.hand_over(core, clock, now);
        if let Some(crossing) = &mut self.crossing {
            self.turn.count_in(crossing.take_in(core, clock));
            has_enough = self.turn.has_enough(clock.now());
        }
        for _ in 0..self.lanes.len() {
            if has_enough {
                return Ok(());
            }
            self.reading = self.after(self.reading);
            let Some(Lane { port, .. }) = self.lanes.get_mut(&self.reading) else { continue };
            if !port.socket().is_pausing() && port.receive(&mut self.inbox)? {
                has_enough = self.hand_over(core, clock, clock.now());
            }
        }
        Ok(())
    }

    /// Hands over what was read, as far as the turn allows: one datagram at least, however long it took to read. Whether the
    /// rest waits for the next turn.
    fn hand_over(&mut self, core: &mut Endpoint, clock: &Clock, mut now: Instant) -> bool {
        while let Some((origin, datagram)) = self.inbox.take(self.reading) {
            match &mut self.crossing {
                None => core.handle_datagram(now, origin, datagram),
                Some(crossing) => crossing.deliver(core, now, origin, datagram),
            }
            self.turn.count_in(1);
            now = clock.now();
            if self.turn.has_enough(now) {
                return true;
            }
        }
        false
    }

    /// The socket whose turn comes after that of `socket`.
    fn after(&self, socket: SocketId) -> SocketId {
        let later = self.lanes.range((Bound::Excluded(socket), Bound::Unbounded)).next();
        later.or_else(|| self.lanes.first_key_value()).map_or(socket, |(next, _)| *next)
    }

    /// Whether datagrams were read, here or by another shard, and not handed to the core yet: another turn is due at once.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.inbox.left() > 0 || self.crossing.as_ref().is_some_and(|crossing| crossing.is_behind())
    }

    /// Whether the turn is long already: what is not urgent waits for the next.
    #[must_use]
    pub fn is_turn_long(&self, clock: &Clock) -> bool {
        self.turn.is_long(clock.now())
    }

    /// Others had their turn in the middle of ours: what is left of it may last as long as a whole one.
    pub fn resume(&mut self, now: Instant) {
        self.turn.resume(now);
    }

    /// Sends until there is nothing to send, or no room, or the turn is over. Returns whether it
    /// stopped for the last reason. One batch at least is sent, and as many datagrams as the turn took in.
    ///
    /// # Errors
    /// When a runtime failed.
    pub fn transmit(&mut self, core: &mut Endpoint, clock: &Clock) -> io::Result<bool> {
        for Lane { port, waiting, .. } in self.lanes.values_mut() {
            while let Some(batch) = waiting.front_mut()
                && port.flush(batch)?
            {
                self.spare = waiting.pop_front();
            }
        }
        let batch_len = self.lanes.values().map(|lane| lane.port.socket().batch_len()).min();
        let mut now = clock.now();
        loop {
            let all_blocked = self.lanes.values().all(|lane| !lane.waiting.is_empty());
            if all_blocked || !self.filling.fill(core, now, batch_len.unwrap_or(0)) {
                return Ok(false);
            }
            self.turn.count_out(self.filling.left());
            self.dispatch()?;
            now = clock.now();
            if self.turn.is_over(now) {
                return Ok(true);
            }
        }
    }

    /// Sends the batch that was filled, or has it wait.
    fn dispatch(&mut self) -> io::Result<()> {
        let socket = self.filling.pending().unwrap_or_default();
        let Some(Lane { port, waiting, .. }) = self.lanes.get_mut(&socket) else {
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
        if let Some(crossing) = &self.crossing {
            sum += *crossing.stats();
        }
        for lane in self.lanes.values() {
            sum += *lane.port.socket().stats();
        }
        // What the core does not have yet is not received yet.
        sum.datagrams_received -= self.inbox.left();
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
pub fn fire_timers(core: &mut Endpoint, now: Instant) {
    if core.poll_timeout().is_some_and(|deadline| now >= deadline) {
        core.handle_timeout(now);
    }
}

/// For the system to find room for the last goodbye.
const LAST_CHANCE: Duration = Duration::from_secs(1);
/// Of batches of 64 KiB.
const MAX_WAITING: usize = 16;

#[cfg(test)]
mod tests;
