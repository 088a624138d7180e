//! The numbering of one outgoing stream.

use super::window::ReceivedWindow;
use crate::delivery::{Fate, Order};
use crate::pack::{Pack, Packer, Unpacker, pack, pack_plain};
use crate::wire::StreamKey;
use smallvec::SmallVec;

/// One outgoing stream: where its messages wait, which numbers are resolved, which gaps to report.
#[derive(Debug)]
pub(crate) struct SendStream {
    pub(super) key: StreamKey,
    /// Where the send buffer notes what its channel holds.
    pub(super) place: u16,
    /// Where the messages with unsent bytes wait: the positions of its lanes in the send queue.
    pub(super) lanes: SmallVec<[u32; 4]>,
    /// Whether it is to end.
    pub(super) ending: Ending,
    /// Messages without a fate.
    pub(super) open: u32,
    next: u64,
    /// Numbers that no longer matter: acknowledged, or given up.
    resolved: ReceivedWindow,
    /// Of a reliable sequenced stream, the highest number that was acknowledged.
    newest: Option<u64>,
    /// Of an unreliable ordered stream, the lowest and highest lost numbers that the receiver,
    /// which waits for them, was not told about.
    gap: Option<(u64, u64)>,
}

pack!(SendStream: key, place, lanes, ending, open, next, resolved, newest, gap);

/// Whether a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// More may be sent on it.
    No,
    /// As soon as all its messages met their fate.
    Asked,
    /// The peer is told, under this name. Nothing is sent on it until it knows.
    Told(u32),
}

impl Pack for Ending {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        match self {
            Self::No => (0_u8, 0_u32).pack(into),
            Self::Asked => (1_u8, 0_u32).pack(into),
            Self::Told(name) => (2_u8, *name).pack(into),
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(match Pack::unpack(from)? {
            (0_u8, _) => Self::No,
            (1, _) => Self::Asked,
            (_, name) => Self::Told(name),
        })
    }

    pack_plain!();
}

impl SendStream {
    /// A stream whose next message has the number `first`.
    pub(crate) fn new(key: StreamKey, place: u16, first: u64) -> Self {
        Self {
            key,
            place,
            lanes: SmallVec::new(),
            ending: Ending::No,
            open: 0,
            next: first,
            resolved: ReceivedWindow::from_floor(first),
            newest: None,
            gap: None,
        }
    }

    /// The number of the next message.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The next message got its number.
    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }

    /// Whether the receiver, which takes so many numbers, could not take another message before older ones are
    /// resolved.
    pub(crate) fn is_full(&self, window: u64) -> bool {
        self.is_resolving() && self.next - self.resolved.floor() >= window
    }

    /// The message with this number met its fate.
    #[inline]
    pub(crate) fn resolve(&mut self, number: u64, fate: Fate) {
        if !self.is_resolving() {
            return;
        }
        if !self.resolved.insert_next(number) {
            self.resolved.insert(number);
        }
        if fate == Fate::Acked && self.key.order() == Order::Sequenced {
            self.newest = self.newest.max(Some(number));
        }
        if fate != Fate::Acked && !self.key.is_reliable() {
            let (low, high) = self.gap.unwrap_or((number, number));
            self.gap = Some((low.min(number), high.max(number)));
        }
    }

    /// The highest number of a reliable sequenced stream that is known to have arrived: the receiver wants none below.
    pub(crate) const fn newest_arrived(&self) -> Option<u64> {
        self.newest
    }

    /// Whether the receiver waits for numbers that will not come.
    pub(crate) fn has_skip(&self) -> bool {
        self.gap.is_some_and(|(low, _)| low < self.resolved.floor())
    }

    /// The number below which nothing more will come; the gaps below it count as reported.
    pub(crate) fn take_skip(&mut self) -> u64 {
        let floor = self.resolved.floor();
        self.gap = self.gap.and_then(|(_, high)| (high >= floor).then_some((floor, high)));
        floor
    }

    /// What was reported last did not arrive. Another stream may have the place of the one that it was about.
    pub(crate) fn repeat_skip(&mut self) {
        if self.key.is_reliable() || self.key.order() != Order::Ordered {
            return;
        }
        let Some(last) = self.resolved.floor().checked_sub(1) else { return };
        let high = self.gap.map_or(last, |(_, high)| high.max(last));
        self.gap = Some((0, high));
    }

    /// Whether the peer can be told that it ends.
    pub(super) fn may_end(&self) -> bool {
        self.ending == Ending::Asked && self.open == 0
    }

    /// Whether the peer is told that it ends.
    pub(super) const fn is_ending(&self) -> bool {
        matches!(self.ending, Ending::Told(_))
    }

    /// The receiver lost its state: count from zero.
    pub(crate) fn restart(&mut self) {
        self.next = 0;
        self.resolved = ReceivedWindow::default();
        self.newest = None;
        self.gap = None;
    }

    /// Whether numbers are tracked until resolved: in the other streams nobody waits for them.
    fn is_resolving(&self) -> bool {
        self.key.is_reliable() || self.key.order() == Order::Ordered
    }
}
