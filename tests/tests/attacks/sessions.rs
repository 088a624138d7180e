//! What strangers try with a session that stands.

use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::wire::Frame;
use handfast_core::{Config, Delivery, Event, Target};
use handfast_sim::Rng;

use crate::kit::*;

/// A sealed packet from side 0 that never arrived.
fn withheld(pair: &mut Stage, text: &[u8]) -> Datagram {
    pair.flight.clear();
    send(pair, 0, Delivery::ordered(1), text);
    intercept(pair, SEALED)
}

/// Sends traffic and lets `meddle` do what it likes with what it saw. All that left the two ends,
/// and all they told.
fn twin(meddle: impl Fn(&mut Stage, &[Datagram])) -> (Vec<Datagram>, Vec<Vec<Event>>) {
    let mut config = Config::default();
    config.keys.rekey_after = Duration::from_secs(1);
    config.keys.rekey_after_idle = Duration::from_secs(1);
    let (mut pair, mut seen) = (Stage::connected(config), Vec::new());
    for round in 0..200_u64 {
        let side = (round % 2) as usize;
        send(&mut pair, side, Delivery::ordered(0), &round.to_le_bytes());
        watch(&mut pair, 30, |datagram| {
            seen.push(datagram.clone());
            1
        });
        received(&mut pair, 1 - side);
        meddle(&mut pair, &seen);
    }
    (seen, pair.ends.iter_mut().map(|end| std::mem::take(&mut end.events)).collect())
}

/// Two runs that differ in nothing but junk are the same to the last byte: junk moves no counter,
/// no window, no timer, no random number.
#[test]
fn row_32_cve_2024_58265_junk_leaves_the_state_as_if_it_had_not_come() {
    let quiet = twin(|_, _| {});
    let noisy = twin(|pair, seen| {
        let home = pair.ends[0].address;
        let newest = seen.iter().rfind(|datagram| datagram.from == home).expect("traffic");
        // The index is right, the number new or not, the text or the tag wrong.
        for (at, flip) in [(8, 1), (9, 0x40), (13, 0x10), (15, 1), (16, 1), (33, 0x80)] {
            let mut forged = newest.bytes.clone();
            let at = at.min(forged.len() - 1);
            forged[at] ^= flip;
            inject(pair, 1, home, &forged);
            inject(pair, 1, elsewhere(1), &forged);
        }
        inject(pair, 1, home, &[SEALED, VERSION, 0, 0]);
        inject(
            pair,
            1,
            home,
            &[UNKNOWN_SESSION, VERSION, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0],
        );
    });
    assert_eq!(quiet.1, noisy.1, "the same is told");
    assert_eq!(quiet.0.len(), noisy.0.len());
    let same = |(one, other): (&Datagram, &Datagram)| one.bytes == other.bytes;
    assert!(quiet.0.iter().zip(&noisy.0).all(same), "the same bytes leave");
}

#[test]
fn row_35_nebula_1751_every_number_counts_once_in_any_order_of_arrival() {
    for seed in 0..20 {
        let mut rng = Rng::from_seed(seed);
        let mut pair = Stage::connected(Config::default());
        let packets: Vec<_> = (0..100).map(|n| withheld(&mut pair, &[n])).collect();
        let before = info(&pair, 1).stats.datagrams_received;
        let mut arrivals: Vec<usize> = (0..300).map(|n| n % 100).collect();
        for at in (1..arrivals.len()).rev() {
            arrivals.swap(at, rng.index(at + 1));
        }
        for at in arrivals {
            let from = [pair.ends[0].address, elsewhere(at as u32)][rng.index(2)];
            inject(&mut pair, 1, from, &packets[at].bytes);
        }
        assert_eq!(info(&pair, 1).stats.datagrams_received - before, 100, "seed {seed}");
        let texts: Vec<_> = received(&mut pair, 1).iter().map(|text| text[0]).collect();
        assert_eq!(texts, (0..100).collect::<Vec<u8>>(), "seed {seed}");
    }
}

#[test]
fn row_36_cve_2023_42811_a_packet_with_any_bit_of_its_tag_wrong_delivers_nothing() {
    let mut pair = Stage::connected(Config::default());
    let genuine = withheld(&mut pair, b"the secret plan");
    let (home, before) = (pair.ends[0].address, info(&pair, 1));
    for bit in 0..128 {
        let mut forged = genuine.bytes.clone();
        let at = forged.len() - 16 + bit / 8;
        forged[at] ^= 1 << (bit % 8);
        assert!(inject(&mut pair, 1, home, &forged).is_empty());
        assert_eq!(received(&mut pair, 1), [&[][..]; 0], "bit {bit}");
    }
    assert_eq!(info(&pair, 1), before);
    pair.deliver(genuine);
    assert_eq!(received(&mut pair, 1), [&b"the secret plan"[..]]);
}

/// Whatever can be made from what was overheard, without the keys.
fn forgeries(heard: &[(usize, Vec<u8>)], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = heard[rng.index(heard.len())].1.clone();
    match rng.index(6) {
        0 => {}
        1 => bytes[0] = 0xc0 + rng.index(7) as u8,
        2 => {
            // The head of one on the body of another.
            let other = &heard[rng.index(heard.len())].1;
            let len = 16.min(other.len());
            bytes[..len].copy_from_slice(&other[..len]);
        }
        3 => {
            let at = rng.index(bytes.len());
            bytes[at] ^= 1 << rng.index(8);
        }
        4 => bytes.truncate(1 + rng.index(bytes.len())),
        _ => {
            let len = [16, 80, 140, 240][rng.index(4)];
            bytes.resize(len, 0);
            bytes[0] = [UNKNOWN_SESSION, RETRY, RESPONSE, REQUEST][rng.index(4)];
        }
    }
    bytes
}

#[test]
fn row_45_nebula_1563_no_unauthenticated_datagram_ends_or_changes_a_session() {
    for seed in 0..10 {
        let (mut pair, heard) = overheard(&Config::default());
        let mut rng = Rng::from_seed(seed);
        for _ in 0..2_000 {
            let to = rng.index(2);
            let from = [pair.ends[1 - to].address, elsewhere(1)][rng.index(2)];
            let bytes = forgeries(&heard, &mut rng);
            inject(&mut pair, to, from, &bytes);
            if rng.index(20) == 0 {
                pair.step(MS * 100);
            }
        }
        assert_intact(&mut pair, &format!("seed {seed}"));
    }
}

#[test]
fn row_46_cve_2024_53259_nothing_unauthenticated_makes_datagrams_smaller() {
    let mut config = Config::default();
    config.max_datagram = 1_400;
    let (mut pair, heard) = overheard(&config);
    // More than fits a packet: what the path carries is found out.
    send(&mut pair, 0, Delivery::ordered(0), &[0; 20_000]);
    pair.step(MS * 500);
    assert_eq!(info(&pair, 0).path_stats.max_datagram, 1_400);
    let mut rng = Rng::from_seed(46);
    for _ in 0..5_000 {
        let bytes = forgeries(&heard, &mut rng);
        let home = pair.ends[1].address;
        inject(&mut pair, 0, home, &bytes);
    }
    assert_eq!(info(&pair, 0).path_stats.max_datagram, 1_400);
}

/// The same address in its two forms.
fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        SocketAddr::V6(_) => address,
    }
}

#[test]
fn row_49_nebula_1786_a_mapped_address_is_the_plain_one_wherever_it_counts() {
    let mut config = Config::default();
    config.retry = handfast_core::Retry::Always;
    let mut pair = Stage::new(config);
    let plain = pair.ends[1].address;
    let target = Target::new(pair.id(1), [mapped(plain), plain]);
    dial(&mut pair, 0, target);
    assert_eq!(pair.flight.len(), 1, "two forms are one address to call");
    let mut forms = 0;
    for _ in 0..50 {
        for mut datagram in std::mem::take(&mut pair.flight) {
            // A dual-stack socket says it now so, now so.
            if forms % 2 == 0 {
                datagram.from = mapped(datagram.from);
            }
            forms += 1;
            pair.deliver(datagram);
        }
        let soon = pair.now() + MS * 10;
        pair.advance(soon);
    }
    assert!(forms > 4, "{forms}");
    for side in 0..2 {
        let (endpoint, there) = (pair.endpoint(side), pair.ends[1 - side].address);
        assert_eq!(endpoint.peers().count(), 1);
        assert_eq!(endpoint.peer_by_addr(there), pair.peer(side));
        assert_eq!(endpoint.peer_by_addr(mapped(there)), pair.peer(side));
    }
    lie(&mut pair, 0, &frame(Frame::Ping { token: 0 }));
    assert_intact(&mut pair, "in two forms");
    let drops = pair.endpoint(1).drops();
    assert_eq!((drops.bad_cookie, drops.duplicate), (0, 0), "the cookie is for both forms");
}
