//! Initiators who hold keys of their own.

use super::*;
use crate::config::Budget;
use crate::crypto::rng::Rng;
use crate::delivery::Delivery;
use crate::stats::Stats;
use crate::tests::values::{LOW_ORDER_EDWARDS, LOW_ORDER_X25519, unhex32};
use crate::wire::kind;

/// Random bytes with extremes strewn in.
fn absurd<const N: usize>(rng: &mut Rng, round: u32) -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(2) {
        let value = match (round, rng.below(4)) {
            (0, _) | (3.., 0) => 0_u16,
            (1, _) | (3.., 1) => u16::MAX,
            (2, _) => 0x8000,
            _ => rng.u32() as u16,
        };
        chunk.copy_from_slice(&value.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

/// Lets the application use the new peer, whatever that said about itself, for a minute.
fn use_peer(victim: &mut Victim) {
    let handles: Vec<_> = victim.node.endpoint.peers().map(|peer| peer.handle).collect();
    for peer in handles {
        for delivery in [Delivery::ordered(0), Delivery::unreliable(1)] {
            let payload = bytes::Bytes::from_static(&[7; 5_000]);
            victim.node.endpoint.send(victim.now, peer, delivery, payload).ok();
        }
    }
    victim.sent();
    let sent = victim.pass(Duration::from_secs(60));
    assert!(sent.len() < 500, "{} datagrams in a minute", sent.len());
    let sizes = sent.iter().map(|(_, bytes)| bytes.len());
    assert!(sizes.max().is_none_or(|size| size <= 1200));
}

#[test]
fn row_03_cve_2026_31812_whatever_an_authenticated_caller_says_about_itself_is_borne() {
    let mut rng = Rng::from_seed([3; 32]);
    for round in 0..150 {
        let (mut victim, mut initiator) = (Victim::new(Config::default()), Forger::new(9));
        let mut payload = RequestPayload::read_from_bytes(&absurd::<96>(&mut rng, round))
            .expect("any bytes are a payload");
        payload.identity = *initiator.identity.id().as_bytes();
        let mut line = initiator.call(&mut victim, &payload);
        if payload.parameters.offers(Parameters::AES_HARDWARE) {
            // The victim has no AES, so it is not used whatever the initiator offers.
            line.secrets.keys.suite = Suite::ChaCha20Poly1305;
        }
        let number = PacketNumber::new(0, 0).expect("small");
        victim.take(initiator.address, &line.seal(number, &[1, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(victim.is_connected(), "round {round}");
        use_peer(&mut victim);
    }
}

#[test]
fn row_03_cve_2026_31812_whatever_an_authenticated_responder_says_about_itself_is_borne() {
    let mut rng = Rng::from_seed([33; 32]);
    for round in 0..150 {
        let (mut victim, mut responder) = (Victim::new(Config::default()), Forger::new(9));
        let target = Target::new(responder.identity.id(), [responder.address]);
        let (_, request) = victim.dial(target);
        let mut bytes = absurd::<60>(&mut rng, round);
        // Every other one takes the victim in, the rest refuse it in some way.
        bytes[STATUS] *= (round % 2) as u8;
        let mut payload =
            ResponsePayload::read_from_bytes(&bytes).expect("any bytes are a payload");
        payload.session_index = responder.index.into();
        let response = responder.respond(&request, &payload);
        victim.take(responder.address, response.as_bytes());
        let ends = |event: &Event| matches!(event, Event::Ended { .. });
        let (ended, refuses) = (victim.node.count(ends) > 0, matches!(bytes[STATUS], 1 | 3));
        assert_eq!((victim.is_connected(), ended), (bytes[STATUS] == 0, refuses), "round {round}");
        use_peer(&mut victim);
    }
}

/// Where a response says whether it is a refusal.
const STATUS: usize = 58;

/// Somebody recorded a handshake of a peer that we parted from, and repeats it in everyone's name.
#[test]
fn ours_a_replayed_request_draws_a_refusal_that_is_shorter_and_a_copy_costs_a_lookup() {
    let (mut victim, mut initiator) = (Victim::new(Config::default()), Forger::new(9));
    let payload = initiator.payload();
    let line = initiator.call(&mut victim, &payload);
    let number = PacketNumber::new(0, 0).expect("small");
    victim.take(initiator.address, &line.seal(number, &[1, 0, 0, 0, 0, 0, 0, 0, 0]));
    let peer = victim.node.endpoint.peer_by_id(&initiator.identity.id()).expect("connected");
    let goodbye = crate::DisconnectOptions::now();
    victim.node.endpoint.disconnect(victim.now, peer, goodbye).expect("connected");
    victim.sent();
    victim.pass(Duration::from_secs(60));
    let (request, _) = initiator.request(&victim.node.endpoint.id(), Cookie::NONE, &payload);
    let opened = victim.node.endpoint.stats().requests_opened;
    let mut bytes = 0;
    for n in 0..2000 {
        let from = SocketAddr::from(([10, 5, (n / 200) as u8, (n % 200) as u8], 1000));
        for (to, answer) in victim.take(from, request.as_bytes()) {
            assert!(to == from && answer.len() < request.as_bytes().len());
            bytes += answer.len();
        }
    }
    let Stats { requests_opened, refusals_sent, .. } = *victim.node.endpoint.stats();
    assert_eq!((requests_opened - opened, refusals_sent), (1, 100), "all within one instant");
    assert_eq!(bytes, 100 * 140);
    assert_eq!(victim.node.endpoint.peers().count(), 0);
    let shown = std::format!("{:?}", victim.node.endpoint);
    assert!(shown.contains("half_open: 0"), "{shown}");
}

/// The cheapest way to a useless secret, in each place where a stranger's key is taken.
#[test]
fn row_38_rustsec_2024_0344_points_of_low_order_open_no_handshake() {
    let mut config = Config::default();
    config.budgets.unvalidated_per_source = Budget::new(1_000, 1_000);
    let mut victim = Victim::new(config);
    let mut initiator = Forger::new(9);
    let (to, payload) = (victim.node.endpoint.id(), initiator.payload());
    for point in LOW_ORDER_X25519.map(unhex32) {
        let (mut request, _) = initiator.request(&to, Cookie::NONE, &payload);
        request.ephemeral = point;
        sign(&mut request, &to);
        let before = victim.node.endpoint.drops().authentication;
        assert!(victim.take(initiator.address, request.as_bytes()).is_empty());
        assert_eq!(victim.node.endpoint.drops().authentication - before, 1);
    }
    for point in LOW_ORDER_EDWARDS.map(unhex32) {
        let mut payload = initiator.payload();
        payload.identity = point;
        let (request, _) = initiator.request(&to, Cookie::NONE, &payload);
        let before = victim.node.endpoint.drops().bad_identity;
        assert!(victim.take(initiator.address, request.as_bytes()).is_empty());
        assert_eq!(victim.node.endpoint.drops().bad_identity - before, 1);
    }
    let target = Target::new(initiator.identity.id(), [initiator.address]);
    let (_, request) = victim.dial(target);
    for point in LOW_ORDER_X25519.map(unhex32) {
        let index = initiator.index;
        let payload = ResponsePayload::new(1, usual_parameters(), address(2), index);
        let mut response = initiator.respond(&request, &payload);
        response.ephemeral = point;
        sign_response(&mut response, &request.ephemeral, &to);
        victim.take(initiator.address, response.as_bytes());
        assert!(!victim.is_connected());
    }
}

/// One key, one name: no other encoding of the initiator's identity is taken for it. The one exception
/// is the mirror image of its point, a name of its own that is documented as such.
#[test]
fn row_39_cve_2026_25793_no_other_encoding_of_an_identity_passes_for_it() {
    let mut victim = Victim::new(Config::default());
    let mut initiator = Forger::new(9);
    let to = victim.node.endpoint.id();
    let mut accepted = Vec::new();
    for bit in 0..256 {
        let mut payload = initiator.payload();
        payload.identity[bit / 8] ^= 1 << (bit % 8);
        let (request, _) = initiator.request(&to, Cookie::NONE, &payload);
        let answers = victim.take(initiator.address, request.as_bytes());
        accepted.extend((!answers.is_empty()).then_some(bit));
        victim.pass(Duration::from_secs(6));
    }
    assert_eq!(accepted, [255], "the sign of x");
    assert_eq!(victim.node.endpoint.drops().bad_identity, 255);
    // Who is admitted by name is not admitted by the other.
    let admission = crate::Admission::Only([initiator.identity.id()].into());
    let mut victim = Victim::new(Config { admission, ..Config::default() });
    let mut payload = initiator.payload();
    payload.identity[31] ^= 0x80;
    let (request, _) = initiator.request(&to, Cookie::NONE, &payload);
    // It is refused, and gets no session: the index in the answer is zero.
    let answers = victim.take(initiator.address, request.as_bytes());
    assert!(answers.iter().all(|(_, answer)| answer[8..12] == [0; 4]), "{answers:02x?}");
    assert_eq!(victim.node.endpoint.drops().admission, 1);
}

/// An initiator who names somebody else, though its own key is genuine.
#[test]
fn ours_a_caller_cannot_name_anyone_but_the_owner_of_its_key() {
    let mut victim = Victim::new(Config::default());
    let mut initiator = Forger::new(9);
    let to = victim.node.endpoint.id();
    for name in [Identity::from_seed([8; 32]).id(), to] {
        let mut payload = initiator.payload();
        payload.identity = *name.as_bytes();
        let (request, _) = initiator.request(&to, Cookie::NONE, &payload);
        assert!(victim.take(initiator.address, request.as_bytes()).is_empty());
    }
    assert_eq!(victim.node.endpoint.drops().bad_identity, 2);
}

/// Two who shook hands before, so that the victim remembers their keys: neither passes for the other.
#[test]
fn ours_callers_whose_keys_are_remembered_cannot_name_each_other() {
    let mut victim = Victim::new(Config::default());
    let mut callers = [Forger::new(8), Forger::new(9)];
    let to = victim.node.endpoint.id();
    let names = [0, 1].map(|at: usize| *callers[at].identity.id().as_bytes());
    for round in 0..2 {
        for (at, caller) in callers.iter_mut().enumerate() {
            let payload = caller.payload();
            // The victim and the caller agree on the same secrets, remembered or computed.
            caller.call(&mut victim, &payload);
            victim.pass(Duration::from_secs(6));
            let mut payload = caller.payload();
            payload.identity = names[1 - at];
            let (request, _) = caller.request(&to, Cookie::NONE, &payload);
            assert!(victim.take(caller.address, request.as_bytes()).is_empty());
            assert_eq!(victim.node.endpoint.drops().bad_identity, 2 * round + at as u64 + 1);
        }
    }
}

/// The same index for many handshakes, and indices that are in use elsewhere: what an initiator chooses
/// is written into packets for that initiator, and nothing else.
#[test]
fn ours_indices_that_a_caller_chooses_fix_no_session_of_others() {
    let mut victim = Victim::new(Config::default());
    let mut first = Forger::new(9);
    let payload = first.payload();
    let line = first.call(&mut victim, &payload);
    let number = PacketNumber::new(0, 0).expect("small");
    let ping = [1, 9, 0, 0, 0, 0, 0, 0, 0];
    victim.take(first.address, &line.seal(number, &ping));
    // The second calls with the index that the victim chose for the first, and that the first chose.
    for (n, index) in [(10, line.index), (11, first.index)] {
        let mut second = Forger::new(n);
        second.index = index;
        let payload = second.payload();
        let other = second.call(&mut victim, &payload);
        assert_ne!(other.index, line.index);
        let answers = victim.take(second.address, &other.seal(number, &ping));
        assert!(answers.iter().all(|(to, bytes)| {
            *to == second.address
                && (bytes[0] != kind::SEALED || bytes[4..8] == index.to_le_bytes())
        }));
    }
    let number = PacketNumber::new(0, 1).expect("small");
    let answers = victim.take(first.address, &line.seal(number, &ping));
    assert!(answers.iter().any(|(to, _)| *to == first.address), "the first is answered still");
}

/// Keys cost nothing: without this, one address would have them all.
#[test]
fn ours_one_source_does_not_take_more_than_half_of_the_places_for_peers() {
    let mut config = Config::default();
    (config.limits.max_peers, config.limits.max_peers_per_source) = (16, 4);
    let mut victim = Victim::new(config);
    let mut join = |n: u8, from: SocketAddr| {
        let mut initiator = Forger::new(n);
        let payload = initiator.payload();
        let (request, initiation) =
            initiator.request(&victim.node.endpoint.id(), Cookie::NONE, &payload);
        let answers = victim.take(from, request.as_bytes());
        // A refusal names no session, and a Retry asks for more.
        let accepts =
            |answer: &[u8]| answer[0] == kind::HANDSHAKE_RESPONSE && answer[8..12] != [0; 4];
        if let Some((_, answer)) = answers.first().filter(|(_, answer)| accepts(answer)) {
            let number = PacketNumber::new(0, 0).expect("small");
            let line = initiator.finish(&initiation, answer);
            victim.take(from, &line.seal(number, &[1, 0, 0, 0, 0, 0, 0, 0, 0]));
        }
        victim.node.endpoint.peers().count()
    };
    for n in 0..16 {
        // All from one port, or each from its own.
        let port = if n < 8 { 1000 } else { 1000 + u16::from(n) };
        let peers = join(50 + n, SocketAddr::from(([10, 6, 6, 6], port)));
        assert_eq!(peers, 8.min(usize::from(n) + 1), "half");
    }
    for n in 0..9 {
        let peers = join(100 + n, SocketAddr::from(([10, 7, 7, n], 1000)));
        assert_eq!(peers, 16.min(9 + usize::from(n)), "the others");
    }
}
