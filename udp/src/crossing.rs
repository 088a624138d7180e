//! What arrives at one shard and is for another.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use handfast_core::{
    Endpoint, Handover, Instant, Origin, PeerMap, Redirect, Siblings, Steering, steer,
};

use crate::{Clock, SocketStats};

/// The most shards: the byte of an index that names one has so many values.
pub const MAX_SHARDS: u16 = 256;

/// The map of peers that the shards of an endpoint share.
#[derive(Debug, Default)]
pub(crate) struct SharedPeers(Mutex<PeerMap>);

impl Siblings for SharedPeers {
    fn with(&self, act: &mut dyn FnMut(&mut PeerMap)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Wakes the driver of a shard.
pub(crate) type Bell = Box<dyn Fn() + Send + Sync>;

/// The way from one shard of an endpoint to the others: a bounded queue before each.
///
/// Dropping it says that the shard is gone: its peers may come to the others, which answer for it.
pub struct Crossing {
    shard: u8,
    doors: Arc<[Door]>,
    /// Taken from our own door.
    taken: VecDeque<Parcel>,
    peers: Arc<SharedPeers>,
    stats: SocketStats,
}

struct Door {
    /// `None` once the shard is gone.
    waiting: Mutex<Option<VecDeque<Parcel>>>,
    bell: Bell,
}

enum Parcel {
    /// For another shard as a whole.
    Datagram(Origin, Box<[u8]>),
    /// What another shard made of a datagram.
    Handover(Handover),
}

/// What became of a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    Waits,
    /// As many waited as may.
    Full,
    /// The shard is gone.
    Gone,
}

impl Door {
    fn new(bell: Bell) -> Self {
        Self { waiting: Mutex::new(Some(VecDeque::new())), bell }
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Parcel>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it wait if fewer than `most` do.
    fn put(&self, parcel: impl FnOnce() -> Parcel, most: usize) -> Put {
        let mut lock = self.lock();
        let Some(waiting) = &mut *lock else { return Put::Gone };
        if waiting.len() >= most {
            return Put::Full;
        }
        waiting.push_back(parcel());
        let is_first = waiting.len() == 1;
        drop(lock);
        if is_first {
            (self.bell)();
        }
        Put::Waits
    }
}

impl Crossing {
    /// The crossings of so many shards as there are bells, at most [`MAX_SHARDS`], which have these peers in common.
    pub(crate) fn among(bells: Vec<Bell>, peers: &Arc<SharedPeers>) -> Vec<Self> {
        let doors: Arc<[Door]> = bells.into_iter().take(MAX_SHARDS.into()).map(Door::new).collect();
        let crossing = |shard| Self {
            shard,
            doors: Arc::clone(&doors),
            taken: VecDeque::new(),
            peers: Arc::clone(peers),
            stats: SocketStats::default(),
        };
        (0..=u8::MAX).zip(doors.iter()).map(|(shard, _)| crossing(shard)).collect()
    }

    /// A datagram arrived at our socket: it goes to our core, or to another shard.
    pub(crate) fn deliver(
        &mut self,
        core: &mut Endpoint,
        now: Instant,
        origin: Origin,
        datagram: &mut [u8],
    ) {
        let shards = self.doors.len() as u16;
        if let Steering::Shard(shard) = steer(datagram, shards)
            && shard != self.shard
            && self.hand_over(shard, &origin, datagram, MAX_WAITING) != Put::Gone
        {
            return;
        }
        // Of a shard that is gone we know what any endpoint knows of sessions that are not its own, and say so.
        core.handle_datagram(now, origin, datagram);
        self.send_handover(core);
        match core.take_redirect() {
            None => {}
            Some(Redirect::Shard(shard)) => {
                let put = self.hand_over(shard, &origin, datagram, MAX_WAITING);
                // It went while we asked the map. Who sent this sends it again.
                self.stats.handovers_dropped += u64::from(put == Put::Gone);
            }
            Some(Redirect::Others) => {
                for shard in (0..=u8::MAX).take(shards.into()) {
                    if shard != self.shard {
                        self.hand_over(shard, &origin, datagram, MAX_HINTS);
                    }
                }
            }
        }
    }

    /// Hands what other shards left here to our core, a bounded number. Returns how many those were.
    pub(crate) fn take_in(&mut self, core: &mut Endpoint, clock: &Clock) -> u64 {
        self.refill();
        let count = self.taken.len().min(TAKEN_AT_ONCE);
        for _ in 0..count {
            match self.taken.pop_front() {
                Some(Parcel::Datagram(origin, mut datagram)) => {
                    core.handle_datagram(clock.now(), origin, &mut datagram);
                }
                Some(Parcel::Handover(handover)) => core.handle_handover(clock.now(), handover),
                None => break,
            }
            // The peer went elsewhere meanwhile. Who sent it sends it again.
            self.stats.handovers_dropped += u64::from(core.take_redirect().is_some());
            self.send_handover(core);
        }
        // What came meanwhile has rung, and does not ring again.
        self.refill();
        count as u64
    }

    /// Takes all that waits at our door, unless something is left of what was taken before.
    fn refill(&mut self) {
        if self.taken.is_empty()
            && let Some(door) = self.doors.get(usize::from(self.shard))
            && let Some(waiting) = &mut *door.lock()
        {
            mem::swap(waiting, &mut self.taken);
        }
    }

    /// Whether something was taken from other shards and not handed to the core yet.
    pub(crate) fn is_behind(&self) -> bool {
        !self.taken.is_empty()
    }

    pub(crate) const fn stats(&self) -> &SocketStats {
        &self.stats
    }

    fn hand_over(&mut self, shard: u8, origin: &Origin, datagram: &[u8], most: usize) -> Put {
        self.put(shard, || Parcel::Datagram(*origin, datagram.into()), most)
    }

    /// Sends on what our core has for another one.
    fn send_handover(&mut self, core: &mut Endpoint) {
        if let Some(handover) = core.take_handover() {
            let put = self.put(handover.shard(), || Parcel::Handover(handover), MAX_WAITING);
            self.stats.handovers_dropped += u64::from(put == Put::Gone);
        }
    }

    fn put(&mut self, shard: u8, parcel: impl FnOnce() -> Parcel, most: usize) -> Put {
        let Some(door) = self.doors.get(usize::from(shard)) else { return Put::Gone };
        let put = door.put(parcel, most);
        self.stats.datagrams_handed_over += u64::from(put == Put::Waits);
        self.stats.handovers_dropped += u64::from(put == Put::Full);
        put
    }
}

impl Drop for Crossing {
    fn drop(&mut self) {
        if let Some(door) = self.doors.get(usize::from(self.shard)) {
            *door.lock() = None;
        }
        self.peers.with(&mut |map| map.abandon(self.shard));
    }
}

impl fmt::Debug for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crossing")
            .field("shard", &self.shard)
            .field("of", &self.doors.len())
            .finish_non_exhaustive()
    }
}

/// How many parcels wait before a shard at most: about as much as the kernel queues for a socket.
const MAX_WAITING: usize = 1024;
/// The same before what nothing authenticates makes it wait: a flood of hints leaves room for what names its shard.
const MAX_HINTS: usize = MAX_WAITING / 4;
/// Of those, in one turn.
const TAKEN_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::{Config, Identity};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn core() -> (Endpoint, Clock) {
        let clock = Clock::start();
        let identity = Identity::from_seed([1; 32]);
        let config = Config::default().for_shard(0, 2, Arc::new(SharedPeers::default()));
        let config = config.validate().expect("sound");
        (Endpoint::new(config, identity, [2; 32], clock.now()), clock)
    }

    fn among(bells: Vec<Bell>) -> Vec<Crossing> {
        Crossing::among(bells, &Arc::default())
    }

    #[test]
    fn hints_that_anyone_can_send_leave_room_for_what_names_its_shard() {
        let mut crossings = among(vec![Box::new(|| {}), Box::new(|| {})]);
        let (mut core, clock) = core();
        let origin = Origin::from_remote(([127, 0, 0, 1], 1).into());
        let mut hint = [0; 16];
        (hint[0], hint[1]) = (0xc6, 6);
        for _ in 0..2 * MAX_HINTS {
            crossings[0].deliver(&mut core, clock.now(), origin, &mut hint);
        }
        let stats = *crossings[0].stats();
        assert_eq!((stats.datagrams_handed_over, stats.handovers_dropped), (256, 256));
        assert_eq!(core.stats().datagrams_received, 0, "they count where they are looked at");
        let mut sealed = [0; 40];
        (sealed[0], sealed[1], sealed[4]) = (0xc4, 6, 1);
        crossings[0].deliver(&mut core, clock.now(), origin, &mut sealed);
        assert_eq!(crossings[0].stats().datagrams_handed_over, 257);
    }

    #[test]
    fn what_names_a_shard_that_is_gone_is_answered_by_whoever_gets_it() {
        let peers = Arc::new(SharedPeers::default());
        let mut crossings = Crossing::among(vec![Box::new(|| {}), Box::new(|| {})], &peers);
        let (mut core, clock) = core();
        let origin = Origin::from_remote(([127, 0, 0, 1], 1).into());
        let send = |crossing: &mut Crossing, core: &mut Endpoint| {
            let mut sealed = [0; 40];
            (sealed[0], sealed[1], sealed[4]) = (0xc4, 6, 1);
            crossing.deliver(core, clock.now(), origin, &mut sealed);
        };
        send(&mut crossings[0], &mut core);
        assert_eq!(core.stats().unknown_session_sent, 0);
        drop(crossings.pop());
        send(&mut crossings[0], &mut core);
        let mut hint = [0; 2048];
        let sent = core.poll_transmit(clock.now(), &mut hint).expect("an answer");
        assert_eq!((sent.len, hint[0], core.stats().unknown_session_sent), (16, 0xc6, 1));
        let stats = *crossings[0].stats();
        assert_eq!((stats.datagrams_handed_over, stats.handovers_dropped), (1, 0));
    }

    #[test]
    fn what_names_another_shard_waits_before_it_and_no_more_than_there_is_room_for() {
        let rings = Arc::new(AtomicUsize::new(0));
        let bell = || -> Bell {
            let rings = Arc::clone(&rings);
            Box::new(move || _ = rings.fetch_add(1, Ordering::Relaxed))
        };
        let mut crossings = among(vec![bell(), bell()]);
        let (mut core, clock) = core();
        let origin = Origin::from_remote(([127, 0, 0, 1], 1).into());
        let send = |crossing: &mut Crossing, core: &mut Endpoint, shard: u8| {
            let mut sealed = [0; 40];
            (sealed[0], sealed[1], sealed[4]) = (0xc4, 6, shard);
            crossing.deliver(core, clock.now(), origin, &mut sealed);
        };
        for _ in 0..MAX_WAITING + 5 {
            send(&mut crossings[0], &mut core, 1);
        }
        send(&mut crossings[0], &mut core, 0);
        // There is no shard 2: whoever gets it finds that it names nothing.
        send(&mut crossings[0], &mut core, 2);
        assert_eq!(core.stats().datagrams_received, 2);
        assert_eq!(rings.load(Ordering::Relaxed), 1, "the first rings");
        let stats = *crossings[0].stats();
        assert_eq!((stats.datagrams_handed_over, stats.handovers_dropped), (1024, 5));
        let mut turns = 0;
        while crossings[1].take_in(&mut core, &clock) > 0 {
            turns += 1;
        }
        assert_eq!((turns, core.stats().datagrams_received), (16, 1026));
        assert!(!crossings[1].is_behind());

        // What comes while some are left rings, and is not slept over when the ring was heard before they are done.
        for _ in 0..TAKEN_AT_ONCE + 1 {
            send(&mut crossings[0], &mut core, 1);
        }
        crossings[1].take_in(&mut core, &clock);
        send(&mut crossings[0], &mut core, 1);
        assert_eq!(rings.load(Ordering::Relaxed), 3);
        assert_eq!(crossings[1].take_in(&mut core, &clock), 1);
        assert!(crossings[1].is_behind());
    }
}
