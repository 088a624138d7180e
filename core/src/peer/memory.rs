//! What a peer takes of the memory that all share.

use core::time::Duration;

use crate::context::Context;
use crate::memory::Booking;
use crate::message::{MESSAGE_CHARGE, ReceiveLimits, Review, SendLimits};
use crate::pack::pack;
use crate::path::Path;
use crate::peer::Peer;
use crate::peer::timers::Timer;

/// A peer's part of the memory, and what it may take when there is enough.
#[derive(Debug)]
pub(super) struct Share {
    booking: Booking,
    /// Bytes of reliable messages on their way out.
    send_buffer: u64,
    /// Bytes of unreliable ones of which nothing was sent.
    unreliable: u64,
    /// With so much free, memory limits nothing that the peer may do.
    plenty: u64,
    /// The last review found so much, and nothing that waits.
    is_settled: bool,
}

pack!(Share: booking, send_buffer, unreliable, plenty, is_settled);

impl Share {
    pub(super) fn new(send: &SendLimits, receive: &ReceiveLimits) -> Self {
        let (send_buffer, unreliable) = (send.buffer, send.unreliable);
        let message = u64::from(receive.max_message) + MESSAGE_CHARGE;
        let most = [send_buffer, unreliable, receive.window, receive.unreliable, message];
        let plenty = most.into_iter().fold(0, u64::max);
        Self { booking: Booking::default(), send_buffer, unreliable, plenty, is_settled: false }
    }
}

impl Peer {
    /// Books what the peer holds by now, and decides how much more it may. To be called after every
    /// input and output that touched the peer: most change nothing that credit depends on.
    pub(crate) fn review_memory(&mut self, cx: &mut Context) {
        if self.state.is_over() {
            self.inbox.close();
            self.book(cx);
            cx.memory.end_turn(&mut self.share.booking);
            self.timers.clear(Timer::Memory);
            return;
        }
        self.book(cx);
        if !self.has_plenty(cx) {
            self.share_memory(cx);
        } else if self.inbox.is_unreviewed() {
            self.review_credit(cx, false);
            self.book(cx);
        }
    }

    /// Books what the peer holds after a message to or from it. Whether all else may wait until messages went that follow
    /// it: memory limits nothing that the peer may do, and it did not end.
    #[inline]
    pub(crate) fn book_messages(&mut self, cx: &mut Context) -> bool {
        if self.state.is_over() {
            return false;
        }
        self.book(cx);
        self.has_plenty(cx)
    }

    /// The same as [`review_memory`](Self::review_memory) of a peer of which all is booked, and that is not over.
    #[inline]
    pub(crate) fn review_booked(&mut self, cx: &mut Context) {
        if self.inbox.is_unreviewed() || !self.has_plenty(cx) {
            self.review_memory(cx);
        }
    }

    /// The same if there may be too little.
    #[cold]
    fn share_memory(&mut self, cx: &mut Context) {
        let room = cx.memory.room();
        let needs_turn = self.inbox.needs_turn(room);
        let has_turn = needs_turn && cx.memory.take_turn(&mut self.share.booking, cx.now);
        self.review_credit(cx, has_turn);
        let waits = self.inbox.needs_turn(room);
        if !waits && !self.inbox.is_beyond(room) {
            cx.memory.end_turn(&mut self.share.booking);
        }
        self.book(cx);
        self.limit_sending(cx);
        let (outbound, most) = (&self.outbound, self.share.send_buffer);
        let waits = waits || outbound.queue.waits_for_memory(&outbound.limits, most);
        if !waits {
            self.timers.clear(Timer::Memory);
        } else if self.timers.get(Timer::Memory).is_none() {
            self.timers.set(Timer::Memory, Some(cx.now + RETRY));
        }
        let plenty = cx.memory.room().free >= self.share.plenty;
        self.share.is_settled = plenty && !waits && !self.share.booking.is_in_line();
    }

    fn review_credit(&mut self, cx: &Context, has_turn: bool) {
        let smoothed = self.paths.primary().and_then(Path::measured_round_trip);
        let round_trip = smoothed.unwrap_or(UNKNOWN_ROUND_TRIP);
        let review = Review { now: cx.now, round_trip, room: cx.memory.room() };
        self.inbox.review_credit(review, has_turn);
    }

    /// Whether memory allowed everything at the last review, and does so now.
    fn has_plenty(&self, cx: &Context) -> bool {
        self.share.is_settled && cx.memory.room().free >= self.share.plenty
    }

    /// How much may be queued as far as memory allows.
    #[inline]
    pub(super) fn limit_sending(&mut self, cx: &Context) {
        if self.has_plenty(cx) {
            debug_assert_eq!(self.outbound.limits.buffer, self.share.send_buffer);
        } else {
            self.share_sending(cx);
        }
    }

    #[cold]
    fn share_sending(&mut self, cx: &Context) {
        self.share.is_settled = false;
        let (reliable, unsent) = self.outbound.queue.held();
        let room = cx.memory.room();
        self.outbound.limits.buffer = room.allowance(reliable, self.share.send_buffer);
        self.outbound.limits.unreliable = room.allowance(unsent, self.share.unreliable);
    }

    /// Gives back all that the peer holds: it is removed.
    pub(crate) fn release_memory(&mut self, cx: &mut Context) {
        cx.memory.end_turn(&mut self.share.booking);
        cx.memory.book(&mut self.share.booking, 0);
        cx.stats.memory_used = cx.memory.used();
    }

    /// Books what the peer holds.
    #[inline]
    pub(crate) fn book(&mut self, cx: &mut Context) {
        let bytes = self.inbox.memory() + self.outbound.queue.memory();
        cx.memory.book(&mut self.share.booking, bytes);
        cx.stats.memory_used = cx.memory.used();
    }
}

/// Before the first measurement.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(100);
/// How often a peer looks for memory while a message waits for it.
const RETRY: Duration = Duration::from_millis(50);
