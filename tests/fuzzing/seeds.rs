//! The first inputs of the fuzzer, made rather than found.

use std::net::SocketAddr;

use bytes::Bytes;
use handfast_core::wire::{
    CandidateEntry, CandidatesFrame, DataFrame, EcnCounts, ForwardFrame, Fragment, Frame,
    GivenUpRange, RouteUpdate, StreamKey, Writer, encode_ack, encode_given_up, encode_retransmit,
    kind, varint,
};
use handfast_core::{Delivery, Endpoint, Identity, Instant, Order, Target};

use super::pair::Pair;

/// An input of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// `packet`, `frames`, `endpoint` or `interaction`.
    pub target: &'static str,
    /// The name of its file.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The seeds that the repository keeps, always the same.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let of = |target: &'static str, inputs: Vec<(String, Vec<u8>)>| {
        inputs.into_iter().map(move |(name, bytes)| Seed { target, name, bytes })
    };
    let frames = frames();
    let endpoint = endpoint(&frames);
    let bytes = of("packet", packets()).chain(of("frames", frames));
    bytes.chain(of("endpoint", endpoint)).chain(of("interaction", interactions())).collect()
}

/// The datagrams of a call by address, of a message, of a goodbye; and odd ends.
fn packets() -> Vec<(String, Vec<u8>)> {
    let mut pair = Pair::new(&handfast_core::Config::default());
    let target = Target::from(pair.addresses[1]);
    let sent = pair.with(0, |end, now| {
        let peer = end.connect(now, target).expect("nothing speaks against it");
        end.send(now, peer, Delivery::ordered(1), Bytes::from_static(b"hello"))
    });
    assert!(sent.is_ok(), "{sent:?}");
    let mut all = Vec::new();
    while let Some(datagram) = pair.flight.pop_front() {
        let kind = datagram.bytes.first().copied().unwrap_or_default();
        all.push((format!("{:02}-type-{kind:02x}", all.len()), datagram.bytes.clone()));
        pair.deliver(datagram);
    }
    let mut hint = vec![0; 16];
    hint[..2].copy_from_slice(&[kind::UNKNOWN_SESSION, 1]);
    all.push(("hint".into(), hint));
    all.push(("beacon".into(), beacon(1)));
    all.push(("wrong-version".into(), vec![kind::SEALED, 2]));
    all.push(("peer-id".into(), pair.id(0).to_string().into_bytes()));
    all.push(("peer-id-bytes".into(), pair.id(1).as_bytes().to_vec()));
    let mut numbers = vec![0; 64];
    let mut writer = Writer::new(&mut numbers);
    for value in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, varint::MAX] {
        assert!(writer.varint(value), "room");
    }
    all.push(("varints".into(), writer.written().to_vec()));
    all.push(("varint-not-minimal".into(), vec![0x01, 0x00]));
    all
}

fn frames() -> Vec<(String, Vec<u8>)> {
    let key = [9; 32];
    let stream = StreamKey::new(7, false, Order::Ordered);
    let forward = ForwardFrame {
        hop_limit: 12,
        ecn: 2,
        source: &key,
        destination: &[8; 32],
        packet: &[0xc6; 16],
    };
    let entry =
        CandidateEntry { kind: 2, address: SocketAddr::from(([192, 0, 2, 7], 4263)).into() };
    let list = [entry; 2];
    let candidates = CandidatesFrame { seq: 1, round: 3, flags: 1, list: &list };
    let update = RouteUpdate {
        destination: &key,
        epoch: 1,
        seqno: 2,
        life: 1050,
        signature: &[5; 64],
        serial: 3,
        remaining: 1000,
        metric: 16,
    };
    let simple = [
        ("padding", Frame::Padding(5)),
        ("ping", Frame::Ping { token: 1 }),
        ("ping-no-answer", Frame::Ping { token: 0 }),
        ("pong", Frame::Pong { token: 1 }),
        ("disconnect", Frame::Disconnect { complete: true, code: 7, reason: "bye" }),
        ("ack_now", Frame::AckNow),
        ("channel_credit", Frame::ChannelCredit { channel: 1, returned: 1 << 20 }),
        ("credit", Frame::Credit { limit: 1 << 20 }),
        ("blocked", Frame::Blocked { limit: 4096, cost: 1064 }),
        ("reclaim", Frame::Reclaim { keep: 4096 }),
        ("forfeit", Frame::Forfeit { total: 4096 }),
        ("skip", Frame::Skip { stream, sequence_number: 3 }),
        ("stream-end", Frame::StreamEnd { stream, end: 3 }),
        ("rekey-request", Frame::RekeyRequest { sender_index: 256, ephemeral: &key }),
        (
            "rekey-response",
            Frame::RekeyResponse { sender_index: 256, receiver_index: 512, ephemeral: &key },
        ),
        ("path-challenge", Frame::PathChallenge { token: [3; 8] }),
        ("path-response", Frame::PathResponse { token: [3; 8] }),
        ("forward", Frame::Forward(forward)),
        ("forward-refused", Frame::ForwardRefused { destination: &key, reason: 2 }),
        (
            "forward-failed",
            Frame::ForwardFailed { source: &key, destination: &key, reason: 2, hops: 16 },
        ),
        ("candidates", Frame::Candidates(candidates)),
        ("opened", Frame::Opened { round: 3, list: 5 }),
        ("observed", Frame::Observed { address: entry.address }),
        ("probe-me", Frame::ProbeMe { index: 1, token: [3; 8] }),
        ("route-update", Frame::RouteUpdate(update)),
        ("route-retraction", Frame::RouteRetraction { destination: &key, serial: 3 }),
        ("seqno-request", Frame::SeqnoRequest { destination: &key, epoch: 1, seqno: 2, hops: 16 }),
        ("route-request", Frame::RouteRequest { destination: &key, hops: 16 }),
        ("route-request-all", Frame::RouteRequest { destination: &[0; 32], hops: 1 }),
        ("extension", Frame::Extension { kind: 0x55, body: b"later" }),
    ];
    let encoded = |write: &dyn Fn(&mut Writer<'_>) -> bool| {
        let mut buffer = [0; 2048];
        let mut writer = Writer::new(&mut buffer);
        assert!(write(&mut writer), "room");
        writer.written().to_vec()
    };
    let mut all: Vec<_> = simple
        .iter()
        .map(|(name, frame)| ((*name).into(), encoded(&|writer| frame.encode(writer))))
        .collect();
    let ecn = EcnCounts { ect0: 9, ect1: 0, ce: 1 };
    let ack = |ecn, ranges: &[core::ops::RangeInclusive<u64>]| {
        encoded(&|writer| encode_ack(writer, 0, 800, ecn, ranges.iter().cloned()) > 0)
    };
    all.push(("ack".into(), ack(None, &[0..=0])));
    all.push(("ack-ranges".into(), ack(None, &[90..=100, 50..=60, 3..=3])));
    all.push(("ack-ecn".into(), ack(Some(ecn), &[5..=9, 0..=1])));
    all.push((
        "retransmit".into(),
        encoded(&|writer| encode_retransmit(writer, stream, 5, 100, [0..300, 600..900])),
    ));
    let range = |first, further, cost| GivenUpRange { first, further, cost };
    let reliable = StreamKey::new(1, true, Order::Ordered);
    all.push((
        "given-up".into(),
        encoded(&|writer| {
            encode_given_up(writer, reliable, [range(0, 0, 64), range(2, 3, 1064)]) == 2
        }),
    ));
    for (name, order, reliable) in [
        ("unreliable", Order::Unordered, false),
        ("sequenced", Order::Sequenced, false),
        ("unreliable-ordered", Order::Ordered, false),
        ("reliable", Order::Unordered, true),
        ("reliable-sequenced", Order::Sequenced, true),
        ("ordered", Order::Ordered, true),
    ] {
        let mut data = DataFrame {
            stream: StreamKey::new(1, reliable, order),
            requires_ack: true,
            sequence_number: 0,
            fragment: None,
            payload: b"payload",
        };
        all.push((format!("data-{name}"), encoded(&|writer| data.encode(writer))));
        data.fragment = Some(Fragment { total: 12, offset: 5 });
        all.push((format!("fragment-{name}"), encoded(&|writer| data.encode(writer))));
    }
    all
}

/// Each frame as a lie, once and often, and some honest lives.
fn endpoint(frames: &[(String, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let lie = |name: &String, frame: &Vec<u8>| {
        let quarter = frame.len().div_ceil(4) as u8;
        let mut bytes = vec![3, 15, 0, 0, quarter];
        bytes.extend_from_slice(frame);
        bytes.resize(5 + usize::from(quarter) * 4, 0);
        bytes.extend_from_slice(&[18, 1, 31, frame.len() as u8]);
        bytes.extend_from_slice(frame);
        bytes.extend_from_slice(&[0, 255, 12, 0, 0, 255, 7, 7, 9, 70, 0, 255]);
        (format!("lie-{name}"), bytes)
    };
    let mut all: Vec<_> = frames.iter().map(|(name, bytes)| lie(name, bytes)).collect();
    let lives: [(&str, &[u8]); 8] = [
        ("life-messages", &[1, 10, 0, 0x3b, 100, 0, 0, 0, 255, 12, 1, 0, 255, 7, 0, 255, 7]),
        ("life-large", &[0, 10, 0, 0x0b, 0, 40, 0, 0, 255, 7, 0, 255, 12, 1, 0, 255, 7, 0, 255]),
        ("life-loss", &[1, 10, 0, 0x37, 0, 9, 0, 4, 1, 4, 2, 7, 0, 255, 7, 0, 255, 7, 0, 255]),
        ("life-roaming", &[3, 13, 0, 3, 0, 17, 2, 0, 0, 255, 7, 13, 0, 3, 0, 17, 2, 0, 0, 255]),
        ("life-restart", &[3, 19, 1, 13, 0, 3, 0, 0, 255, 7, 7, 7, 0, 255, 9, 5, 0, 255, 7]),
        ("life-rekey", &[0, 10, 0, 0x33, 9, 0, 0, 0, 255, 9, 3, 0, 255, 7, 0, 255, 9, 3, 0, 255]),
        ("life-farewell", &[1, 10, 0, 1, 9, 0, 0, 13, 0, 8, 0, 0, 255, 7, 0, 255, 9, 1, 0, 255]),
        ("life-call-by-address", &[7, 19, 0, 14, 0, 1, 0, 255, 7, 0, 255, 12, 0, 0, 9]),
    ];
    // Found by chance once: an answer to a ping that comes when the peer is over already.
    let pong = [15, 1, 0, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let begin: &[u8] = &[3, 13, 0, 3, 0, 13, 0, 0, 0];
    let late = [begin, &[7], &pong, &[7], &pong, &[7], &pong, &[7], &pong, &[7], &pong].concat();
    all.push(("bug-pong-after-the-end".into(), late));
    all.push(("stun".into(), stun()));
    all.push(("beacons".into(), beacons()));
    all.extend(lives.iter().map(|(name, bytes)| ((*name).into(), bytes.to_vec())));
    all
}

/// A beacon of somebody in a network without a secret.
fn beacon(seed: u8) -> Vec<u8> {
    let mut config = handfast_core::Config::default();
    (config.discovery.announce, config.discovery.disclose) = (true, true);
    let (config, now) = (config.validate().expect("valid"), Instant::from_micros(1));
    let identity = Identity::from_seed([seed; 32]);
    let mut sender = Endpoint::new(config, identity, [seed; 32], now);
    sender.make_beacon(now, 1, 4263).map(Vec::from).unwrap_or_default()
}

/// Beacons of two strangers and of an end itself, one of them again, one garbled.
fn beacons() -> Vec<u8> {
    let mut garbled = beacon(7);
    garbled[30] ^= 1;
    let all = [beacon(7), beacon(8), beacon(7), beacon(1), garbled];
    let inject = |bytes: &Vec<u8>| [&[6, 2, 0, bytes.len() as u8, 0][..], bytes].concat();
    [vec![3], all.iter().flat_map(inject).collect()].concat()
}

/// STUN requests from an address of nobody to each end, without attributes, and one that is not understood.
fn stun() -> Vec<u8> {
    let head = |length| [&[0, 1, 0, length, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let plain = head(0);
    let change = [&head(8)[..], &[0, 3, 0, 4, 0, 0, 0, 6]].concat();
    let inject = |to, bytes: &[u8]| [&[6, 2, to, bytes.len() as u8, 0][..], bytes].concat();
    [&[3][..], &inject(0, &plain), &inject(1, &change), &inject(1, &plain)].concat()
}

/// Its name, the choices of the ends, the operations.
type Story<'a> = (&'a str, &'a [u8; 4], &'a [[u8; 6]]);

/// Some ordinary stories of three ends.
fn interactions() -> Vec<(String, Vec<u8>)> {
    let run = [25, 0, 100, 0, 0, 0];
    let send = |pair, bits, len| [3, pair, bits, len, 0, 2];
    let stories: [Story<'_>; 9] = [
        ("simultaneous-calls", &[0, 0, 0, 0], &[[0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], run]),
        ("call-by-address", &[0, 0, 0, 0], &[[0, 3, 4, 0, 0, 0], send(3, 11, 50), run]),
        ("call-at-a-wrong-address", &[16, 0, 0, 0], &[[0, 0, 7, 0, 0, 0], run, run]),
        ("loss", &[64, 0, 0, 0], &[[20, 0, 1, 3, 0, 0], send(0, 11, 90), run, send(0, 9, 9), run]),
        ("partition", &[64, 0, 0, 0], &[[20, 0, 1, 1, 0, 0], send(0, 3, 9), [30, 0, 200, 0, 0, 0]]),
        (
            "restart",
            &[64, 0, 0, 0],
            &[send(1, 3, 9), run, [18, 0, 0, 0, 0, 0], send(1, 11, 7), run],
        ),
        ("rebind", &[64, 0, 0, 0], &[[19, 1, 0, 0, 0, 0], send(1, 3, 9), run, [23, 0, 3, 2, 1, 1]]),
        (
            "farewell",
            &[64, 0, 0, 0],
            &[send(0, 3, 200), [16, 0, 9, 0, 0, 0], run, [17, 1, 0, 9, 0, 0]],
        ),
        ("keep-in-touch", &[0xf6, 0x21, 0xf6, 0], &[]),
    ];
    let bytes =
        |(name, setup, steps): Story<'_>| (name.into(), [&setup[..], &steps.concat()].concat());
    stories.map(bytes).into()
}
