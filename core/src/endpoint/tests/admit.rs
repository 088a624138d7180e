//! Who becomes a peer, where it is believed to be, and what it knows about us.

use super::*;
use crate::{EndReason, PeerState};

/// A sealed packet that holds nothing but a challenge.
const CHALLENGE_LEN: usize = 41;

/// Lets `a` call `b` by hand up to the packet that confirms, which is returned.
fn call_up_to_confirm(a: &mut Node, b: &mut Node, ms: u64) -> Vec<u8> {
    a.call(at(ms), b);
    let request = a.sent_one(at(ms));
    b.take(at(ms + 1), a.address, &request);
    let response = b.sent_one(at(ms + 1));
    a.take(at(ms + 2), b.address, &response);
    a.sent_one(at(ms + 2))
}

#[test]
fn only_a_challenge_goes_to_where_a_confirming_packet_seems_to_come_from() {
    let (mut a, mut b) = (Node::new(1, Config::default()), Node::new(2, Config::default()));
    let victim = SocketAddr::from(([203, 0, 113, 9], 53));
    let confirm = call_up_to_confirm(&mut a, &mut b, 0);
    b.take(at(3), victim, &confirm);
    let peer = b.knows(&a).expect("it has the keys");
    b.send(at(3), peer, Delivery::reliable(0), 100_000);
    let mut sent = vec![];
    for ms in (3..10_000).step_by(10) {
        b.wake(at(ms));
        for (to, datagram) in b.sent(at(ms)) {
            if to == a.address {
                a.take(at(ms), b.address, &datagram);
            }
            sent.push((to, datagram));
        }
        a.wake(at(ms));
        for (_, datagram) in a.sent(at(ms)) {
            b.take(at(ms), a.address, &datagram);
        }
    }
    let to_victim: Vec<_> = sent.iter().filter(|(to, _)| *to == victim).collect();
    assert!(to_victim.iter().all(|(_, datagram)| datagram.len() == CHALLENGE_LEN));
    let bytes: usize = to_victim.iter().map(|(_, datagram)| datagram.len()).sum();
    assert!((1..=3 * confirm.len()).contains(&bytes), "{bytes} bytes for {}", confirm.len());
    assert!(sent.iter().any(|(to, datagram)| *to == a.address && datagram.len() > 1000));
}

/// Somebody on the path sends the request in a victim's name, and hands the response to who asked.
#[test]
fn a_newcomer_whose_request_somebody_else_sent_is_found_and_a_victim_gets_little() {
    for (relayed, is_silent) in [(false, false), (true, false), (true, true)] {
        let (mut a, mut b) = (Node::new(1, Config::default()), Node::new(2, Config::default()));
        let victim = SocketAddr::from(([203, 0, 113, 9], 53));
        let responder = b.address;
        a.call(at(0), &b);
        let request = a.sent_one(at(0));
        b.take(at(1), if relayed { victim } else { a.address }, &request);
        let response = b.sent(at(1));
        let (mut to_victim, mut to_a) = (0, 0);
        let mut pass = |a: &mut Node, sent: Vec<Datagram>, now| {
            for (to, datagram) in sent {
                if to == victim {
                    to_victim += datagram.len();
                } else {
                    to_a += datagram.len();
                }
                // The response reaches who asked in any case.
                if to == a.address || datagram[0] == RESPONSE {
                    a.take(now, responder, &datagram);
                }
            }
        };
        pass(&mut a, response, at(2));
        // What the newcomer sends takes 50 ms.
        let mut under_way = vec![];
        for ms in 2..3000 {
            a.wake(at(ms));
            let sent = a.sent(at(ms)).into_iter();
            under_way.extend(sent.map(|(_, datagram)| (ms + 50, datagram)));
            while under_way.first().is_some_and(|(due, _)| *due <= ms) {
                let (_, datagram) = under_way.remove(0);
                let is_first = b.knows(&a).is_none();
                if is_first || !is_silent {
                    b.take(at(ms), a.address, &datagram);
                }
                if is_first {
                    let peer = b.knows(&a).expect("it has the keys");
                    b.send(at(ms), peer, Delivery::reliable(0), 100_000);
                }
            }
            b.wake(at(ms));
            let sent = b.sent(at(ms));
            pass(&mut a, sent, at(ms));
        }
        let what = format!("{relayed} {is_silent}: {to_victim} bytes to the victim, {to_a} to a");
        assert!(to_victim <= 3 * request.len(), "{what}");
        assert_eq!(to_a > 100_000, !is_silent, "{what}");
    }
}

#[test]
fn a_confirming_packet_does_not_take_an_address_from_the_peer_that_is_there() {
    let mut pair = Pair::connected(&Config::default());
    let holder = pair.initiator();
    let mut other = Node::new(3, Config::default());
    let confirm = call_up_to_confirm(&mut other, &mut pair.b, 1000);
    let address = pair.a.address;
    pair.b.take(at(1003), address, &confirm);
    assert!(pair.b.knows(&other).is_some());
    assert_eq!(pair.b.endpoint.peer_by_addr(address), Some(holder));
    assert_eq!(pair.b.endpoint.peer_by_addr(other.address), pair.b.knows(&other));
}

#[test]
fn a_repeated_request_from_elsewhere_is_only_asked_to_come_again() {
    let (mut a, mut b) = (Node::new(1, Config::default()), Node::new(2, Config::default()));
    a.call(at(0), &b);
    let request = a.sent_one(at(0));
    b.take(at(1), a.address, &request);
    let response = b.sent_one(at(1));
    b.take(at(2), SocketAddr::from(([203, 0, 113, 9], 53)), &request);
    assert_eq!(b.sent_one(at(2))[0], RETRY);
    assert_eq!(b.endpoint.drops().duplicate, 1);
    b.take(at(3), a.address, &request);
    assert_eq!(b.sent(at(3)), [(a.address, response)]);
}

/// `a` shakes hands anew, but before its first packet under the new keys arrives, `b` parts from it.
/// What was answered for the peer that ended must not come back as a peer that remembers nothing, and
/// `a`, which heard nothing, learns that it is over when it calls again.
#[test]
fn a_handshake_answered_for_a_peer_that_ended_is_void_and_the_caller_hears_why() {
    let mut pair = Pair::connected(&Config::default());
    for _ in 0..5 {
        pair.a.send(at(1000), pair.peer(), Delivery::ordered(0), 10);
    }
    pair.run(1500);
    assert_eq!(pair.received_by_b().len(), 5);
    // Sealed packets are lost until the second handshake got its response.
    pair.a.send(at(1500), pair.peer(), Delivery::ordered(0), 20);
    let (mut ms, mut late) = (1500, vec![]);
    while pair.a.endpoint.stats().handshakes < 2 {
        ms += 1;
        assert!(ms < 4000, "no second handshake");
        pair.run_with(ms, |_, from_a, datagram| {
            if from_a && datagram[0] == SEALED {
                late = datagram.to_vec();
            }
            datagram[0] != SEALED
        });
    }
    let initiator = pair.initiator();
    let goodbye = DisconnectOptions::now().with_reason(crate::DisconnectReason::new(7, "bye"));
    pair.b.endpoint.disconnect(pair.now, initiator, goodbye).expect("connected");
    pair.run_with(ms + 4000, |_, _, _| false);
    assert!(pair.b.has_ended());
    pair.a.events.clear();
    // The half-open handshake would have lived for seconds still.
    pair.b.take(pair.now, pair.a.address, &late);
    assert!(pair.b.knows(&pair.a).is_none());
    let hint = pair.b.sent_one(pair.now);
    assert_eq!(hint[0], UNKNOWN_SESSION);
    pair.a.take(pair.now, pair.b.address, &hint);
    pair.run(ms + 6000);
    let said = crate::DisconnectReason::new(7, "bye");
    let parted = EndReason::PeerDisconnected { reason: said, complete: false };
    let ended = |event: &Event| matches!(event, Event::Ended { reason, .. } if *reason == parted);
    assert_eq!(pair.a.count(ended), 1, "{:?}", pair.a.events);
    assert_eq!(pair.a.count(|event| matches!(event, Event::Restarted { .. })), 0);
    // Who calls again is a newcomer.
    pair.b.events.clear();
    pair.a.call(pair.now, &pair.b);
    pair.run(ms + 8000);
    assert_eq!(pair.b.count(|event| matches!(event, Event::Connected { .. })), 1);
}

#[test]
fn a_confirming_packet_that_a_newer_call_overtook_is_refused_with_a_hint() {
    let mut b = Node::new(2, Config::default());
    let (mut before, mut after) = (Node::new(1, Config::default()), Node::restarted(1, at(10)));
    let late = call_up_to_confirm(&mut before, &mut b, 0);
    let confirm = call_up_to_confirm(&mut after, &mut b, 10);
    b.take(at(13), after.address, &confirm);
    b.sent(at(13));
    let told = b.events.len();
    b.take(at(14), before.address, &late);
    let answers = b.sent(at(14));
    assert!(
        answers
            .iter()
            .any(|(to, datagram)| *to == before.address && datagram[0] == UNKNOWN_SESSION)
    );
    assert_eq!(b.events.len(), told, "{:?}", &b.events[told..]);
    // The hint makes the refused one call again.
    for (_, datagram) in answers.iter().filter(|(_, datagram)| datagram[0] == UNKNOWN_SESSION) {
        before.take(at(15), b.address, datagram);
    }
    assert!(before.sent(at(15)).iter().any(|(_, datagram)| datagram[0] == REQUEST));
}

#[test]
fn a_caller_that_is_no_peer_yet_hears_one_incarnation_however_often_it_calls() {
    let mut b = Node::new(2, Config::default());
    let (mut first, mut second) = (Node::new(1, Config::default()), Node::restarted(1, at(10)));
    call_up_to_confirm(&mut first, &mut b, 0);
    // The end of some peer makes us tell other strangers another incarnation.
    let stranger = Target::from(SocketAddr::from(([10, 0, 0, 3], 4263)));
    let dialled = b.endpoint.connect(at(5), stranger).expect("room");
    b.endpoint.disconnect(at(5), dialled, DisconnectOptions::default()).expect("dialling");
    b.sent(at(5));
    call_up_to_confirm(&mut second, &mut b, 10);
    let told = [0, 1].map(|slot| {
        b.endpoint.admission.at(slot).expect("answered").established.terms.incarnations.ours
    });
    assert_eq!(told[0], told[1]);
}

#[test]
fn nobody_comes_in_after_close() {
    let (mut a, mut b) = (Node::new(1, Config::default()), Node::new(2, Config::default()));
    let confirm = call_up_to_confirm(&mut a, &mut b, 0);
    b.endpoint.close(at(3), DisconnectOptions::default());
    b.take(at(4), a.address, &confirm);
    assert!(b.endpoint.is_closed());
    assert_eq!(b.events, []);
}

#[test]
fn a_peer_that_is_closing_cannot_be_connected_to() {
    let mut pair = Pair::connected(&Config::default());
    let target = Target::from(pair.b.endpoint.id());
    let known = Err(crate::ConnectError::AlreadyConnected(pair.peer()));
    assert_eq!(pair.a.endpoint.connect(at(1000), target.clone()), known);
    pair.a.endpoint.disconnect(at(1000), pair.peer(), lingering()).expect("connected");
    let state = pair.a.endpoint.peer(pair.peer()).map(|peer| peer.state);
    assert_eq!(state, Some(PeerState::Closing));
    let again = pair.a.endpoint.connect(at(1000), target);
    assert_eq!(again, Err(crate::ConnectError::PeerClosing));
    pair.run(3000);
    let reason = EndReason::Disconnected { heard: true };
    let ended =
        |event: &Event| matches!(event, Event::Ended { reason: told, .. } if *told == reason);
    assert_eq!(pair.a.count(ended), 1);
}
