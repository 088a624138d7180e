//! What a beacon says, to whom, and what comes of others.

use super::*;
use crate::tests::values::unhex;
use crate::{
    Config, Discovery, Endpoint, Event, ForwardingPolicy, Identity, NetworkSecret, Target,
    ValidConfig,
};
use core::iter;
use std::vec::Vec;

fn at(millis: u64) -> Instant {
    Instant::from_micros(1_000_000 + millis * 1000)
}

fn config(secret: Option<u8>, application: u8) -> Config {
    Config {
        network_secret: secret.map(|byte| NetworkSecret::new([byte; 32])),
        application: [application; 16],
        discovery: Discovery { listen: true, announce: true, disclose: secret.is_none() },
        ..Config::default()
    }
}

fn endpoint(seed: u8, config: Config) -> Endpoint {
    let config: ValidConfig = config.validate().expect("valid");
    Endpoint::new(config, Identity::from_seed([seed; 32]), [seed; 32], at(0))
}

fn source(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 50_000))
}

fn events(endpoint: &mut Endpoint) -> Vec<Event> {
    iter::from_fn(|| endpoint.poll_event()).collect()
}

#[test]
fn a_beacon_tells_members_of_the_network_who_is_where_and_nobody_else_anything() {
    let mut relaying = config(Some(7), 0);
    relaying.forwarding.policy = ForwardingPolicy::Anyone;
    let mut sender = endpoint(1, relaying);
    let beacon = sender.make_beacon(at(0), 3, 4263).expect("the first");
    assert_eq!((beacon.len(), beacon[0]), (72, 0xc5));
    let id = *sender.id().as_bytes();
    assert!(!beacon.windows(8).any(|part| part == &id[..8]), "sealed");

    let mut rotating = config(Some(8), 0);
    rotating.previous_network_secret = Some(NetworkSecret::new([7; 32]));
    for config in [config(Some(7), 0), rotating] {
        let mut member = endpoint(2, config);
        member.handle_beacon(at(0), source(1), &beacon);
        let address = SocketAddr::from(([192, 0, 2, 1], 4263));
        let expected = Event::Discovered { id: sender.id(), address, forwards: true };
        assert_eq!(events(&mut member), [expected]);
        assert_eq!(member.poll_transmit(at(0), &mut [0; 2048]), None, "no answer, no dial");
        assert_eq!((member.peers().count(), member.poll_timeout()), (0, None));
    }
    for config in [config(Some(9), 0), config(Some(7), 1), config(None, 0)] {
        let mut stranger = endpoint(3, config);
        stranger.handle_beacon(at(0), source(1), &beacon);
        assert_eq!(events(&mut stranger), []);
        assert_eq!(stranger.drops().authentication, 1);
    }
}

#[test]
fn there_is_one_each_five_seconds_on_an_interface_and_no_two_have_a_salt_in_common() {
    let mut sender = endpoint(1, config(None, 0));
    let mut made = Vec::new();
    for millis in (0..20_000).step_by(100) {
        for interface in [1, 2] {
            made.extend(sender.make_beacon(at(millis), interface, 4263));
        }
    }
    assert_eq!(made.len(), 2 * 4);
    let salts: std::collections::BTreeSet<_> = made.iter().map(|one| one[4..20].to_vec()).collect();
    assert_eq!(salts.len(), made.len());
    assert_eq!(sender.make_beacon(at(60_000), 1, 0), None, "nobody can be at port zero");
    sender.close(at(60_000), crate::DisconnectOptions::now());
    assert_eq!(sender.make_beacon(at(60_000), 1, 4263), None, "nobody is taken in");

    let mut silent = config(None, 0);
    silent.discovery.announce = false;
    assert_eq!(endpoint(1, silent).make_beacon(at(0), 1, 4263), None);
}

#[test]
fn every_changed_byte_is_noticed_and_what_cannot_be_an_address_is_none() {
    let mut sender = endpoint(1, config(None, 0));
    let beacon = sender.make_beacon(at(0), 1, 4263).expect("the first");
    let mut listener = endpoint(2, config(None, 0));
    let mut time = 0;
    for byte in 0..beacon.len() {
        let mut changed = beacon;
        changed[byte] ^= 0x10;
        time += 20;
        listener.handle_beacon(at(time), source(1), &changed);
    }
    for changed in [&beacon[..71], &[&beacon[..], &[0]].concat()] {
        listener.handle_beacon(at(time), source(1), changed);
    }
    listener.handle_beacon(at(time), "255.255.255.255:9".parse().expect("one"), &beacon);
    listener.handle_beacon(at(time), "[ff02::1]:9".parse().expect("one"), &beacon);
    assert_eq!(events(&mut listener), []);
    let drops = listener.drops();
    // Type, version, two reserved bytes; salt, content and tag; two lengths and two addresses.
    let dropped =
        (drops.unknown_type + drops.malformed, drops.unknown_version, drops.authentication);
    assert_eq!(dropped, (1 + 2 + 2 + 2, 1, 68));
    // What we say ourselves comes back to us.
    sender.handle_beacon(at(time), source(1), &beacon);
    assert_eq!((events(&mut sender), sender.drops().duplicate), (Vec::new(), 1));
    // Nobody listens, and on the socket of the protocol it is out of place.
    listener.handle_datagram(at(time), crate::Origin::from_remote(source(1)), &mut beacon.clone());
    assert_eq!((events(&mut listener), listener.drops().unsolicited), (Vec::new(), 1));
    let mut deaf = config(None, 0);
    deaf.discovery.listen = false;
    let mut deaf = endpoint(2, deaf);
    deaf.handle_beacon(at(time), source(1), &beacon);
    assert_eq!(events(&mut deaf), []);
}

/// The key is made of the network secret and the salt as PROTOCOL.md says.
#[test]
fn a_beacon_opens_with_a_key_that_is_used_for_it_alone() {
    let mut sender = endpoint(1, config(Some(7), 5));
    let beacon = sender.make_beacon(at(0), 1, 4263).expect("the first");
    let info = [b"handfast/1 beacon", &beacon[4..20], &[1]].concat();
    let key = crate::crypto::hash::hmac(&[7; 32], &[&info]);
    let key =
        crate::crypto::backend::AeadKey::new(crate::crypto::backend::Suite::ChaCha20Poly1305, &key);
    let (mut content, tag) = (beacon[20..56].to_vec(), *beacon[56..].first_chunk().expect("16"));
    let data = [&beacon[..20], &[5; 16]].concat();
    assert!(key.open(0, &data, &mut content, &tag));
    assert_eq!(content[..32], sender.id().as_bytes()[..]);
    assert_eq!(content[32..], unhex("a7100000"));
}

/// Whoever can say it of any host of the network may mean harm: dials that follow are few.
#[test]
fn dials_to_where_a_beacon_led_share_the_budget_of_that_host() {
    let sent = |heard: bool| {
        let mut dialler = endpoint(2, config(None, 0));
        let mut now = at(0);
        if heard {
            for port in 1..=8 {
                let mut liar = endpoint(3, config(None, 0));
                let beacon = liar.make_beacon(now, 1, port).expect("the first");
                dialler.handle_beacon(now, source(1), &beacon);
            }
        }
        let mut sent = 0;
        for round in 0..30 {
            for port in 1..=8 {
                let target = Target::from(SocketAddr::from(([192, 0, 2, 1], port)));
                dialler.connect(now, target).expect("a dial");
            }
            for _ in 0..110 {
                now += Duration::from_millis(100);
                dialler.handle_timeout(now);
                while dialler.poll_transmit(now, &mut [0; 2048]).is_some() {
                    sent += 1;
                }
            }
            assert!(!events(&mut dialler).is_empty(), "round {round}");
        }
        sent
    };
    let (freely, after_a_beacon) = (sent(false), sent(true));
    // Eight ports, of which each gets 84 packets in ten minutes, in 330 s.
    assert!(freely > 1000 && after_a_beacon < 600, "{freely}, {after_a_beacon}");
}
