//! The handshake as its initiator: one dial.
//!
//! A request is resent byte for byte or rebuilt with a fresh ephemeral key, never encrypted anew
//! under the same one: Noise keys do not depend on the prologue, so that would repeat a nonce.

use alloc::boxed::Box;
use core::time::Duration;

use smallvec::SmallVec;
use zerocopy::{FromBytes, IntoBytes};

use super::target::HandshakeTarget;
use crate::PeerId;
use crate::bucket::{Limit, TokenBucket};
use crate::context::Context;
use crate::crypto::backend::active::SecretKey;
use crate::crypto::mac::MacKey;
use crate::crypto::noise::{Initiation, Split};
use crate::net::{Departure, Via};
use crate::time::Instant;
use crate::wire::{
    Cookie, HandshakeRequest, HandshakeResponse, HandshakeRetry, KeyRequest, Refusal,
    RequestPayload, ResponsePayload, ResponseStatus, VERSION,
};

/// Both kinds of packet that we send.
const REQUEST_LEN: usize = size_of::<HandshakeRequest>();

/// A handshake that we began.
pub(crate) struct Dial {
    /// The index in which we expect the answer.
    local_index: u32,
    remote: Option<PeerId>,
    targets: SmallVec<[HandshakeTarget; 1]>,
    /// What our request says.
    offer: Offer,
    /// How many addresses were sent the packet in this round.
    round: usize,
    stage: Stage,
    /// The last request without a cookie, and what it says, once another took its place. Anyone who saw
    /// it could make us build that other by a retry; an answer to it still counts.
    bare: Option<(Box<Initiation>, Offer)>,
    has_cookie: bool,
    packet: [u8; REQUEST_LEN],
    interval: Duration,
    max_interval: Duration,
    rebuild_at: Instant,
    /// Retries that may still be followed before the next round that rebuilds.
    retries: u8,
    /// Responses that may be opened.
    opens: TokenBucket,
    /// The version that the other end speaks, says somebody at one of the addresses.
    their_version: Option<u8>,
    /// The other end had no place for us.
    is_full: bool,
}

enum Stage {
    /// We ask who is at the address.
    Identity { nonce: [u8; 16] },
    /// We ask for a session.
    Session { initiation: Box<Initiation>, mac: [u8; 16] },
}

/// What a request says about us.
#[derive(Clone, Copy, Debug, Default)]
struct Offer {
    /// Names our state about the peer.
    incarnation: u64,
    /// The credit that it grants.
    granted: u64,
}

/// What a genuine response says.
pub(crate) struct Answer {
    pub(crate) split: Split,
    pub(crate) payload: ResponsePayload,
    pub(crate) remote_index: u32,
    /// Our incarnation that the request named.
    pub(crate) incarnation: u64,
    /// The credit that the request granted.
    pub(crate) granted: u64,
}

/// A genuine response by which the other end does not take us in.
pub(crate) struct Refused {
    pub(crate) status: ResponseStatus,
    pub(crate) refusal: Refusal,
    /// What named our state when we asked.
    pub(crate) incarnation: u64,
}

/// What a genuine response amounts to.
pub(crate) enum Opened {
    Accepted(Answer),
    Refused(Refused),
}

/// Why a response came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    Forged,
    /// It says what no version of ours knows.
    Unknown,
    /// More came in a short time than are worth opening.
    TooMany,
}

/// How many responses are opened, a thousand a second: a forger has to be fast to keep the genuine one
/// out, and costs us a tenth of a processor core at most.
const OPENS: Limit = Limit::every(1_000, 4_000);
/// The most addresses of a dial into which others merged.
const MAX_TARGETS: usize = 16;
/// The first pause between two requests; each is longer than the last.
const FIRST_INTERVAL: Duration = Duration::from_millis(150);
/// A stranger's address gets 8 requests in 10 s: less than 2 KB.
const MAX_INTERVAL: Duration = Duration::from_secs(4);
/// The same for an address that was a validated one of the peer.
const MAX_INTERVAL_VALIDATED: Duration = Duration::from_secs(1);
/// How many retries are followed between two rounds that rebuild.
const MAX_RETRIES: u8 = 3;
/// Then the request is rebuilt, so that its cookie and time are fresh.
const REBUILD_AFTER: Duration = Duration::from_secs(5);

impl Dial {
    /// A dial to `addresses`, at least one. `validated` if the addresses were validated before.
    pub(crate) fn new(
        cx: &mut Context,
        local_index: u32,
        remote: Option<PeerId>,
        addresses: SmallVec<[Via; 2]>,
        validated: bool,
    ) -> Self {
        Self {
            local_index,
            remote,
            targets: addresses
                .into_iter()
                .map(|via| HandshakeTarget::new(via, validated))
                .collect(),
            offer: Offer::default(),
            round: 0,
            stage: Stage::Identity { nonce: cx.rng.bytes() },
            bare: None,
            has_cookie: false,
            packet: [0; REQUEST_LEN],
            interval: FIRST_INTERVAL,
            max_interval: if validated { MAX_INTERVAL_VALIDATED } else { MAX_INTERVAL },
            rebuild_at: cx.now,
            retries: MAX_RETRIES,
            opens: TokenBucket::FULL,
            their_version: None,
            is_full: false,
        }
    }

    /// The index in which we expect the answer.
    pub(crate) const fn local_index(&self) -> u32 {
        self.local_index
    }

    /// Somebody says that the other end speaks this version. True if it may be so.
    pub(crate) fn on_unsupported_version(&mut self, via: &Via, version: u8) -> bool {
        let plausible = version != VERSION && self.has_target(via);
        if plausible {
            self.their_version = Some(version);
        }
        plausible
    }

    /// The version that the other end seems to speak, if it is not ours.
    pub(crate) const fn their_version(&self) -> Option<u8> {
        self.their_version
    }

    /// The other end has no place for us: another request may find one later.
    pub(crate) fn on_full(&mut self, via: &Via, now: Instant) {
        self.on_answer(via);
        self.is_full = true;
        self.interval = self.max_interval;
        self.expire(now);
    }

    /// Whether the request under way was refused already.
    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        now >= self.rebuild_at
    }

    /// Whether the other end had no place for us.
    pub(crate) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// The identity that we expect, once it is known.
    pub(crate) const fn remote(&self) -> Option<PeerId> {
        self.remote
    }

    /// The peer behind the addresses turned out to be `id`.
    pub(crate) const fn expect(&mut self, id: PeerId) {
        self.remote = Some(id);
    }

    /// The addresses to which the handshake is sent.
    pub(crate) fn targets(&self) -> &[HandshakeTarget] {
        &self.targets
    }

    /// Makes the packet to send: a request if the identity is known, else the question for it.
    pub(crate) fn build(
        &mut self,
        cx: &mut Context,
        incarnation: u64,
        granted: u64,
        cookie: Cookie,
    ) {
        self.round = 0;
        let nothing = Stage::Identity { nonce: [0; 16] };
        let last = core::mem::replace(&mut self.stage, nothing);
        if let (Stage::Session { initiation, .. }, false) = (last, self.has_cookie) {
            self.bare = Some((initiation, self.offer));
        }
        self.has_cookie = !cookie.is_none();
        self.offer = Offer { incarnation, granted };
        self.rebuild_at = cx.now + REBUILD_AFTER;
        let built = self.remote.and_then(|id| self.build_request(cx, &id, cookie));
        if built.is_none() {
            self.build_key_request(cx);
        }
    }

    /// Starts the next round; returns when the one after it is due.
    pub(crate) fn next_round(
        &mut self,
        cx: &mut Context,
        incarnation: u64,
        granted: u64,
    ) -> Instant {
        self.round = 0;
        if cx.now >= self.rebuild_at {
            self.retries = MAX_RETRIES;
            self.build(cx, incarnation, granted, Cookie::NONE);
        }
        self.schedule(cx)
    }

    /// When the next round is due: after the interval and up to half as much again. Never sooner, or
    /// an address that does not answer would get more than its budget.
    pub(crate) fn schedule(&mut self, cx: &mut Context) -> Instant {
        let micros = u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX);
        let jittered = micros + cx.rng.below(micros / 2);
        self.interval = (self.interval * 8 / 5).min(self.max_interval);
        cx.now + Duration::from_micros(jittered)
    }

    /// Whether another retry may be followed: a responder that likes no cookie of its own must not
    /// keep us busy.
    pub(crate) fn may_rebuild(&mut self) -> bool {
        let allowed = self.retries > 0;
        self.retries = self.retries.saturating_sub(1);
        allowed
    }

    /// Sends the next rounds soon again: there is reason to expect an answer.
    pub(crate) fn expedite(&mut self) {
        self.round = 0;
        self.interval = FIRST_INTERVAL;
    }

    /// The next round builds the packet anew.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.rebuild_at = now;
    }

    /// Whether the packet may go to another address in this round.
    pub(crate) fn has_work(&self) -> bool {
        self.round < self.targets.len()
    }

    /// Copies the packet for the next address of the round that may be sent one.
    pub(crate) fn transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Departure> {
        let room = buf.get_mut(..REQUEST_LEN)?;
        while let Some(target) = self.targets.get_mut(self.round) {
            self.round += 1;
            if target.spend(now) {
                room.copy_from_slice(&self.packet);
                return Some(Departure::single(target.via, REQUEST_LEN));
            }
        }
        None
    }

    /// Whether the handshake is sent to the far end of `via`.
    pub(crate) fn has_target(&self, via: &Via) -> bool {
        self.targets.iter().any(|target| target.is_at(via))
    }

    /// Somebody at the far end of `via` answered.
    pub(crate) fn on_answer(&mut self, via: &Via) {
        self.their_version = None;
        self.targets
            .iter_mut()
            .filter(|target| target.is_at(via))
            .for_each(HandshakeTarget::on_answer);
    }

    /// Our own addresses changed.
    pub(crate) fn forget_local(&mut self) {
        self.targets.iter_mut().for_each(|target| target.via.forget_local());
    }

    /// Sends the handshake to these addresses too, from the next round on, while there is room.
    pub(crate) fn add_targets(&mut self, others: &[HandshakeTarget]) {
        for other in others {
            if !self.has_target(&other.via) && self.targets.len() < MAX_TARGETS {
                self.targets.push(other.clone());
            }
        }
    }

    /// Whether `retry` answers the packet we sent, and nobody else's.
    pub(crate) fn is_answered_by_retry(&self, retry: &HandshakeRetry) -> bool {
        let proof = match &self.stage {
            Stage::Identity { nonce } => nonce,
            Stage::Session { mac, .. } => mac,
        };
        MacKey::retry(proof).verify(retry.authenticated(), &retry.mac)
    }

    /// Reads a response to the last request or the last without a cookie. If it is not genuine,
    /// another may still be.
    pub(crate) fn open(
        &mut self,
        cx: &Context,
        response: &HandshakeResponse,
    ) -> Result<Opened, Unopened> {
        let last = match &self.stage {
            Stage::Session { initiation, .. } => Some((initiation, self.offer)),
            Stage::Identity { .. } => None,
        };
        let bare = self.bare.as_ref().map(|(initiation, offer)| (initiation, *offer));
        let asked = last.into_iter().chain(bare).find(|(initiation, _)| {
            let mac = MacKey::response(&initiation.ephemeral(), &cx.identity.id());
            mac.verify(response.authenticated(), &response.mac)
        });
        let (initiation, offer) = asked.ok_or(Unopened::Forged)?;
        // Whoever saw the request makes the MAC; what comes next costs Diffie-Hellman.
        if !self.opens.take(cx.now, &OPENS, 0) {
            return Err(Unopened::TooMany);
        }
        read_answer(cx, initiation, offer, response)
    }

    fn build_request(&mut self, cx: &mut Context, id: &PeerId, cookie: Cookie) -> Option<()> {
        let Offer { incarnation, granted } = self.offer;
        let mut request = HandshakeRequest::new(self.local_index, cookie);
        let parameters = cx.parameters(granted);
        let identity = *cx.identity.id().as_bytes();
        let payload = RequestPayload::new(identity, incarnation, cx.timestamp_ms(), parameters);
        let text = &mut request.payload_ciphertext;
        text[..size_of::<RequestPayload>()].copy_from_slice(payload.as_bytes());
        cx.distortion.apply(&mut text[..size_of::<RequestPayload>()]);
        let prologue = prologue(&cx.config.application, request.prologue());
        let ephemeral = SecretKey::from_bytes(&cx.rng.secret());
        let (initiation, opening) = Initiation::new(
            cx.identity.x25519(),
            &id.x25519(),
            &prologue,
            ephemeral,
            &mut request.payload_ciphertext,
        )?;
        request.ephemeral = opening.ephemeral;
        request.static_ciphertext = opening.static_ciphertext;
        request.mac = cx.request_mac_for(id).mac(request.authenticated());
        self.packet.copy_from_slice(request.as_bytes());
        let initiation = Box::new(initiation);
        self.stage = Stage::Session { initiation, mac: request.mac };
        Some(())
    }

    fn build_key_request(&mut self, cx: &mut Context) {
        let nonce = cx.rng.bytes();
        let mut request = KeyRequest::new(self.local_index, nonce);
        request.network_mac = cx.network.key_request_mac(request.authenticated());
        self.packet.copy_from_slice(request.as_bytes());
        self.stage = Stage::Identity { nonce };
    }
}

fn read_answer(
    cx: &Context,
    initiation: &Initiation,
    offer: Offer,
    response: &HandshakeResponse,
) -> Result<Opened, Unopened> {
    let key = cx.identity.x25519();
    // The secret may have been replaced since the request was sent.
    let opened = cx.network.psks().find_map(|psk| {
        let mut text = response.payload_ciphertext;
        let split = initiation.finish(key, psk, &response.ephemeral, &mut text)?;
        Some((split, text))
    });
    let (split, text) = opened.ok_or(Unopened::Forged)?;
    let payload = ResponsePayload::read_from_prefix(&text).map(|(payload, _)| payload);
    let payload = payload.map_err(|_| Unopened::Forged)?;
    // The head is not part of the transcript; without this, whoever knows our identity could lead
    // our packets to a session that is not ours.
    let remote_index = payload.session_index.get();
    if remote_index != response.sender_index.get() {
        return Err(Unopened::Forged);
    }
    let Offer { incarnation, granted } = offer;
    match payload.status().ok_or(Unopened::Unknown)? {
        ResponseStatus::Accepted => {
            Ok(Opened::Accepted(Answer { split, payload, remote_index, incarnation, granted }))
        }
        status => {
            let refusal = Refusal::read_from_prefix(&text).map(|(refusal, _)| refusal);
            let refusal = refusal.map_err(|_| Unopened::Forged)?;
            Ok(Opened::Refused(Refused { status, refusal, incarnation }))
        }
    }
}

/// What both sides mix into the handshake before its first message.
pub(crate) fn prologue(application: &[u8; 16], head: &[u8; 32]) -> [u8; 58] {
    let mut bytes = [0; 58];
    bytes[..10].copy_from_slice(b"handfast/1");
    bytes[10..26].copy_from_slice(application);
    bytes[26..].copy_from_slice(head);
    bytes
}

impl core::fmt::Debug for Dial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Dial {{ remote: {:?}, targets: {:?} }}", self.remote, self.targets)
    }
}
