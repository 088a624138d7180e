//! Packet numbers at the edges of their ranges, from a peer that chooses them.

use super::*;
use crate::wire::{DataFrame, Frame, StreamKey, Writer};
use crate::{Delivery, Limits};

const PING: [u8; 9] = [1, 0, 0, 0, 0, 0, 0, 0, 0];

fn connected() -> (Victim, Forger, Line) {
    let (mut victim, mut initiator) = (Victim::new(Config::default()), Forger::new(9));
    let payload = initiator.payload();
    let line = initiator.call(&mut victim, &payload);
    let number = PacketNumber::new(0, 0).expect("small");
    victim.take(initiator.address, &line.seal(number, &PING));
    assert!(victim.is_connected());
    (victim, initiator, line)
}

fn taken(victim: &Victim) -> u64 {
    let peers: Vec<_> = victim.node.endpoint.peers().collect();
    peers.first().expect("alive").stats.datagrams_received
}

/// Sends these counters, in this order, and says which were taken.
fn which_count(
    victim: &mut Victim,
    initiator: &Forger,
    line: &Line,
    counters: &[u64],
) -> Vec<bool> {
    let mut counted = Vec::new();
    for counter in counters {
        let number = PacketNumber::new(0, *counter).expect("within 56 bits");
        let before = taken(victim);
        victim.take(initiator.address, &line.seal(number, &PING));
        victim.pass(Duration::from_millis(30));
        counted.push(taken(victim) > before);
    }
    counted
}

#[test]
fn row_06_rustsec_2025_0009_counters_around_two_to_the_32_are_like_any_others() {
    let (mut victim, initiator, line) = connected();
    let edge = 1_u64 << 32;
    let counters = [edge - 2, edge - 1, edge, edge + 1, edge - 3, edge + 100, edge - 1, edge];
    let counted = which_count(&mut victim, &initiator, &line, &counters);
    assert_eq!(counted, [true, true, true, true, true, true, false, false]);
}

#[test]
fn row_35_boringtun_the_largest_counters_count_once_and_lead_nowhere() {
    let (mut victim, initiator, line) = connected();
    let last = PacketNumber::MAX_COUNTER;
    let counters = [last - 1, last, last, last - 1, last - 127, last - 70_000, 5, last - 2];
    let counted = which_count(&mut victim, &initiator, &line, &counters);
    assert_eq!(counted, [true, true, false, false, true, false, false, true]);
    assert!(PacketNumber::new(0, last + 1).is_none(), "there is no larger one");
    // The victim's own direction goes on.
    assert!(victim.node.endpoint.peers().count() == 1);
    victim.pass(Duration::from_secs(30));
}

/// The last number that the window of a stream admits takes a bit for each before it, on as many streams as there may be.
#[test]
fn ours_numbers_far_apart_take_no_more_memory_than_there_is() {
    const MEMORY: u64 = 1 << 20;
    const WINDOW: u64 = 1 << 16;
    let limits = Limits { max_memory: MEMORY, max_peers: 10, ..Limits::default() };
    let (mut victim, mut initiator) =
        (Victim::new(Config { limits, ..Config::default() }), Forger::new(9));
    let payload = initiator.payload();
    let line = initiator.call(&mut victim, &payload);
    let mut counter = 0;
    let mut say = |victim: &mut Victim, channel: u16, sequence_number: u64| {
        let mut bytes = [0; 100];
        let mut writer = Writer::new(&mut bytes);
        let stream = StreamKey::from(Delivery::reliable(channel));
        let data = DataFrame {
            stream,
            requires_ack: false,
            sequence_number,
            fragment: None,
            payload: &[7],
        };
        assert!(Frame::Data(data).encode(&mut writer));
        let len = writer.position();
        let number = PacketNumber::new(0, counter).expect("small");
        counter += 1;
        victim.take(initiator.address, &line.seal(number, &bytes[..len]));
        let node = &mut victim.node;
        let peer = node.endpoint.peers().next().expect("connected").handle;
        node.received(victim.now, peer).len() as u64
    };
    let mut taken = Vec::new();
    for channel in 0..256 {
        if say(&mut victim, channel, WINDOW - 1) > 0 {
            taken.push(channel);
        }
        let used = victim.node.endpoint.stats().memory_used;
        let noted = taken.len() as u64 * WINDOW / 8;
        assert!((noted..=MEMORY).contains(&used), "{used} bytes are booked, {noted} are taken");
    }
    assert!((10..250).contains(&taken.len()), "{} numbers were taken", taken.len());
    // What it sends again is not taken either. What is missed is, so that it goes on.
    assert_eq!(say(&mut victim, 255, WINDOW - 1), 0);
    for channel in &taken {
        assert_eq!(say(&mut victim, *channel, 0), 1);
    }
    assert_eq!(say(&mut victim, 255, 0), 1);
    assert_eq!(say(&mut victim, 255, 1), 1);
    assert!(!victim.node.has_ended());
}
