//! STUN: where strangers are told that they seem to be.

use super::Admission;
use crate::context::Context;
use crate::net::Arrival;
use crate::stats::DropReason;
use crate::stun::{NoRequest, Request};

impl Admission {
    /// A datagram that may be of STUN: answers a Binding request, as far as the budget goes.
    pub(crate) fn on_stun(&mut self, cx: &mut Context, arrival: &Arrival, datagram: &[u8]) {
        let answered = self.answer_stun(cx, arrival, datagram);
        if let Err(reason) = answered {
            cx.drop_packet(reason, &arrival.via);
        }
    }

    fn answer_stun(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        // Whom a neighbour speaks for is found by the neighbour, not by an address.
        let remote = arrival.via.remote().ok_or(DropReason::Unsolicited)?;
        let request = Request::parse(datagram).map_err(|error| match error {
            NoRequest::Other => DropReason::UnknownType,
            NoRequest::Unsolicited => DropReason::Unsolicited,
            NoRequest::Malformed => DropReason::Malformed,
        })?;
        let source = self.limiter.key(&arrival.via);
        if !self.limiter.try_acquire_stun(cx.now, &source) {
            cx.stats.answers_withheld += 1;
            return Err(DropReason::RateLimited);
        }
        if !self.replies.push_cheap(arrival.via, &request.reply(remote)) {
            return Err(DropReason::Full);
        }
        cx.stats.stun_answers_sent += 1;
        Ok(())
    }
}
