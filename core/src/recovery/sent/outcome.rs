//! What an acknowledgement says that was not known.

use alloc::collections::vec_deque;

use super::{NO_ACK, Packet, State};
use crate::time::Instant;

/// The sum of an acknowledgement's news.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AckOutcome {
    /// Packets newly acknowledged.
    pub(crate) packets: u32,
    /// Bytes that were in flight on the present path and are no more.
    pub(crate) bytes: u64,
    /// The highest counter newly acknowledged, and when it was sent.
    pub(crate) largest: Option<(u64, Instant)>,
    /// That packet was sent on the present path.
    pub(crate) largest_on_path: bool,
    /// When the packet was sent that gives a sample of the round-trip time: the highest of the
    /// acknowledgement, if it is news and any news was ack-eliciting (RFC 9002 section 5.1), and if
    /// it was sent on the present path (RFC 9000 section 9.4).
    pub(crate) sample_sent_at: Option<Instant>,
    /// An ack-eliciting packet is among the news.
    pub(crate) ack_eliciting: bool,
    /// Packets of the present path acknowledged that had been declared lost.
    pub(crate) spurious: u32,
    /// Three of four losses of the current epoch have turned out spurious: the slowdown was undeserved.
    pub(crate) epoch_spurious: bool,
    /// When the oldest packet of the present path was sent whose counter is below one acknowledged before:
    /// the path reorders.
    pub(crate) late_sent_at: Option<Instant>,
    /// The highest counter of the acknowledgements of ours that have now arrived.
    pub(crate) acked_our_ack: Option<u64>,
}

impl AckOutcome {
    pub(super) fn count(&mut self, counter: u64, packet: &Packet, on_path: bool, known_end: u64) {
        self.packets += 1;
        self.ack_eliciting |= packet.state != State::Untracked;
        if on_path && counter < known_end {
            let oldest = self.late_sent_at.map_or(packet.sent_at, |at| at.min(packet.sent_at));
            self.late_sent_at = Some(oldest);
        }
        if self.largest.is_none_or(|(largest, _)| largest < counter) {
            self.largest = Some((counter, packet.sent_at));
            self.largest_on_path = on_path;
        }
        if packet.acks_up_to != NO_ACK {
            self.acked_our_ack = self.acked_our_ack.max(Some(packet.acks_up_to));
        }
    }
}

/// A packet handed to a visitor: acknowledged, or declared lost.
#[derive(Debug)]
pub(crate) struct ResolvedPacket<'a, F> {
    /// Its number on the path.
    pub(crate) counter: u64,
    /// Its record.
    pub(crate) packet: &'a Packet,
    /// Its frames, in the order they were pushed.
    pub(crate) frames: vec_deque::Iter<'a, F>,
    /// It had been declared lost before, and its frames handed out then.
    pub(crate) was_lost: bool,
    /// It was in flight: the peer had to acknowledge it.
    pub(crate) ack_eliciting: bool,
    /// It was sent on the present path, so its fate shows something about that path.
    pub(crate) on_path: bool,
}

/// The peer acknowledged a counter that was never sent, or an impossible range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeverSent;
