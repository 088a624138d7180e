//! A socket of its own for the search for one peer. A NAT that a packet of the peer spoilt for one port of ours is not
//! spoilt for another: the search goes on from there, and the way that it finds stays there.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::net::SocketId;
use crate::pack::{Pack, Packer, Unpacker, pack, pack_enum};
use crate::time::Instant;

/// Whether a direct way was looked for from a port of ours that was never used before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FreshPort {
    /// Not yet, or there was no reason to.
    #[default]
    NotTried,
    /// The socket is being opened, or neighbours are asked where they see it.
    Preparing,
    /// It was, or is.
    Tried,
    /// It was left out: the driver opened no further socket, none may be opened
    /// ([`Punching::fresh_ports`](crate::Punching)), or no neighbour said where it sees it.
    LeftOut,
}

pack_enum!(FreshPort: NotTried, Preparing, Tried, LeftOut);

/// What is to be done for such a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The driver is to open one.
    Open,
    /// Neighbours are to be asked where they see this one.
    Ask(SocketId),
    /// It is not needed any more.
    Close(SocketId),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    None,
    /// To be asked for.
    Wanted { until: Instant },
    /// The endpoint was told to ask for one.
    Ordered { until: Instant },
    /// The driver was asked.
    Requested { socket: SocketId, until: Instant },
    /// It is open. `next`: when neighbours are asked again.
    Open { socket: SocketId, until: Instant, next: Instant },
    /// Others see it there.
    Seen { socket: SocketId, address: SocketAddr },
}

/// Only where no socket is in use.
impl Pack for Stage {
    fn pack(&self, _: &mut Packer) -> Option<()> {
        (*self == Self::None).then_some(())
    }

    fn unpack(_: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self::None)
    }

    fn pack_like(&self, _: &Self, into: &mut Packer) -> Option<()> {
        self.pack(into)
    }

    fn unpack_like(_: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        Self::unpack(from)
    }
}

/// The fresh socket of a search: one at a time, beside that of an earlier one by which the path still goes.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    stage: Stage,
    /// The latter.
    kept: Option<SocketId>,
    /// To be closed.
    spent: Vec<SocketId>,
    outcome: FreshPort,
}

pack!(Fresh: stage, kept, spent, outcome);

impl Fresh {
    /// One is wanted for a round that begins.
    pub(super) fn begin(&mut self, now: Instant) {
        if let Some(before) = self.socket() {
            // The path may go by it, and get over what made us search again.
            self.spent.extend(self.kept.replace(before));
        }
        (self.stage, self.outcome) =
            (Stage::Wanted { until: now + PATIENCE }, FreshPort::Preparing);
    }

    /// What the search knew before does not count any more.
    pub(super) const fn forget_outcome(&mut self) {
        self.outcome = FreshPort::NotTried;
    }

    pub(super) const fn outcome(&self) -> FreshPort {
        self.outcome
    }

    /// Whether the round has to wait for it.
    pub(super) const fn is_pending(&self) -> bool {
        matches!(self.outcome, FreshPort::Preparing)
    }

    /// The socket, once it is known where others see it.
    pub(super) const fn ready(&self) -> Option<(SocketId, SocketAddr)> {
        match self.stage {
            Stage::Seen { socket, address } => Some((socket, address)),
            _ => None,
        }
    }

    /// What to do next.
    pub(super) fn step(&mut self, now: Instant) -> Option<Step> {
        if self.deadline_of_all().is_some_and(|until| until <= now) {
            self.leave_out();
        }
        if let Some(spent) = self.spent.pop() {
            return Some(Step::Close(spent));
        }
        match self.stage {
            Stage::Wanted { until } => {
                self.stage = Stage::Ordered { until };
                Some(Step::Open)
            }
            Stage::Open { socket, until, next } if next <= now => {
                self.stage = Stage::Open { socket, until, next: now + ASK_AGAIN };
                Some(Step::Ask(socket))
            }
            _ => None,
        }
    }

    /// When there is something to do again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let until = self.deadline_of_all()?;
        Some(if let Stage::Open { next, .. } = self.stage { next.min(until) } else { until })
    }

    /// Until when the round waits.
    const fn deadline_of_all(&self) -> Option<Instant> {
        match self.stage {
            Stage::Wanted { until }
            | Stage::Ordered { until }
            | Stage::Requested { until, .. }
            | Stage::Open { until, .. } => Some(until),
            Stage::None | Stage::Seen { .. } => None,
        }
    }

    /// The driver is asked for this socket; `None`: there are too many, or there are to be none.
    pub(super) fn on_requested(&mut self, socket: Option<SocketId>) {
        match (self.stage, socket) {
            (Stage::Ordered { until }, Some(socket)) => {
                self.stage = Stage::Requested { socket, until };
            }
            (Stage::Ordered { .. }, None) => self.leave_out(),
            // Nobody waits for it any more.
            (_, socket) => self.spent.extend(socket),
        }
    }

    pub(super) fn on_opened(&mut self, opened: SocketId, now: Instant) {
        if let Stage::Requested { socket, until } = self.stage
            && socket == opened
        {
            self.stage = Stage::Open { socket, until, next: now };
        }
    }

    /// The driver closed it, or could not open it.
    pub(super) fn on_closed(&mut self, closed: SocketId) {
        self.kept.take_if(|kept| *kept == closed);
        if self.socket() == Some(closed) {
            self.stage = Stage::None;
            if self.is_pending() {
                self.outcome = FreshPort::LeftOut;
            }
        }
    }

    /// A neighbour sees it at `address`.
    pub(super) fn on_seen(&mut self, seen: SocketId, address: SocketAddr) {
        if let Stage::Open { socket, .. } = self.stage
            && socket == seen
        {
            (self.stage, self.outcome) = (Stage::Seen { socket, address }, FreshPort::Tried);
        }
    }

    /// The path goes by `in_use`: the socket of an earlier search is not needed if that is another.
    pub(super) fn keep_only(&mut self, in_use: Option<SocketId>) {
        self.spent.extend(self.kept.take_if(|kept| in_use != Some(*kept)));
    }

    /// The search does not need it any more, nor a path.
    pub(super) fn give_back(&mut self) {
        self.spent.extend(self.socket());
        self.stage = Stage::None;
        if self.is_pending() {
            self.outcome = FreshPort::LeftOut;
        }
    }

    pub(super) const fn socket(&self) -> Option<SocketId> {
        match self.stage {
            Stage::None | Stage::Wanted { .. } | Stage::Ordered { .. } => None,
            Stage::Requested { socket, .. }
            | Stage::Open { socket, .. }
            | Stage::Seen { socket, .. } => Some(socket),
        }
    }

    fn leave_out(&mut self) {
        self.give_back();
        self.outcome = FreshPort::LeftOut;
    }
}

/// So long the round waits for the socket, and for a neighbour's word about it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Neighbours that did not answer are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: SocketId = SocketId(5);

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1000)
    }

    fn requested() -> Fresh {
        let mut fresh = Fresh::default();
        fresh.begin(at(0));
        assert_eq!((fresh.step(at(0)), fresh.is_pending()), (Some(Step::Open), true));
        fresh.on_requested(Some(SOCKET));
        assert_eq!(fresh.step(at(0)), None);
        fresh
    }

    #[test]
    fn a_socket_is_opened_asked_about_until_it_is_seen_and_closed_at_last() {
        let mut fresh = requested();
        fresh.on_opened(SocketId(4), at(0));
        assert_eq!(fresh.step(at(0)), None, "another one");
        fresh.on_opened(SOCKET, at(10));
        let asked = |ms: &u64| fresh.step(at(*ms)) == Some(Step::Ask(SOCKET));
        assert_eq!((10..700).filter(asked).collect::<Vec<_>>(), [10, 310, 610]);
        let address = SocketAddr::from(([198, 51, 100, 1], 7));
        fresh.on_seen(SocketId(4), address);
        assert_eq!(fresh.ready(), None);
        fresh.on_seen(SOCKET, address);
        assert_eq!((fresh.ready(), fresh.deadline()), (Some((SOCKET, address)), None));
        assert_eq!((fresh.outcome(), fresh.step(at(9000))), (FreshPort::Tried, None));
        fresh.give_back();
        assert_eq!((fresh.step(at(9000)), fresh.step(at(9000))), (Some(Step::Close(SOCKET)), None));
        assert_eq!(fresh.outcome(), FreshPort::Tried);
    }

    #[test]
    fn the_socket_by_which_the_path_goes_stays_while_another_is_tried() {
        let address = SocketAddr::from(([198, 51, 100, 1], 7));
        let mut fresh = requested();
        let other = SocketId(6);
        fresh.on_opened(SOCKET, at(0));
        fresh.on_seen(SOCKET, address);
        // The path is in trouble, or the peer says that it is.
        fresh.begin(at(100));
        fresh.keep_only(Some(SOCKET));
        assert_eq!((fresh.step(at(100)), fresh.step(at(100))), (Some(Step::Open), None));
        fresh.on_requested(Some(other));
        fresh.on_opened(other, at(100));
        assert_eq!(fresh.step(at(100)), Some(Step::Ask(other)));
        fresh.give_back();
        fresh.keep_only(Some(SOCKET));
        assert_eq!((fresh.step(at(200)), fresh.step(at(200))), (Some(Step::Close(other)), None));
        // It goes by another now, or nowhere.
        fresh.keep_only(None);
        assert_eq!((fresh.step(at(300)), fresh.step(at(300))), (Some(Step::Close(SOCKET)), None));
    }

    #[test]
    fn who_cannot_open_one_leaves_the_step_out() {
        let mut refused = requested();
        refused.on_closed(SOCKET);
        assert_eq!((refused.outcome(), refused.step(at(1))), (FreshPort::LeftOut, None));
        let mut never = Fresh::default();
        never.begin(at(0));
        assert_eq!(never.step(at(0)), Some(Step::Open));
        never.on_requested(None);
        assert_eq!((never.outcome(), never.step(at(1))), (FreshPort::LeftOut, None));
        // It neither opens one nor says that it cannot: the request is taken back.
        let mut silent = requested();
        assert_eq!(silent.deadline(), Some(at(2000)));
        assert_eq!(
            (silent.step(at(1999)), silent.step(at(2000))),
            (None, Some(Step::Close(SOCKET)))
        );
        assert_eq!((silent.outcome(), silent.is_pending()), (FreshPort::LeftOut, false));
        // Nobody says where it is.
        let mut unseen = requested();
        unseen.on_opened(SOCKET, at(0));
        let steps: Vec<_> = (0..3000).filter_map(|ms| unseen.step(at(ms))).collect();
        assert_eq!((steps.len(), steps.last()), (8, Some(&Step::Close(SOCKET))));
        assert_eq!(unseen.outcome(), FreshPort::LeftOut);
    }
}
