//! Initiators that are genuine and not taken in are told so, under the seal of their handshake.
//!
//! Nothing is kept for them but the answer, so that a copy of the request costs no more than finding it.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use zerocopy::IntoBytes;

use super::limits::SourceKey;
use super::seal::seal;
use super::{Admission, HalfOpen, Initiator};
use crate::context::Context;
use crate::disconnect::DisconnectReason;
use crate::event::Refusal as NotTaken;
use crate::net::Arrival;
use crate::parting::Parting;
use crate::session::Terms;
use crate::stats::DropReason;
use crate::wire::{HandshakeRequest, HandshakeResponse, MAC_LEN, Refusal, ResponseStatus};

/// The newest refusals, by the MAC of the request that each answers.
#[derive(Debug, Default)]
pub(super) struct Refused {
    by_mac: BTreeMap<[u8; MAC_LEN], HandshakeResponse>,
    /// Oldest first.
    order: VecDeque<[u8; MAC_LEN]>,
}

/// How many refusals are kept.
const MOST_KEPT: usize = 256;
/// For so long at least it is remembered that somebody was told so late that there is no place: other
/// partings are remembered for longer, so that strangers do not drive them out.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Room for a packet with a `Disconnect`.
const GOODBYE_ROOM: usize = 128;

impl Refused {
    /// The refusal that answered this request.
    pub(super) fn by_request(&self, mac: &[u8; MAC_LEN]) -> Option<&HandshakeResponse> {
        self.by_mac.get(mac)
    }

    fn insert(&mut self, mac: [u8; MAC_LEN], response: HandshakeResponse) {
        if self.by_mac.insert(mac, response).is_some() {
            return;
        }
        self.order.push_back(mac);
        if self.order.len() > MOST_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_mac.remove(&oldest);
        }
    }
}

impl Admission {
    /// Those who were refused may ask again.
    pub(super) fn forget_refusals(&mut self) {
        self.refused = Refused::default();
    }

    /// Refuses a genuine request, and says so while there is a budget for it. Returns what the request
    /// counts as.
    pub(super) fn refuse(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        request: &HandshakeRequest,
        initiator: Initiator,
        status: ResponseStatus,
    ) -> DropReason {
        let reason = match status {
            ResponseStatus::Accepted | ResponseStatus::Full => DropReason::Full,
            ResponseStatus::NotAdmitted => DropReason::Admission,
            ResponseStatus::Parted => DropReason::Parted,
        };
        if !self.limiter.try_acquire_refusal(cx.now, &initiator.source) {
            cx.stats.answers_withheld += 1;
            return reason;
        }
        let said = self.parted.reason(&initiator.id, initiator.incarnation());
        let said = said.filter(|_| status == ResponseStatus::Parted);
        let refusal = match said {
            Some(said) => Refusal::new(status, said.code, &said.reason),
            None => Refusal::new(status, 0, ""),
        };
        let mut response = HandshakeResponse::new(request.sender_index.get(), 0);
        let Initiator { id, accepted, psk, .. } = initiator;
        if seal(cx, request, &id, accepted, &psk, refusal.as_bytes(), &mut response).is_some() {
            self.send_refusal(cx, arrival, &response);
            self.refused.insert(request.mac, response);
        }
        reason
    }

    /// Answers a copy of a request that was refused. Returns what the request counts as.
    pub(super) fn refuse_again(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        source: &SourceKey,
        mac: &[u8; MAC_LEN],
    ) -> DropReason {
        if !self.limiter.try_acquire_refusal(cx.now, source) {
            cx.stats.answers_withheld += 1;
            return DropReason::RateLimited;
        }
        if let Some(response) = self.refused.by_request(mac).cloned() {
            self.send_refusal(cx, arrival, &response);
        }
        DropReason::Duplicate
    }

    /// A handshake was confirmed, by a packet of `len` bytes, and there is no place for the initiator any
    /// more. It takes itself for a peer, and is told under its keys that it is none. Returns what is to be
    /// remembered: should that be lost, its next handshake is refused.
    pub(crate) fn refuse_confirmed(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        half_open: HalfOpen,
        len: usize,
    ) -> Parting {
        cx.drop_packet(DropReason::Full, &arrival.via);
        cx.stats.unverified_bytes_received += len as u64;
        let HalfOpen { id, established, .. } = half_open;
        self.refusals.note(id, &arrival.via, NotTaken::Full);
        let reason = DisconnectReason::full();
        let mut buffer = [0; GOODBYE_ROOM];
        let goodbye = established.write_goodbye(&reason, &mut buffer);
        let sent = goodbye.is_some_and(|bytes| self.replies.push_cheap(arrival.via, bytes));
        cx.stats.refusals_sent += u64::from(sent);
        cx.stats.answers_withheld += u64::from(!sent);
        let Terms { local_index, incarnations, .. } = established.terms;
        cx.indices.release(local_index);
        let (incarnation, until) = (incarnations.theirs, cx.now + REMEMBERED);
        Parting { id, incarnation, reason, until }
    }

    fn send_refusal(&mut self, cx: &mut Context, arrival: &Arrival, response: &HandshakeResponse) {
        let sent = self.replies.push_cheap(arrival.via, response.as_bytes());
        cx.stats.refusals_sent += u64::from(sent);
        cx.stats.answers_withheld += u64::from(!sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_refusals_are_kept() {
        let mut refused = Refused::default();
        let mac = |n: u32| [n.to_le_bytes(); 4].concat().try_into().expect("16 bytes");
        for n in 0..1000 {
            refused.insert(mac(n), HandshakeResponse::new(n, 0));
            refused.insert(mac(n), HandshakeResponse::new(n, 0));
        }
        assert_eq!((refused.by_mac.len(), refused.order.len()), (MOST_KEPT, MOST_KEPT));
        let found = |n| refused.by_request(&mac(n)).map(|response| response.receiver_index.get());
        assert_eq!((found(743), found(744), found(999)), (None, Some(744), Some(999)));
    }
}
