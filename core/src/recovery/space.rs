//! The packet numbers of one path id, in both directions: what was sent under them, what arrived.

use core::time::Duration;

use super::ack::AckTracker;
use super::replay::ReplayWindow;
use super::sent::SentPackets;
use crate::crypto::rng::Rng;
use crate::net::Ecn;
use crate::pack::pack;
use crate::time::{Instant, micros};
use crate::wire::{self, PacketNumber, Writer};

/// What goes with one path id as long as both ends keep their state, whatever carries its packets.
///
/// A packet number is the nonce of its packet. So a counter never goes back, and a number that was
/// received counts as received for ever.
#[derive(Debug)]
pub(crate) struct PacketSpace<F> {
    id: u8,
    /// The packets sent, with what they carried.
    sent: SentPackets<F>,
    /// The next counter to leave out.
    skip_at: Option<u64>,
    replay: ReplayWindow,
    highest: Option<u64>,
    /// When the present round trip of arrivals began, and with which counter.
    round: Option<(Instant, u64)>,
    acks: AckTracker,
}

pack!(PacketSpace<F>: id, sent, skip_at, replay, highest, round, acks);

/// How soon the sender of a packet wants to hear that it arrived. The greater, the sooner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AckWant {
    /// It does not want to hear of it.
    #[default]
    Nothing,
    InTime,
    /// At once, but it may want so of many packets.
    Asked,
    /// It waits for nothing else.
    AtOnce,
}

/// How far a path id was used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// The counter of the next packet sent.
    next_counter: u64,
    /// Counters below count as received.
    replay_floor: u64,
}

pack!(Mark: next_counter, replay_floor);

impl Mark {
    /// Whether a packet with this counter may have been received.
    pub(super) const fn covers(&self, counter: u64) -> bool {
        counter < self.replay_floor
    }
}

impl<F: Copy> PacketSpace<F> {
    /// The space of the path id `id`, which was used as far as `start` says.
    pub(super) fn new(id: u8, start: Mark, max_ack_delay: Duration) -> Self {
        Self {
            id,
            sent: SentPackets::new(start.next_counter),
            skip_at: None,
            replay: ReplayWindow::above(start.replay_floor),
            highest: start.replay_floor.checked_sub(1),
            round: None,
            acks: AckTracker::new(max_ack_delay),
        }
    }

    /// How far the path id was used.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn mark(&self) -> Mark {
        let replay_floor = self.highest.map_or(0, |highest| highest + 1);
        Mark { next_counter: self.sent.next_counter(), replay_floor }
    }

    pub(crate) const fn id(&self) -> u8 {
        self.id
    }

    pub(crate) const fn acks(&self) -> &AckTracker {
        &self.acks
    }

    pub(crate) const fn sent(&self) -> &SentPackets<F> {
        &self.sent
    }

    pub(crate) const fn sent_mut(&mut self) -> &mut SentPackets<F> {
        &mut self.sent
    }

    /// Whether a packet with this counter was not received and is not below the replay window.
    pub(crate) fn is_new(&self, counter: u64) -> bool {
        self.replay.is_new(counter)
    }

    /// Notes that an authenticated packet arrived; true if no later one arrived before it. `rtt` is
    /// the round-trip time of the path.
    pub(crate) fn on_received(&mut self, counter: u64, rtt: Duration, now: Instant) -> bool {
        self.widen_replay_window(counter, rtt, now);
        self.replay.insert(counter);
        let newest = self.highest.is_none_or(|highest| counter > highest);
        if newest {
            self.highest = Some(counter);
        }
        newest
    }

    /// Notes that the frames of a packet that arrived were taken: it is to be acknowledged. `srtt` is the
    /// smoothed round-trip time of the path.
    pub(crate) fn on_processed(
        &mut self,
        counter: u64,
        want: AckWant,
        ecn: Option<Ecn>,
        srtt: Duration,
        now: Instant,
    ) {
        self.acks.on_packet(counter, want > AckWant::Nothing, ecn, now);
        match want {
            AckWant::Nothing | AckWant::InTime => {}
            AckWant::Asked => self.acks.expedite_asked(now, srtt),
            AckWant::AtOnce => self.acks.expedite(now),
        }
    }

    /// Writes an acknowledgement of what arrived, if it fits whole: an empty packet has room for any.
    /// Returns the highest counter in it.
    pub(crate) fn write_ack(&mut self, now: Instant, writer: &mut Writer<'_>) -> Option<u64> {
        let ecn = self.acks.ecn();
        let delay = micros(self.acks.delay(now));
        let start = writer.position();
        let largest = self.acks.highest();
        let written = wire::encode_ack(writer, self.id, delay, ecn, self.acks.ranges());
        if written == 0 || written < self.acks.range_count() {
            writer.rollback(start);
            return None;
        }
        self.acks.on_sent(now);
        largest
    }

    /// The peer received an acknowledgement of ours whose highest counter was `largest`.
    pub(crate) fn on_ack_of_ack(&mut self, largest: u64) {
        self.acks.on_ack_of_ack(largest);
    }

    /// The number of the next packet; `None` once all are used up.
    pub(crate) fn next_number(&self) -> Option<PacketNumber> {
        PacketNumber::new(self.id, self.sent.next_counter())
    }

    /// Leaves out a packet number now and then: a peer that acknowledges it guesses, to make us send
    /// faster than the path bears.
    pub(crate) fn skip_number_sometimes(&mut self, now: Instant, rng: &mut Rng) {
        let next = self.sent.next_counter();
        let at = *self.skip_at.get_or_insert_with(|| next + SKIP_AFTER + rng.below(SKIP_AFTER));
        if next >= at {
            self.sent.skip_counter(now);
            self.skip_at = None;
        }
    }

    /// Adds a frame to the packet being built.
    pub(crate) fn push_frame(&mut self, frame: F) {
        self.sent.push_frame(frame);
    }

    /// The packet being built is not sent after all.
    pub(crate) fn abandon(&mut self) {
        self.sent.abandon();
    }

    /// Whether a packet with this counter was sent a short while ago.
    pub(crate) fn was_sent_lately(&self, counter: u64) -> bool {
        is_recent(counter, self.sent.next_counter())
    }

    /// Whether more packets wait for their fate than any honest peer leaves behind.
    pub(crate) fn is_overfull(&self) -> bool {
        self.sent.len() > MAX_REMEMBERED
    }

    /// As if all packets up to `counter` had been sent.
    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, counter: u64) {
        self.sent = SentPackets::new(counter);
    }

    /// Gives memory back: nothing was received for a while. True if nothing is in flight either.
    pub(crate) fn on_idle(&mut self) -> bool {
        self.replay.shrink();
        self.round = None;
        self.acks.adapt(0);
        let idle = self.sent.packets_in_flight() == 0;
        if idle {
            self.sent.release();
        }
        idle
    }

    /// The replay window covers twice what arrives in a round trip, so that reordering is not taken
    /// for replay. The first packets of a busy round widen it already.
    fn widen_replay_window(&mut self, counter: u64, rtt: Duration, now: Instant) {
        let (since, first) = *self.round.get_or_insert((now, counter));
        let arrived = counter.saturating_sub(first);
        if arrived > IN_USE {
            self.replay.grow(WINDOW_IN_USE.max(2 * arrived));
        }
        let elapsed = now.saturating_since(since);
        if elapsed >= rtt {
            // A pause shows that they do not come fast any more.
            self.acks.adapt(if elapsed < rtt * 2 { arrived } else { 0 });
            self.round = Some((now, counter));
        }
    }
}

/// One number is left out after this many packets to twice as many: a peer that acknowledges it did not
/// wait for packets (the optimistic acknowledgement of RFC 9000 section 21.4).
const SKIP_AFTER: u64 = 256;
/// So many packets in a round trip make a path one in use.
const IN_USE: u64 = 64;
/// How many numbers the replay window of a path in use covers.
const WINDOW_IN_USE: u64 = 2048;
/// Packets remembered at most: 300 MB under way, 8 MB of memory.
const MAX_REMEMBERED: usize = 1 << 18;

/// Whether a counter is one of the last before `next`.
pub(super) const fn is_recent(counter: u64, next: u64) -> bool {
    counter < next && next - counter <= LATELY
}

/// How many numbers back an `UnknownSession` may refer to.
const LATELY: u64 = 1024;
