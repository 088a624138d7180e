//! Handshakes that are repeated, crossed, forged, and dials that are answered by the wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::{Config, DisconnectOptions, PeerHandle, Retry, Target};
use handfast_sim::Rng;

use crate::kit::*;

/// The tables of both ends say the same about every peer.
fn assert_tables_agree(pair: &Stage, what: &str) {
    for side in 0..2 {
        let endpoint = pair.endpoint(side);
        for peer in endpoint.peers() {
            let named = peer.id.and_then(|id| endpoint.peer_by_id(&id));
            assert!(peer.id.is_none() || named == Some(peer.handle), "{what}: {peer:?}");
            let at = peer.path.and_then(|path| path.remote());
            let found = at.and_then(|at| endpoint.peer_by_addr(at));
            assert!(at.is_none() || found == Some(peer.handle), "{what}: {peer:?}");
        }
    }
}

fn part(pair: &mut Stage, side: usize, peer: PeerHandle) {
    pair.with(side, |endpoint, now| {
        endpoint.disconnect(now, peer, DisconnectOptions::default()).ok()
    });
}

fn meddle(pair: &mut Stage, rng: &mut Rng) {
    let side = rng.index(2);
    let now = pair.now();
    match rng.index(12) {
        0 | 1 => {
            let at = pair.ends[1 - side].address;
            let by_id = Target::new(pair.id(1 - side), [at]);
            let target = if rng.index(2) == 0 { by_id } else { Target::from(at) };
            pair.with(side, |endpoint, now| endpoint.connect(now, target).ok());
        }
        2..=6 if !pair.flight.is_empty() => {
            let at = rng.index(pair.flight.len());
            let datagram = pair.flight.remove(at).expect("under way");
            pair.deliver(datagram);
        }
        7 | 8 if !pair.flight.is_empty() => {
            let datagram = pair.flight[rng.index(pair.flight.len())].clone();
            pair.flight.push_back(datagram);
        }
        9 => {
            if let Some(peer) = pair.peer(side) {
                part(pair, side, peer);
            }
        }
        10 => {
            let later = now + Duration::from_millis(rng.range(0..=3_000));
            pair.advance(later);
        }
        11 if rng.index(10) == 0 => pair.restart(side),
        _ => {}
    }
}

#[test]
fn row_02_cve_2024_45311_retries_duplicates_and_endings_in_any_order_keep_the_tables_whole() {
    for seed in 0..100 {
        let mut rng = Rng::from_seed(seed);
        let mut config = Config::default();
        config.retry = [Retry::Always, Retry::WhenNeeded][rng.index(2)];
        config.limits.max_half_open = [1, 8, 1024][rng.index(3)];
        let mut pair = Stage::new(config);
        for step in 0..200 {
            meddle(&mut pair, &mut rng);
            assert_tables_agree(&pair, &format!("seed {seed}, step {step}"));
        }
        // All leave, all is forgotten.
        for side in 0..2 {
            let handles: Vec<_> = pair.endpoint(side).peers().map(|peer| peer.handle).collect();
            for peer in handles {
                part(&mut pair, side, peer);
            }
        }
        pair.flight.clear();
        pair.step(Duration::from_secs(120));
        for endpoint in [0, 1].map(|side| pair.endpoint(side)) {
            assert_eq!(endpoint.peers().count(), 0, "seed {seed}");
            assert_eq!(endpoint.poll_timeout(), None, "seed {seed}: {endpoint:?}");
        }
        call(&mut pair);
        pair.step(Duration::from_secs(6));
        assert!(pair.peer(0).is_some() && pair.peer(1).is_some(), "seed {seed}");
        for end in &mut pair.ends {
            end.events.clear();
        }
        assert_intact(&mut pair, &format!("seed {seed}"));
    }
}

/// Who sealed what, by what a nonce goes with: the ephemeral key of a request, the index (and with
/// it the key) and number of a sealed packet.
#[derive(Default)]
struct Nonces(BTreeMap<(SocketAddr, Vec<u8>), Vec<u8>>);

impl Nonces {
    fn note(&mut self, datagram: &Datagram) {
        let bytes = &datagram.bytes;
        let nonce = match bytes[0] {
            REQUEST => bytes[32..64].to_vec(),
            RESPONSE => bytes[16..48].to_vec(),
            SEALED => bytes[4..16].to_vec(),
            _ => return,
        };
        let before = self.0.entry((datagram.from, nonce)).or_insert_with(|| bytes.clone());
        assert_eq!(before, bytes, "two texts under one key and nonce");
    }
}

#[test]
fn row_34_boringtun_nebula_1841_no_key_and_nonce_seal_two_texts() {
    for seed in 0..12 {
        let mut rng = Rng::from_seed(seed);
        let mut config = Config::default();
        config.retry = [Retry::Always, Retry::WhenNeeded][seed as usize % 2];
        config.keys.rekey_after = Duration::from_secs(1);
        config.keys.rekey_after_idle = Duration::from_secs(1);
        let (mut pair, mut nonces) = (Stage::new(config), Nonces::default());
        let at = pair.ends[1].address;
        dial(&mut pair, 0, at);
        for round in 0..300 {
            watch(&mut pair, 50, |datagram| {
                nonces.note(datagram);
                // Lost, once, or twice.
                rng.index(6).min(2)
            });
            for side in 0..2 {
                if pair.peer(side).is_some_and(|peer| pair.endpoint(side).peer(peer).is_some()) {
                    let delivery = handfast_core::Delivery::ordered(0);
                    try_send(&mut pair, side, delivery, &[round as u8; 100]).ok();
                }
            }
            if round == 150 {
                pair.restart(0);
                call(&mut pair);
            }
        }
        let (sealed, rekeys) = (nonces.0.len(), pair.endpoint(1).stats().rekeys);
        assert!(sealed > 500 && rekeys > 2, "{sealed} packets and {rekeys} rekeys prove little");
    }
}

/// Both call at once, and the network delivers in every order there is.
fn crossed(equal_seeds: bool, order: u32) {
    let config = Config::default();
    let mut pair = Stage::new(config.clone());
    if equal_seeds {
        for side in 0..2 {
            pair.reborn(side, config.clone(), Some([9; 32]));
        }
    }
    for side in 0..2 {
        let target = Target::new(pair.id(1 - side), [pair.ends[1 - side].address]);
        dial(&mut pair, side, target);
    }
    let mut choices = order;
    for _ in 0..6 {
        let Some(last) = pair.flight.len().checked_sub(1) else { break };
        let datagram = pair.flight.remove((choices as usize % 3).min(last)).expect("under way");
        choices /= 3;
        pair.deliver(datagram);
    }
    pair.step(MS * 100);
    let what = format!("equal seeds {equal_seeds}, order {order}");
    for side in 0..2 {
        assert_eq!(pair.endpoint(side).peers().count(), 1, "{what}");
        let connected = pair.ends[side].events.iter();
        let connected =
            connected.filter(|event| matches!(event, handfast_core::Event::Connected { .. }));
        assert_eq!(connected.count(), 1, "{what}");
    }
    assert_intact(&mut pair, &what);
    let handshakes = info(&pair, 0).stats.handshakes;
    assert!(handshakes <= 2, "{what}: {handshakes} handshakes");
    // Both seal with the session of the same end: each opens what the other sealed last.
    pair.step(Duration::from_secs(60));
    assert_intact(&mut pair, &what);
    for side in 0..2 {
        assert_eq!(info(&pair, side).stats.handshakes, handshakes, "{what}: and again later");
        assert_eq!(pair.endpoint(side).drops().unknown_session, 0, "{what}");
    }
}

#[test]
fn row_50_rust_libp2p_752_crossed_calls_end_in_one_session_in_every_order_with_equal_seeds() {
    for order in 0..3_u32.pow(6) {
        crossed(order % 2 == 0, order);
    }
}

/// What `address` was sent in any 10 s, at most: packets, bytes.
fn busiest_ten_seconds(sent: &[(Duration, usize)]) -> (usize, usize) {
    let window = |from: Duration| {
        let within = |(at, _): &&(Duration, usize)| {
            *at >= from && at.saturating_sub(from) < Duration::from_secs(10)
        };
        let sent: Vec<_> = sent.iter().filter(within).map(|(_, bytes)| *bytes).collect();
        (sent.len(), sent.iter().sum())
    };
    sent.iter().map(|(at, _)| window(*at)).max().unwrap_or_default()
}

/// Dials innocent addresses beside one that may answer, for 30 s.
fn dial_innocents(config: Config, answers: bool, by_id: bool, innocents: u32) {
    let mut pair = Stage::new(config);
    let mut addresses: Vec<_> = (0..innocents).map(elsewhere).collect();
    addresses.extend(answers.then_some(pair.ends[1].address));
    let mut target = Target::new(pair.id(1), addresses);
    if !by_id {
        target.id = None;
    }
    dial(&mut pair, 0, target);
    let mut sent: BTreeMap<SocketAddr, Vec<(Duration, usize)>> = BTreeMap::new();
    for _ in 0..30_000 {
        for datagram in std::mem::take(&mut pair.flight) {
            sent.entry(datagram.to).or_default().push((pair.now(), datagram.bytes.len()));
            // The one that answers never gets as far as a session.
            if matches!(datagram.bytes[0], KEY_REQUEST | REQUEST | RETRY) {
                pair.deliver(datagram);
            }
        }
        let soon = pair.now() + MS;
        pair.advance(soon);
    }
    for address in (0..innocents).map(elsewhere) {
        let (packets, bytes) = busiest_ten_seconds(&sent[&address]);
        let case = format!("answers {answers}, by id {by_id}");
        assert!(packets <= 8 && bytes < 2_048, "{packets} packets, {bytes} bytes: {case}");
    }
}

#[test]
fn row_51_noq_a_dialled_address_that_never_answers_gets_at_most_eight_packets_in_ten_seconds() {
    for by_id in [false, true] {
        for answers in [false, true] {
            for retry in [Retry::WhenNeeded, Retry::Always] {
                let mut config = Config::default();
                config.retry = retry;
                config.timers.connect_timeout = Duration::from_secs(30);
                dial_innocents(config, answers, by_id, 7);
            }
        }
    }
}
