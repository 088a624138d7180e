//! What is due, and whether more may follow.

use crate::context::Context;
use crate::path::{Path, Permit};
use crate::peer::Peer;
use crate::session::Session;
use crate::time::Instant;

/// What goes into a packet beside acknowledgements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// Control frames are due, and may leave.
    pub(super) control: bool,
    /// Parts of messages may leave.
    pub(super) data: bool,
    /// The space for frames in an empty packet.
    pub(super) room: usize,
}

impl Peer {
    /// Whether there may be something to send; false only if there is not.
    pub(super) fn may_transmit(&self, cx: &Context) -> bool {
        let Some(path) = self.paths.primary() else { return true };
        // Keys that wear out with the last packet are replaced at the next.
        let wears_out = |session: &Session| session.wants_rekey(&cx.config);
        // What is most often due comes first.
        self.outbound.queue.has_work()
            || self.paths.is_ack_due(cx.now)
            || self.dialing.dial.is_some()
            || self.sessions.current().is_none_or(wears_out)
            || self.may_probe(cx)
            || path.wants_larger()
            || path.owes_probe()
            || self.paths.has_validation_work()
            || self.paths.beside(cx.now).is_some()
            || self.outbound.has_control(&self.inbox)
    }

    /// Whether it is certain that nothing is to be sent now, as after most packets that came: that takes less than to look for
    /// something.
    pub(super) fn lacks_output(&mut self, cx: &mut Context) -> bool {
        // Keys that are too old are replaced by a handshake, which has something to send.
        !self.outbound.queue.has_work() && self.has_usable_keys(cx) && !self.may_transmit(cx)
    }

    /// Nothing was to be sent.
    pub(super) fn note_nothing(&mut self, now: Instant) {
        let path = self.paths.primary().filter(|path| path.is_proved());
        if let Some(bytes) = path.map(Path::next_limit) {
            self.note_lack(now, bytes);
        }
    }

    /// Whether the next packet of a batch may be sealed. Of what keys depend on, only the number of packets changes within
    /// one: they may become due for a change, or wear out.
    pub(super) fn may_seal_more(&mut self, cx: &mut Context) -> bool {
        if self.sessions.current().is_some_and(|session| !session.wants_rekey(&cx.config)) {
            return true;
        }
        self.review_keys(cx);
        self.has_usable_keys(cx)
    }

    /// Nothing is to be sent: if a packet of `bytes` could leave now, more could than there is.
    pub(super) fn note_lack(&mut self, now: Instant, bytes: usize) {
        let Some(path) = self.paths.primary_mut() else { return };
        path.schedule_pacing(None);
        if path.heeds_lack() && path.permit(now, bytes) == Permit::Now {
            path.note_lack();
        }
    }

    /// Nothing may leave now. The permit is that of a packet of `bytes` with the data that waits, if some does: the path
    /// says when the next one may leave, if only pacing holds it back.
    pub(super) fn hold_back(&mut self, now: Instant, permit: Option<Permit>, bytes: usize) {
        let at = match permit {
            Some(Permit::Later(at)) => Some(at),
            Some(Permit::Full) => None,
            Some(Permit::Now) | None => return self.note_lack(now, bytes),
        };
        self.paths.primary_mut().into_iter().for_each(|path| path.schedule_pacing(at));
    }
}
