//! What is checked before anything costly: MAC, repetition, cookie (RFC 9147 section 5.1), budgets.

use super::answer::Outcome;
use super::limits::SourceKey;
use super::{Admission, Initiator};
use crate::context::Context;
use crate::crypto::hash::Secret;
use crate::net::{Arrival, Via};
use crate::stats::DropReason;
use crate::wire::{HandshakeRequest, KeyRequest};

/// What a request says about the address it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CookieCheck {
    /// Nothing.
    None,
    /// It carries a cookie that we gave to this address then.
    Good(u32),
    /// It carries another.
    Bad,
}

/// A request that may cost Diffie-Hellman.
pub(super) struct Screened {
    /// What is charged for it.
    pub(super) source: SourceKey,
    /// When we gave the cookie that validates its address, if one does.
    pub(super) cookie_time: Option<u32>,
    /// The secret of the network with which it was made.
    pub(super) psk: Secret,
}

impl Admission {
    /// An initiator knows our address and asks for our `PeerId`. Without `open` nobody is let in.
    pub(crate) fn on_key_request(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        request: &KeyRequest,
        open: bool,
    ) {
        cx.stats.unverified_bytes_received += size_of::<KeyRequest>() as u64;
        let outcome =
            if !cx.network.verifies_key_request(request.authenticated(), &request.network_mac) {
                Outcome::Drop(DropReason::BadMac)
            } else if !cx.config.disclose_identity || !open {
                Outcome::Drop(DropReason::Admission)
            } else {
                let source = self.limiter.key(&arrival.via);
                Outcome::Disclose { source, nonce: request.nonce }
            };
        self.conclude(cx, arrival, request.sender_index.get(), outcome);
    }

    /// An initiator asks for a session. Returns the initiator if its request is genuine; else the request is
    /// done with. Without `open` nobody is let in, but who does not know that we parted may be told. `at_peer` says whether a peer with a session is
    /// where the request came from.
    pub(crate) fn on_request(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        request: &HandshakeRequest,
        open: bool,
        at_peer: bool,
    ) -> Option<Initiator> {
        cx.stats.unverified_bytes_received += size_of::<HandshakeRequest>() as u64;
        let found = self
            .screen(cx, arrival, request, open, at_peer)
            .and_then(|screened| Initiator::authenticate(cx, arrival, request, screened));
        match found {
            Ok(initiator) => Some(initiator),
            Err(outcome) => {
                self.conclude(cx, arrival, request.sender_index.get(), outcome);
                None
            }
        }
    }

    /// Whether the request may cost Diffie-Hellman; if not, says what becomes of it.
    fn screen(
        &mut self,
        cx: &Context,
        arrival: &Arrival,
        request: &HandshakeRequest,
        open: bool,
        at_peer: bool,
    ) -> Result<Screened, Outcome> {
        let psk = cx.network.psk_of_request(request.authenticated(), &request.mac);
        let psk = psk.ok_or(Outcome::Drop(DropReason::BadMac))?;
        if !open && self.parted.is_empty() {
            return Err(Outcome::Drop(DropReason::Full));
        }
        let source = self.limiter.key(&arrival.via);
        if self.refused.by_request(&request.mac).is_some() {
            return Err(Outcome::RefuseAgain { source, mac: request.mac });
        }
        let retry = |dropped| Outcome::Retry { source, mac: request.mac, dropped };
        if let Some(slot) = self.half_open.by_request(&request.mac) {
            // One response validates one address. A request from another address, be it a copy or the one
            // that was copied, must come again with a cookie.
            let via = self.half_open.get(slot).map(|known| known.established.terms.via);
            let same = via.is_some_and(|via| via.is_same_remote(&arrival.via));
            let repeat = Outcome::Repeat { source, slot };
            return Err(if same { repeat } else { retry(Some(DropReason::Duplicate)) });
        }
        let cookie_time = match self.check_cookie(cx, &arrival.via, request) {
            CookieCheck::None => None,
            CookieCheck::Good(time) => Some(time),
            CookieCheck::Bad => return Err(retry(Some(DropReason::BadCookie))),
        };
        let validated = cookie_time.is_some();
        let paid = if validated {
            self.limiter.try_acquire_validated(cx.now, &source, at_peer)
        } else {
            !self.requires_validation(cx) && self.limiter.try_acquire_unvalidated(cx.now, &source)
        };
        match (paid, validated) {
            (true, _) => Ok(Screened { source, cookie_time, psk: psk.clone() }),
            (false, true) => Err(Outcome::Drop(DropReason::RateLimited)),
            (false, false) => Err(retry(None)),
        }
    }

    fn check_cookie(&self, cx: &Context, via: &Via, request: &HandshakeRequest) -> CookieCheck {
        if request.cookie.is_none() {
            return CookieCheck::None;
        }
        let (now, index) = (cx.cookie_time(), request.sender_index.get());
        let (time, mac) = (request.cookie.time.get(), &request.cookie.mac);
        if self.cookies.verify(now, time, mac, &via.binding(), index) {
            CookieCheck::Good(time)
        } else {
            CookieCheck::Bad
        }
    }
}
