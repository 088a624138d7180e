use super::*;
use crate::Identity;
use crate::tests::values::{LOW_ORDER_X25519, assert_wiped, unhex, unhex32};
use alloc::vec::Vec;
use proptest::prelude::*;
use snow::{Builder, HandshakeState};

fn key(secret: &[u8; 32]) -> SecretKey {
    SecretKey::from_bytes(secret)
}

/// `payload` with room for its tag.
fn roomy(payload: &[u8]) -> Vec<u8> {
    [payload, &[0; TAG]].concat()
}

fn plain(payload: &[u8]) -> &[u8] {
    &payload[..payload.len() - TAG]
}

/// A first message as Noise lays it out.
fn message_one(opening: &Opening, payload: &[u8]) -> Vec<u8> {
    [&opening.ephemeral[..], &opening.static_ciphertext, payload].concat()
}

fn parse_one(message: &[u8]) -> (Opening, Vec<u8>) {
    let opening = Opening {
        ephemeral: message[..32].try_into().expect("32"),
        static_ciphertext: message[32..80].try_into().expect("48"),
    };
    (opening, message[80..].to_vec())
}

/// Everything two sides bring to a handshake.
#[derive(Clone, Debug)]
struct Pair {
    initiator: [u8; 32],
    responder: [u8; 32],
    ephemerals: [[u8; 32]; 2],
    psk: [u8; 32],
    prologue: Vec<u8>,
    payloads: [Vec<u8>; 2],
}

impl Pair {
    fn initiate(&self) -> (Initiation, Opening, Vec<u8>) {
        let remote = key(&self.responder).public();
        let mut payload = roomy(&self.payloads[0]);
        let ephemeral = key(&self.ephemerals[0]);
        let local = key(&self.initiator);
        let (state, opening) =
            Initiation::new(&local, &remote, &self.prologue, ephemeral, &mut payload, |remote| {
                local.agree(remote)
            })
            .expect("sound keys");
        (state, opening, payload)
    }

    fn accept(&self, opening: &Opening, payload: &mut [u8]) -> Option<Accepted> {
        let local = key(&self.responder);
        Accepted::read(&local, &self.prologue, opening, payload, |remote| local.agree(remote))
    }

    fn respond(&self, accepted: Accepted) -> (Vec<u8>, Split) {
        let mut payload = roomy(&self.payloads[1]);
        let split = accepted
            .respond(&key(&self.ephemerals[1]), &self.psk, &mut payload)
            .expect("sound keys");
        (payload, split)
    }

    fn finish(&self, state: &Initiation, payload: &mut [u8]) -> Option<Split> {
        let ephemeral = key(&self.ephemerals[1]).public();
        state.finish(&key(&self.initiator), &self.psk, &ephemeral, payload)
    }

    fn snow<'a>(&'a self, local: &'a [u8; 32], ephemeral: &'a [u8; 32]) -> Builder<'a> {
        Builder::new("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s".parse().expect("known"))
            .local_private_key(local)
            .and_then(|b| b.psk(2, &self.psk))
            .and_then(|b| b.prologue(&self.prologue))
            .expect("sound")
            .fixed_ephemeral_key_for_testing_only(ephemeral)
    }

    fn snow_initiator(&self) -> HandshakeState {
        let remote = key(&self.responder).public();
        self.snow(&self.initiator, &self.ephemerals[0])
            .remote_public_key(&remote)
            .and_then(Builder::build_initiator)
            .expect("sound")
    }

    fn snow_responder(&self) -> HandshakeState {
        self.snow(&self.responder, &self.ephemerals[1]).build_responder().expect("sound")
    }
}

fn pair() -> impl Strategy<Value = Pair> {
    let bytes = |n| prop::collection::vec(any::<u8>(), 0..n);
    (
        any::<[[u8; 32]; 2]>(),
        any::<[[u8; 32]; 2]>(),
        any::<[u8; 32]>(),
        bytes(100),
        bytes(200),
        bytes(200),
    )
        .prop_map(|([initiator, responder], ephemerals, psk, prologue, one, two)| Pair {
            initiator,
            responder,
            ephemerals,
            psk,
            prologue,
            payloads: [one, two],
        })
}

fn write(state: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = [0; 1024];
    let len = state.write_message(payload, &mut message).expect("fits");
    message[..len].to_vec()
}

fn read(state: &mut HandshakeState, message: &[u8]) -> Vec<u8> {
    let mut payload = [0; 1024];
    let len = state.read_message(message, &mut payload).expect("genuine");
    payload[..len].to_vec()
}

/// Checks that snow, its handshake finished, has these keys: it seals with them and opens.
fn assert_same_session(state: HandshakeState, split: &Split) {
    assert_eq!(state.get_handshake_hash(), split.transcript.hash());
    let (send, receive) = match state.is_initiator() {
        true => (&split.initiator, &split.responder),
        false => (&split.responder, &split.initiator),
    };
    let mut transport = state.into_transport_mode().expect("finished");
    let mut message = [0; 64];
    let len = transport.write_message(b"there", &mut message).expect("fits");
    let mut body = b"there".to_vec();
    let cipher = |key: &Secret| AeadKey::new(Suite::ChaCha20Poly1305, key);
    let tag = cipher(send).seal(0, &[], &mut body);
    assert_eq!(message[..len], [&body[..], &tag].concat());
    let mut body = b"back".to_vec();
    let tag = cipher(receive).seal(0, &[], &mut body);
    let len = transport.read_message(&[&body[..], &tag].concat(), &mut message).expect("genuine");
    assert_eq!(&message[..len], b"back");
}

proptest! {
    #[test]
    fn both_sides_agree_and_say_byte_for_byte_what_snow_says(pair in pair()) {
        let mut snow_initiator = pair.snow_initiator();
        let mut snow_responder = pair.snow_responder();
        let one = write(&mut snow_initiator, &pair.payloads[0]);
        let (initiation, opening, payload) = pair.initiate();
        prop_assert_eq!(&message_one(&opening, &payload), &one);

        prop_assert_eq!(read(&mut snow_responder, &one), &pair.payloads[0][..]);
        let (opening, mut payload) = parse_one(&one);
        let accepted = pair.accept(&opening, &mut payload).expect("genuine");
        prop_assert_eq!(plain(&payload), &pair.payloads[0][..]);
        prop_assert_eq!(*accepted.remote_static(), key(&pair.initiator).public());

        let two = write(&mut snow_responder, &pair.payloads[1]);
        let (payload, theirs) = pair.respond(accepted);
        prop_assert_eq!(&[&key(&pair.ephemerals[1]).public()[..], &payload].concat(), &two);

        prop_assert_eq!(read(&mut snow_initiator, &two), &pair.payloads[1][..]);
        let mut payload = two[32..].to_vec();
        let ours = pair.finish(&initiation, &mut payload).expect("genuine");
        prop_assert_eq!(plain(&payload), &pair.payloads[1][..]);

        prop_assert_eq!(*ours.transcript.hash(), *theirs.transcript.hash());
        prop_assert_eq!(&ours.initiator, &theirs.initiator);
        prop_assert_eq!(&ours.responder, &theirs.responder);
        prop_assert_eq!(ours.transcript.steps(), theirs.transcript.steps());
        assert_same_session(snow_initiator, &ours);
        assert_same_session(snow_responder, &theirs);
    }

    #[test]
    fn sides_that_differ_in_anything_do_not_meet(pair in pair(), what in 0..4, bit in 0..256_usize) {
        let mut other = pair.clone();
        let flip = |bytes: &mut [u8; 32]| bytes[bit / 8] ^= 1 << (bit % 8);
        match what {
            0 => flip(&mut other.psk),
            1 => other.prologue.push(0),
            2 => other.responder = [7; 32],
            _ => flip(&mut other.ephemerals[0]),
        }
        // Bits that clamping fixes make no difference in a secret.
        prop_assume!(key(&other.ephemerals[0]).public() != key(&pair.ephemerals[0]).public()
            || what != 3);
        let (initiation, opening, mut payload) = pair.initiate();
        let reader = if what == 3 { &pair } else { &other };
        match reader.accept(&opening, &mut payload) {
            None => prop_assert!(what == 1 || what == 2),
            Some(accepted) => {
                prop_assert!(what == 0 || what == 3);
                let (mut payload, _) = reader.respond(accepted);
                let asker = if what == 3 { other.initiate().0 } else { initiation };
                prop_assert!(pair.finish(&asker, &mut payload).is_none());
            }
        }
    }
}

fn sample() -> Pair {
    Pair {
        initiator: [1; 32],
        responder: [2; 32],
        ephemerals: [[3; 32], [4; 32]],
        psk: [5; 32],
        prologue: b"prologue".to_vec(),
        payloads: [(0..96).collect(), (0..60).collect()],
    }
}

#[test]
fn the_published_vector_comes_out() {
    // cacophony (Haskell Noise implementation), vectors/cacophony.txt.
    let pair = Pair {
        initiator: unhex32("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"),
        responder: unhex32("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"),
        ephemerals: [
            unhex32("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"),
            unhex32("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"),
        ],
        psk: *b"This is my Austrian perspective!",
        prologue: b"John Galt".to_vec(),
        payloads: [b"Ludwig von Mises".to_vec(), b"Murray Rothbard".to_vec()],
    };
    let (initiation, opening, payload) = pair.initiate();
    let one = concat!(
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad57",
        "527207feb56253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f",
        "2441eba616548e832985464cf17e51ee93109008399a21f7e13f",
    );
    assert_eq!(message_one(&opening, &payload), unhex(one));

    let (opening, mut payload) = parse_one(&unhex(one));
    let accepted = pair.accept(&opening, &mut payload).expect("genuine");
    let (mut payload, theirs) = pair.respond(accepted);
    let two = concat!(
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f0075",
        "72dab0322217755c0632f365717edbf34d33e87a",
    );
    assert_eq!([&key(&pair.ephemerals[1]).public()[..], &payload].concat(), unhex(two));
    let split = pair.finish(&initiation, &mut payload).expect("genuine");
    let hash = "f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5";
    assert_eq!([*split.transcript.hash(), *theirs.transcript.hash()], [unhex32(hash); 2]);

    // The first transport message of either side.
    let sealed = |key: &Secret, text: &[u8]| {
        let mut body = text.to_vec();
        let tag = AeadKey::new(Suite::ChaCha20Poly1305, key).seal(0, &[], &mut body);
        [&body[..], &tag].concat()
    };
    assert_eq!(
        sealed(&split.initiator, b"F. A. Hayek"),
        unhex("8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7")
    );
    assert_eq!(
        sealed(&split.responder, b"Carl Menger"),
        unhex("07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef")
    );
}

#[test]
fn after_any_forged_answer_the_genuine_one_still_finishes() {
    let pair = sample();
    let (initiation, opening, mut payload) = pair.initiate();
    let accepted = pair.accept(&opening, &mut payload).expect("genuine");
    let (genuine, theirs) = pair.respond(accepted);
    let ephemeral = key(&pair.ephemerals[1]).public();
    let local = key(&pair.initiator);
    let mut hashes = Vec::new();
    for i in 0..ephemeral.len() + genuine.len() {
        let (mut ephemeral, mut payload) = (ephemeral, genuine.clone());
        match i.checked_sub(ephemeral.len()) {
            None => ephemeral[i] ^= 0x11,
            Some(i) => payload[i] ^= 0x11,
        }
        assert!(initiation.finish(&local, &pair.psk, &ephemeral, &mut payload).is_none(), "{i}");
        let split = pair.finish(&initiation, &mut genuine.clone()).expect("genuine");
        hashes.push(*split.transcript.hash());
    }
    assert!(hashes.iter().all(|hash| *hash == *theirs.transcript.hash()));
}

#[test]
fn a_first_message_with_any_byte_changed_is_refused() {
    let pair = sample();
    let (_, opening, payload) = pair.initiate();
    let message = message_one(&opening, &payload);
    for i in 0..message.len() {
        let mut message = message.clone();
        message[i] ^= 0x11;
        let (opening, mut payload) = parse_one(&message);
        assert!(pair.accept(&opening, &mut payload).is_none(), "{i}");
    }
}

#[test]
fn keys_of_low_order_are_refused_wherever_they_stand() {
    let pair = sample();
    let (initiation, opening, payload) = pair.initiate();
    for point in LOW_ORDER_X25519.map(unhex32) {
        let bad = Opening { ephemeral: point, ..opening };
        assert!(pair.accept(&bad, &mut payload.clone()).is_none());
        let psk = &pair.psk;
        let mut answer = roomy(b"");
        assert!(initiation.finish(&key(&pair.initiator), psk, &point, &mut answer).is_none());
        let (local, ephemeral) = (key(&pair.initiator), key(&pair.ephemerals[0]));
        assert!(
            Initiation::new(&local, &point, &[], ephemeral, &mut answer, |remote| local
                .agree(remote))
            .is_none()
        );
        assert!(pair.accept_with_static(point).is_none());
    }
}

impl Pair {
    /// Reads a message, otherwise genuine, whose sender says that `claimed` is its static key.
    fn accept_with_static(&self, claimed: [u8; 32]) -> Option<Accepted> {
        let (local, remote) = (key(&self.initiator), key(&self.responder).public());
        let ephemeral = key(&self.ephemerals[0]);
        let mut state = Symmetric::new(&self.prologue, &remote);
        state.mix_ephemeral(&ephemeral.public());
        state.mix_key(&ephemeral.agree(&remote).expect("sound"));
        let mut static_ciphertext = [0; 48];
        static_ciphertext[..32].copy_from_slice(&claimed);
        state.encrypt(&mut static_ciphertext)?;
        // What X25519 alone would make of a second encoding of the sender's key, and of low order.
        let aliased = claimed[..31] == local.public()[..31];
        let shared = if aliased { *local.agree(&remote).expect("sound") } else { [0; 32] };
        state.mix_key(&shared);
        let mut payload = roomy(b"payload");
        state.encrypt(&mut payload)?;
        self.accept(&Opening { ephemeral: ephemeral.public(), static_ciphertext }, &mut payload)
    }
}

#[test]
fn a_second_encoding_of_a_static_key_is_refused() {
    let pair = sample();
    let mut claimed = key(&pair.initiator).public();
    assert!(pair.accept_with_static(claimed).is_some());
    claimed[31] |= 0x80;
    assert!(pair.accept_with_static(claimed).is_none());
}

#[test]
fn payloads_without_room_for_a_tag_are_refused() {
    let pair = sample();
    let (initiation, opening, _) = pair.initiate();
    assert!(pair.accept(&opening, &mut [0; 15]).is_none());
    assert!(pair.finish(&initiation, &mut []).is_none());
}

#[test]
fn an_identity_can_shake_hands() {
    let [a, b] = [8, 9].map(|n| Identity::from_seed([n; 32]));
    let mut payload = roomy(b"hello");
    let (initiation, opening) = Initiation::new(
        a.x25519(),
        &b.id().x25519(),
        b"p",
        key(&[1; 32]),
        &mut payload,
        |remote| a.x25519().agree(remote),
    )
    .expect("sound keys");
    let accepted =
        Accepted::read(b.x25519(), b"p", &opening, &mut payload, |remote| b.x25519().agree(remote))
            .expect("genuine");
    assert_eq!(plain(&payload), b"hello");
    assert_eq!(*accepted.remote_static(), a.id().x25519());
    let mut payload = roomy(b"welcome");
    let (ephemeral, psk) = (key(&[2; 32]), [0; 32]);
    let theirs = accepted.respond(&ephemeral, &psk, &mut payload).expect("sound keys");
    let ours =
        initiation.finish(a.x25519(), &psk, &ephemeral.public(), &mut payload).expect("genuine");
    assert_eq!(*ours.transcript.hash(), *theirs.transcript.hash());
}

/// The hash of the transcript is known to whoever saw the packets; all else is secret.
#[test]
fn every_key_of_a_handshake_is_wiped() {
    let Symmetric { chaining_key, key, transcript: _ } = Symmetric::new(&[], &[1; 32]);
    let Split { initiator, responder, transcript: _ } = Symmetric::new(&[], &[1; 32]).split();
    [chaining_key, key, initiator, responder].iter().for_each(assert_wiped);
}

/// Whoever uses such a point knows what X25519 makes of it, whatever the other's secret: nothing but
/// zeros. Everything else about these messages is right.
#[test]
fn row_38_rustsec_2024_0344_messages_computed_for_a_point_of_low_order_are_refused() {
    let pair = sample();
    let (zeros, remote) = ([0; 32], key(&pair.responder).public());
    let (initiation, genuine, payload) = pair.initiate();
    for point in LOW_ORDER_X25519.map(unhex32) {
        let local = key(&pair.initiator);
        let mut state = Symmetric::new(&pair.prologue, &remote);
        state.mix_ephemeral(&point);
        state.mix_key(&zeros);
        let mut static_ciphertext = [0; 48];
        static_ciphertext[..32].copy_from_slice(&local.public());
        state.encrypt(&mut static_ciphertext).expect("room for a tag");
        state.mix_key(&local.agree(&remote).expect("sound"));
        let mut text = roomy(b"payload");
        state.encrypt(&mut text).expect("room for a tag");
        let opening = Opening { ephemeral: point, static_ciphertext };
        assert!(pair.accept(&opening, &mut text).is_none(), "as the initiator's key");

        let accepted = pair.accept(&genuine, &mut payload.clone()).expect("genuine");
        let mut state = accepted.state;
        state.mix_ephemeral(&point);
        state.mix_key(&zeros);
        state.mix_key(&zeros);
        state.mix_psk(&pair.psk);
        let mut text = roomy(b"answer");
        state.encrypt(&mut text).expect("room for a tag");
        let finished = initiation.finish(&local, &pair.psk, &point, &mut text);
        assert!(finished.is_none(), "as the responder's key");
    }
}
