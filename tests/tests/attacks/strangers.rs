//! Those who have no session: floods, spoofed addresses, half-open handshakes.

use std::collections::BTreeSet;
use std::time::Duration;

use handfast_core::{Config, Delivery, Endpoint, Identity, Target, ValidConfig};
use handfast_sim::Rng;

use crate::kit::memory::growth;
use crate::kit::*;

/// Datagrams that no program of this protocol would answer, cheap ones and such as must be hashed.
fn junk(pair: &Stage) -> Vec<Vec<u8>> {
    let mut kinds = vec![vec![], vec![0; 100], vec![0xff; 1200], vec![SEALED, VERSION, 0, 0]];
    for (kind, len) in [(KEY_REQUEST, 240), (REQUEST, 240), (RESPONSE, 140), (RETRY, 80)] {
        let mut bytes = vec![0; len];
        bytes[..2].copy_from_slice(&[kind, 1]);
        kinds.push(bytes);
    }
    let mut sealed = vec![7; 60];
    sealed[..4].copy_from_slice(&[SEALED, VERSION, 0, 0]);
    kinds.push(sealed);
    let mut spoilt = calls_of_strangers(pair, 1).remove(0);
    spoilt[239] ^= 1;
    kinds.push(spoilt);
    kinds
}

#[test]
fn row_18_cve_2025_54939_a_million_junk_datagrams_leave_no_byte_behind() {
    let mut pair = Stage::connected(Config::default());
    let kinds = junk(&pair);
    let flood = |pair: &mut Stage, count: u32| {
        let mut buffer = [0; 2048];
        pair.with(VICTIM, |to, now| {
            for n in 0..count {
                let kind = &kinds[n as usize % kinds.len()];
                let bytes = &mut buffer[..kind.len()];
                bytes.copy_from_slice(kind);
                let origin = handfast_core::Origin::from_remote(elsewhere(n));
                to.handle_datagram(now, origin, bytes);
                let mut answer = [0; 2048];
                while to.poll_transmit(now, &mut answer).is_some() {}
            }
        });
    };
    flood(&mut pair, 10_000);
    let (grown, ()) = growth(&mut pair, |pair| flood(pair, 1_000_000));
    assert!(grown < 1024, "{grown} bytes held after a million datagrams");
    assert_intact(&mut pair, "after a million datagrams");
}

#[test]
fn row_19_cve_2024_26190_a_request_repeated_ten_thousand_times_is_answered_from_memory() {
    let mut pair = Stage::new(Config::default());
    let call = calls_of_strangers(&pair, 1).remove(0);
    let from = elsewhere(1);
    let first = inject(&mut pair, VICTIM, from, &call);
    assert_eq!(first[0].bytes[0], RESPONSE);
    // The first repetition makes the table that says how many may follow.
    inject(&mut pair, VICTIM, from, &call);
    let (before, mut answered) = (pair.held(), 0);
    for _ in 0..10_000 {
        for again in inject(&mut pair, VICTIM, from, &call) {
            // The same bytes: not made again, or the ephemeral key would differ.
            assert_eq!(again.bytes, first[0].bytes);
            answered += 1;
        }
    }
    assert!((8..=1_008).contains(&answered), "{answered} answers: as far as the budget goes");
    let grown = pair.held() - before;
    assert!(grown < 1024, "{grown} bytes held");
    let deadline = pair.due(VICTIM).expect("it is half-open");
    assert!(deadline <= pair.now() + Duration::from_secs(5), "repetition keeps nothing alive");
}

/// Data for a handshake that is not confirmed is opened at once or dropped at once.
#[test]
fn row_20_cve_2022_29189_data_before_the_handshake_is_confirmed_is_not_kept() {
    let mut pair = Stage::new(Config::default());
    let call = calls_of_strangers(&pair, 1).remove(0);
    let answer = inject(&mut pair, VICTIM, elsewhere(1), &call).remove(0).bytes;
    let index = &answer[8..12];
    let (grown, ()) = growth(&mut pair, |pair| {
        for n in 0..3_000_u32 {
            let mut sealed = vec![n as u8; 1200];
            sealed[..4].copy_from_slice(&[SEALED, VERSION, 0, 0]);
            sealed[4..8].copy_from_slice(index);
            sealed[8..16].copy_from_slice(&u64::from(n).to_le_bytes());
            assert!(inject(pair, VICTIM, elsewhere(1), &sealed).is_empty());
        }
    });
    assert!(grown < 1024, "{grown} bytes held");
    assert_eq!(pair.endpoint(VICTIM).drops().authentication, 3_000);
    assert_eq!(pair.endpoint(VICTIM).peers().count(), 0);
}

/// Nobody accepts connections here, so nobody can forget to: a stranger becomes a peer by using
/// its keys, and until then it takes a half-open place, which do not go up with the flood.
#[test]
fn row_23_cve_2026_14456_half_open_handshakes_are_bounded_and_forgotten() {
    let mut config = Config::default();
    config.limits.max_half_open = 64;
    let mut pair = Stage::new(config);
    let calls = calls_of_strangers(&pair, 600);
    let before = pair.held();
    for (n, call) in calls.iter().enumerate() {
        inject(&mut pair, VICTIM, elsewhere(n as u32), call);
    }
    let grown = pair.held() - before;
    assert!(grown < 256 << 10, "{grown} bytes held for 64 half-open handshakes");
    assert_eq!(pair.endpoint(VICTIM).peers().count(), 0);
    pair.step(Duration::from_secs(6));
    let left = pair.held() - before;
    // Tables keep the room that they once needed.
    assert!(left < 128 << 10, "{left} bytes held after all were forgotten");
    assert!(pair.endpoint(VICTIM).poll_timeout().is_none(), "nothing is under way");
}

#[test]
fn row_23_ghsa_474q_9hgp_hcvx_strangers_calls_do_not_keep_a_known_peer_out() {
    let mut pair = Stage::connected(Config::default());
    let calls = calls_of_strangers(&pair, 1_200);
    pair.restart(LIAR);
    for (n, call) in calls.iter().enumerate() {
        inject(&mut pair, VICTIM, elsewhere(n as u32), call);
    }
    let handshakes = pair.endpoint(VICTIM).stats().handshakes;
    call_and_wait(&mut pair, 300);
    assert_eq!(pair.endpoint(VICTIM).stats().handshakes, handshakes + 1);
}

/// Side 0 calls side 1 and must be through within so many milliseconds.
fn call_and_wait(pair: &mut Stage, ms: u32) {
    call(pair);
    pair.step(MS * ms);
    let connected = pair.peer(0).and_then(|peer| pair.endpoint(0).peer(peer));
    assert!(connected.is_some_and(|peer| peer.stats.handshakes == 1), "not within {ms} ms");
    send(pair, 0, Delivery::ordered(0), b"I am in");
    pair.step(MS * 100);
    assert_eq!(received(pair, 1), [&b"I am in"[..]]);
}

/// Indices are drawn by their receiver: whoever wants collisions can make them only of its own.
#[test]
fn row_24_cve_2025_24947_indices_that_strangers_choose_decide_about_nothing() {
    let mut pair = Stage::new(Config::default());
    let target = Target::new(pair.id(1), [pair.ends[1].address]);
    let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
    for n in 0..200_u8 {
        // All strangers draw alike: the same index, the same ephemeral key.
        let identity = Identity::from_seed([n.wrapping_add(50); 32]);
        let mut initiator = Endpoint::new(ValidConfig::default(), identity, [7; 32], pair.clock(0));
        initiator.connect(pair.clock(0), target.clone()).expect("nothing speaks against it");
        let mut buffer = [0; 2048];
        let len = initiator.poll_transmit(pair.clock(0), &mut buffer).expect("a call").len;
        theirs.insert(buffer[4..8].to_vec());
        let answer = inject(&mut pair, 1, elsewhere(n.into()), &buffer[..len]).remove(0);
        assert_eq!(answer.bytes[0], RESPONSE);
        ours.insert(answer.bytes[8..12].to_vec());
    }
    assert_eq!((theirs.len(), ours.len()), (1, 200), "each has an index of its own here");
}

#[test]
fn row_25_bibavpn_27_a_hundred_thousand_sources_take_no_room_each() {
    let mut pair = Stage::connected(Config::default());
    let question = first_packet(&Config::default(), 1, Target::from(pair.ends[1].address));
    let call = calls_of_strangers(&pair, 1).remove(0);
    let flood = |pair: &mut Stage, from: u32, to: u32| {
        for n in from..to {
            let bytes = if n % 100 == 0 { &call } else { &question };
            inject(pair, VICTIM, elsewhere(n), bytes);
        }
    };
    flood(&mut pair, 0, 20_000);
    let (grown, ()) = growth(&mut pair, |pair| flood(pair, 20_000, 120_000));
    assert!(grown < 16 << 10, "{grown} bytes held for 100,000 more sources");
}

/// An honest call while strangers call `rate` times a second from ever new addresses, which they
/// have done for three seconds. Returns after how many milliseconds the honest peer is through.
fn honest_call_amid(rate: u32, calls: &[Vec<u8>]) -> u32 {
    let mut pair = Stage::new(Config::default());
    let mut next = 0;
    let mut due = 0;
    for ms in 0..6_000 {
        due += rate;
        while due >= 1000 {
            due -= 1000;
            inject(&mut pair, VICTIM, elsewhere(next), &calls[next as usize % calls.len()]);
            next += 1;
        }
        if ms == 3_000 {
            call(&mut pair);
        }
        pair.step(MS);
        let peer = pair.peer(0).and_then(|peer| pair.endpoint(0).peer(peer));
        if peer.is_some_and(|peer| peer.stats.handshakes > 0) {
            return ms - 3_000;
        }
    }
    panic!("not in at {rate} calls a second");
}

#[test]
fn row_26_qfam_an_honest_call_gets_through_a_flood_of_genuine_looking_ones() {
    let calls = calls_of_strangers(&Stage::new(Config::default()), 2_000);
    for rate in [500, 2_000] {
        let took = honest_call_amid(rate, &calls);
        assert!(took <= 500, "{took} ms at {rate} calls a second");
    }
}

#[test]
fn row_27_firezone_13811_under_load_an_honest_peer_gets_a_cookie_and_connects() {
    let mut pair = Stage::new(Config::default());
    for (n, call) in calls_of_strangers(&pair, 400).iter().enumerate() {
        inject(&mut pair, VICTIM, elsewhere(n as u32), call);
    }
    let retries = pair.endpoint(VICTIM).stats().retries_sent;
    call_and_wait(&mut pair, 100);
    assert!(pair.endpoint(VICTIM).stats().retries_sent > retries, "by way of a cookie");
}

#[test]
fn row_28_monad_bft_2778_no_rate_of_strangers_just_below_a_threshold_starves_the_honest() {
    let calls = calls_of_strangers(&Stage::new(Config::default()), 1_500);
    for rate in [50, 51, 84, 86, 199, 201, 255, 257, 340, 342, 400, 800] {
        let took = honest_call_amid(rate, &calls);
        assert!(took <= 1_500, "{took} ms at {rate} calls a second");
    }
}

/// Every datagram ever seen, cut, changed and from anywhere: what goes out to an address is never
/// more than what came from it.
#[test]
fn row_42_utp_drdos_nobody_gets_more_than_was_sent_in_his_name() {
    let (mut pair, heard) = overheard(&Config::default());
    let mut rng = Rng::from_seed(42);
    let mut calls = calls_of_strangers(&pair, 300);
    calls.extend(heard.into_iter().map(|(_, bytes)| bytes));
    let (mut total_in, mut total_out) = (0, 0);
    for n in 0..30_000 {
        let mut bytes = calls[rng.index(calls.len())].clone();
        match rng.index(4) {
            0 => {}
            1 => bytes.truncate(rng.index(bytes.len() + 1)),
            2 => bytes.extend_from_slice(&[0; 8][..rng.index(9)]),
            _ => {
                let at = rng.index(bytes.len());
                bytes[at] ^= 1 << rng.index(8);
            }
        }
        let victim = elsewhere(n);
        let answers = inject(&mut pair, VICTIM, victim, &bytes);
        let out: usize =
            answers.iter().filter(|one| one.to == victim).map(|one| one.bytes.len()).sum();
        assert!(out <= bytes.len(), "{out} bytes for {:02x?}", &bytes[..bytes.len().min(8)]);
        (total_in, total_out) = (total_in + bytes.len(), total_out + out);
        if n % 64 == 0 {
            pair.step(MS * 100);
        }
    }
    assert!(total_out > 0 && total_out < total_in, "{total_out} of {total_in}");
}

#[test]
fn row_44_kcp2k_datagrams_with_a_spoofed_source_inject_nothing_and_cost_no_state() {
    let (mut pair, heard) = overheard(&Config::default());
    let home = pair.ends[LIAR].address;
    let before = info(&pair, VICTIM);
    let mut rng = Rng::from_seed(44);
    let spoof = |rng: &mut Rng, n: usize| {
        let mut bytes = heard[n % heard.len()].1.clone();
        let at = 4 + rng.index(bytes.len() - 4);
        bytes[at] ^= 1 << rng.index(8);
        bytes
    };
    for n in 0..1_000 {
        let bytes = spoof(&mut rng, n);
        inject(&mut pair, VICTIM, home, &bytes);
    }
    let (grown, ()) = growth(&mut pair, |pair| {
        for n in 0..20_000 {
            let bytes = spoof(&mut rng, n);
            inject(pair, VICTIM, home, &bytes);
        }
    });
    assert!(grown < 1024, "{grown} bytes held");
    assert_eq!(info(&pair, VICTIM), before);
    assert!(received(&mut pair, VICTIM).is_empty());
    assert_intact(&mut pair, "after spoofed datagrams");
}
