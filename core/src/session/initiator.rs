//! The handshake as its initiator: one dial.
//!
//! A request is resent byte for byte or rebuilt with a fresh ephemeral key, never encrypted anew
//! under the same one: Noise keys do not depend on the prologue, so that would repeat a nonce.

use alloc::boxed::Box;
use core::time::Duration;

use smallvec::SmallVec;
use zerocopy::IntoBytes;

use super::answer::{Offer, Opened, Unopened, read_answer};
use super::target::HandshakeTarget;
use crate::PeerId;
use crate::bucket::{Limit, TokenBucket};
use crate::context::Context;
use crate::crypto::backend::active::SecretKey;
use crate::crypto::mac::MacKey;
use crate::crypto::noise::Initiation;
use crate::event::ForwardRefusal;
use crate::net::{Departure, Route, Via};
use crate::pack::pack_never;
use crate::time::Instant;
use crate::wire::{
    Cookie, HandshakeRequest, HandshakeResponse, HandshakeRetry, KeyRequest, RequestPayload,
    VERSION,
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
    /// From when on neighbours that forward are asked as well.
    routes_from: Instant,
    /// How many addresses were sent the packet in this round.
    round: usize,
    stage: Stage,
    bare: Option<Box<Bare>>,
    /// The address that gave the cookie of the packet, which is sent to no other.
    cookie_from: Option<Via>,
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
    /// A neighbour did not pass our handshake on, as it said last.
    not_forwarded: Option<ForwardRefusal>,
}

pack_never!(Dial);

enum Stage {
    /// We ask who is at the address.
    Identity { nonce: [u8; 16] },
    /// We ask for a session.
    Session { initiation: Box<Initiation>, mac: [u8; 16] },
}

/// The last request without a cookie, once another took its place. Anyone who saw it could make us build
/// that other by a retry; an answer to it still counts. It goes on being sent to all addresses but the
/// one that gave a cookie: elsewhere a cookie is worth nothing.
struct Bare {
    initiation: Box<Initiation>,
    offer: Offer,
    packet: [u8; REQUEST_LEN],
}

/// How many responses are opened, a thousand a second: a forger has to be fast to keep the genuine one
/// out, and costs us a tenth of a processor core at most.
const OPENS: Limit = Limit::every(1_000, 4_000);
/// The most addresses of a dial into which others merged.
const MAX_TARGETS: usize = 16;
/// The first pause between two requests; each is longer than the last.
const FIRST_INTERVAL: Duration = Duration::from_millis(150);
/// The neighbour that a route leads by is asked alone for so long.
const OTHERS_AFTER: Duration = Duration::from_millis(500);
/// A stranger's address gets 8 requests in 10 s: less than 2 KB.
const MAX_INTERVAL: Duration = Duration::from_secs(4);
/// The same for an address that was a validated one of the peer.
const MAX_INTERVAL_VALIDATED: Duration = Duration::from_secs(1);
/// How long a dial tries addresses alone before it goes by way of neighbours, too.
const ROUTES_AFTER: Duration = Duration::from_secs(1);
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
        // Who may be reached directly gets time for it; nobody else to ask, no time.
        let wait = if validated || addresses.is_empty() { Duration::ZERO } else { ROUTES_AFTER };
        let mut dial = Self {
            local_index,
            remote,
            routes_from: cx.now + wait,
            targets: addresses
                .into_iter()
                .map(|via| HandshakeTarget::new(via, validated))
                .collect(),
            offer: Offer::default(),
            round: 0,
            stage: Stage::Identity { nonce: cx.rng.bytes() },
            bare: None,
            cookie_from: None,
            packet: [0; REQUEST_LEN],
            interval: FIRST_INTERVAL,
            max_interval: if validated { MAX_INTERVAL_VALIDATED } else { MAX_INTERVAL },
            rebuild_at: cx.now,
            retries: MAX_RETRIES,
            opens: TokenBucket::FULL,
            their_version: None,
            is_full: false,
            not_forwarded: None,
        };
        dial.add_routes(cx);
        dial
    }

    /// Sends the handshake by way of neighbours that forward, too, once it is time.
    fn add_routes(&mut self, cx: &mut Context) {
        let Some(remote) = self.remote.filter(|_| cx.now >= self.routes_from) else { return };
        if let Some(router) = &mut cx.router {
            router.seek(cx.now, remote);
        }
        // One of them may say that it has a route, and have none.
        let all = cx.now >= self.routes_from + OTHERS_AFTER;
        let neighbours =
            if all { cx.relays.toward(remote).collect() } else { cx.relays_toward(remote) };
        for neighbour in neighbours {
            let via = Via::Routed(Route::new(neighbour, remote));
            if !self.has_target(&via) && self.targets.len() < MAX_TARGETS {
                self.targets.push(HandshakeTarget::new(via, false));
            }
        }
    }

    /// A way to the peer was found: the handshake goes there at once, unless it is under way there and nobody refused
    /// it. Returns when the next round is due if that is sooner now.
    pub(crate) fn on_route(&mut self, cx: &mut Context) -> Option<Instant> {
        let asked = self.targets.len();
        self.add_routes(cx);
        if self.targets.len() == asked && self.not_forwarded.is_none() {
            return None;
        }
        self.expedite();
        Some(self.schedule(cx))
    }

    /// The neighbour did not pass our handshake on.
    pub(crate) fn on_forward_refused(&mut self, neighbour: PeerId, refusal: ForwardRefusal) {
        let asked = |target: &HandshakeTarget| {
            target.via.route().is_some_and(|route| route.neighbour == neighbour)
        };
        if self.targets.iter().any(asked) {
            self.not_forwarded = Some(refusal);
        }
    }

    /// What a neighbour said last about a handshake that it did not pass on.
    pub(crate) const fn not_forwarded(&self) -> Option<ForwardRefusal> {
        self.not_forwarded
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

    /// The first of the addresses that are no way by a neighbour.
    pub(crate) fn address(&self) -> Option<Via> {
        let direct = |target: &&HandshakeTarget| target.via.route().is_none();
        self.targets.iter().find(direct).map(|target| target.via)
    }

    /// The addresses to which the handshake is sent.
    pub(crate) fn targets(&self) -> &[HandshakeTarget] {
        &self.targets
    }

    /// Makes the packet to send: a request if the identity is known, else the question for it. A cookie
    /// comes with the address that gave it.
    pub(crate) fn build(
        &mut self,
        cx: &mut Context,
        incarnation: u64,
        granted: u64,
        cookie: Option<(Cookie, Via)>,
    ) {
        self.round = 0;
        self.rebuild_at = cx.now + REBUILD_AFTER;
        self.keep_bare();
        self.offer = Offer { incarnation, granted };
        if cookie.is_some() && self.targets.len() > 1 && self.bare.is_none() {
            self.build_packet(cx, Cookie::NONE);
            self.keep_bare();
        }
        self.build_packet(cx, cookie.map_or(Cookie::NONE, |(cookie, _)| cookie));
        self.cookie_from = cookie.map(|(_, via)| via);
    }

    /// Another request takes the place of the one that is sent.
    fn keep_bare(&mut self) {
        let last = core::mem::replace(&mut self.stage, Stage::Identity { nonce: [0; 16] });
        if let (Stage::Session { initiation, .. }, None) = (last, self.cookie_from.take()) {
            let (offer, packet) = (self.offer, self.packet);
            self.bare = Some(Box::new(Bare { initiation, offer, packet }));
        }
    }

    fn build_packet(&mut self, cx: &mut Context, cookie: Cookie) {
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
        self.add_routes(cx);
        if cx.now >= self.rebuild_at {
            self.retries = MAX_RETRIES;
            self.build(cx, incarnation, granted, None);
        }
        self.schedule(cx)
    }

    /// When the next round is due: after the interval and up to half as much again. Never sooner, or
    /// an address that does not answer would get more than its budget.
    pub(crate) fn schedule(&mut self, cx: &mut Context) -> Instant {
        if self.targets.is_empty() {
            // A neighbour that forwards may come at any time.
            self.interval = FIRST_INTERVAL;
        }
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

    /// Copies the packet for the next address of the round that may be sent one: `may_go` says so where nobody
    /// answered yet. A request with a cookie goes only to where the cookie is from.
    pub(crate) fn transmit(
        &mut self,
        now: Instant,
        mut may_go: impl FnMut(&Via) -> bool,
        buf: &mut [u8],
    ) -> Option<Departure> {
        while let Some(target) = self.targets.get_mut(self.round) {
            self.round += 1;
            let is_bare = self.cookie_from.is_some_and(|from| !target.is_at(&from));
            let bare = self.bare.as_ref().map(|bare| &bare.packet);
            let Some(packet) = (if is_bare { bare } else { Some(&self.packet) }) else { continue };
            if target.spend(now, &mut may_go) {
                let departure = Departure::single(target.via, REQUEST_LEN);
                let room = buf.get_mut(..departure.len)?;
                room[target.via.headroom()..][..REQUEST_LEN].copy_from_slice(packet);
                return Some(departure);
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
        let bare = self.bare.as_ref().map(|bare| (&bare.initiation, bare.offer));
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

    /// How long the answer from there took, if that is known.
    pub(crate) fn round_trip(&self, via: &Via, now: Instant) -> Option<Duration> {
        self.targets.iter().find(|target| target.is_at(via))?.asked_for(now)
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
        let (own, remote) = (cx.identity.x25519(), cx.known.x25519(id));
        let shared = cx.known.agree(own, &remote)?;
        cx.known.remember(*id, remote, &shared);
        let text = &mut request.payload_ciphertext;
        let (initiation, opening) =
            Initiation::new(own, &remote, &prologue, ephemeral, text, |_| Some(shared))?;
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
