//! The messages a peer sent us: put together, put in order, kept until the application takes them.

use alloc::collections::VecDeque;
use alloc::collections::btree_map::{BTreeMap, Entry};

use bytes::Bytes;

use crate::delivery::{Message, Order};
use crate::peer::Violation;
use crate::peer::assembly::Assembly;
use crate::peer::receive_stream::{Held, ReceiveStream};
use crate::peer::send::cost;
use crate::peer::window::STREAM_WINDOW;
use crate::wire::{DataFrame, StreamKey};

/// What we allow the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveLimits {
    pub(crate) max_message: u32,
    pub(crate) max_streams: u16,
    /// Bytes of reliable messages on the way or waiting, charges included.
    pub(crate) window: u64,
    /// Bytes of unreliable messages in pieces, held or waiting.
    pub(crate) unreliable: u64,
}

/// A message that waits for the application.
#[derive(Debug)]
struct Ready {
    /// Its place among all messages, reliable or not.
    arrival: u64,
    message: Message,
}

/// All incoming messages of one peer.
#[derive(Debug)]
pub(crate) struct Inbox {
    limits: ReceiveLimits,
    streams: BTreeMap<StreamKey, ReceiveStream>,
    reliable: VecDeque<Ready>,
    unreliable: VecDeque<Ready>,
    arrivals: u64,
    /// Bytes of unreliable messages, charges included.
    unreliable_bytes: u64,
    /// Credit, counted from the peer's start: used by it, granted at the start, given back by the
    /// application since, and the limit it was told last.
    used: u64,
    base: u64,
    returned: u64,
    advertised: u64,
    credit_due: bool,
    /// The peer said that it is stuck, and there was nothing to give.
    starving: bool,
    /// Unreliable messages that gave way.
    pub(crate) overflowed: u64,
}

impl Inbox {
    pub(crate) fn new(limits: ReceiveLimits) -> Self {
        Self {
            limits,
            streams: BTreeMap::new(),
            reliable: VecDeque::new(),
            unreliable: VecDeque::new(),
            arrivals: 0,
            unreliable_bytes: 0,
            used: 0,
            base: limits.window,
            returned: 0,
            advertised: limits.window,
            credit_due: false,
            starving: false,
            overflowed: 0,
        }
    }

    /// Takes in one data frame.
    pub(crate) fn on_data(&mut self, frame: &DataFrame<'_>) -> Result<(), Violation> {
        let total = frame.fragment.map_or(frame.payload.len() as u64, |part| part.total.into());
        if total > u64::from(self.limits.max_message) {
            return Err(Violation::MessageTooLarge);
        }
        self.open_stream(frame.stream)?;
        if frame.stream.is_reliable() {
            self.on_reliable(frame, total)
        } else {
            self.on_unreliable(frame, total)
        }
    }

    /// Nothing below `end` will come any more on an unreliable ordered stream.
    pub(crate) fn on_skip(&mut self, key: StreamKey, end: u64) -> Result<(), Violation> {
        if key.is_reliable() || key.order() != Order::Ordered {
            return Err(Violation::SkipOfAnotherStream);
        }
        self.open_stream(key)?;
        self.skip_to(key, end);
        Ok(())
    }

    /// The sender is stuck at `limit`: if we gave more meanwhile, it should hear of it.
    pub(crate) fn on_blocked(&mut self, limit: u64) {
        self.credit_due |= limit < self.limit();
        self.starving = !self.credit_due;
    }

    /// The oldest message that waits.
    pub(crate) fn take(&mut self) -> Option<Message> {
        let arrival = |queue: &VecDeque<Ready>| queue.front().map(|ready| ready.arrival);
        let unreliable_first = match (arrival(&self.reliable), arrival(&self.unreliable)) {
            (Some(reliable), Some(unreliable)) => unreliable < reliable,
            (reliable, _) => reliable.is_none(),
        };
        if unreliable_first {
            let ready = self.unreliable.pop_front()?;
            self.unreliable_bytes -= cost(ready.message.payload.len());
            return Some(ready.message);
        }
        let ready = self.reliable.pop_front()?;
        self.give_back(cost(ready.message.payload.len()));
        Some(ready.message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reliable.is_empty() && self.unreliable.is_empty()
    }

    /// How many messages became deliverable so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.arrivals
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        let (arrivals, overflowed) = (self.arrivals, self.overflowed);
        *self = Self { arrivals, overflowed, ..Self::new(self.limits) };
    }

    /// Whether the peer should be told a new credit limit.
    pub(crate) fn is_credit_due(&self) -> bool {
        self.credit_due
    }

    /// The credit limit to tell the peer now.
    pub(crate) fn advertise(&mut self) -> u64 {
        self.credit_due = false;
        self.starving = false;
        self.advertised = self.limit();
        self.advertised
    }

    /// The limit told last did not arrive, or did not fit.
    pub(crate) fn repeat_credit(&mut self) {
        self.credit_due = true;
    }

    /// What a peer that starts over may be granted: the window less what still waits.
    pub(crate) fn fresh_grant(&self) -> u64 {
        self.limits.window.saturating_sub(self.waiting())
    }

    /// The peer restarted, having been granted `told`: its streams start over. What waits for the
    /// application stays, and counts until it is taken.
    pub(crate) fn restart(&mut self, told: u64) {
        self.streams.clear();
        let unread = |ready: &Ready| cost(ready.message.payload.len());
        self.unreliable_bytes = self.unreliable.iter().map(unread).sum();
        self.base = told.max(self.fresh_grant());
        self.credit_due = self.base > told;
        self.used = 0;
        self.returned = 0;
        self.advertised = told;
        self.starving = false;
    }

    fn on_reliable(&mut self, frame: &DataFrame<'_>, total: u64) -> Result<(), Violation> {
        let number = frame.sequence_number;
        let stream = self.streams.get_mut(&frame.stream).ok_or(Violation::TooManyStreams)?;
        if number.saturating_sub(stream.settled.floor()) >= STREAM_WINDOW {
            return Err(Violation::BeyondStreamWindow);
        }
        if stream.settled.contains(number) {
            return Ok(());
        }
        if !stream.partial.contains_key(&number) {
            self.used += cost(total as usize);
            if self.used > self.base + self.returned {
                return Err(Violation::BeyondCredit);
            }
        }
        if !stream.is_wanted(number) {
            // A newer one of its sequenced stream was handed over: it counts as received.
            stream.settled.insert(number);
            let begun = stream.partial.remove(&number);
            if begun.is_some_and(|begun| u64::from(begun.total()) != total) {
                // Credit comes back as it was charged, not as the peer now claims.
                return Err(Violation::FragmentsDisagree);
            }
            self.give_back(cost(total as usize));
            return Ok(());
        }
        if let Some(payload) = collect(stream, frame)? {
            stream.settled.insert(number);
            self.on_whole(frame, payload);
        }
        Ok(())
    }

    fn on_unreliable(&mut self, frame: &DataFrame<'_>, total: u64) -> Result<(), Violation> {
        let number = frame.sequence_number;
        let stream = self.streams.get_mut(&frame.stream).ok_or(Violation::TooManyStreams)?;
        if !stream.is_wanted(number) {
            return Ok(());
        }
        let begins = frame.fragment.is_some() && !stream.partial.contains_key(&number);
        if begins && stream.partial.len() >= MAX_PARTIAL {
            self.evict(frame.stream);
        }
        let stream = self.streams.get_mut(&frame.stream).ok_or(Violation::TooManyStreams)?;
        if !stream.is_wanted(number) {
            return Ok(()); // Making room for it went past it.
        }
        if begins {
            self.unreliable_bytes += total;
        }
        if let Some(payload) = collect(stream, frame)? {
            if frame.fragment.is_some() {
                self.unreliable_bytes -= total;
            }
            self.on_whole(frame, payload);
        }
        self.make_room();
        Ok(())
    }

    /// A message is whole: hand it over, or hold it until its turn.
    fn on_whole(&mut self, frame: &DataFrame<'_>, payload: Bytes) {
        let (key, number) = (frame.stream, frame.sequence_number);
        let held = Held { payload, requires_ack: frame.requires_ack };
        let Some(stream) = self.streams.get_mut(&key) else { return };
        if !key.is_reliable() {
            self.unreliable_bytes += cost(held.payload.len());
        }
        match key.order() {
            Order::Unordered => self.hand_over(key, number, held),
            Order::Sequenced => {
                stream.next = number + 1;
                if !key.is_reliable() {
                    self.unreliable_bytes -= stream.drop_partial_below(number);
                }
                self.hand_over(key, number, held);
            }
            Order::Ordered if number == stream.next => {
                stream.next += 1;
                self.hand_over(key, number, held);
                self.hand_over_in_order(key);
            }
            Order::Ordered => {
                stream.held.insert(number, held);
                if !key.is_reliable() && stream.held.len() > MAX_HELD {
                    let first = stream.held.keys().next().copied().unwrap_or(number);
                    self.skip_to(key, first + 1);
                }
                self.hand_over_in_order(key);
            }
        }
    }

    /// Hands over what is held below `end` on an unreliable ordered stream, and what follows it.
    fn skip_to(&mut self, key: StreamKey, end: u64) {
        while let Some((number, held)) =
            self.streams.get_mut(&key).and_then(|stream| stream.take_below(end))
        {
            self.hand_over(key, number, held);
        }
        if let Some(stream) = self.streams.get_mut(&key) {
            stream.next = stream.next.max(end);
            self.unreliable_bytes -= stream.drop_partial_below(end);
        }
        self.hand_over_in_order(key);
    }

    fn hand_over_in_order(&mut self, key: StreamKey) {
        while let Some((number, held)) =
            self.streams.get_mut(&key).and_then(ReceiveStream::take_next)
        {
            self.hand_over(key, number, held);
        }
    }

    fn hand_over(&mut self, key: StreamKey, sequence_number: u64, held: Held) {
        let Held { payload, requires_ack } = held;
        let delivery = key.delivery(requires_ack);
        let message = Message { delivery, sequence_number, payload };
        let ready = Ready { arrival: self.arrivals, message };
        self.arrivals += 1;
        if key.is_reliable() {
            self.reliable.push_back(ready);
        } else {
            self.unreliable.push_back(ready);
        }
    }

    /// Drops the oldest unreliable messages, then incomplete ones of any stream, until the limit of
    /// the buffer holds.
    fn make_room(&mut self) {
        while self.unreliable_bytes > self.limits.unreliable {
            if let Some(ready) = self.unreliable.pop_front() {
                self.overflowed += 1;
                self.unreliable_bytes -= cost(ready.message.payload.len());
                continue;
            }
            let incomplete = |stream: &&ReceiveStream| {
                let something = !stream.partial.is_empty() || !stream.held.is_empty();
                something && !stream.key.is_reliable()
            };
            let Some(key) = self.streams.values().find(incomplete).map(|stream| stream.key) else {
                return;
            };
            self.evict(key);
        }
    }

    /// Gives up on the oldest incomplete message of an unreliable stream. On an ordered one, what
    /// waited for it is handed over.
    fn evict(&mut self, key: StreamKey) {
        let Some(stream) = self.streams.get_mut(&key) else { return };
        let piece = stream.partial.first_key_value().map(|(number, _)| *number);
        let held = stream.held.first_key_value().map(|(number, _)| *number);
        self.overflowed += 1;
        match (key.order(), piece.or(held)) {
            (Order::Ordered, Some(number)) => self.skip_to(key, number + 1),
            (_, Some(number)) => self.unreliable_bytes -= stream.drop_partial_below(number + 1),
            (_, None) => {}
        }
    }

    fn open_stream(&mut self, key: StreamKey) -> Result<(), Violation> {
        let full = self.streams.len() >= usize::from(self.limits.max_streams);
        match self.streams.entry(key) {
            Entry::Vacant(_) if full => return Err(Violation::TooManyStreams),
            Entry::Vacant(place) => drop(place.insert(ReceiveStream::new(key))),
            Entry::Occupied(_) => {}
        }
        Ok(())
    }

    /// The peer may send this much more; it is told once a quarter of the window came together.
    fn give_back(&mut self, credit: u64) {
        self.returned += credit;
        let untold = self.limit().saturating_sub(self.advertised);
        self.credit_due |= self.starving || untold >= self.limits.window / 4;
    }

    fn limit(&self) -> u64 {
        self.base + self.returned
    }

    fn waiting(&self) -> u64 {
        let unread = |ready: &Ready| cost(ready.message.payload.len());
        self.reliable.iter().map(unread).sum()
    }
}

/// Adds a frame to its message; the message once it is whole.
fn collect(stream: &mut ReceiveStream, frame: &DataFrame<'_>) -> Result<Option<Bytes>, Violation> {
    let Some(fragment) = frame.fragment else {
        if stream.partial.contains_key(&frame.sequence_number) {
            return Err(Violation::FragmentsDisagree);
        }
        return Ok(Some(Bytes::copy_from_slice(frame.payload)));
    };
    let assembly = stream
        .partial
        .entry(frame.sequence_number)
        .or_insert_with(|| Assembly::new(fragment.total));
    if assembly.total() != fragment.total {
        return Err(Violation::FragmentsDisagree);
    }
    let whole = assembly.insert(fragment.offset, frame.payload);
    Ok(whole
        .then(|| stream.partial.remove(&frame.sequence_number).map(Assembly::into_bytes))
        .flatten())
}

/// The most unreliable messages in pieces per stream.
const MAX_PARTIAL: usize = 64;
/// The most messages an unreliable ordered stream holds back while it waits for an earlier one.
const MAX_HELD: usize = 1024;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::wire::Fragment;

    const LIMITS: ReceiveLimits =
        ReceiveLimits { max_message: 1000, max_streams: 4, window: 10_000, unreliable: 100_000 };

    /// The first or second half of a message of 600 bytes.
    fn half(stream: StreamKey, sequence_number: u64, second: bool) -> DataFrame<'static> {
        let fragment = Some(Fragment { total: 600, offset: if second { 300 } else { 0 } });
        let payload = &[1; 300];
        DataFrame { stream, requires_ack: false, sequence_number, fragment, payload }
    }

    #[test]
    fn credit_flows_again_when_a_restarted_peer_filled_its_window_before_it_was_read() {
        let stream = StreamKey::new(0, true, Order::Ordered);
        let whole = |sequence_number| DataFrame {
            stream,
            requires_ack: false,
            sequence_number,
            fragment: None,
            payload: &[0; 936],
        };
        let mut inbox = Inbox::new(LIMITS);
        for number in 0..100 {
            inbox.on_data(&whole(number)).expect("within the credit");
            inbox.take().expect("a message");
            if inbox.is_credit_due() {
                inbox.advertise();
            }
        }
        let granted = inbox.fresh_grant();
        inbox.restart(granted);
        for number in 0..10 {
            inbox.on_data(&whole(number)).expect("within the credit");
        }
        inbox.on_blocked(granted);
        assert!(!inbox.is_credit_due(), "there is nothing to give");
        while inbox.take().is_some() {}
        assert!(inbox.is_credit_due());
        assert_eq!(inbox.advertise(), 2 * granted);
    }

    #[test]
    fn a_peer_that_is_stuck_hears_of_the_least_credit() {
        let stream = StreamKey::new(0, true, Order::Unordered);
        let mut inbox = Inbox::new(LIMITS);
        inbox.on_blocked(10_000);
        let payload = &[0; 10];
        let fragment = None;
        let frame =
            DataFrame { stream, requires_ack: false, sequence_number: 0, fragment, payload };
        inbox.on_data(&frame).expect("within the credit");
        inbox.take().expect("a message");
        assert!(inbox.is_credit_due());
        assert_eq!(inbox.advertise(), 10_000 + cost(10));
        assert!(!inbox.is_credit_due());
    }

    #[test]
    fn making_room_on_an_unreliable_ordered_stream_neither_stalls_it_nor_turns_it_back() {
        let stream = StreamKey::new(0, false, Order::Ordered);
        let mut inbox = Inbox::new(LIMITS);
        let begun = MAX_PARTIAL as u64 + 6;
        for number in 0..begun {
            inbox.on_data(&half(stream, number, false)).expect("legal");
        }
        assert_eq!(inbox.overflowed, 6);
        // All are finished, newest first; the six that gave way are not waited for.
        for number in (0..begun).rev() {
            inbox.on_data(&half(stream, number, true)).expect("legal");
        }
        let taken = core::iter::from_fn(|| inbox.take().map(|message| message.sequence_number));
        assert_eq!(taken.collect::<Vec<_>>(), (6..begun).collect::<Vec<_>>());
        assert_eq!(inbox.unreliable_bytes, 0);
        // A late beginning of one that gave way changes nothing.
        inbox.on_data(&half(stream, 2, false)).expect("legal");
        inbox.on_data(&half(stream, begun, false)).expect("legal");
        inbox.on_data(&half(stream, begun, true)).expect("legal");
        assert_eq!(inbox.take().map(|message| message.sequence_number), Some(begun));
    }

    #[test]
    fn what_making_room_went_past_is_neither_kept_nor_delivered() {
        let stream = StreamKey::new(0, false, Order::Ordered);
        let mut inbox = Inbox::new(LIMITS);
        for number in 1..=MAX_PARTIAL as u64 {
            inbox.on_data(&half(stream, number, false)).expect("legal");
        }
        // Room for it is made by giving up the first that waits, and with it everything before.
        inbox.on_data(&half(stream, 0, false)).expect("legal");
        inbox.on_data(&half(stream, 2, true)).expect("legal");
        inbox.on_data(&half(stream, 0, true)).expect("legal");
        let taken = core::iter::from_fn(|| inbox.take().map(|message| message.sequence_number));
        assert_eq!(taken.collect::<Vec<_>>(), [2]);
        assert_eq!(inbox.unreliable_bytes, 600 * (MAX_PARTIAL as u64 - 2));
    }
}
