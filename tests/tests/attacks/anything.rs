//! One property over everything a peer with keys can say, in any order, at any time.
//!
//! Whatever it is: the victim's memory stays within what its choices allow, its work within a
//! multiple of the bytes that caused it, it parts with the liar only for a reason that the liar is
//! told, and another peer of the victim notices nothing.

use std::time::Duration;

use handfast_core::wire::{Fragment, StreamKey};
use handfast_core::{Config, Delivery, EndReason, Event, Order, PeerState, SendError};
use proptest::prelude::*;

use crate::kit::*;

/// Numbers at which something begins, ends or wraps.
const EDGES: [u64; 28] = [
    0,
    1,
    2,
    31,
    63,
    64,
    255,
    256,
    257,
    1023,
    1024,
    16_383,
    16_384,
    65_535,
    65_536,
    1 << 20,
    (1 << 20) + 1,
    (1 << 30) - 1,
    1 << 30,
    (1 << 31) - 1,
    (1 << 32) - 1,
    1 << 32,
    (1 << 53) + 1,
    (1 << 56) - 2,
    (1 << 56) - 1,
    1 << 56,
    (1 << 62) - 2,
    (1 << 62) - 1,
];

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => prop::sample::select(&EDGES[..]),
        3 => 0..40u64,
        1 => 0..1u64 << 62,
    ]
}

/// One frame, or what looks like one.
#[derive(Clone, Debug)]
enum Lie {
    /// Numbers as they would stand in a frame of acknowledgement.
    Ack {
        kind: u8,
        path: u8,
        numbers: Vec<u64>,
    },
    /// One range of what was sent, counted back from the newest packet.
    LikelyAck {
        path: u8,
        back: u64,
        len: u64,
        delay: u64,
    },
    Data {
        kind: u8,
        fields: Vec<u64>,
        len: usize,
    },
    /// Credit, Blocked, or Skip of a stream that may be skipped, to any number.
    Flow {
        kind: u8,
        channel: u64,
        number: u64,
    },
    Retransmit {
        stream: u8,
        number: u64,
        until: u64,
    },
    /// A message, or the beginning of one, that is legal as far as one frame can be.
    Legal {
        stream: u8,
        number: u64,
        total: Option<u64>,
        at: u64,
    },
    /// A type, and numbers.
    Varints {
        kind: u8,
        numbers: Vec<u64>,
    },
    Bytes(Vec<u8>),
    Token {
        kind: u8,
        token: u64,
    },
    Rekey {
        kind: u8,
        index: u32,
        key: u8,
    },
    Disconnect {
        code: u16,
        reason: Vec<u8>,
    },
    Padding(usize),
}

fn lie() -> impl Strategy<Value = Lie> {
    let numbers = |most| prop::collection::vec(number(), 0..most);
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    let illegal = prop_oneof![
        (3..5u8, 0..5u8, numbers(10))
            .prop_map(|(kind, path, numbers)| { Lie::Ack { kind, path, numbers } }),
        (0x20..0x40u8, numbers(5), 0..600usize)
            .prop_map(|(kind, fields, len)| { Lie::Data { kind, fields, len } }),
        (0..16u8, numbers(6)).prop_map(|(kind, numbers)| Lie::Varints { kind, numbers }),
        bytes(60).prop_map(Lie::Bytes),
        (any::<u16>(), bytes(70)).prop_map(|(code, reason)| Lie::Disconnect { code, reason }),
    ];
    prop_oneof![
        1 => illegal,
        8 => (prop::bool::weighted(0.02), 0..40u64, 0..4u64, number()).prop_map(
            |(other, back, len, delay)| Lie::LikelyAck { path: other.into(), back, len, delay }
        ),
        12 => (0..16u8, 0..30u64, prop::option::of(257..70_000u64), any::<u64>()).prop_map(
            |(stream, number, total, at)| Lie::Legal { stream, number, total, at }
        ),
        6 => (7..10u8, 0..3u64, number()).prop_map(|(kind, channel, number)| {
            Lie::Flow { kind, channel, number }
        }),
        2 => (0..16u8, number(), number()).prop_map(|(stream, number, until)| {
            Lie::Retransmit { stream, number, until }
        }),
        6 => (prop::sample::select(&[1u8, 2, 0x0c, 0x0d][..]), number()).prop_map(
            |(kind, token)| Lie::Token { kind, token }
        ),
        4 => (0x0a..0x0cu8, any::<u32>(), 0..6u8).prop_map(|(kind, index, key)| {
            Lie::Rekey { kind, index, key }
        }),
        1 => (1..ROOM).prop_map(Lie::Padding),
    ]
}

impl Lie {
    /// The frame, when the victim sent `newest` packets; the `round`th of a flood.
    fn bytes(&self, newest: u64, round: u64) -> Vec<u8> {
        match self {
            Self::Ack { kind, path, numbers } => raw_ack(*kind, *path, numbers),
            Self::LikelyAck { path, back, len, delay } => {
                let last = newest.saturating_sub(back + 1);
                raw_ack(3, *path, &[last, *delay, 0, (*len).min(last)])
            }
            Self::Data { kind, fields, len } => raw_data(*kind, fields, &vec![7; *len]),
            Self::Legal { stream, number, total, at } => {
                legal(*stream, *number + round, *total, at.wrapping_add(round * 521))
            }
            Self::Flow { kind, channel, number } => packet(|writer| match kind {
                9 => {
                    let mode = writer.u8(9) && writer.u8(2);
                    mode && writer.varint(*channel) && writer.varint(*number)
                }
                _ => writer.u8(*kind) && writer.varint(*number),
            }),
            Self::Retransmit { stream, number, until } => retransmit(key(*stream), *number, *until),
            Self::Varints { kind, numbers } => {
                let mut bytes = vec![*kind];
                bytes.extend(packet(|writer| numbers.iter().all(|n| writer.varint(*n))));
                bytes
            }
            Self::Bytes(bytes) => bytes.clone(),
            Self::Token { kind, token } => packet(|writer| writer.u8(*kind) && writer.u64(*token)),
            Self::Rekey { kind, index, key } => packet(|writer| {
                let head = writer.u8(*kind) && writer.u32(*index);
                head && (*kind == 0x0a || writer.u32(!index)) && writer.bytes(&[*key; 32])
            }),
            Self::Disconnect { code, reason } => packet(|writer| {
                let head =
                    writer.u8(6) && writer.u8(code.to_be_bytes()[0] & 1) && writer.u16(*code);
                head && writer.u8(reason.len() as u8) && writer.bytes(reason)
            }),
            Self::Padding(len) => vec![0; *len],
        }
    }
}

/// One of the streams that are played with.
fn key(stream: u8) -> StreamKey {
    let order = [Order::Unordered, Order::Sequenced, Order::Ordered][usize::from(stream) % 3];
    StreamKey::new(0, stream & 4 == 0, order)
}

fn legal(stream: u8, number: u64, total: Option<u64>, at: u64) -> Vec<u8> {
    let key = key(stream);
    let Some(total) = total else { return data(key, number, &[8; 20]) };
    let offset = at % total;
    let len = (total - offset).min(256).min(total - 1);
    let (total, offset) = (total as u32, (total - len).min(offset) as u32);
    let place = Fragment { total, offset };
    fragment(key, number, Some(place), &[8; 256][..len as usize])
}

#[derive(Clone, Debug)]
enum Op {
    Lie {
        path: u8,
        home: bool,
        frames: Vec<Lie>,
    },
    /// One packet of frames, many times over.
    Flood {
        frame: Lie,
        times: u16,
    },
    /// The liar takes and answers what was sent to it, as an honest one would.
    Listen,
    /// What was sent to the liar is lost.
    Deaf,
    Pass {
        ms: u64,
    },
    /// The victim's application sends to the liar.
    Talk {
        stream: u8,
        len: usize,
    },
    /// The victim's application reads what came from the liar.
    Read,
    /// The liar forgets everything and calls again.
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        20 => (0..5u8, prop::bool::weighted(0.9), prop::collection::vec(lie(), 1..4)).prop_map(
            |(path, home, frames)| Op::Lie { path: path.saturating_sub(2), home, frames }
        ),
        2 => (lie(), 1..600u16).prop_map(|(frame, times)| Op::Flood { frame, times }),
        4 => Just(Op::Listen),
        2 => Just(Op::Deaf),
        3 => prop::sample::select(&[0u64, 1, 30, 400, 3_000, 25_000][..]).prop_map(|ms| {
            Op::Pass { ms }
        }),
        4 => (0..16u8, prop::sample::select(&[0usize, 9, 1200, 9000, 60_000][..])).prop_map(
            |(stream, len)| Op::Talk { stream, len }
        ),
        2 => Just(Op::Read),
        2 => Just(Op::Restart),
    ]
}

fn config() -> Config {
    let mut config = Config::default();
    config.flow.max_message = 1 << 20;
    config.flow.receive_window = (1 << 20) + 64;
    config.flow.unreliable_buffer = 1 << 20;
    config.flow.send_buffer = 1 << 20;
    (config.flow.max_streams, config.flow.stream_window) = (8, 1 << 14);
    config
}

/// What the victim may allocate for one peer: what it queues in either direction, each with the
/// overhead of small messages, and a fixed amount for streams, paths and packets under way.
fn allowance(config: &Config) -> i64 {
    let received = i64::from(config.flow.receive_window) + config.flow.unreliable_buffer as i64;
    let streams = i64::from(config.flow.max_streams) * 4096;
    3 * received + 3 * config.flow.send_buffer as i64 + streams + (512 << 10)
}

/// What has been going on, beside the stage itself.
struct Run {
    stage: Stage,
    /// Bytes that the liar sent.
    cost: u64,
    /// Messages from the honest one to the victim, and back.
    honest: (u64, u64),
    allocated: u64,
}

static PAYLOAD: [u8; 60_000] = [9; 60_000];

impl Run {
    fn new() -> Self {
        let stage = Stage::with_honest(config(), config());
        let allocated = stage.meter(VICTIM).total;
        Self { stage, cost: 0, honest: (0, 0), allocated }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Lie { path, home, frames } => {
                let newest = self.newest();
                let frames = frames.iter().map(|frame| frame.bytes(newest, 0));
                let mut bytes = frames.collect::<Vec<_>>().concat();
                bytes.truncate(ROOM);
                self.lie(*path, *home, &bytes);
            }
            Op::Flood { frame, times } => {
                let mut round = 0;
                for _ in 0..*times {
                    let newest = self.newest();
                    let bytes = full(|| {
                        round += 1;
                        frame.bytes(newest, round)
                    });
                    self.lie(0, true, &bytes);
                    let victim = self.stage.ends[VICTIM].address;
                    self.stage.flight.retain(|datagram| datagram.to == victim);
                }
            }
            Op::Listen => self.stage.step(Duration::ZERO),
            Op::Deaf => self.stage.pass_unheard(Duration::ZERO),
            Op::Pass { ms } => self.stage.pass_unheard(Duration::from_millis(*ms)),
            Op::Talk { stream, len } => self.talk(*stream, *len),
            Op::Read => {
                self.stage.read(VICTIM, LIAR);
                let liar = self.stage.id(LIAR);
                self.stage.ends[VICTIM].received.retain(|(id, ..)| *id != liar);
            }
            Op::Restart => self.stage.restart_liar(),
        }
        self.honest();
        self.check();
    }

    fn lie(&mut self, path: u8, home: bool, bytes: &[u8]) {
        let mut from = self.stage.ends[LIAR].address;
        if !home {
            from.set_port(from.port() ^ 1);
        }
        let Some((cost, (datagrams, _))) = self.stage.lie_from(from, path, bytes) else {
            self.stage.restart_liar();
            return;
        };
        self.cost += cost;
        // What waited may leave once room is made, but never more than a few batches at once.
        assert!(datagrams <= 100, "{datagrams} datagrams for one");
        self.hear_the_reason();
    }

    /// About how many packets the victim sent the liar.
    fn newest(&self) -> u64 {
        let victim = self.stage.endpoint(VICTIM);
        let liar = self.stage.peer_of(VICTIM, LIAR).and_then(|peer| victim.peer(peer));
        liar.map_or(0, |liar| liar.stats.datagrams_sent)
    }

    /// A violation is told to the liar with the very next packets.
    fn hear_the_reason(&mut self) {
        let victim = self.stage.endpoint(VICTIM);
        let liar = self.stage.peer_of(VICTIM, LIAR).and_then(|peer| victim.peer(peer));
        if liar.is_none_or(|liar| liar.state != PeerState::Closing) {
            return;
        }
        self.stage.step(Duration::from_secs(2));
        let told = self.stage.farewell().map(|(code, reason)| (code, reason.to_owned()));
        let Some(EndReason::Violation(violation)) = self.stage.reason() else {
            panic!("{:?}", self.stage.reason());
        };
        assert_eq!(told, Some((violation.code(), violation.as_str().to_owned())));
    }

    fn talk(&mut self, stream: u8, len: usize) {
        let delivery = key(stream).delivery(stream & 1 == 0);
        match self.stage.send(VICTIM, LIAR, delivery, &PAYLOAD[..len]) {
            Ok(()) | Err(SendError::Blocked | SendError::UnknownPeer | SendError::Closing) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// The honest one and the victim say something to each other.
    fn honest(&mut self) {
        for (from, to) in [(HONEST, VICTIM), (VICTIM, HONEST)] {
            self.stage.send(from, to, Delivery::ordered(3), &PAYLOAD[..100]).expect("unharmed");
        }
        self.honest = (self.honest.0 + 1, self.honest.1 + 1);
        let liar = self.stage.ends[LIAR].address;
        let (other, ours): (Vec<_>, Vec<_>) = self
            .stage
            .flight
            .drain(..)
            .partition(|datagram| datagram.to == liar || datagram.from == liar);
        self.stage.flight.extend(ours);
        while let Some(datagram) = self.stage.flight.pop_front() {
            if datagram.to == liar {
                continue; // Lost: it was sent while the two talked.
            }
            self.stage.deliver(datagram);
        }
        self.stage.flight.extend(other);
        self.stage.read(VICTIM, HONEST);
        self.stage.read(HONEST, VICTIM);
    }

    fn check(&self) {
        let meter = self.stage.meter(VICTIM);
        let allowed = 2 * allowance(self.stage.endpoint(VICTIM).config());
        assert!(meter.live <= allowed, "{} bytes held, {allowed} allowed", meter.live);
        let work = meter.total - self.allocated;
        let paid = (4 << 20) + 40 * self.cost + 20_000 * (self.honest.0 + self.honest.1);
        assert!(work <= paid, "{work} bytes allocated for {} received", self.cost);
        let reasons = self.stage.ends[VICTIM].events.iter().filter_map(|event| match event {
            Event::Ended { reason, .. } => Some(reason),
            _ => None,
        });
        for reason in reasons {
            let sound = matches!(
                reason,
                EndReason::Violation(_)
                    | EndReason::PeerDisconnected { .. }
                    | EndReason::IdleTimeout
            );
            assert!(sound, "{reason}");
        }
    }

    /// Everything that the honest one and the victim told each other arrived, once, in order.
    fn settle(mut self) {
        self.stage.pass_unheard(Duration::from_secs(5));
        self.honest();
        for (to, from, expected) in
            [(VICTIM, HONEST, self.honest.0), (HONEST, VICTIM, self.honest.1)]
        {
            let id = self.stage.id(from);
            let received = self.stage.ends[to].received.iter();
            let numbers: Vec<u64> = received
                .filter(|(from, ..)| *from == id)
                .map(|(_, _, number, _)| *number)
                .collect();
            assert_eq!(numbers, (0..expected).collect::<Vec<_>>());
        }
        let honest = self.stage.id(HONEST);
        let ended =
            |event: &Event| matches!(event, Event::Ended { id: Some(id), .. } if *id == honest);
        assert!(!self.stage.ends[VICTIM].events.iter().any(ended), "the honest one was dropped");
        let peer = self.stage.peer_of(VICTIM, HONEST).expect("it stayed");
        let info = self.stage.endpoint(VICTIM).peer(peer).expect("it stayed");
        assert_eq!(info.stats.handshakes, 1, "it had to begin anew");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn nothing_a_peer_can_say_harms_more_than_itself(ops in prop::collection::vec(op(), 1..120)) {
        let mut run = Run::new();
        for op in &ops {
            run.apply(op);
        }
        run.settle();
    }
}
