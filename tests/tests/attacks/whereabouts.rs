//! A liar that seems to be everywhere: nobody gets more than three times what came from there, and
//! the path moves only to where its answers come from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::wire::Frame;
use handfast_core::{Config, Event};

use crate::kit::*;

fn stage() -> Stage {
    Stage::with_honest(Config::default(), Config::default())
}

fn somewhere(n: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, (n >> 8) as u8], 1024 + (n & 0xff)))
}

/// Bytes to and from addresses other than the liar's own.
#[derive(Default)]
struct Ledger(BTreeMap<SocketAddr, (u64, u64)>);

impl Ledger {
    fn received(&mut self, from: SocketAddr, bytes: u64) {
        self.0.entry(from).or_default().0 += bytes;
    }

    fn collect(&mut self, stage: &mut Stage) {
        let victim = stage.ends[VICTIM].address;
        for datagram in stage.flight.drain(..).filter(|datagram| datagram.from == victim) {
            self.0.entry(datagram.to).or_default().1 += datagram.bytes.len() as u64;
        }
    }

    fn check(&self, home: SocketAddr, others: &[SocketAddr]) {
        for (address, (received, sent)) in &self.0 {
            let known = *address == home || others.contains(address);
            assert!(known || *sent <= 3 * received, "{address}: {received} in, {sent} out");
        }
    }
}

/// Each frame that might be answered to where it came from, from addresses that never answer.
#[test]
fn an_address_that_does_not_answer_gets_at_most_three_times_what_came_from_it() {
    let frames = [
        vec![0],
        frame(Frame::Ping { token: 0 }),
        frame(Frame::Ping { token: 5 }),
        frame(Frame::PathChallenge { token: [5; 8] }),
        [frame(Frame::PathChallenge { token: [5; 8] }), frame(Frame::Ping { token: 9 })].concat(),
        frame(Frame::PathChallenge { token: [5; 8] }).repeat(20),
    ];
    for (which, bytes) in frames.iter().enumerate() {
        for packets in [1, 2, 5] {
            let mut stage = stage();
            let (home, elsewhere) = (stage.ends[LIAR].address, somewhere(7));
            let mut ledger = Ledger::default();
            for _ in 0..packets {
                let (cost, _) = stage.lie_from(elsewhere, 0, bytes).expect("a session");
                ledger.received(elsewhere, cost);
                ledger.collect(&mut stage);
                ledger.check(home, &[stage.ends[2].address]);
            }
            for _ in 0..100 {
                let next = stage.due(VICTIM);
                stage.advance(next.expect("a live peer").min(stage.now() + Duration::from_secs(1)));
                ledger.collect(&mut stage);
            }
            println!("{which}, {packets} packets: {:?}", ledger.0.get(&elsewhere));
            ledger.check(home, &[stage.ends[2].address]);
        }
    }
}

/// Another address for every packet: most are never even asked, and the path stays where it was.
#[test]
fn another_address_for_every_packet_moves_nothing() {
    let mut stage = stage();
    let home = stage.ends[LIAR].address;
    let mut ledger = Ledger::default();
    let before = stage.meter(VICTIM).live;
    for round in 0..5_000u16 {
        let from = somewhere(round);
        let bytes = frame(Frame::PathChallenge { token: u64::from(round).to_le_bytes() });
        let (cost, (datagrams, _)) = stage.lie_from(from, 0, &bytes).expect("a session");
        assert!(datagrams <= 3, "{datagrams} datagrams for one");
        ledger.received(from, cost);
        ledger.collect(&mut stage);
        if round % 50 == 0 {
            let later = stage.now() + Duration::from_millis(500);
            stage.advance(later);
            ledger.collect(&mut stage);
        }
    }
    ledger.check(home, &[stage.ends[2].address]);
    let held = stage.meter(VICTIM).live - before;
    assert!(held < 512 << 10, "{held} bytes held");
    let peer = stage.peer_of(VICTIM, LIAR).expect("alive");
    let info = stage.endpoint(VICTIM).peer(peer).expect("alive");
    assert_eq!(info.path.and_then(|path| path.remote()), Some(home));
    assert_eq!(info.stats.roams, 0);
    let moved = |event: &Event| matches!(event, Event::PathChanged { .. });
    assert!(!stage.ends[VICTIM].events.iter().any(moved));
    assert_eq!(stage.endpoint(VICTIM).peer_by_addr(home), Some(peer));
}

/// Answers to challenges that nobody made, from everywhere.
#[test]
fn answers_to_challenges_that_were_not_made_move_nothing() {
    let mut stage = stage();
    for round in 0..2_000u16 {
        let bytes = frame(Frame::PathResponse { token: u64::from(round).to_le_bytes() });
        stage.lie_from(somewhere(round % 3), (round % 4) as u8, &bytes).expect("a session");
        stage.flight.clear();
    }
    let peer = stage.peer_of(VICTIM, LIAR).expect("alive");
    let info = stage.endpoint(VICTIM).peer(peer).expect("alive");
    assert_eq!(info.stats.roams, 0);
}

/// However many challenges a packet holds and however many packets come, one answer waits.
#[test]
fn a_packet_full_of_challenges_is_answered_once() {
    let mut stage = stage();
    let bytes = frame(Frame::PathChallenge { token: [5; 8] }).repeat(125);
    for _ in 0..100 {
        let (cost, (datagrams, sent)) = stage.lie(0, &bytes).expect("a session");
        assert!(datagrams <= 2 && sent < cost / 8, "{datagrams} datagrams, {sent} bytes");
        stage.flight.clear();
    }
}
