//! The life of a peer: states, and the only ways between them.

use crate::event::PeerState;

/// Where a peer is in its life. Only `move_to_*` changes it.
#[derive(Debug)]
pub(crate) struct State {
    inner: Inner,
    changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inner {
    /// We dial; nothing is proved.
    Connecting,
    /// A session stands and the peer answers.
    Connected,
    /// A session stands but the peer does not answer.
    Silent,
    /// Our goodbye waits until queued messages are through.
    Flushing,
    /// Our goodbye is on its way.
    Leaving,
    /// It is over; late packets of the peer are still answered.
    Draining,
    /// It is over and nothing is answered.
    Gone,
}

impl State {
    pub(crate) const fn new() -> Self {
        Self { inner: Inner::Connecting, changed: false }
    }

    pub(crate) fn move_to_connected(&mut self) {
        self.step(&[Inner::Connecting, Inner::Connected, Inner::Silent], Inner::Connected);
    }

    pub(crate) fn move_to_silent(&mut self) {
        self.step(&[Inner::Connected], Inner::Silent);
    }

    pub(crate) fn move_to_flushing(&mut self) {
        self.step(&[Inner::Connected, Inner::Silent], Inner::Flushing);
    }

    pub(crate) fn move_to_leaving(&mut self) {
        self.step(&[Inner::Connected, Inner::Silent, Inner::Flushing], Inner::Leaving);
    }

    pub(crate) fn move_to_draining(&mut self) {
        let live = [Inner::Connected, Inner::Silent, Inner::Flushing, Inner::Leaving];
        self.step(&live, Inner::Draining);
    }

    pub(crate) fn move_to_gone(&mut self) {
        self.changed |= !self.is_over();
        self.inner = Inner::Gone;
    }

    /// The state as the application sees it.
    pub(crate) const fn public(&self) -> PeerState {
        match self.inner {
            Inner::Connecting => PeerState::Connecting,
            Inner::Connected => PeerState::Connected,
            Inner::Silent => PeerState::Silent,
            Inner::Flushing | Inner::Leaving => PeerState::Closing,
            Inner::Draining | Inner::Gone => PeerState::Expired,
        }
    }

    /// The newest state, if it changed since the last call.
    pub(crate) fn take_change(&mut self) -> Option<PeerState> {
        core::mem::take(&mut self.changed).then(|| self.public())
    }

    pub(crate) const fn has_changed(&self) -> bool {
        self.changed
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.inner == Inner::Connecting
    }

    /// Whether a session stands and the application has not left.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.inner, Inner::Connected | Inner::Silent)
    }

    /// Whether a session stands and messages flow.
    pub(crate) fn is_up(&self) -> bool {
        self.is_live() || self.is_flushing()
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.inner == Inner::Silent
    }

    pub(crate) fn is_flushing(&self) -> bool {
        self.inner == Inner::Flushing
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.inner == Inner::Leaving
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_flushing() || self.is_leaving()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.inner == Inner::Draining
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.inner == Inner::Gone
    }

    /// Whether the peer ended, as far as the application is concerned.
    pub(crate) fn is_over(&self) -> bool {
        self.is_draining() || self.is_gone()
    }

    fn step(&mut self, from: &[Inner], to: Inner) {
        if !from.contains(&self.inner) {
            debug_assert!(false, "no way from {:?} to {to:?}", self.inner);
            return;
        }
        let before = self.public();
        self.inner = to;
        self.changed |= before != self.public();
    }
}
