//! The ledger of packets sent on one path: what each carried, and what became of it.
//!
//! Counters are consecutive, so records lie in a ring indexed by counter, and the frames of all
//! packets in one shared queue: sending allocates nothing once both have grown to the window.

mod outcome;

use alloc::collections::{VecDeque, vec_deque};
use core::ops::{Range, RangeInclusive};
use core::time::Duration;

pub(crate) use outcome::{AckOutcome, NeverSent, ResolvedPacket};

use super::ranges::RangeSet;
use crate::pack::{pack, pack_enum};
use crate::time::Instant;

/// The packets of one path that may still be acknowledged, with their frames.
#[derive(Debug)]
pub(crate) struct SentPackets<F> {
    packets: VecDeque<Packet>,
    /// The frames of `packets`, in order, and then those of the packet being built.
    frames: VecDeque<F>,
    /// How many those are: fewer than a datagram has bytes.
    staged: u16,
    /// Counters at or above `base` that were acknowledged: finds the news in an acknowledgement
    /// that mostly repeats itself.
    acked: RangeSet,
    /// The counter of `packets[0]`.
    base: u64,
    /// No packet below is in flight.
    cursor: u64,
    /// One more than the highest counter acknowledged.
    acked_end: u64,
    /// Of the present generation.
    bytes_in_flight: u64,
    last_eliciting: Option<Instant>,
    /// The last ack-eliciting packet is acknowledged at once.
    last_asks_ack_now: bool,
    packets_in_flight: u32,
    /// Packets declared lost in the current loss epoch, and those of them not acknowledged since.
    lost: u32,
    missing: u32,
    /// The last counter that was left out.
    skipped: Option<u64>,
    epoch: u8,
    /// The path that packets are sent on now, among all that this space has served.
    generation: u8,
}

pack!(SentPackets<F>:
    packets, frames, staged, acked, base, cursor, acked_end, bytes_in_flight, last_eliciting,
    last_asks_ack_now, packets_in_flight, lost, missing, skipped, epoch, generation,
);

/// The record of one packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet {
    /// When it was sent.
    pub(crate) sent_at: Instant,
    /// Absolute position of its first frame; that of `frames[0]` is the front packet's.
    first_frame: u64,
    /// The highest counter acknowledged by an `Ack` it carried, or `NO_ACK`.
    acks_up_to: u64,
    /// Bytes of UDP payload.
    pub(crate) size: u16,
    frame_count: u16,
    state: State,
    /// The loss epoch in which it was declared lost.
    epoch: u8,
    /// The path that it was sent on, as in `SentPackets::generation`.
    generation: u8,
    /// It left with an ECN mark.
    pub(crate) is_marked: bool,
}

pack!(Packet:
    sent_at, first_frame, acks_up_to, size, frame_count, state, epoch, generation, is_marked,
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Ack-eliciting, fate unknown.
    InFlight,
    /// Elicits no acknowledgement; may be covered by one.
    Untracked,
    Acked,
    Lost,
    /// A counter that was never sent: acknowledging it is a lie.
    Skipped,
}

pack_enum!(State: InFlight, Untracked, Acked, Lost, Skipped);

/// What the sender knows about a packet as it leaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    /// Bytes of UDP payload.
    pub(crate) size: u16,
    /// The peer will acknowledge it.
    pub(crate) ack_eliciting: bool,
    /// The peer will acknowledge it at once.
    pub(crate) asks_ack_now: bool,
    /// It leaves with an ECN mark.
    pub(crate) is_marked: bool,
    /// The highest counter acknowledged by an `Ack` in it.
    pub(crate) acks_up_to: Option<u64>,
}

impl<F: Copy> SentPackets<F> {
    /// An empty ledger whose first packet will have the counter `first`.
    pub(crate) fn new(first: u64) -> Self {
        Self {
            packets: VecDeque::new(),
            frames: VecDeque::new(),
            staged: 0,
            acked: RangeSet::new(),
            base: first,
            cursor: first,
            acked_end: first,
            bytes_in_flight: 0,
            last_eliciting: None,
            last_asks_ack_now: false,
            packets_in_flight: 0,
            lost: 0,
            missing: 0,
            skipped: None,
            epoch: 0,
            generation: 0,
        }
    }

    /// The counter of the next packet.
    pub(crate) fn next_counter(&self) -> u64 {
        self.base + self.packets.len() as u64
    }

    /// Adds a frame to the packet being built.
    pub(crate) fn push_frame(&mut self, frame: F) {
        self.frames.push_back(frame);
        self.staged += 1;
    }

    /// The frames of the packet being built are not sent after all.
    pub(crate) fn abandon(&mut self) {
        self.frames.truncate(self.committed());
        self.staged = 0;
    }

    /// The packet being built leaves now. Returns its counter.
    pub(crate) fn commit(&mut self, now: Instant, sent: Sent) -> u64 {
        let state = if sent.ack_eliciting { State::InFlight } else { State::Untracked };
        let packet = self.append(now, state, sent);
        if sent.ack_eliciting {
            self.bytes_in_flight += u64::from(sent.size);
            self.packets_in_flight += 1;
            self.last_eliciting = Some(packet.sent_at);
            self.last_asks_ack_now = sent.asks_ack_now;
        }
        self.next_counter() - 1
    }

    /// Leaves out one counter. A peer that acknowledges it acknowledges what it did not receive.
    #[cold]
    pub(crate) fn skip_counter(&mut self, now: Instant) {
        self.abandon();
        self.skipped = Some(self.next_counter());
        self.append(now, State::Skipped, Sent::default());
    }

    /// Takes the ranges of an acknowledgement, in any order, and hands each packet that is newly
    /// acknowledged to `visit`, once in its life. Costs O(ranges + news).
    ///
    /// # Errors
    /// A range ends before it starts or covers a counter that was not sent. Ranges before it have
    /// been taken; the session is to end.
    pub(crate) fn on_ack(
        &mut self,
        ranges: impl IntoIterator<Item = RangeInclusive<u64>>,
        mut visit: impl FnMut(ResolvedPacket<'_, F>),
    ) -> Result<AckOutcome, NeverSent> {
        let mut outcome = AckOutcome::default();
        let known_end = self.acked_end;
        let mut claimed_end = 0;
        for range in ranges {
            let (first, last) = range.into_inner();
            if last >= self.next_counter() || first > last {
                return Err(NeverSent);
            }
            claimed_end = claimed_end.max(last + 1);
            self.acknowledge(first.max(self.base)..last + 1, known_end, &mut outcome, &mut visit)?;
        }
        self.acked_end = self.acked_end.max(claimed_end);
        outcome.epoch_spurious = outcome.epoch_spurious && self.missing * 4 <= self.lost;
        outcome.sample_sent_at = outcome
            .largest
            .filter(|(counter, _)| outcome.ack_eliciting && counter + 1 == claimed_end)
            .filter(|_| outcome.largest_on_path)
            .map(|(_, sent_at)| sent_at);
        Ok(outcome)
    }

    /// Bytes of ack-eliciting packets sent on the present path whose fate is unknown.
    pub(crate) const fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// Ack-eliciting packets whose fate is unknown.
    pub(crate) const fn packets_in_flight(&self) -> u32 {
        self.packets_in_flight
    }

    /// How many packets are remembered.
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    /// When the last ack-eliciting packet was sent.
    pub(crate) const fn last_eliciting_sent_at(&self) -> Option<Instant> {
        self.last_eliciting
    }

    /// Whether the peer acknowledges that packet at once.
    pub(crate) const fn last_eliciting_asks_ack_now(&self) -> bool {
        self.last_asks_ack_now
    }

    /// One more than the highest counter acknowledged; the first counter when none was.
    pub(crate) const fn acked_end(&self) -> u64 {
        self.acked_end
    }

    /// Whether a packet is acknowledged that was the `threshold`-th sent after `counter`, or a later one.
    /// Counters that were left out do not count.
    pub(crate) fn is_overtaken(&self, counter: u64, threshold: u64) -> bool {
        let left_out =
            self.skipped.is_some_and(|skipped| skipped > counter && skipped < self.acked_end);
        self.acked_end > counter + threshold + u64::from(left_out)
    }

    /// Whether packets that were declared lost in the current epoch may still be under way.
    pub(crate) const fn misses_any(&self) -> bool {
        self.missing > 0
    }

    /// Whether a packet with a counter in `counters` is known to have arrived.
    pub(crate) fn any_acked(&self, counters: Range<u64>) -> bool {
        self.acked.overlaps(counters)
    }

    /// The oldest packet in flight. Constant time on average: the search never goes back.
    pub(crate) fn oldest_in_flight(&mut self) -> Option<(u64, Packet)> {
        self.move_cursor();
        self.packet(self.cursor).map(|packet| (self.cursor, *packet))
    }

    /// The newest packet in flight.
    pub(crate) fn newest_in_flight(&self) -> Option<(u64, Packet)> {
        let at = self.packets.iter().rposition(|packet| packet.state == State::InFlight)?;
        Some((self.base + at as u64, self.packets[at]))
    }

    /// Whether the packet is in flight.
    pub(crate) fn is_in_flight(&self, counter: u64) -> bool {
        self.packet(counter).is_some_and(|packet| packet.state == State::InFlight)
    }

    /// The frames of a packet, none if it is forgotten: what a probe may repeat.
    pub(crate) fn frames_of(&self, counter: u64) -> vec_deque::Iter<'_, F> {
        self.packet(counter).map_or_else(
            || self.frames.range(0..0),
            |packet| self.frames.range(packet.span(self.first_frame())),
        )
    }

    /// Packets are sent on another path from here on. What becomes of those before shows nothing about
    /// it, and they do not count as in flight on it (RFC 9000 section 9.4).
    pub(crate) fn begin_generation(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.bytes_in_flight = 0;
        self.begin_loss_epoch();
    }

    /// Whether the fate of a packet shows something about congestion on the present path.
    pub(crate) const fn tells_of_congestion(&self, packet: &Packet) -> bool {
        packet.generation == self.generation
    }

    /// Declares a packet in flight lost and hands it to `visit`. Its record stays a while, to recognise
    /// if the loss was spurious. Does nothing to a packet that is not in flight.
    #[cold]
    pub(crate) fn lose(&mut self, counter: u64, mut visit: impl FnMut(ResolvedPacket<'_, F>)) {
        let first_frame = self.first_frame();
        let Some(at) = self.index(counter) else { return };
        let packet = &mut self.packets[at];
        if packet.state != State::InFlight {
            return;
        }
        packet.state = State::Lost;
        packet.epoch = self.epoch;
        self.packets_in_flight -= 1;
        let on_path = packet.generation == self.generation;
        if on_path {
            self.bytes_in_flight -= u64::from(packet.size);
            self.lost += 1;
            self.missing += 1;
        }
        let frames = self.frames.range(packet.span(first_frame));
        visit(ResolvedPacket {
            counter,
            packet,
            frames,
            was_lost: false,
            ack_eliciting: true,
            on_path,
        });
    }

    /// Losses from here on belong to a new epoch: see [`AckOutcome::epoch_spurious`].
    pub(crate) fn begin_loss_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.lost = 0;
        self.missing = 0;
    }

    /// Forgets the oldest records while they are settled. Lost packets, and those that elicit no
    /// acknowledgement, are settled once sent `horizon` ago, or when too many records wait for that.
    pub(crate) fn forget(&mut self, now: Instant, horizon: Duration) {
        self.move_cursor();
        let mut frames = 0;
        while let Some(front) = self.packets.front() {
            // Those in flight do not count, nor what was sent after them: the more is under way, the more
            // may be late.
            let waiting = self.cursor.saturating_sub(self.base);
            let old = front.sent_at + horizon <= now;
            let settled = match front.state {
                State::InFlight => false,
                State::Untracked => old || waiting > MAX_UNTRACKED,
                State::Lost => old || waiting > MAX_LATE,
                State::Acked => true,
                // Its neighbours' acknowledgement must not cover it: wait for the next one up.
                State::Skipped => self.acked_end > self.base,
            };
            if !settled {
                break;
            }
            frames += usize::from(front.frame_count);
            self.packets.pop_front();
            self.base += 1;
        }
        if frames > 0 {
            self.frames.drain(..frames);
        }
        self.acked.remove_below(self.base);
    }

    /// Gives all memory back if nothing is in flight and no packet is being built. What is
    /// acknowledged later is ignored.
    pub(crate) fn release(&mut self) {
        if self.packets_in_flight > 0 || self.staged > 0 {
            return;
        }
        self.base = self.next_counter();
        self.cursor = self.base;
        self.packets = VecDeque::new();
        self.frames = VecDeque::new();
        self.acked = RangeSet::new();
    }

    fn append(&mut self, now: Instant, state: State, sent: Sent) -> Packet {
        // A path that only acknowledges hears nothing back that would prune its records.
        if self.packets.len() as u64 > MAX_UNTRACKED {
            self.forget(now, Duration::MAX);
        }
        let committed = self.committed();
        let packet = Packet {
            // Never before the packet before: loss detection relies on the order.
            sent_at: self.packets.back().map_or(now, |last| last.sent_at.max(now)),
            first_frame: self.first_frame() + committed as u64,
            acks_up_to: sent.acks_up_to.unwrap_or(NO_ACK),
            size: sent.size,
            frame_count: core::mem::take(&mut self.staged),
            state,
            epoch: 0,
            generation: self.generation,
            is_marked: sent.is_marked,
        };
        self.packets.push_back(packet);
        packet
    }

    /// Acknowledges what is new in `range`, all of which has a record.
    fn acknowledge(
        &mut self,
        range: Range<u64>,
        known_end: u64,
        outcome: &mut AckOutcome,
        visit: &mut impl FnMut(ResolvedPacket<'_, F>),
    ) -> Result<(), NeverSent> {
        let first_frame = self.first_frame();
        for news in self.acked.gaps(range.clone()) {
            for counter in news {
                // Below next_counter(), so below the length of a deque.
                let packet = &mut self.packets[(counter - self.base) as usize];
                let was_lost = packet.state == State::Lost;
                let ack_eliciting = packet.state != State::Untracked;
                let on_path = packet.generation == self.generation;
                match packet.state {
                    State::InFlight => {
                        self.packets_in_flight -= 1;
                        if on_path {
                            self.bytes_in_flight -= u64::from(packet.size);
                            outcome.bytes += u64::from(packet.size);
                        }
                    }
                    State::Lost if !on_path => {}
                    State::Lost => {
                        outcome.spurious += 1;
                        if packet.epoch == self.epoch {
                            self.missing = self.missing.saturating_sub(1);
                            outcome.epoch_spurious = true;
                        }
                    }
                    State::Untracked => {}
                    State::Acked | State::Skipped => return Err(NeverSent),
                }
                outcome.count(counter, packet, on_path, known_end);
                packet.state = State::Acked;
                let frames = self.frames.range(packet.span(first_frame));
                visit(ResolvedPacket { counter, packet, frames, was_lost, ack_eliciting, on_path });
            }
        }
        self.acked.insert_range(range);
        Ok(())
    }

    /// Moves the cursor to the oldest packet in flight, or beyond all packets.
    fn move_cursor(&mut self) {
        while self.packet(self.cursor).is_some_and(|packet| packet.state != State::InFlight) {
            self.cursor += 1;
        }
    }

    /// How many of `frames` belong to packets that were sent.
    fn committed(&self) -> usize {
        self.frames.len() - usize::from(self.staged)
    }

    /// The absolute position of `frames[0]`.
    fn first_frame(&self) -> u64 {
        self.packets.front().map_or(0, |front| front.first_frame)
    }

    fn packet(&self, counter: u64) -> Option<&Packet> {
        self.packets.get(self.index(counter)?)
    }

    fn index(&self, counter: u64) -> Option<usize> {
        let at = usize::try_from(counter.checked_sub(self.base)?).ok()?;
        (at < self.packets.len()).then_some(at)
    }
}

impl Packet {
    /// Where its frames are in a queue that starts at the absolute position `origin`.
    fn span(&self, origin: u64) -> Range<usize> {
        let start = (self.first_frame - origin) as usize;
        start..start + usize::from(self.frame_count)
    }
}

/// Counters have 56 bits.
const NO_ACK: u64 = u64::MAX;
/// Records of packets that elicit no acknowledgement.
const MAX_UNTRACKED: u64 = 1024;
/// Records that wait for packets declared lost: half a megabyte. They cover the last 0.1 s before the
/// oldest packet in flight at 1.5 Gbit/s in packets of 1,200 bytes.
const MAX_LATE: u64 = 16_384;
const _: () = assert!(size_of::<Packet>() <= 32);

#[cfg(test)]
mod tests;
