//! Handshakes and a change of keys between real endpoints, with all that they compute on the way.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use ed25519_dalek::SigningKey;
use zerocopy::{FromBytes, IntoBytes};

use super::Vectors;
use super::script::{
    APPLICATION, IDENTITY_A, IDENTITY_B, NETWORK_SECRET, RANDOM_A, RANDOM_B, Script, address_a,
    address_b, drawn,
};
use crate::crypto::backend::Suite;
use crate::crypto::backend::active::{AeadKey, SecretKey};
use crate::crypto::cookie::CookieJar;
use crate::crypto::hash::{Secret, blake2s, expand, keyed};
use crate::crypto::noise::{Accepted, Initiation, Opening, Split};
use crate::crypto::schedule::{Role, SessionSecrets, data_key, rekey_root};
use crate::net::Arrival;
use crate::session::prologue;
use crate::wire::{
    DataFrame, Fragment, Frame, Frames, HandshakeRequest, HandshakeResponse, HandshakeRetry,
    KeyRequest, PacketNumber, SEALED_HEADER_LEN, SealedHeader, StreamKey, UnknownSession, Writer,
};
use crate::{
    Config, Delivery, DisconnectOptions, DisconnectReason, Identity, Origin, Retry, Target,
};

pub(super) fn identities(vectors: &mut Vectors) {
    for (name, seed) in [("a", IDENTITY_A), ("b", IDENTITY_B)] {
        let identity = Identity::from_seed(seed);
        let scalar = SigningKey::from_bytes(&seed).to_scalar_bytes();
        assert_eq!(SecretKey::from_bytes(&scalar).public(), identity.id().x25519());
        vectors.hex(&format!("identity.{name}.seed"), seed);
        vectors.hex(&format!("identity.{name}.peer_id"), identity.id().as_bytes());
        vectors.text(&format!("identity.{name}.peer_id.text"), identity.id());
        vectors.hex(&format!("identity.{name}.x25519_secret"), scalar);
        vectors.hex(&format!("identity.{name}.x25519_public"), identity.id().x25519());
    }
    vectors.hex("config.application", APPLICATION);
    vectors.hex("config.network_secret", NETWORK_SECRET);
    vectors.text("config.address.a.text", address_a());
    vectors.text("config.address.b.text", address_b());
}

/// A dials B by address alone: key request, retry, request, response, packets, change of keys.
pub(super) fn by_address(vectors: &mut Vectors) {
    let mut script = Script::new(|_| {});
    let handle = script.a.endpoint.connect(script.now, address_b().into()).expect("a dial");
    script.a.endpoint.send(script.now, handle, Delivery::ordered(7), "hello".into()).expect("room");
    let key_request = only(script.leaves_a());
    script.reach_b(core::slice::from_ref(&key_request));
    let retry = only(script.leaves_b());
    note_discovery(vectors, &key_request, &retry);

    script.reach_a(&[retry]);
    let request = only(script.leaves_a());
    script.reach_b(core::slice::from_ref(&request));
    let response = only(script.leaves_b());
    let handshake = Handshake::recompute(&request, &response);
    handshake.note(vectors);

    script.reach_a(&[response]);
    let first = only(script.leaves_a());
    script.reach_b(core::slice::from_ref(&first));
    let answer = only(script.leaves_b());
    let split = &handshake.split;
    note_sealed(vectors, "sealed.first", &first, &split.initiator, Suite::ChaCha20Poly1305);
    note_sealed(vectors, "sealed.answer", &answer, &split.responder, Suite::ChaCha20Poly1305);
    note_hint(vectors, &first);
    note_made_up(vectors, &first, &split.initiator);
    script.reach_a(&[answer]);
    script.settle();
    note_rekey(vectors, &mut script, split);
}

/// A dials B by its identity, and B always wants a cookie.
pub(super) fn by_identity(vectors: &mut Vectors) {
    let mut script = Script::new(|config| config.retry = Retry::Always);
    let target = Target::new(Identity::from_seed(IDENTITY_B).id(), [address_b()]);
    script.a.endpoint.connect(script.now, target).expect("a dial");
    let request = only(script.leaves_a());
    script.reach_b(core::slice::from_ref(&request));
    let retry = only(script.leaves_b());
    let (asked, _) = HandshakeRequest::read_from_prefix(&request).expect("a request");
    let (answer, _) = HandshakeRetry::read_from_prefix(&retry).expect("a retry");
    let key = blake2s(&[b"handfast/1 retry mac", &asked.mac]);
    assert_eq!(keyed(&key, &[answer.authenticated()]), answer.mac);
    vectors.hex("known.request", &request);
    vectors.hex("known.retry_mac_key", key);
    vectors.hex("known.retry", &retry);
    script.reach_a(&[retry]);
    let again = only(script.leaves_a());
    let (second, _) = HandshakeRequest::read_from_prefix(&again).expect("a request");
    vectors.hex("known.ephemeral_secret.first", ephemeral_of(RANDOM_A, &asked.ephemeral));
    vectors.hex("known.ephemeral_secret.second", ephemeral_of(RANDOM_A, &second.ephemeral));
    vectors.hex("known.prologue_with_cookie", prologue(&APPLICATION, second.prologue()));
    vectors.hex("known.request_with_cookie", again);
}

/// The first packet when both ends have AES in hardware.
pub(super) fn with_aes(vectors: &mut Vectors) {
    let mut script = Script::new(|config: &mut Config| config.aes_hardware = true);
    let target = Target::new(Identity::from_seed(IDENTITY_B).id(), [address_b()]);
    script.a.endpoint.connect(script.now, target).expect("a dial");
    let request = only(script.leaves_a());
    script.reach_b(core::slice::from_ref(&request));
    let response = only(script.leaves_b());
    script.reach_a(core::slice::from_ref(&response));
    let first = only(script.leaves_a());
    let handshake = Handshake::recompute(&request, &response);
    let split = &handshake.split;
    vectors.hex("aes.ephemeral_secret.initiator", handshake.initiator_ephemeral);
    vectors.hex("aes.ephemeral_secret.responder", handshake.responder_ephemeral);
    vectors.hex("aes.request", request);
    vectors.hex("aes.response", response);
    vectors.hex("aes.k_initiator", *split.initiator);
    vectors.hex("aes.k_responder", *split.responder);
    vectors.hex("aes.data_key.initiator", *data_key(&split.initiator, Suite::Aes256Gcm));
    note_sealed(vectors, "aes.sealed.first", &first, &split.initiator, Suite::Aes256Gcm);
    script.reach_b(&[first]);
    let answer = only(script.leaves_b());
    note_sealed(vectors, "aes.sealed.answer", &answer, &split.responder, Suite::Aes256Gcm);
}

/// B parts from A, which hears nothing of it and is told so when it shakes hands anew.
pub(super) fn parted(vectors: &mut Vectors) {
    let mut script = Script::new(|_| {});
    let target = Target::new(Identity::from_seed(IDENTITY_B).id(), [address_b()]);
    let peer = script.a.endpoint.connect(script.now, target).expect("a dial");
    script.settle();
    let there = script.b.knows(&script.a).expect("connected");
    let goodbye = DisconnectOptions::now().with_reason(DisconnectReason::new(7, "bye"));
    script.b.endpoint.disconnect(script.now, there, goodbye).expect("connected");
    while script.b.endpoint.poll_timeout().is_some() {
        script.leaves_b();
        script.pass(Duration::from_millis(10));
    }
    script.a.endpoint.ping(script.now, peer).expect("it does not know");
    let sealed = script.leaves_a();
    script.reach_b(&sealed);
    let hint = script.leaves_b();
    script.reach_a(&hint);
    let request = only(script.leaves_a());
    script.reach_b(core::slice::from_ref(&request));
    let refusal = only(script.leaves_b());
    script.reach_a(core::slice::from_ref(&refusal));
    assert!(script.a.has_ended());
    let handshake = Handshake::recompute(&request, &refusal);
    vectors.hex("parted.ephemeral_secret.initiator", handshake.initiator_ephemeral);
    vectors.hex("parted.request_payload", &handshake.request_payload);
    vectors.hex("parted.request", request);
    vectors.hex("parted.ephemeral_secret.responder", handshake.responder_ephemeral);
    vectors.hex("parted.refusal_payload", &handshake.response_payload);
    vectors.hex("parted.refusal", refusal);
}

fn note_discovery(vectors: &mut Vectors, key_request: &[u8], retry: &[u8]) {
    let (asked, _) = KeyRequest::read_from_prefix(key_request).expect("a key request");
    let key = blake2s(&[b"handfast/1 key-request mac", &APPLICATION, &NETWORK_SECRET]);
    assert_eq!(keyed(&key, &[asked.authenticated()]), asked.network_mac);
    vectors.hex("key_request.mac_key", key);
    vectors.hex("key_request.packet", key_request);

    let (answer, _) = HandshakeRetry::read_from_prefix(retry).expect("a retry");
    let (time, origin) = (answer.cookie.time.get(), Arrival::from(&origin_a()).via.binding());
    let index = asked.sender_index.get();
    let issues = |master: &[u8; 32]| {
        CookieJar::new((*master).into()).issue(time, &origin, index) == answer.cookie.mac
    };
    let master = drawn(RANDOM_B, issues);
    let slot = (time / 120).to_le_bytes();
    let secret = expand(&master, [b"handfast/1 cookie", &slot]);
    let input = [&origin[..], &time.to_le_bytes(), &index.to_le_bytes()];
    assert_eq!(keyed(&secret, &input), answer.cookie.mac);
    vectors.hex("cookie.master", master);
    vectors.hex("cookie.secret", *secret);
    vectors.hex("cookie.input", input.concat());
    vectors.hex("cookie.mac", answer.cookie.mac);

    let key = blake2s(&[b"handfast/1 retry mac", &asked.nonce]);
    assert_eq!(keyed(&key, &[answer.authenticated()]), answer.mac);
    vectors.hex("retry.mac_key", key);
    vectors.hex("retry.packet", retry);
}

/// A handshake whose two packets were seen, done again with both sides' secrets.
struct Handshake {
    request: HandshakeRequest,
    response: HandshakeResponse,
    prologue: [u8; 58],
    initiator_ephemeral: [u8; 32],
    responder_ephemeral: [u8; 32],
    request_payload: Vec<u8>,
    response_payload: Vec<u8>,
    split: Split,
}

impl Handshake {
    fn recompute(request: &[u8], response: &[u8]) -> Self {
        let (request, _) = HandshakeRequest::read_from_prefix(request).expect("a request");
        let (response, _) = HandshakeResponse::read_from_prefix(response).expect("a response");
        let (a, b) = (Identity::from_seed(IDENTITY_A), Identity::from_seed(IDENTITY_B));
        let prologue = prologue(&APPLICATION, request.prologue());
        let (ephemeral, static_ciphertext) = (request.ephemeral, request.static_ciphertext);
        let opening = Opening { ephemeral, static_ciphertext };
        let mut text = request.payload_ciphertext;
        let accepted = Accepted::read(b.x25519(), &prologue, &opening, &mut text, |remote| {
            b.x25519().agree(remote)
        });
        let accepted = accepted.expect("it is genuine");
        let request_payload = text[..96].to_vec();

        let initiator_ephemeral = ephemeral_of(RANDOM_A, &request.ephemeral);
        let ephemeral = SecretKey::from_bytes(&initiator_ephemeral);
        let (to, local) = (b.id().x25519(), a.x25519());
        let (initiation, again) =
            Initiation::new(local, &to, &prologue, ephemeral, &mut text, |remote| {
                local.agree(remote)
            })
            .expect("B's key is sound");
        assert_eq!((again, text), (opening, request.payload_ciphertext));

        let mut text = response.payload_ciphertext;
        let split = initiation.finish(a.x25519(), &NETWORK_SECRET, &response.ephemeral, &mut text);
        let split = split.expect("it is genuine");
        let response_payload = text[..60].to_vec();
        let responder_ephemeral = ephemeral_of(RANDOM_B, &response.ephemeral);
        let ephemeral = SecretKey::from_bytes(&responder_ephemeral);
        let other = accepted.respond(&ephemeral, &NETWORK_SECRET, &mut text).expect("room");
        assert_eq!(
            (text, other.transcript.steps()),
            (response.payload_ciphertext, split.transcript.steps())
        );
        Self {
            request,
            response,
            prologue,
            initiator_ephemeral,
            responder_ephemeral,
            request_payload,
            response_payload,
            split,
        }
    }

    fn note(&self, vectors: &mut Vectors) {
        let (a, b) = (Identity::from_seed(IDENTITY_A).id(), Identity::from_seed(IDENTITY_B).id());
        let Self { request, response, split, .. } = self;
        vectors.hex("request.ephemeral_secret", self.initiator_ephemeral);
        vectors.hex("request.ephemeral", request.ephemeral);
        vectors.hex("request.prologue", self.prologue);
        vectors.hex("request.payload", &self.request_payload);
        vectors.hex("response.ephemeral_secret", self.responder_ephemeral);
        vectors.hex("response.ephemeral", response.ephemeral);
        vectors.hex("response.payload", &self.response_payload);
        note_trace(vectors, split);

        let label = b"handfast/1 request mac";
        let key = blake2s(&[label, b.as_bytes(), &APPLICATION, &NETWORK_SECRET]);
        assert_eq!(keyed(&key, &[request.authenticated()]), request.mac);
        vectors.hex("request.mac_key", key);
        vectors.hex("request.packet", request.as_bytes());
        let key = blake2s(&[b"handfast/1 response mac", &request.ephemeral, a.as_bytes()]);
        assert_eq!(keyed(&key, &[response.authenticated()]), response.mac);
        vectors.hex("response.mac_key", key);
        vectors.hex("response.packet", response.as_bytes());

        vectors.hex("split.k_initiator", *split.initiator);
        vectors.hex("split.k_responder", *split.responder);
        vectors.hex("split.hash", split.transcript.hash());
        for (suite, name) in [(Suite::ChaCha20Poly1305, "chacha"), (Suite::Aes256Gcm, "aes")] {
            let key = |direction| *data_key(direction, suite);
            vectors.hex(&format!("data_key.{name}.initiator"), key(&split.initiator));
            vectors.hex(&format!("data_key.{name}.responder"), key(&split.responder));
        }
        vectors.hex("rekey_secret.0", *first_generation(split).rekey);
    }
}

/// The state after every step, of which only what the step changed.
fn note_trace(vectors: &mut Vectors, split: &Split) {
    assert_eq!(split.transcript.steps().len(), STEPS.len());
    let mut before: Option<&[[u8; 32]; 3]> = None;
    for (step, state) in STEPS.iter().zip(split.transcript.steps()) {
        for (at, name) in ["ck", "k", "h"].into_iter().enumerate() {
            // Before the first key is mixed in there is none, and `ck` is the hash of the name.
            if before.map_or(name == "h", |before| before[at] != state[at]) {
                vectors.hex(&format!("noise.{step}.{name}"), state[at]);
            }
        }
        before = Some(state);
    }
}

/// What is mixed into the state, in order.
const STEPS: [&str; 14] = [
    "01_prologue",
    "02_s_responder",
    "03_e_initiator_hash",
    "04_e_initiator_key",
    "05_es",
    "06_static_ciphertext",
    "07_ss",
    "08_payload_ciphertext",
    "09_e_responder_hash",
    "10_e_responder_key",
    "11_ee",
    "12_se",
    "13_psk",
    "14_payload_ciphertext",
];

/// One second after the first data, A asks for new keys.
fn note_rekey(vectors: &mut Vectors, script: &mut Script, split: &Split) {
    let suite = Suite::ChaCha20Poly1305;
    script.pass(Duration::from_secs(1));
    let request = only(script.leaves_a());
    let plaintext = note_sealed(vectors, "rekey.request", &request, &split.initiator, suite);
    let initiator = frame_in(&plaintext, |frame| match frame {
        Frame::RekeyRequest { ephemeral, .. } => Some(*ephemeral),
        _ => None,
    });
    script.reach_b(&[request]);
    let response = only(script.leaves_b());
    let plaintext = note_sealed(vectors, "rekey.response", &response, &split.responder, suite);
    let responder = frame_in(&plaintext, |frame| match frame {
        Frame::RekeyResponse { ephemeral, .. } => Some(*ephemeral),
        _ => None,
    });
    script.reach_a(&[response]);

    let secrets = [ephemeral_of(RANDOM_A, &initiator), ephemeral_of(RANDOM_B, &responder)];
    let [ours, theirs] = secrets.map(|secret| SecretKey::from_bytes(&secret));
    let old = first_generation(split);
    let new = old.rekey(Role::Initiator, &ours, &responder).expect("a sound key");
    let other = old.rekey(Role::Responder, &theirs, &initiator).expect("a sound key");
    assert_eq!(*new.rekey, *other.rekey);
    let shared = ours.agree(&responder).expect("a sound key");
    let root = rekey_root(&old.rekey, &shared, &initiator, &responder);
    let k_initiator = expand(&root, [b"handfast/1 rekey initiator", &[]]);
    let k_responder = expand(&root, [b"handfast/1 rekey responder", &[]]);
    assert_eq!(*data_key(&k_initiator, suite), *new.keys.send);
    assert_eq!(*data_key(&k_responder, suite), *new.keys.receive);
    vectors.hex("rekey.ephemeral_secret.initiator", secrets[0]);
    vectors.hex("rekey.ephemeral_secret.responder", secrets[1]);
    vectors.hex("rekey.shared", *shared);
    vectors.hex("rekey.root", *root);
    vectors.hex("rekey.k_initiator", *k_initiator);
    vectors.hex("rekey.k_responder", *k_responder);
    vectors.hex("rekey.data_key.initiator", *new.keys.send);
    vectors.hex("rekey.data_key.responder", *new.keys.receive);
    vectors.hex("rekey_secret.1", *new.rekey);

    let first = only(script.leaves_a());
    note_sealed(vectors, "rekey.first", &first, &k_initiator, suite);
    script.reach_b(&[first]);
    script.pass(Duration::from_millis(25));
    let answer = only(script.leaves_b());
    note_sealed(vectors, "rekey.answer", &answer, &k_responder, suite);
}

/// Packets that A could send under the same keys: one of another path, and one with a fragment.
fn note_made_up(vectors: &mut Vectors, sealed: &[u8], direction: &Secret) {
    let (header, _) = SealedHeader::read_from_prefix(sealed).expect("a sealed packet");
    let index = header.receiver_index.get();
    let suite = Suite::ChaCha20Poly1305;
    let key = AeadKey::new(suite, &data_key(direction, suite));
    let fragment = Frame::Data(DataFrame {
        stream: StreamKey::from(Delivery::reliable(300)),
        requires_ack: false,
        sequence_number: 4,
        fragment: Some(Fragment { total: 1003, offset: 1000 }),
        payload: b"end",
    });
    for (name, path, counter, frame) in
        [("sealed.path_2", 2, 5, Frame::Ping { token: 0 }), ("sealed.fragment", 0, 9, fragment)]
    {
        let number = PacketNumber::new(path, counter).expect("in range");
        let header = SealedHeader::new(index, number);
        let mut buffer = [0; 40];
        let mut writer = Writer::new(&mut buffer);
        assert!(frame.encode(&mut writer), "{name} fits");
        let mut body = writer.written().to_vec();
        let tag = key.seal(number.to_u64(), header.as_bytes(), &mut body);
        let packet = [header.as_bytes(), &body, &tag].concat();
        note_sealed(vectors, name, &packet, direction, suite);
    }
}

/// A stranger gets the packet and does not know its session.
fn note_hint(vectors: &mut Vectors, sealed: &[u8]) {
    let mut script = Script::new(|_| {});
    script.reach_b(&[sealed.to_vec()]);
    let hint = only(script.leaves_b());
    assert_eq!(hint.len(), size_of::<UnknownSession>());
    vectors.hex("hint.packet", hint);
}

/// Notes a sealed packet and its frames, which are returned.
fn note_sealed(
    vectors: &mut Vectors,
    name: &str,
    packet: &[u8],
    direction: &Secret,
    suite: Suite,
) -> Vec<u8> {
    let (header, _) = SealedHeader::read_from_prefix(packet).expect("a sealed packet");
    let (head, rest) = packet.split_at(SEALED_HEADER_LEN);
    let (body, tag) = rest.split_last_chunk().expect("a tag");
    let mut body = body.to_vec();
    let key = AeadKey::new(suite, &data_key(direction, suite));
    assert!(key.open(header.packet_number().to_u64(), head, &mut body, tag), "{name} opens");
    vectors.hex(&format!("{name}.frames"), &body);
    vectors.hex(&format!("{name}.packet"), packet);
    body
}

fn frame_in<T>(plaintext: &[u8], wanted: impl Fn(Frame<'_>) -> Option<T>) -> T {
    let mut frames = Frames::new(plaintext).map(|frame| frame.expect("legal"));
    frames.find_map(wanted).expect("the frame is there")
}

fn first_generation(split: &Split) -> SessionSecrets {
    SessionSecrets::from_split(split, Suite::ChaCha20Poly1305, Role::Initiator)
}

fn ephemeral_of(seed: [u8; 32], public: &[u8; 32]) -> [u8; 32] {
    drawn(seed, |secret| SecretKey::from_bytes(secret).public() == *public)
}

fn origin_a() -> Origin {
    Origin::from_remote(address_a())
}

fn only(mut datagrams: Vec<Vec<u8>>) -> Vec<u8> {
    assert_eq!(datagrams.len(), 1, "{datagrams:02x?}");
    datagrams.remove(0)
}
