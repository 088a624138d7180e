//! Beacons: whoever has the secret of the network, or anybody where there is none, says of anyone whatever he likes.

use std::iter;
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, Endpoint, Event, Identity, Instant};

use crate::kit::memory::growth;
use crate::kit::*;

fn config() -> Config {
    let mut config = Config::default();
    (config.discovery.listen, config.discovery.announce) = (true, true);
    config.discovery.disclose = true;
    config
}

fn at(seconds: u64) -> Instant {
    Instant::from_micros(1_000_000_000) + Duration::from_secs(seconds)
}

/// A beacon of the `n`-th liar.
fn beacon(n: u32) -> Vec<u8> {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&n.to_le_bytes());
    let identity = Identity::from_seed(seed);
    let mut liar = Endpoint::new(config().validate().expect("valid"), identity, seed, at(0));
    liar.make_beacon(at(0), 1, 1 + (n % 60_000) as u16).expect("the first").to_vec()
}

fn host(n: u32) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, (n % 250) as u8], 4000))
}

fn told(victim: &mut Endpoint) -> Vec<Event> {
    iter::from_fn(|| victim.poll_event()).collect()
}

/// Genuine, repeated, garbled and of other protocols: nothing is sent, nobody is dialled, nothing is asked for later.
#[test]
fn ours_beacons_are_no_amplifier_since_nothing_ever_answers_one() {
    let mut pair = Stage::connected(config());
    pair.step(Duration::from_secs(1));
    pair.flight.clear();
    let genuine = beacon(1);
    let request = [&[0xc1, VERSION][..], &[0; 238]].concat();
    let sealed = [&[SEALED, VERSION, 0, 0][..], &[7; 60]].concat();
    let others = [genuine.clone(), genuine[..40].to_vec(), vec![], vec![0xc5; 72], request, sealed];
    for n in 0..1000_u32 {
        let bytes = &others[n as usize % others.len()];
        pair.with(VICTIM, |end, now| end.handle_beacon(now, host(n), bytes));
        assert!(pair.flight.is_empty(), "{bytes:?}");
    }
    assert_eq!(pair.endpoint(VICTIM).peers().count(), 1, "only the one it has");
    assert_intact(&mut pair, "after beacons");
}

/// As many names, addresses and ports as somebody can invent: 64 are remembered and few are told, and what one host
/// says does not push out the others.
#[test]
fn ours_a_flood_of_beacons_is_bounded_in_work_memory_and_news() {
    let mut pair = Stage::connected(config());
    let flood: Vec<_> = (0..2_000).map(beacon).collect();
    let honest = beacon(1_000_000);
    pair.with(VICTIM, |end, now| end.handle_beacon(now, host(249), &honest));
    let one = pair.endpoint(VICTIM).discovered().next().expect("heard").id;
    let (grown, ()) = growth(&mut pair, |pair| {
        for chunk in flood.chunks(400) {
            for bytes in chunk {
                pair.with(VICTIM, |end, now| end.handle_beacon(now, host(1), bytes));
            }
            pair.step(Duration::from_secs(1));
        }
    });
    let is_news = |event: &&Event| matches!(event, Event::Discovered { .. });
    let news = pair.ends[VICTIM].events.iter().filter(is_news).count();
    let victim = pair.endpoint(VICTIM);
    assert!(victim.discovered().any(|known| known.id == one), "the honest one was pushed out");
    assert!(victim.discovered().count() <= 9, "eight of one host");
    assert!(news <= 64 + 4 * 5, "{news} told of in 5 s");
    assert!(victim.drops().rate_limited >= 1_000, "{:?}", victim.drops());
    assert!(grown < 16_384, "{grown} bytes");
    for (n, bytes) in (0..).zip(&flood) {
        pair.with(VICTIM, |end, now| end.handle_beacon(now, host(n), bytes));
        pair.step(Duration::from_millis(20));
    }
    assert!(pair.endpoint(VICTIM).discovered().count() <= 64);
    assert_intact(&mut pair, "after a flood of beacons");
}

/// A network secret keeps strangers out of this too, and a beacon that was recorded says nothing new elsewhere.
#[test]
fn ours_beacons_of_strangers_to_the_network_are_nothing() {
    let mut private = config();
    private.network_secret = Some(handfast_core::NetworkSecret::new([3; 32]));
    let identity = Identity::from_seed([1; 32]);
    let mut member = Endpoint::new(private.validate().expect("valid"), identity, [2; 32], at(0));
    for n in 0..50 {
        member.handle_beacon(at(1), host(n), &beacon(n));
    }
    assert_eq!((told(&mut member), member.drops().authentication), (vec![], 50));
}
