//! Attacks by somebody who can compute all that the protocol lets him compute: handshakes made of
//! parts, MACs that are right over content that is not. Those that need no such tools are in
//! `tests/tests/attacks`.

mod cookies;
mod initiators;
mod numbers;
mod responders;

use core::net::SocketAddr;
use core::time::Duration;
use std::prelude::rust_2024::*;

use zerocopy::{FromBytes, IntoBytes};

use crate::config::Config;
use crate::crypto::backend::{Suite, active::AeadKey, active::SecretKey};
use crate::crypto::mac::MacKey;
use crate::crypto::noise::{Accepted, Initiation, Opening};
use crate::crypto::schedule::{Role, SessionSecrets};
use crate::session::prologue;
use crate::tests::pair::{Datagram, Node, address, at};
use crate::wire::{
    Cookie, HandshakeRequest, HandshakeResponse, HandshakeRetry, PacketNumber, Parameters,
    RequestPayload, ResponsePayload, SealedHeader,
};
use crate::{Event, Identity, Instant, PeerHandle, PeerId, Target};

/// Who is attacked, and the time there.
struct Victim {
    node: Node,
    now: Instant,
}

impl Victim {
    fn new(config: Config) -> Self {
        // Late enough that tests can name times before any cookie was made.
        let now = at(99_000);
        Self { node: Node::born(2, config, now), now }
    }

    /// Takes a datagram; what it sends then, with where.
    fn take(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Datagram> {
        self.node.take(self.now, from, bytes);
        self.sent()
    }

    fn sent(&mut self) -> Vec<Datagram> {
        self.node.sent(self.now)
    }

    fn pass(&mut self, time: Duration) -> Vec<Datagram> {
        let (end, mut all) = (self.now + time, Vec::new());
        while let Some(due) = self.node.endpoint.poll_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.node.wake(self.now);
            all.extend(self.sent());
        }
        self.now = end;
        all
    }

    fn dial(&mut self, target: Target) -> (PeerHandle, HandshakeRequest) {
        let peer = self.node.endpoint.connect(self.now, target).expect("room for a peer");
        let request = self.sent().remove(0).1;
        (peer, HandshakeRequest::read_from_bytes(&request).expect("a request"))
    }

    fn is_connected(&self) -> bool {
        self.node.count(|event| matches!(event, Event::Connected { .. })) > 0
    }
}

/// Somebody who makes the packets of a handshake from their parts.
struct Forger {
    identity: Identity,
    address: SocketAddr,
    index: u32,
    /// Counts ephemeral keys.
    drawn: u16,
}

/// A session with the victim, by hand.
struct Line {
    secrets: SessionSecrets,
    index: u32,
}

impl Forger {
    fn new(n: u8) -> Self {
        let identity = Identity::from_seed([n; 32]);
        Self { identity, address: address(n), index: 0x0100 * u32::from(n), drawn: 0 }
    }

    fn ephemeral(&mut self) -> SecretKey {
        self.drawn += 1;
        let mut secret = [0x5e; 32];
        secret[..2].copy_from_slice(&self.drawn.to_le_bytes());
        SecretKey::from_bytes(&secret)
    }

    fn payload(&self) -> RequestPayload {
        let parameters = Parameters { max_datagram: 1200.into(), ..usual_parameters() };
        RequestPayload::new(*self.identity.id().as_bytes(), 77, 0, parameters)
    }

    /// A request to the victim that is genuine in all its parts.
    fn request(
        &mut self,
        to: &PeerId,
        cookie: Cookie,
        payload: &RequestPayload,
    ) -> (HandshakeRequest, Initiation) {
        let mut request = HandshakeRequest::new(self.index, cookie);
        let len = size_of::<RequestPayload>();
        request.payload_ciphertext[..len].copy_from_slice(payload.as_bytes());
        let prologue = prologue(&[0; 16], request.prologue());
        let (local, ephemeral) = (SecretKey::from_bytes(&scalar(&self.identity)), self.ephemeral());
        let text = &mut request.payload_ciphertext;
        let (initiation, opening) =
            Initiation::new(&local, &to.x25519(), &prologue, ephemeral, text, |remote| {
                local.agree(remote)
            })
            .expect("sound");
        request.ephemeral = opening.ephemeral;
        request.static_ciphertext = opening.static_ciphertext;
        sign(&mut request, to);
        (request, initiation)
    }

    /// Reads the victim's response.
    fn finish(&self, initiation: &Initiation, response: &[u8]) -> Line {
        let response = HandshakeResponse::read_from_bytes(response).expect("a response");
        let local = SecretKey::from_bytes(&scalar(&self.identity));
        let mut text = response.payload_ciphertext;
        let split = initiation
            .finish(&local, &[0; 32], &response.ephemeral, &mut text)
            .expect("a genuine response");
        let secrets = SessionSecrets::from_split(&split, Suite::ChaCha20Poly1305, Role::Initiator);
        Line { secrets, index: response.sender_index.get() }
    }

    /// Calls the victim up to where it may confirm.
    fn call(&mut self, victim: &mut Victim, payload: &RequestPayload) -> Line {
        let (request, initiation) = self.request(&victim.node.endpoint.id(), Cookie::NONE, payload);
        let answer = victim.take(self.address, request.as_bytes()).remove(0).1;
        self.finish(&initiation, &answer)
    }

    /// Answers a request of the victim with this payload, genuine in all its parts.
    fn respond(
        &mut self,
        request: &HandshakeRequest,
        payload: &ResponsePayload,
    ) -> HandshakeResponse {
        let prologue = prologue(&[0; 16], request.prologue());
        let opening =
            Opening { ephemeral: request.ephemeral, static_ciphertext: request.static_ciphertext };
        let mut text = request.payload_ciphertext;
        let local = SecretKey::from_bytes(&scalar(&self.identity));
        let accepted =
            Accepted::read(&local, &prologue, &opening, &mut text, |remote| local.agree(remote))
                .expect("genuine");
        let (asked, _) = RequestPayload::read_from_prefix(&text).expect("long enough");
        let mut response = HandshakeResponse::new(request.sender_index.get(), self.index);
        let len = size_of::<ResponsePayload>();
        response.payload_ciphertext[..len].copy_from_slice(payload.as_bytes());
        let ephemeral = self.ephemeral();
        accepted.respond(&ephemeral, &[0; 32], &mut response.payload_ciphertext).expect("sound");
        response.ephemeral = ephemeral.public();
        let initiator = PeerId::from_bytes(asked.identity).expect("an identity");
        sign_response(&mut response, &request.ephemeral, &initiator);
        response
    }
}

impl Line {
    /// Seals frames under any number.
    fn seal(&self, number: PacketNumber, frames: &[u8]) -> Vec<u8> {
        let header = SealedHeader::new(self.index, number);
        let (key, mut body) =
            (AeadKey::new(self.secrets.keys.suite, &self.secrets.keys.send), frames.to_vec());
        let tag = key.seal(number.to_u64(), header.as_bytes(), &mut body);
        [header.as_bytes(), &body, &tag].concat()
    }
}

/// The X25519 secret of an identity made from a seed of equal bytes.
fn scalar(identity: &Identity) -> [u8; 32] {
    let seed = (0..=u8::MAX).find(|n| Identity::from_seed([*n; 32]).id() == identity.id());
    let seed = [seed.expect("a seed of equal bytes"); 32];
    ed25519_dalek::SigningKey::from_bytes(&seed).to_scalar_bytes()
}

fn usual_parameters() -> Parameters {
    Parameters {
        max_streams: 256.into(),
        idle_timeout_ms: 60_000.into(),
        max_ack_delay_ms: 25.into(),
        stream_window_log2: 16,
        max_message: (16 << 20).into(),
        receive_window: (32 << 20).into(),
        ..Parameters::default()
    }
}

/// The MAC that a request needs: whoever knows the name of the responder can make it.
fn sign(request: &mut HandshakeRequest, to: &PeerId) {
    request.mac = MacKey::request(to, &[0; 16], &[0; 32]).mac(request.authenticated());
}

fn sign_response(response: &mut HandshakeResponse, ephemeral: &[u8; 32], initiator: &PeerId) {
    response.mac = MacKey::response(ephemeral, initiator).mac(response.authenticated());
}

/// The cookie in a retry.
fn cookie_in(answers: &[Datagram]) -> Cookie {
    assert_eq!(answers.len(), 1, "one answer");
    HandshakeRetry::read_from_bytes(&answers[0].1).expect("a retry").cookie
}
