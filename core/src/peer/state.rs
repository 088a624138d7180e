//! The life of a peer: states, and the only ways between them.

use crate::disconnect::DisconnectReason;
use crate::event::{EndReason, PeerState};
use crate::pack::{Pack, Packer, Unpacker, pack};

/// Where a peer is in its life. Only `move_to_*` changes it.
#[derive(Debug)]
pub(crate) struct State {
    inner: Inner,
    changed: bool,
}

pack!(State: inner, changed);

/// What is valid in one state only lives in it.
#[derive(Debug)]
enum Inner {
    Connecting,
    Connected,
    Unresponsive,
    /// What we say then.
    Flushing(DisconnectReason),
    /// Why the peer ends, unless because we disconnect.
    Leaving(Option<EndReason>),
    Draining,
    Gone,
}

/// Only where nothing is to be done.
impl Pack for Inner {
    fn pack(&self, _: &mut Packer) -> Option<()> {
        matches!(self, Self::Connected).then_some(())
    }

    fn unpack(_: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self::Connected)
    }

    fn pack_like(&self, _: &Self, _: &mut Packer) -> Option<()> {
        matches!(self, Self::Connected).then_some(())
    }

    fn unpack_like(_: &Self, _: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self::Connected)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// We dial; nothing is validated.
    Connecting,
    /// A session stands and the peer answers.
    Connected,
    /// A session stands but the peer does not answer.
    Unresponsive,
    /// Our `Disconnect` waits until queued messages are through.
    Flushing,
    /// Our `Disconnect` is on its way.
    Leaving,
    /// It is over; late packets of the peer are still answered.
    Draining,
    /// It is over and nothing is answered.
    Gone,
}

impl Phase {
    /// The phases that may follow.
    const fn next(self) -> &'static [Self] {
        match self {
            Self::Connecting => &[Self::Connected, Self::Gone],
            Self::Connected => &[
                Self::Connected,
                Self::Unresponsive,
                Self::Flushing,
                Self::Leaving,
                Self::Draining,
                Self::Gone,
            ],
            Self::Unresponsive => {
                &[Self::Connected, Self::Flushing, Self::Leaving, Self::Draining, Self::Gone]
            }
            Self::Flushing => &[Self::Leaving, Self::Draining, Self::Gone],
            Self::Leaving => &[Self::Draining, Self::Gone],
            Self::Draining => &[Self::Gone],
            Self::Gone => &[],
        }
    }
}

impl State {
    pub(crate) const fn new() -> Self {
        Self { inner: Inner::Connecting, changed: false }
    }

    pub(crate) fn move_to_connected(&mut self) {
        self.step(Inner::Connected);
    }

    pub(crate) fn move_to_unresponsive(&mut self) {
        self.step(Inner::Unresponsive);
    }

    /// A `Disconnect` with this reason leaves once what is queued went through.
    pub(crate) fn move_to_flushing(&mut self, reason: DisconnectReason) {
        self.step(Inner::Flushing(reason));
    }

    /// `reason` is why the peer ends, unless because we disconnect. Returns what we say, if that was
    /// decided before.
    pub(crate) fn move_to_leaving(&mut self, reason: Option<EndReason>) -> DisconnectReason {
        match self.step(Inner::Leaving(reason)) {
            Some(Inner::Flushing(reason)) => reason,
            _ => DisconnectReason::default(),
        }
    }

    pub(crate) fn move_to_draining(&mut self) {
        self.step(Inner::Draining);
    }

    pub(crate) fn move_to_gone(&mut self) {
        self.step(Inner::Gone);
    }

    /// The peer that we are leaving ends for this reason, unless there is one already.
    pub(crate) fn set_end_reason(&mut self, reason: EndReason) {
        if let Inner::Leaving(known @ None) = &mut self.inner {
            *known = Some(reason);
        }
    }

    /// Why the peer ends that we are leaving, unless because we disconnect.
    pub(crate) const fn end_reason(&self) -> Option<&EndReason> {
        match &self.inner {
            Inner::Leaving(reason) => reason.as_ref(),
            _ => None,
        }
    }

    /// The state as the application sees it.
    pub(crate) const fn public(&self) -> PeerState {
        match self.phase() {
            Phase::Connecting => PeerState::Connecting,
            Phase::Connected => PeerState::Connected,
            Phase::Unresponsive => PeerState::Silent,
            Phase::Flushing | Phase::Leaving => PeerState::Closing,
            Phase::Draining | Phase::Gone => PeerState::Expired,
        }
    }

    /// The newest state, if it changed since the last call.
    pub(crate) fn take_change(&mut self) -> Option<PeerState> {
        core::mem::take(&mut self.changed).then(|| self.public())
    }

    pub(crate) const fn has_changed(&self) -> bool {
        self.changed
    }

    pub(crate) const fn is_connecting(&self) -> bool {
        matches!(self.inner, Inner::Connecting)
    }

    /// Whether a session stands and the application has not left.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.inner, Inner::Connected | Inner::Unresponsive)
    }

    /// Whether a session stands and messages flow.
    pub(crate) const fn is_up(&self) -> bool {
        self.is_live() || self.is_flushing()
    }

    pub(crate) const fn is_unresponsive(&self) -> bool {
        matches!(self.inner, Inner::Unresponsive)
    }

    pub(crate) const fn is_flushing(&self) -> bool {
        matches!(self.inner, Inner::Flushing(_))
    }

    pub(crate) const fn is_leaving(&self) -> bool {
        matches!(self.inner, Inner::Leaving(_))
    }

    pub(crate) const fn is_closing(&self) -> bool {
        self.is_flushing() || self.is_leaving()
    }

    /// Whether the application may send: the peer neither ended nor is about to.
    #[inline]
    pub(crate) const fn takes_messages(&self) -> bool {
        matches!(self.inner, Inner::Connecting | Inner::Connected | Inner::Unresponsive)
    }

    pub(crate) const fn is_gone(&self) -> bool {
        matches!(self.inner, Inner::Gone)
    }

    /// Whether the peer ended, as far as the application is concerned.
    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.inner, Inner::Draining | Inner::Gone)
    }

    const fn phase(&self) -> Phase {
        phase(&self.inner)
    }

    /// Goes to another state and returns the one before. Where no way leads there, nothing changes,
    /// and the log says so: it is a mistake of ours.
    fn step(&mut self, to: Inner) -> Option<Inner> {
        let (from, next) = (self.phase(), phase(&to));
        if !from.next().contains(&next) {
            tracing::error!(target: "handfast::handshake", ?from, to = ?next, "no such transition");
            debug_assert!(false, "no way from {from:?} to {next:?}");
            return None;
        }
        let before = self.public();
        let left = core::mem::replace(&mut self.inner, to);
        self.changed |= before != self.public();
        Some(left)
    }
}

const fn phase(inner: &Inner) -> Phase {
    match inner {
        Inner::Connecting => Phase::Connecting,
        Inner::Connected => Phase::Connected,
        Inner::Unresponsive => Phase::Unresponsive,
        Inner::Flushing(_) => Phase::Flushing,
        Inner::Leaving(_) => Phase::Leaving,
        Inner::Draining => Phase::Draining,
        Inner::Gone => Phase::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_say_survives_until_we_leave_and_the_first_reason_counts() {
        let mut state = State::new();
        state.move_to_connected();
        state.move_to_flushing(DisconnectReason::new(7, "bye"));
        assert_eq!(state.move_to_leaving(None), DisconnectReason::new(7, "bye"));
        assert_eq!(state.end_reason(), None);
        state.set_end_reason(EndReason::IdleTimeout);
        state.set_end_reason(EndReason::OwnIdentity);
        assert_eq!(state.end_reason(), Some(&EndReason::IdleTimeout));
        assert_eq!(state.take_change(), Some(PeerState::Closing));
        state.move_to_draining();
        state.move_to_gone();
        assert_eq!((state.take_change(), state.take_change()), (Some(PeerState::Expired), None));
    }

    #[test]
    fn nothing_follows_the_end() {
        for phase in [Phase::Draining, Phase::Gone] {
            assert!(phase.next().iter().all(|next| *next == Phase::Gone));
        }
    }
}
