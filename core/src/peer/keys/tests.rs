use super::*;
use crate::crypto::noise::Split;
use crate::crypto::rng::Rng;
use crate::crypto::transcript::Transcript;
use crate::net::Arrival;
use crate::session::{Established, Pair, Terms};
use crate::time::Instant;
use crate::wire::{Packet, PacketNumber};
use crate::{Identity, PeerHandle, ValidConfig};

/// An endpoint with a peer whose keys are known by index 1.
fn connected() -> (Context, Peer) {
    let now = Instant::from_micros(1);
    let rng = Rng::from_seed([1; 32]);
    let mut cx = Context::new(ValidConfig::default(), Identity::from_seed([1; 32]), rng, now);
    let id = Identity::from_seed([2; 32]).id();
    let mut peer = Peer::new(&mut cx, PeerHandle { slot: 0, generation: 0, shard: 0 }, Some(id), 0);
    let split = Split {
        initiator: [1; 32].into(),
        responder: [2; 32].into(),
        transcript: Transcript::new([3; 32]),
    };
    let terms = Terms {
        local_index: 1,
        remote_index: 2,
        initiated_by_us: false,
        incarnations: Pair { ours: 0, theirs: 1 },
        parameters: cx.parameters(0),
        granted: 0,
        via: Arrival::from_remote(([10, 0, 0, 2], 1).into()).via,
        is_there: true,
    };
    let established = Established::new(&mut cx, &split, terms);
    peer.establish(&mut cx, established);
    (cx, peer)
}

/// The number of the sealed packet that leaves next, if one does.
fn sealed(cx: &mut Context, peer: &mut Peer) -> Option<PacketNumber> {
    peer.outbound.queue_ping();
    let mut buffer = [0; 1200];
    let transmit = peer.poll_transmit(cx, &mut buffer)?;
    match Packet::parse(&buffer[..transmit.len]) {
        Ok(Packet::Sealed(header)) => Some(header.packet_number()),
        _ => None,
    }
}

#[test]
fn a_flood_of_requests_for_new_keys_costs_one_answer() {
    let (mut cx, mut peer) = connected();
    let before = cx.key_id();
    for request in 0..31 {
        let ephemeral = SecretKey::from_bytes(&[request; 32]).public();
        peer.on_rekey_request(&mut cx, 1, request.into(), &ephemeral).expect("sound keys");
    }
    assert_eq!(cx.key_id() - before, 2, "one for the answer, one to ask");
    assert!(peer.sessions.has_next());
}

/// The peer proves each generation at once and asks for the next.
#[test]
fn a_peer_that_goes_through_with_every_change_of_keys_gets_sixteen_a_second() {
    let (mut cx, mut peer) = connected();
    let ask = |cx: &mut Context, peer: &mut Peer, seconds: u32| {
        let before = cx.stats.rekeys;
        for request in 0..100u8 {
            let current = peer.sessions.current().expect("a session").local_index();
            let ephemeral = [[request, seconds as u8, 9, 9]; 8].concat();
            let ephemeral = ephemeral.try_into().expect("32 bytes");
            let ephemeral = SecretKey::from_bytes(&ephemeral).public();
            let index = seconds * 1000 + u32::from(request);
            peer.on_rekey_request(cx, current, index, &ephemeral).expect("sound keys");
            if let Some(next) = peer.sessions.next_index() {
                peer.on_key_confirmed(cx, next);
            }
        }
        cx.stats.rekeys - before
    };
    for seconds in 0..4 {
        cx.now = Instant::from_micros(1 + u64::from(seconds) * 1_000_000);
        assert_eq!(ask(&mut cx, &mut peer, seconds), 16);
    }
}

#[test]
fn keys_that_sealed_enough_are_changed_and_seal_no_more_than_half_as_much_again() {
    let (mut cx, mut peer) = connected();
    let limit = cx.config.keys.rekey_after_packets;
    peer.sessions.current_mut().expect("a session").wear(limit - 2, false);
    peer.review_keys(&mut cx);
    assert!(peer.outbound.rekey.offer().is_none(), "too early");
    assert!(sealed(&mut cx, &mut peer).is_some() && sealed(&mut cx, &mut peer).is_some());
    peer.review_keys(&mut cx);
    assert!(peer.outbound.rekey.offer().is_some(), "it is time");

    peer.sessions.current_mut().expect("a session").wear(limit / 2 * 3 - 3, false);
    let numbers: alloc::vec::Vec<_> =
        core::iter::from_fn(|| sealed(&mut cx, &mut peer)).take(10).collect();
    assert_eq!(numbers.len(), 3, "not one packet beyond the limit");
    assert!(peer.dialled().is_some(), "a handshake is to bring new keys");
}

/// Without data nothing reviews the keys but the packets themselves.
#[test]
fn a_batch_ends_where_the_keys_are_worn() {
    let (mut cx, mut peer) = connected();
    peer.outbound.limits.max_message = 1 << 20;
    peer.outbound.queue.grant(1 << 30);
    let limit = cx.config.keys.rekey_after_packets;
    peer.sessions.current_mut().expect("a session").wear(limit / 2 * 3 - 3, false);
    let payload = alloc::vec![0; 100_000].into();
    peer.send(&cx, crate::Delivery::ordered(0), payload).expect("room");
    let mut buffer = [0; 64 * 1200];
    let transmit = peer.poll_transmit(&mut cx, &mut buffer).expect("a batch");
    assert!(transmit.len <= 3 * 1200, "{} bytes", transmit.len);
}

#[test]
fn numbers_go_on_at_32_bits_and_stop_at_56() {
    let last = PacketNumber::MAX_COUNTER;
    for first in [(1 << 32) - 3, last - 3] {
        let (mut cx, mut peer) = connected();
        peer.paths.primary_mut().expect("a path").space_mut().skip_to(first);
        let numbers: alloc::vec::Vec<_> = core::iter::from_fn(|| sealed(&mut cx, &mut peer))
            .take(7)
            .map(|number| (number.path(), number.counter()))
            .collect();
        let expected = (first..=last).take(7).map(|counter| (0, counter));
        assert_eq!(numbers, expected.collect::<alloc::vec::Vec<_>>());
        if first + 3 == last {
            assert_eq!(sealed(&mut cx, &mut peer), None, "no number is used again");
        }
    }
}

/// Keys go when too many packets failed to open: not the peer with them.
#[test]
fn a_peer_whose_keys_were_forged_upon_too_often_is_called_anew() {
    let (mut cx, mut peer) = connected();
    peer.sessions.current_mut().expect("a session").wear(0, true);
    let mut forged = [0; 60];
    let number = PacketNumber::new(0, 7).expect("small");
    let arrival = Arrival::from_remote(([10, 0, 0, 3], 1).into());
    peer.handle_sealed(&mut cx, &arrival, 1, number, &mut forged);
    assert!(!peer.has_session(), "the keys are gone");
    assert!(!peer.is_over());
    assert_eq!(sealed(&mut cx, &mut peer), None);
    assert!(peer.dialled().is_some(), "a handshake is to bring new keys");
}
