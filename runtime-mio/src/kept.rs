//! Peers that are dialled again whenever they are lost.

use handfast_core::{ConnectError, EndReason, Event, Instant, PeerHandle, Target};
use handfast_udp::{Backoff, Reconnect};

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Kept(Vec<One>);

#[derive(Debug)]
struct One {
    target: Target,
    backoff: Backoff,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Dialled or connected.
    Known(PeerHandle),
    /// Lost: to be dialled then.
    Due(Instant),
}

impl Kept {
    pub(crate) fn add(&mut self, peer: PeerHandle, target: Target, reconnect: Reconnect) {
        let (backoff, state) = (Backoff::new(reconnect), State::Known(peer));
        self.0.push(One { target, backoff, state });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// When the next is to be dialled.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = self.0.iter().filter_map(|one| match one.state {
            State::Due(at) => Some(at),
            State::Known(_) => None,
        });
        due.min()
    }

    /// Dials those that are due.
    pub(crate) fn dial(
        &mut self,
        now: Instant,
        mut connect: impl FnMut(Target) -> Result<PeerHandle, ConnectError>,
    ) {
        self.0.retain_mut(|one| {
            if !matches!(one.state, State::Due(at) if at <= now) {
                return true;
            }
            match connect(one.target.clone()) {
                Ok(peer) | Err(ConnectError::AlreadyConnected(peer)) => {
                    one.state = State::Known(peer);
                }
                Err(ConnectError::Closing) => return false,
                Err(error) => {
                    tracing::debug!(target: "handfast::driver", %error, "not dialled again yet");
                    one.state = State::Due(now + one.backoff.advance());
                }
            }
            true
        });
    }

    /// What becomes of a peer decides whether, and when, it is dialled again.
    pub(crate) fn on_event(&mut self, now: Instant, event: &Event) {
        match event {
            Event::Connected { peer, .. } => {
                let same = |one: &&mut One| one.state == State::Known(*peer);
                self.0.iter_mut().filter(same).for_each(|one| one.backoff.reset());
            }
            Event::Ended { peer, reason, .. } => self.0.retain_mut(|one| {
                if one.state != State::Known(*peer) {
                    return true;
                }
                if let EndReason::Merged { into } = reason {
                    one.state = State::Known(*into);
                    return true;
                }
                if let EndReason::OtherShard { id, .. } = reason {
                    // As long as that has it, a look at who has whom will do, and no dial.
                    one.target.id = Some(*id);
                }
                one.state = State::Due(now + one.backoff.advance());
                one.backoff.reconnect().applies_to(reason)
            }),
            _ => {}
        }
    }
}
