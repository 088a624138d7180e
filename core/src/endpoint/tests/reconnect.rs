//! A peer comes back while strangers take all there is to take.

use super::siege::{Siege, due, source};
use zerocopy::FromBytes;

use super::*;
use crate::wire::{Cookie, HandshakeRequest};
use crate::{PeerState, Retry};

/// What a client knows of the time.
fn clock(known: bool) -> Config {
    let wall_clock = known.then_some(Duration::from_secs(1_000_000));
    Config { wall_clock, ..Config::default() }
}

/// Genuine requests with good cookies, from so many sources.
fn calls(siege: &Siege, count: u32, sources: u32) -> Vec<Datagram> {
    let call = |number| {
        let from = source(number % sources);
        (from, siege.strangers_request(number, siege.cookie(from, number)))
    };
    (0..count).map(call).collect()
}

/// How long a peer needs to come back, from `elsewhere` or from where it was, while strangers begin
/// `rate` handshakes a second, each with or without a cookie.
fn comeback(rate: u64, known_time: bool, elsewhere: bool) -> u64 {
    let mut siege = Siege::new(clock(known_time));
    siege.call();
    siege.until_connected(100, |_| vec![]).expect("nobody disturbs");
    siege.run(1000, |_| vec![]);
    let pool = if rate > 0 { calls(&siege, 1500, 700) } else { vec![] };
    let mut sent = 0;
    let mut attack = |siege: &mut Siege| {
        let next = |_| {
            sent += 1;
            let (from, request) = &pool[sent % pool.len()];
            match sent % 4 {
                0 => (*from, siege.empty_request(sent as u32, Cookie::NONE)),
                _ => (*from, request.clone()),
            }
        };
        (0..due(rate, siege.ms)).map(next).collect()
    };
    siege.run(950, &mut attack);
    if rate > 0 {
        let strangers = siege.server().endpoint.admission.strangers();
        assert_eq!(strangers, siege.server().endpoint.config().limits.max_half_open, "all taken");
    }
    let mut address = siege.client().address;
    if elsewhere {
        address = SocketAddr::from(([10, 9, 9, 9], 99));
    }
    siege.restart_client(clock(known_time), address);
    let took = siege.until_connected(10_000, &mut attack).expect("it comes back");
    siege.run(60, &mut attack);
    if rate > 0 {
        assert!(sent >= 100_000, "{sent} attempts");
    }
    siege.assert_sound();
    let peer = siege.server().knows(siege.client()).expect("the same peer");
    let info = siege.server().endpoint.peer(peer).expect("alive");
    let place = info.path.and_then(|path| path.remote());
    assert_eq!((info.state, place), (PeerState::Connected, Some(address)));
    took
}

#[test]
fn a_hundred_thousand_half_open_attempts_delay_no_peers_comeback_by_more_than_a_round_trip() {
    for known_time in [true, false] {
        for elsewhere in [false, true] {
            let calm = comeback(0, known_time, elsewhere);
            let flooded = comeback(100_000, known_time, elsewhere);
            let what = format!("clock: {known_time}, elsewhere: {elsewhere}");
            assert!(flooded <= calm + 2 * LATENCY, "{what}: {flooded} ms, else {calm} ms");
        }
    }
}

#[test]
fn the_newest_call_of_a_peer_has_its_place_and_no_recorded_one_takes_it() {
    let mut siege = Siege::new(clock(true));
    siege.call();
    siege.until_connected(100, |_| vec![]).expect("nobody disturbs");
    siege.run(1000, |_| vec![]);
    let (me, home) = (Identity::from_seed([1; 32]), siege.client().address);
    let later = |ms: u64| 1_000_000_000 + 5000 + ms;
    let holder = |siege: &Siege, validated| {
        let admission = &siege.server().endpoint.admission;
        assert!((1..=2).contains(&admission.half_open()) && admission.strangers() == 0);
        let slot = admission.of_peer(&me.id(), validated).expect("one of its own");
        admission.at(slot).expect("there").established.terms.remote_index
    };
    let call = |siege: &mut Siege, index: u32, time: u64, proved: bool| {
        let cookie = if proved { siege.cookie(home, index) } else { Cookie::NONE };
        let request = siege.genuine_request(&me, index, cookie, time);
        let answers = siege.answers(home, &request);
        let validated = proved && answers.first().is_some_and(|(_, bytes)| bytes[0] == RESPONSE);
        (answers.first().map(|(_, bytes)| bytes[0]), holder(siege, validated))
    };
    assert_eq!(call(&mut siege, 1, later(10), false), (Some(RESPONSE), 1));
    assert_eq!(call(&mut siege, 2, later(5), false), (Some(RETRY), 1), "older: come again");
    assert_eq!(call(&mut siege, 3, later(5), true), (Some(RESPONSE), 3), "but here");
    assert_eq!(call(&mut siege, 4, later(10), false), (Some(RETRY), 1), "no newer");
    assert_eq!(call(&mut siege, 5, later(4), true), (None, 1), "older of two with a cookie");
    assert_eq!(call(&mut siege, 6, later(5), true), (Some(RESPONSE), 6), "no older");
    assert_eq!(call(&mut siege, 7, later(11), false), (Some(RESPONSE), 7));
    assert_eq!(holder(&siege, true), 6, "each kind has a place");
}

/// A peer whose clock was an hour ahead made a request that it did not go on with. Somebody repeats that
/// without end, while the peer comes back with its clock set right.
#[test]
fn a_recorded_request_from_an_hour_ahead_keeps_nobody_out() {
    let mut siege = Siege::new(clock(true));
    siege.call();
    siege.until_connected(100, |_| vec![]).expect("nobody disturbs");
    siege.run(1000, |_| vec![]);
    let (me, home) = (Identity::from_seed([1; 32]), siege.client().address);
    let ahead = 1_000_000_000 + 3_600_000;
    let recorded = siege.genuine_request(&me, 9, Cookie::NONE, ahead);
    assert_eq!(siege.answers(home, &recorded)[0].1[0], RESPONSE);
    let mut attack = |siege: &mut Siege| {
        let count = due(100, siege.ms);
        (0..count).map(|_| (source(66), recorded.clone())).collect()
    };
    siege.run(8000, &mut attack);
    siege.restart_client(clock(true), home);
    let took = siege.until_connected(1000, &mut attack).expect("it comes back");
    siege.run(60, &mut attack);
    assert!(took <= 1000, "{took} ms");
    let peer = siege.server().knows(siege.client()).expect("the same peer");
    let restarts = siege.server().count(|event| matches!(event, Event::Restarted { .. }));
    assert_eq!(restarts, 1, "the server met it, too");
    assert!(siege.server().endpoint.peer(peer).is_some());
}

/// Two addresses are dialled at once, and one of them asks for a cookie.
#[test]
fn a_cookie_goes_only_to_the_address_that_gave_it() {
    for by_identity in [true, false] {
        let config = Config { retry: Retry::Always, ..Config::default() };
        let (mut a, mut careful) = (Node::new(1, Config::default()), Node::new(2, config));
        let mut open = Node::new(2, Config::default());
        open.address = crate::tests::pair::address(3);
        let addresses = smallvec::smallvec![careful.address, open.address];
        let id = by_identity.then_some(careful.endpoint.id());
        a.endpoint.connect(at(0), Target { id, addresses }).expect("room");
        let to = |sent: &[Datagram], node: &Node| -> Vec<u8> {
            let found: Vec<_> = sent.iter().filter(|(to, _)| *to == node.address).collect();
            assert_eq!(found.len(), 1, "one for each");
            found[0].1.clone()
        };
        let first = a.sent(at(0));
        careful.take(at(10), a.address, &to(&first, &careful));
        let retry = careful.sent_one(at(10));
        a.take(at(20), careful.address, &retry);
        let second = a.sent(at(20));
        let cookie =
            |bytes: &[u8]| HandshakeRequest::read_from_bytes(bytes).expect("a request").cookie;
        assert!(!cookie(&to(&second, &careful)).is_none());
        assert!(cookie(&to(&second, &open)).is_none(), "by identity: {by_identity}");
        if by_identity {
            assert_eq!(to(&second, &open), to(&first, &open), "byte for byte");
        }
        // Either may answer.
        open.take(at(30), a.address, &to(&second, &open));
        let response = open.sent_one(at(30));
        assert_eq!(response[0], RESPONSE);
        a.take(at(40), open.address, &response);
        assert_eq!(a.count(|event| matches!(event, Event::Connected { .. })), 1);
    }
}

/// Hands the server a stranger's request from `from`; whether it was answered with a response.
fn is_answered(siege: &mut Siege, number: u32, from: SocketAddr) -> bool {
    let request = siege.strangers_request(number, siege.cookie(from, number));
    siege.answers(from, &request).iter().any(|(_, bytes)| bytes[0] == RESPONSE)
}

#[test]
fn one_address_gets_a_quarter_of_the_places_and_then_only_its_own_again() {
    let mut siege = Siege::new(Config::default());
    let answered = (0..400).filter(|n| is_answered(&mut siege, *n, source(0))).count();
    // What one may hold beyond its budget is half of the budget of all.
    assert_eq!((answered, siege.server().endpoint.admission.strangers()), (250, 250));
    siege.ms += 400;
    let answered = (400..800).filter(|n| is_answered(&mut siege, *n, source(0))).count();
    assert_eq!((answered, siege.server().endpoint.admission.strangers()), (6, 256));
    siege.ms += 200;
    let answered = (800..850).filter(|n| is_answered(&mut siege, *n, source(0))).count();
    assert_eq!((answered, siege.server().endpoint.admission.strangers()), (50, 256), "its oldest");
    assert!((0..16).all(|n| is_answered(&mut siege, 1000 + n, source(1))));
    assert!(!is_answered(&mut siege, 1016, source(1)), "sixteen when it is crowded");
    assert_eq!(siege.server().endpoint.admission.strangers(), 272);
}

#[test]
fn a_stranger_that_finds_all_places_taken_gets_that_of_the_oldest_after_half_a_second() {
    let config =
        Config { limits: Limits { max_half_open: 64, ..Limits::default() }, ..Config::default() };
    let mut siege = Siege::new(Config::default());
    let identity = Identity::from_seed([2; 32]);
    siege.server_mut().endpoint =
        Endpoint::new(config.validate().expect("valid"), identity, [2; 32], at(0));
    assert!((0..64).all(|n| is_answered(&mut siege, n, source(n))));
    assert!(!is_answered(&mut siege, 64, source(64)));
    assert_eq!(siege.server().endpoint.drops().full, 1);
    siege.ms += 499;
    assert!(!is_answered(&mut siege, 65, source(65)));
    siege.ms += 1;
    assert!((66..130).all(|n| is_answered(&mut siege, n, source(n))));
    assert!(!is_answered(&mut siege, 130, source(130)), "the oldest is young again");
    assert_eq!(siege.server().endpoint.admission.strangers(), 64);
    let later = at(siege.ms + 5000);
    siege.server_mut().wake(later);
    assert_eq!(siege.server().endpoint.admission.half_open(), 0);
    assert_eq!(siege.server().endpoint.poll_timeout(), None);
}

#[test]
fn where_a_peer_is_it_does_not_compete_with_newcomers_from_everywhere() {
    let mut siege = Siege::new(Config::default());
    siege.call();
    siege.until_connected(100, |_| vec![]).expect("nobody disturbs");
    siege.run(1000, |_| vec![]);
    let mut count = 0;
    // Each from another address, with a cookie.
    let mut attack = |siege: &mut Siege| {
        let next = |_| {
            count += 1;
            (source(count), siege.empty_request(count, siege.cookie(source(count), count)))
        };
        (0..due(20_000, siege.ms)).map(next).collect()
    };
    siege.run(1000, &mut attack);
    let limited = siege.server().endpoint.drops().rate_limited;
    assert!(limited > 15_000, "{limited} of 20,000 found the budget used up");
    let home = siege.client().address;
    siege.restart_client(clock(false), home);
    let took = siege.until_connected(10_000, &mut attack).expect("it comes back");
    assert!(took <= 4 * LATENCY + 2, "{took} ms");
}

#[test]
fn a_peer_is_answered_though_strangers_have_taken_all_places() {
    let config =
        Config { limits: Limits { max_half_open: 64, ..Limits::default() }, ..Config::default() };
    let mut siege = Siege::new(Config::default());
    let identity = Identity::from_seed([2; 32]);
    siege.server_mut().endpoint =
        Endpoint::new(config.validate().expect("valid"), identity, [2; 32], at(0));
    siege.call();
    siege.until_connected(100, |_| vec![]).expect("nobody disturbs");
    siege.run(1000, |_| vec![]);
    assert!((0..64).all(|n| is_answered(&mut siege, n, source(n))));
    assert!(!is_answered(&mut siege, 64, source(64)));
    let elsewhere = SocketAddr::from(([10, 9, 9, 9], 99));
    siege.restart_client(clock(true), elsewhere);
    let took = siege.until_connected(1000, |_| vec![]).expect("it comes back");
    assert!(took <= 4 * LATENCY + 2, "{took} ms");
    assert_eq!(siege.server().endpoint.admission.strangers(), 64, "and took nobody's place");
}
