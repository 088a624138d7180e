//! What the attacks are made of.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use handfast_core::wire::Frame;
use handfast_core::{
    Config, ConnectError, Delivery, EndReason, Endpoint, Event, Identity, Instant, PeerHandle,
    PeerInfo, PeerState, SendError, Target,
};

mod frames;
pub(crate) mod memory;
mod metered;
mod stage;

pub(crate) use frames::*;
pub(crate) use stage::{Datagram, HONEST, LIAR, Stage, VICTIM, secret};

/// The first byte of each kind of packet.
pub(crate) const KEY_REQUEST: u8 = 0xc0;
pub(crate) const REQUEST: u8 = 0xc1;
pub(crate) const RESPONSE: u8 = 0xc2;
pub(crate) const RETRY: u8 = 0xc3;
pub(crate) const SEALED: u8 = 0xc4;
pub(crate) const UNKNOWN_SESSION: u8 = 0xc6;
pub(crate) const VERSION: u8 = handfast_core::wire::VERSION;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// Limits small enough to be reached quickly.
pub(crate) fn small() -> Config {
    let mut config = Config::default();
    config.flow.max_message = 1 << 16;
    config.flow.receive_window = 2 << 16;
    config.flow.unreliable_buffer = 1 << 16;
    config.flow.max_streams = 4;
    config
}

/// The `n`-th address of nobody.
pub(crate) fn elsewhere(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([100, a, b, c], 1000))
}

/// Seals frames with the liar's keys and hands them to the victim. Returns the datagram's length.
pub(crate) fn lie(pair: &mut Stage, path: u8, plaintext: &[u8]) -> usize {
    let datagram = pair.seal(path, plaintext).expect("a session");
    let len = datagram.bytes.len();
    assert!(pair.deliver(datagram));
    len
}

/// What a flood did to the victim.
#[derive(Debug)]
pub(crate) struct Flood {
    /// Bytes that the victim holds more than before.
    pub(crate) held: i64,
    /// Bytes that were sent to it.
    pub(crate) sent: usize,
    /// Packets that it took before it had enough of the liar.
    pub(crate) taken: usize,
}

/// Seals all packets first, so that what the liar keeps is not counted, then hands them to the
/// victim one by one, whose answers go nowhere.
pub(crate) fn flood(pair: &mut Stage, packets: impl IntoIterator<Item = Vec<u8>>) -> Flood {
    let seal = |plaintext: Vec<u8>| pair.seal(0, &plaintext).expect("a session");
    let datagrams: Vec<_> = packets.into_iter().map(seal).collect();
    let before = pair.held();
    let mut flood = Flood { held: 0, sent: 0, taken: 0 };
    for datagram in &datagrams {
        flood.sent += datagram.bytes.len();
        assert!(pair.deliver(datagram.clone()));
        pair.flight.clear();
        if !is_up(pair, VICTIM) {
            break;
        }
        flood.taken += 1;
    }
    flood.held = pair.held() - before;
    flood
}

/// What a victim keeps of its own acknowledgements of so many packets of somebody who acknowledges
/// nothing: it remembers them, up to a limit of its own.
pub(crate) fn held_for_acks(packets: usize) -> i64 {
    let mut pair = Stage::connected(small());
    flood(&mut pair, std::iter::repeat_n(frame(Frame::Ping { token: 0 }), packets)).held
}

/// Whether `side` still takes what its peer says.
pub(crate) fn is_up(pair: &Stage, side: usize) -> bool {
    let peer = pair.peer(side).and_then(|peer| pair.endpoint(side).peer(peer));
    peer.is_some_and(|peer| matches!(peer.state, PeerState::Connected | PeerState::Silent))
}

/// Hands `side` bytes that seem to come from `from`; what it sends because of them.
pub(crate) fn inject(
    pair: &mut Stage,
    side: usize,
    from: SocketAddr,
    bytes: &[u8],
) -> Vec<Datagram> {
    let waiting = pair.flight.len();
    let to = pair.ends[side].address;
    assert!(pair.deliver(Datagram { from, to, bytes: bytes.to_vec() }));
    pair.flight.drain(waiting..).collect()
}

/// Side 0 calls side 1 by its identity; nothing is delivered yet.
pub(crate) fn call(pair: &mut Stage) -> PeerHandle {
    let target = Target::new(pair.id(1), [pair.ends[1].address]);
    dial(pair, 0, target)
}

/// An end dials; nothing is delivered yet.
pub(crate) fn dial(pair: &mut Stage, side: usize, target: impl Into<Target>) -> PeerHandle {
    let target = target.into();
    let dialled = pair.with(side, |endpoint, now| endpoint.connect(now, target));
    match dialled {
        Ok(peer) | Err(ConnectError::AlreadyConnected(peer)) => peer,
        Err(error) => panic!("{error}"),
    }
}

/// The datagram of this kind that is under way, taken off the wire.
pub(crate) fn intercept(pair: &mut Stage, kind: u8) -> Datagram {
    let at = pair.flight.iter().position(|datagram| datagram.bytes[0] == kind);
    pair.flight.remove(at.expect("under way")).expect("just found")
}

/// Runs both sides for so many milliseconds. `see` is shown every datagram and says how often it
/// arrives.
pub(crate) fn watch(pair: &mut Stage, ms: u32, mut see: impl FnMut(&Datagram) -> usize) {
    let end = pair.now() + MS * ms;
    while pair.now() < end {
        while let Some(datagram) = pair.flight.pop_front() {
            for _ in 0..see(&datagram) {
                pair.deliver(datagram.clone());
            }
        }
        let next = (0..2).filter_map(|side| pair.due(side)).min();
        let soon = pair.now() + MS;
        pair.advance(next.map_or(end, |next| next.max(soon)).min(end));
    }
}

/// One genuine packet of each kind of a handshake with cookie, and a sealed one, as they were seen
/// on the wire between the two sides, and which side each was for.
pub(crate) fn overheard(config: &Config) -> (Stage, Vec<(usize, Vec<u8>)>) {
    let mut config = config.clone();
    config.retry = handfast_core::Retry::Always;
    let mut pair = Stage::new(config);
    let (mut heard, first) = (Vec::new(), pair.ends[0].address);
    let there = pair.ends[1].address;
    dial(&mut pair, 0, there);
    watch(&mut pair, 1_000, |datagram| {
        heard.push((usize::from(datagram.to != first), datagram.bytes.clone()));
        1
    });
    assert!(pair.peer(0).is_some() && pair.peer(1).is_some(), "connected");
    (pair, heard)
}

/// Packets in which `count` strangers call the second side of `pair`.
pub(crate) fn calls_of_strangers(pair: &Stage, count: u32) -> Vec<Vec<u8>> {
    let target = Target::new(pair.id(1), [pair.ends[1].address]);
    let config = pair.endpoint(1).config();
    (0..count).map(|n| first_packet(config, 1000 + n, target.clone())).collect()
}

/// What somebody new sends first when he dials `target`.
pub(crate) fn first_packet(config: &Config, number: u32, target: Target) -> Vec<u8> {
    let (mut seed, now) = ([0x77; 32], Instant::from_micros(1_000_000_000));
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let mut initiator = Endpoint::new(
        config.clone().validate().expect("valid"),
        Identity::from_seed(seed),
        seed,
        now,
    );
    initiator.connect(now, target).expect("nothing speaks against it");
    let mut buffer = [0; 2048];
    let transmit = initiator.poll_transmit(now, &mut buffer).expect("a call");
    buffer[..transmit.len].to_vec()
}

pub(crate) fn send(pair: &mut Stage, side: usize, delivery: Delivery, payload: &[u8]) {
    try_send(pair, side, delivery, payload).expect("accepted");
}

/// The same, if it is accepted.
pub(crate) fn try_send(
    pair: &mut Stage,
    side: usize,
    delivery: Delivery,
    payload: &[u8],
) -> Result<(), SendError> {
    let peer = pair.peer(side).expect("connected");
    pair.with(side, |endpoint, now| {
        // What an endpoint frees it must have allocated, or growth would not be seen.
        endpoint.send(now, peer, delivery, Bytes::copy_from_slice(payload)).map(drop)
    })
}

/// All messages that wait at `side`.
pub(crate) fn received(pair: &mut Stage, side: usize) -> Vec<Bytes> {
    let peer = pair.peer(side).expect("connected");
    std::iter::from_fn(|| pair.read_one(side, peer)).map(|(_, _, bytes)| bytes.into()).collect()
}

pub(crate) fn info(pair: &Stage, side: usize) -> PeerInfo {
    pair.endpoint(side).peer(pair.peer(side).expect("connected")).expect("alive")
}

/// Datagrams that `side` dropped so far. Answers not given are counted beside, not here.
pub(crate) fn dropped(pair: &Stage, side: usize) -> u64 {
    let drops = pair.endpoint(side).drops();
    drops.iter().filter(|(name, _)| *name != "rate_limited").map(|(_, count)| count).sum()
}

/// How the peer of `side` ended, if it did.
pub(crate) fn end_of(pair: &Stage, side: usize) -> Option<EndReason> {
    pair.ends[side].events.iter().rev().find_map(|event| match event {
        Event::Ended { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

/// Why the victim ended the liar's session, if it did so for breaking the rules.
pub(crate) fn violation(pair: &mut Stage) -> Option<&'static str> {
    pair.step(Duration::from_secs(5));
    match end_of(pair, VICTIM) {
        Some(EndReason::Violation(violation)) => Some(violation.as_str()),
        _ => None,
    }
}

/// The two sides still have the session that they had, and messages pass both ways once.
pub(crate) fn assert_intact(pair: &mut Stage, what: &str) {
    let texts: [&[u8]; 2] = [b"from the first", b"from the second"];
    for (side, text) in texts.into_iter().enumerate() {
        send(pair, side, Delivery::ordered(4000), text);
    }
    pair.step(Duration::from_secs(1));
    for side in 0..2 {
        assert_eq!(received(pair, side), [texts[1 - side]], "{what}");
        assert_eq!(end_of(pair, side), None, "{what}");
        let told =
            |event: &&Event| matches!(event, Event::Restarted { .. } | Event::PathChanged { .. });
        assert_eq!(pair.ends[side].events.iter().find(told), None, "{what}");
        let info = info(pair, side);
        assert_eq!((info.state, info.stats.roams), (PeerState::Connected, 0), "{what}");
        assert_eq!(info.path.and_then(|path| path.remote()), Some(pair.ends[1 - side].address));
    }
}
