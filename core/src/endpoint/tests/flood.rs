//! Honest initiators under floods of every kind, at rates around every threshold.

use super::siege::{Siege, due, source};
use super::*;
use crate::wire::{Cookie, VERSION};

/// Rates per second, below, at and above what is answered at once, with a cookie, and at all.
const RATES: [u64; 11] = [100, 190, 200, 210, 1000, 1900, 2000, 2100, 20_000, 50_000, 100_000];

/// A round trip of the siege's network.
const ROUND_TRIP: u64 = 2 * LATENCY;

/// Lets the client call after `attack` went on for a second; when it was connected.
fn call_under(mut attack: impl FnMut(&mut Siege) -> Vec<Datagram>) -> (Siege, Option<u64>) {
    let mut siege = Siege::new(Config::default());
    siege.run(1000, &mut attack);
    siege.call();
    let took = siege.until_connected(10_000, attack);
    siege.assert_sound();
    (siege, took)
}

/// Empty requests without a cookie, each from another address.
fn spoofed(siege: &Siege, rate: u64, count: &mut u32) -> Vec<Datagram> {
    let next = |_| {
        *count += 1;
        (source(*count), siege.empty_request(*count, Cookie::NONE))
    };
    (0..due(rate, siege.ms)).map(next).collect()
}

/// Empty requests with good cookies from so many addresses.
fn with_cookies(siege: &Siege, rate: u64, sources: u32, count: &mut u32) -> Vec<Datagram> {
    let next = |_| {
        *count += 1;
        let from = source(*count % sources);
        (from, siege.empty_request(*count, siege.cookie(from, *count)))
    };
    (0..due(rate, siege.ms)).map(next).collect()
}

#[test]
fn a_spoofed_flood_of_any_rate_costs_an_honest_caller_one_round_trip() {
    for rate in RATES {
        let mut count = 0;
        let (siege, took) = call_under(|siege| spoofed(siege, rate, &mut count));
        let locked_out = format!("{rate}/s: locked out");
        let took = took.expect(&locked_out);
        // Above 50,000 a second some initiators hear nothing, and call again.
        let most = if rate <= 50_000 { 2 * ROUND_TRIP + 2 } else { 2500 };
        assert!(took <= most, "{rate}/s: {took} ms");
        if rate <= 190 {
            assert!(took <= ROUND_TRIP + 2, "{rate}/s: {took} ms though there was room");
        }
        let handshakes = siege.server().endpoint.drops().authentication;
        assert!(handshakes <= 400 + 200 * 4, "{rate}/s: {handshakes} computations");
    }
}

#[test]
fn a_flood_with_cookies_from_a_thousand_addresses_costs_an_honest_caller_nothing() {
    for (sources, rates) in [(1, &RATES[5..9]), (100, &RATES[5..9]), (1000, &RATES[5..10])] {
        for rate in rates {
            let mut count = 0;
            let (siege, took) = call_under(|siege| with_cookies(siege, *rate, sources, &mut count));
            let what = format!("{rate}/s from {sources}");
            // Not even a Retry: what is spent on the proved is not taken from the unproved.
            assert!(took.is_some_and(|took| took <= ROUND_TRIP + 2), "{what}: {took:?}");
            let handshakes = siege.server().endpoint.drops().authentication;
            let seconds = siege.ms / 1000 + 1;
            assert!(handshakes <= 500 + 2000 * seconds, "{what}: {handshakes} computations");
        }
    }
}

#[test]
fn floods_with_and_without_cookies_together_cost_an_honest_caller_one_round_trip() {
    for rate in [199, 1999, 2001, 10_000] {
        let mut counts = [0, 1 << 24];
        let [a, b] = &mut counts;
        let (_, took) = call_under(|siege| {
            let mut packets = spoofed(siege, rate, a);
            packets.extend(with_cookies(siege, rate, 500, b));
            packets
        });
        assert!(took.is_some_and(|took| took <= 2 * ROUND_TRIP + 2), "{rate}/s: {took:?}");
    }
}

/// The attacker is not on the path: it cannot read the cookies that are sent to the initiator, nor
/// knows its index.
#[test]
fn a_flood_in_the_callers_own_name_costs_it_one_round_trip() {
    for rate in [10, 11, 100, 199, 200, 201, 2000, 20_000] {
        for one_port in [true, false] {
            let mut count = 0;
            let (_, took) = call_under(|siege| {
                let mut from = siege.client().address;
                let next = |_| {
                    count += 1;
                    if !one_port {
                        from.set_port(count as u16);
                    }
                    (from, siege.empty_request(count, Cookie::NONE))
                };
                (0..due(rate, siege.ms)).map(next).collect()
            });
            assert!(took.is_some_and(|took| took <= 2 * ROUND_TRIP + 2), "{rate}/s: {took:?}");
        }
    }
}

#[test]
fn a_flood_of_bad_cookies_and_questions_costs_an_honest_caller_nothing() {
    for rate in [200, 2000, 20_000] {
        let mut count = 0;
        let (siege, took) = call_under(|siege| {
            let next = |_| {
                count += 1;
                let cookie = Cookie { time: count.into(), mac: [5; 16] };
                let packet = match count % 2 {
                    0 => siege.empty_request(count, cookie),
                    _ => siege.question(count),
                };
                (source(count), packet)
            };
            (0..due(rate, siege.ms)).map(next).collect()
        });
        assert!(took.is_some_and(|took| took <= ROUND_TRIP + 2), "{rate}/s: {took:?}");
        assert_eq!(siege.server().endpoint.drops().authentication, 0, "not one computation");
    }
}

#[test]
fn callers_without_a_cookie_take_nothing_from_callers_with_one_and_the_other_way_round() {
    let mut count = 0;
    let mut siege = Siege::new(Config::default());
    let computations = |siege: &Siege| siege.server().endpoint.drops().authentication;
    let once = |siege: &mut Siege, packets: Vec<Datagram>| {
        let before = computations(siege);
        let mut packets = Some(packets);
        siege.run(1, |_| packets.take().unwrap_or_default());
        computations(siege) - before
    };
    // Whoever comes without a cookie uses up what there is for them, from the initiator's address too.
    let home = siege.client().address;
    let packets: Vec<_> = (0..2000)
        .map(|n| (if n % 2 == 0 { home } else { source(n) }, siege.empty_request(n, Cookie::NONE)))
        .collect();
    assert_eq!(once(&mut siege, packets), 400);
    let packets: Vec<_> =
        (0..20).map(|n| (home, siege.empty_request(n, siege.cookie(home, n)))).collect();
    assert_eq!(once(&mut siege, packets), 20, "who has a cookie is served");
    // And the other way round.
    let mut siege = Siege::new(Config::default());
    let packets = with_cookies(&siege, 10_000_000, 5000, &mut count);
    assert_eq!(once(&mut siege, packets), 500);
    let packets: Vec<_> =
        (0..400).map(|n| (source(n), siege.empty_request(n, Cookie::NONE))).collect();
    assert_eq!(once(&mut siege, packets), 400, "who has none is served");
}

#[test]
fn mapped_addresses_and_neighbours_in_a_network_share_one_budget() {
    let alike: [&dyn Fn(u16) -> SocketAddr; 2] = [
        &|n| match n % 2 {
            0 => SocketAddr::from(([192, 0, 2, 1], n)),
            _ => SocketAddr::from(([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x0201], n)),
        },
        &|n| SocketAddr::from(([0x2001, 0xdb8, 1, 2, n, n, n, n], n)),
    ];
    for from in alike {
        let mut siege = Siege::new(Config::default());
        let packets: Vec<_> =
            (0..100).map(|n| (from(n), siege.empty_request(n.into(), Cookie::NONE))).collect();
        let mut packets = Some(packets);
        siege.run(1, |_| packets.take().unwrap_or_default());
        assert_eq!(siege.server().endpoint.drops().authentication, 20);
        siege.assert_sound();
    }
}

#[test]
fn one_datagram_is_dropped_for_one_reason_however_many_answers_are_withheld() {
    let mut siege = Siege::new(Config::default());
    let packets: Vec<_> = (0..50_000_u32)
        .map(|n| {
            let from = siege.client().address;
            let cookie = Cookie { time: 1.into(), mac: [1; 16] };
            let mut sealed = [0; 40];
            sealed[..2].copy_from_slice(&[SEALED, VERSION]);
            match n % 4 {
                0 => (from, siege.empty_request(n, cookie)),
                1 => (from, siege.question(n)),
                2 => (from, siege.empty_request(n, Cookie::NONE)),
                _ => (from, sealed.to_vec()),
            }
        })
        .collect();
    let mut packets = Some(packets);
    siege.run(1, |_| packets.take().unwrap_or_default());
    let (drops, stats) = (siege.server().endpoint.drops(), siege.server().endpoint.stats());
    assert!(stats.answers_withheld > 10_000, "{stats:?}");
    // Those with a bad cookie and those without a session are dropped, answered or not.
    assert_eq!((drops.bad_cookie, drops.unknown_session), (12_500, 12_500));
    let total: u64 = drops.iter().map(|(_, count)| count).sum();
    assert_eq!(total, 25_000 + drops.rate_limited + drops.authentication, "{drops:?}");
    assert!(total < 50_000 && drops.rate_limited > 10_000, "{drops:?}");
}

#[test]
fn strangers_that_wait_for_answers_do_not_keep_peers_waiting() {
    let mut siege = Siege::new(Config::default());
    siege.call();
    siege.until_connected(100, |_| vec![]).expect("nobody disturbs");
    siege.run(1000, |_| vec![]);
    let peer = siege.server().knows(siege.client()).expect("a peer");
    let now = at(siege.ms);
    siege.server_mut().send(now, peer, Delivery::reliable(0), 10_000);
    for number in 0..1000 {
        let request = siege.empty_request(number, Cookie { time: 1.into(), mac: [1; 16] });
        siege.server_mut().take(now, source(number), &request);
    }
    let (mut buf, mut to_peer) = ([0; 2048], vec![]);
    while let Some(transmit) = siege.server_mut().endpoint.poll_transmit(now, &mut buf) {
        to_peer.push(transmit.destination == siege.client().address);
    }
    assert!(to_peer.len() > 120, "{} datagrams", to_peer.len());
    assert_eq!(to_peer[..12], [false, true].repeat(6), "in turn");
}

#[test]
fn a_request_repeated_in_a_victims_name_does_not_make_us_answer_without_end() {
    let mut siege = Siege::new(Config::default());
    let victim = source(1);
    let request = siege.strangers_request(1, Cookie::NONE);
    siege.run(1000, |_| vec![(victim, request.clone()); 100]);
    let responses = siege.accounts[&victim.ip()].said / 140;
    // A second's worth of the common rest, of one share, and what there is at once.
    assert!((20_000..=20_000 + 1000 + 16).contains(&responses), "{responses} of 100,000");
    siege.assert_sound();
}
