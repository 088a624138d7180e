//! Our handshake comes to nothing: the other end does not take us in, or nobody answers in time.

use crate::context::Context;
use crate::disconnect::DisconnectReason;
use crate::event::{EndReason, Refusal};
use crate::net::Arrival;
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::session::Refused;
use crate::stats::DropReason;
use crate::wire::ResponseStatus;

impl Peer {
    /// The other end, authenticated, does not take us in.
    pub(in crate::peer) fn on_refused(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        refused: &Refused,
    ) {
        // What it says about a state that we lost since is nothing to us. Ours is the one that stands, and the
        // one that our requests name once the other end lost what it knew of that.
        let ours = [self.acquaintance.incarnation, self.incarnation_to_name(cx)];
        let current = ours.contains(&refused.incarnation);
        match refused.status {
            ResponseStatus::NotAdmitted if current => {
                self.end(cx, EndReason::Refused(Refusal::NotAdmitted));
            }
            ResponseStatus::Parted if current => {
                let (code, reason) = (refused.refusal.code.get(), refused.refusal.reason());
                let reason = DisconnectReason::with_any_code(code, reason);
                self.end(cx, EndReason::PeerDisconnected { reason, complete: false });
            }
            ResponseStatus::Full => self.on_full(cx, arrival),
            _ => cx.drop_packet(DropReason::Unsolicited, &arrival.via),
        }
    }

    /// The other end has no place for us now. Copies of what it says must not put off our next try.
    fn on_full(&mut self, cx: &mut Context, arrival: &Arrival) {
        let Some(dial) = self.dialing.dial.as_mut().filter(|dial| !dial.is_expired(cx.now)) else {
            cx.drop_packet(DropReason::Unsolicited, &arrival.via);
            return;
        };
        dial.on_full(&arrival.via, cx.now);
        self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
    }

    /// Our handshake has taken long enough.
    pub(in crate::peer) fn on_dial_deadline(&mut self, cx: &mut Context) {
        let dial = self.dialing.dial.as_ref();
        let reason = if dial.is_some_and(|dial| dial.is_full()) {
            EndReason::Refused(Refusal::Full)
        } else if let Some(theirs) = dial.and_then(|dial| dial.their_version()) {
            EndReason::VersionMismatch { theirs }
        } else if let Some(refusal) = dial.and_then(|dial| dial.not_forwarded()) {
            EndReason::NotForwarded(refusal)
        } else {
            EndReason::DialTimeout
        };
        self.end(cx, reason);
    }
}
