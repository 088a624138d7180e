//! Examples of integers and of each frame.

use alloc::format;
use core::net::SocketAddr;

use zerocopy::IntoBytes;

use super::Vectors;
use super::script::{IDENTITY_A, IDENTITY_B};
use crate::wire::{
    CandidateEntry, CandidatesFrame, DataFrame, EVERY_DESTINATION, EcnCounts, ForwardFrame,
    Fragment, Frame, Frames, GivenUpRange, HOP_LIMIT, PacketNumber, RouteUpdate, SealedHeader,
    StreamKey, UnknownSession, Writer, encode_ack, encode_given_up, encode_retransmit, varint,
};
use crate::{Delivery, Identity, Order};

pub(super) fn varints(vectors: &mut Vectors) {
    for value in [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, varint::MAX] {
        let mut buffer = [0; 8];
        let size = varint::encode(value, &mut buffer).expect("within the limit");
        vectors.hex(&format!("varint.{value}"), &buffer[..size]);
    }
}

/// One example of each frame: written, and found legal by the parser.
pub(super) fn examples(vectors: &mut Vectors) {
    let ephemeral = &core::array::from_fn(|at| at as u8);
    let ordered = StreamKey::from(Delivery::ordered(7));
    let gaps = StreamKey::from(Delivery::unreliable(300).with_order(Order::Ordered));
    let fragment = Fragment { total: 16_384, offset: 16_381 };
    let data = DataFrame {
        stream: ordered,
        requires_ack: false,
        sequence_number: 0,
        fragment: None,
        payload: b"hello",
    };
    let receipt = DataFrame { requires_ack: true, sequence_number: 1, payload: b"", ..data };
    let piece = DataFrame { stream: gaps, fragment: Some(fragment), payload: b"end", ..data };
    let ends = [IDENTITY_A, IDENTITY_B].map(|seed| *Identity::from_seed(seed).id().as_bytes());
    let header = SealedHeader::new(0x1122_3300, PacketNumber::from_u64(5));
    let packet = UnknownSession::new(&header);
    let forward = ForwardFrame {
        hop_limit: HOP_LIMIT,
        ecn: 0,
        source: &ends[0],
        destination: &ends[1],
        packet: packet.as_bytes(),
    };
    let addresses = [SocketAddr::from(([192, 0, 2, 7], 4263)), SocketAddr::from((V6, 4263))];
    let list = [
        CandidateEntry { kind: CandidateEntry::OBSERVED, address: addresses[0].into() },
        CandidateEntry { kind: CandidateEntry::HOST, address: addresses[1].into() },
    ];
    let flags = CandidatesFrame::ORDER_SENSITIVE;
    let candidates = CandidatesFrame { seq: 3, round: 70, flags, list: &list };
    let limit = 33_554_432;
    let unsigned = RouteUpdate {
        destination: &ends[0],
        epoch: 1_700_000_000,
        seqno: 3,
        life: 1050,
        signature: &[0; 64],
        serial: 7,
        remaining: 1000,
        metric: 36,
    };
    let signature = Identity::from_seed(IDENTITY_A).sign(&unsigned.claim());
    let update = RouteUpdate { signature: &signature, ..unsigned };
    vectors.hex("route.claim", update.claim());
    let frames = [
        ("padding", Frame::Padding(3)),
        ("ping", Frame::Ping { token: 0x0102_0304_0506_0708 }),
        ("pong", Frame::Pong { token: 0x0102_0304_0506_0708 }),
        (
            "disconnect",
            Frame::Disconnect { complete: false, code: 0xff1b, reason: "frame cut off" },
        ),
        ("credit", Frame::Credit { limit }),
        ("channel_credit", Frame::ChannelCredit { channel: 300, returned: 4096 }),
        ("blocked", Frame::Blocked { limit, cost: 1064 }),
        ("reclaim", Frame::Reclaim { keep: 16_384 }),
        ("forfeit", Frame::Forfeit { total: 245_760 }),
        ("ack_now", Frame::AckNow),
        ("disconnect_complete", Frame::Disconnect { complete: true, code: 7, reason: "bye" }),
        ("skip", Frame::Skip { stream: gaps, sequence_number: 70 }),
        ("stream_end", Frame::StreamEnd { stream: ordered, end: 70 }),
        ("rekey_request", Frame::RekeyRequest { sender_index: 0x1122_3300, ephemeral }),
        (
            "rekey_response",
            Frame::RekeyResponse {
                sender_index: 0x4455_6600,
                receiver_index: 0x1122_3300,
                ephemeral,
            },
        ),
        ("path_challenge", Frame::PathChallenge { token: *b"01234567" }),
        ("path_response", Frame::PathResponse { token: *b"01234567" }),
        ("data", Frame::Data(data)),
        ("data_receipt_empty", Frame::Data(receipt)),
        ("data_fragment", Frame::Data(piece)),
        ("forward", Frame::Forward(forward)),
        ("forward_refused", Frame::ForwardRefused { destination: forward.destination, reason: 2 }),
        (
            "forward_failed",
            Frame::ForwardFailed {
                source: forward.source,
                destination: forward.destination,
                reason: 4,
                hops: 16,
            },
        ),
        ("candidates", Frame::Candidates(candidates)),
        ("opened", Frame::Opened { round: 70, list: 3 }),
        ("observed", Frame::Observed { address: list[0].address }),
        ("probe_me", Frame::ProbeMe { index: 1, token: *b"01234567" }),
        ("route_update", Frame::RouteUpdate(update)),
        ("route_retraction", Frame::RouteRetraction { destination: &ends[0], serial: 8 }),
        (
            "seqno_request",
            Frame::SeqnoRequest { destination: &ends[0], epoch: 1_700_000_000, seqno: 4, hops: 16 },
        ),
        ("route_request", Frame::RouteRequest { destination: &ends[0], hops: 16 }),
        ("route_request_all", Frame::RouteRequest { destination: &EVERY_DESTINATION, hops: 1 }),
        ("extension", Frame::Extension { kind: 0x40, body: b"later" }),
    ];
    for (name, frame) in frames {
        note(vectors, name, |writer| frame.encode(writer));
    }
    let ecn = Some(EcnCounts { ect0: 100, ect1: 0, ce: 2 });
    let ranges = [90..=100, 70..=80, 5..=5];
    note(vectors, "ack", |writer| encode_ack(writer, 0, 1500, None, ranges.clone()) == 3);
    note(vectors, "ack_ecn", |writer| encode_ack(writer, 0, 1500, ecn, ranges.clone()) == 3);
    note(vectors, "retransmit", |writer| {
        encode_retransmit(writer, ordered, 9, 250, [0..1200, 2400..3600])
    });
    note(vectors, "given_up", |writer| {
        let range = |first, further, cost| GivenUpRange { first, further, cost };
        encode_given_up(writer, ordered, [range(9, 0, 64), range(70, 2, 164)]) == 2
    });
}

/// 2001:db8::7.
const V6: [u16; 8] = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7];

fn note(vectors: &mut Vectors, name: &str, write: impl Fn(&mut Writer<'_>) -> bool) {
    let mut buffer = [0; 200];
    let mut writer = Writer::new(&mut buffer);
    assert!(write(&mut writer), "{name} fits");
    let bytes = writer.written();
    let mut frames = Frames::new(bytes);
    assert!(frames.next().is_some_and(|frame| frame.is_ok()), "{name} is legal");
    assert_eq!(frames.next(), None, "{name} is one frame");
    vectors.hex(&format!("frame.{name}"), bytes);
}
