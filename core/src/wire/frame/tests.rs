//! What holds for every frame, and the bytes of one of each kind.

use super::super::ack::tests::any_ack_bytes;
use super::super::data::tests::any_data;
use super::super::stream::tests::any_stream;
use super::super::{EcnCounts, Fragment, encode_ack, encode_retransmit};
use super::retransmit::tests::any_retransmit_bytes;
use super::route::MAX_ROUTE_LIFE;
use super::*;
use crate::Order;
use core::net::SocketAddr;
use proptest::prelude::*;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

const KEY: [u8; 32] = [0xee; 32];
const ENTRIES: [CandidateEntry; 2] = [CandidateEntry { kind: 2, address: Address::NONE }; 2];
const STREAM: StreamKey = StreamKey::new(300, true, Order::Ordered);

fn encoded(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = vec![0; frame.encoded_len()];
    assert!(frame.encode(&mut Writer::new(&mut buffer)), "{frame}");
    buffer
}

fn parsed(bytes: &[u8]) -> Result<Vec<Frame<'_>>, FrameError> {
    let all = Frames::new(bytes).collect();
    assert_eq!(messages_first(bytes), all);
    all
}

/// The same, as a receiver reads them: messages apart.
fn messages_first(bytes: &[u8]) -> Result<Vec<Frame<'_>>, FrameError> {
    let (mut frames, mut all) = (Frames::new(bytes), vec![]);
    loop {
        while let Some(data) = frames.next_data() {
            all.push(Frame::Data(data?));
        }
        let Some(frame) = frames.next() else { return Ok(all) };
        all.push(frame?);
    }
}

/// Checks that the frame and the bytes say the same, and what a trace says of them.
fn assert_layout(frame: Frame<'_>, bytes: &[u8], trace: &str) {
    assert_eq!(encoded(&frame), bytes, "{frame}");
    assert_eq!(parsed(bytes), Ok(vec![frame]));
    assert_eq!(frame.to_string(), trace);
}

#[test]
fn simple_frames_are_laid_out_as_documented() {
    let token = 0x8070_6050_4030_2010;
    let token_bytes = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80];
    let tagged = |kind: u8| [&[kind][..], &token_bytes].concat();
    let hex = "0x8070605040302010";
    assert_layout(Frame::Padding(3), &[0, 0, 0], "Padding length=3");
    assert_layout(Frame::Ping { token }, &tagged(1), &["Ping token=", hex].concat());
    assert_layout(Frame::Pong { token }, &tagged(2), &["Pong token=", hex].concat());
    let challenge = Frame::PathChallenge { token: token_bytes };
    assert_layout(challenge, &tagged(0x0c), &["PathChallenge token=", hex].concat());
    let response = Frame::PathResponse { token: token_bytes };
    assert_layout(response, &tagged(0x0d), &["PathResponse token=", hex].concat());
    let disconnect = Frame::Disconnect { complete: true, code: 0x0102, reason: "h\u{e9}" };
    let bytes = [6, 1, 2, 1, 3, b'h', 0xc3, 0xa9];
    assert_layout(disconnect, &bytes, "Disconnect complete=true code=258 reason=\"h\u{e9}\"");
    assert_layout(Frame::Credit { limit: 64 }, &[7, 1, 1], "Credit limit=64");
    let blocked = Frame::Blocked { limit: 63, cost: 64 };
    assert_layout(blocked, &[8, 0xfc, 1, 1], "Blocked limit=63 cost=64");
    assert_layout(Frame::Reclaim { keep: 64 }, &[0x1d, 1, 1], "Reclaim keep=64");
    assert_layout(Frame::Forfeit { total: 63 }, &[0x1e, 0xfc], "Forfeit total=63");
    let credit = Frame::ChannelCredit { channel: 300, returned: 5 };
    assert_layout(credit, &[0x0f, 0xb1, 0x04, 0x14], "ChannelCredit channel=300 returned=5");
    assert_layout(Frame::AckNow, &[0x0e], "AckNow");
    let skip = Frame::Skip { stream: STREAM, sequence_number: 5 };
    let trace = "Skip stream=300/reliable/ordered sequence_number=5";
    assert_layout(skip, &[9, 0b110, 0xb1, 0x04, 0x14], trace);
    let extension = Frame::Extension { kind: 0x40, body: &[7, 8] };
    assert_layout(extension, &[0x40, 8, 7, 8], "Extension kind=0x40 length=2");
}

#[test]
fn rekey_frames_are_laid_out_as_documented() {
    let request = Frame::RekeyRequest { sender_index: 0x0403_0201, ephemeral: &KEY };
    let bytes = [&[0x0a, 1, 2, 3, 4][..], &KEY].concat();
    assert_layout(request, &bytes, "RekeyRequest sender_index=0x4030201");
    let response =
        Frame::RekeyResponse { sender_index: 0x0403_0201, receiver_index: 5, ephemeral: &KEY };
    let bytes = [&[0x0b, 1, 2, 3, 4, 5, 0, 0, 0][..], &KEY].concat();
    assert_layout(response, &bytes, "RekeyResponse sender_index=0x4030201 receiver_index=0x5");
}

#[test]
fn data_frames_are_laid_out_as_documented() {
    let message = DataFrame {
        stream: STREAM,
        requires_ack: true,
        sequence_number: 5,
        fragment: None,
        payload: b"hi",
    };
    let bytes = [
        0b0010_1110, // data, requires_ack, reliable, ordered
        0xb1,
        0x04, // channel 300
        0x14, // sequence_number 5
        0x08, // length 2
        b'h',
        b'i',
    ];
    let trace = "Data stream=300/reliable/ordered sequence_number=5 requires_ack=true length=2";
    assert_layout(Frame::Data(message), &bytes, trace);

    let fragment = Some(Fragment { total: 1002, offset: 1000 });
    let stream = StreamKey::new(0, false, Order::Sequenced);
    let last = DataFrame { stream, requires_ack: false, fragment, ..message };
    let bytes = [
        0b0011_0001, // data, fragment, unreliable, sequenced
        0x00,        // channel 0
        0x14,        // sequence_number 5
        0xa9,
        0x0f, // total 1002
        0xa1,
        0x0f, // offset 1000
        0x08, // length 2
        b'h',
        b'i',
    ];
    let trace = "Data stream=0/unreliable/sequenced sequence_number=5 requires_ack=false \
                 length=2 offset=1000 total=1002";
    assert_layout(Frame::Data(last), &bytes, trace);
}

#[test]
fn frames_with_ranges_are_laid_out_as_documented() {
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer);
    assert_eq!(encode_ack(&mut writer, 1, 25, None, [7..=9, 5..=5, 0..=2]), 3);
    let bytes = [
        0x03, // ack
        0x01, // path
        0x24, // largest 9
        0x64, // delay 25
        0x08, // two further ranges
        0x08, // first_len 2: 7..=9
        0x00, 0x00, // gap 0, len 0: 5..=5
        0x04, 0x08, // gap 1, len 2: 0..=2
    ];
    assert_eq!(writer.written(), bytes);
    let [Frame::Ack(ack)] = parsed(&bytes).expect("legal")[..] else { panic!("one ack") };
    assert_layout(
        Frame::Ack(ack),
        &bytes,
        "Ack path=1 ack_for=[7..=9, 5..=5, 0..=2] delay_micros=25",
    );

    let ecn = Some(EcnCounts { ect0: 1, ect1: 2, ce: 3 });
    let mut writer = Writer::new(&mut buffer);
    assert_eq!(encode_ack(&mut writer, 1, 25, ecn, [9..=9, 5..=5]), 2);
    let bytes = [0x04, 1, 0x24, 0x64, 0x04, 0x00, 0x08, 0x00, 4, 8, 12];
    assert_eq!(writer.written(), bytes);
    let [Frame::Ack(ack)] = parsed(&bytes).expect("legal")[..] else { panic!("one ack") };
    let trace = "Ack path=1 ack_for=[9..=9, 5..=5] delay_micros=25 ect0=1 ect1=2 ce=3";
    assert_layout(Frame::Ack(ack), &bytes, trace);

    let mut writer = Writer::new(&mut buffer);
    assert!(encode_retransmit(&mut writer, STREAM, 5, 40, [0..10, 20..21]));
    let bytes = [0x05, 0b110, 0xb1, 0x04, 0x14, 0xa0, 0x08, 0x00, 0x28, 0x50, 0x04];
    assert_eq!(writer.written(), bytes);
    let [Frame::Retransmit(hint)] = parsed(&bytes).expect("legal")[..] else { panic!("a hint") };
    let trace = "Retransmit stream=300/reliable/ordered sequence_number=5 until_ms=40 \
                 ranges=[0..10, 20..21]";
    assert_layout(Frame::Retransmit(hint), &bytes, trace);
}

#[test]
fn illegal_frames_are_refused_with_their_reason() {
    let long_reason = [&[6, 0, 0, 0, 65][..], &[b'a'; 65]].concat();
    let cases: [(&[u8], FrameError); 17] = [
        (&[0x1f], FrameError::UnknownType),
        (&[0x1f, 0, 0], FrameError::UnknownType),
        (&[0x80, 0, 0], FrameError::UnknownType),
        (&[0xff, 0, 0], FrameError::UnknownType),
        (&[0x23, 0, 0, 0], FrameError::Order),
        (&[9, 0b011, 0, 0], FrameError::Order),
        (&[9, 0b1000, 0, 0], FrameError::Mode),
        (&[9, 0x80, 0, 0], FrameError::Mode),
        (&[0x20, 0x02, 0x00, 0x04, 0x00, 0, 0], FrameError::Channel),
        (&[0x20, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], FrameError::Truncated),
        (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], FrameError::Truncated),
        (&[7, 0x01, 0x00], FrameError::NotMinimal),
        (&[6, 0, 0, 0, 1, 0xff], FrameError::Reason),
        (&[6, 2, 0, 0, 0], FrameError::Flags),
        (&[6, 0x81, 0, 0, 0], FrameError::Flags),
        (&[0x0f, 2, 0, 4, 0, 0], FrameError::Channel),
        (&long_reason, FrameError::Reason),
    ];
    for (bytes, error) in cases {
        let mut frames = Frames::new(bytes);
        assert_eq!(frames.next(), Some(Err(error)), "{bytes:x?}");
        assert_eq!(frames.next(), None);
        assert!(error.as_str().len() <= MAX_REASON_LEN);
    }
}

#[test]
fn frames_that_no_receiver_takes_are_not_written() {
    let long = "a".repeat(MAX_REASON_LEN + 1);
    for frame in [
        Frame::Disconnect { complete: false, code: 0, reason: &long },
        Frame::Credit { limit: varint::MAX + 1 },
        Frame::Blocked { limit: u64::MAX, cost: 0 },
        Frame::Blocked { limit: 0, cost: u64::MAX },
        Frame::ChannelCredit { channel: 0, returned: u64::MAX },
        Frame::Reclaim { keep: u64::MAX },
        Frame::Forfeit { total: varint::MAX + 1 },
        Frame::Skip { stream: STREAM, sequence_number: 1 << 63 },
        Frame::StreamEnd { stream: STREAM, end: 1 << 62 },
        Frame::Extension { kind: 0x3f, body: &[] },
        Frame::Extension { kind: 0x80, body: &[] },
    ] {
        let mut buffer = [0; 200];
        let mut writer = Writer::new(&mut buffer);
        assert!(!frame.encode(&mut writer), "{frame}");
        assert_eq!(writer.position(), 0);
    }
}

#[test]
fn only_padding_and_acks_need_no_ack() {
    let ack = [0x03, 0, 0, 0, 0, 0];
    let frames = [&ack[..], &encoded(&Frame::Ping { token: 1 }), &[6, 0, 0, 0, 0], &[0]].concat();
    let eliciting: Vec<_> =
        Frames::new(&frames).map(|frame| frame.expect("legal").is_ack_eliciting()).collect();
    assert_eq!(eliciting, [false, true, true, false]);
}

/// Frames without ranges.
fn any_plain_frame() -> impl Strategy<Value = Frame<'static>> {
    let number = || (0..62_u32, 0..=varint::MAX).prop_map(|(shift, bits)| bits >> shift);
    let reason = prop::sample::select(&["", "bye", "\u{1f91d}", "no \u{0} luck"]);
    prop_oneof![
        (1..100_usize).prop_map(Frame::Padding),
        any::<u64>().prop_map(|token| Frame::Ping { token }),
        any::<u64>().prop_map(|token| Frame::Pong { token }),
        (any::<bool>(), any::<u16>(), reason)
            .prop_map(|(complete, code, reason)| Frame::Disconnect { complete, code, reason }),
        Just(Frame::AckNow),
        (any::<u16>(), number())
            .prop_map(|(channel, returned)| Frame::ChannelCredit { channel, returned }),
        number().prop_map(|limit| Frame::Credit { limit }),
        (number(), number()).prop_map(|(limit, cost)| Frame::Blocked { limit, cost }),
        number().prop_map(|keep| Frame::Reclaim { keep }),
        number().prop_map(|total| Frame::Forfeit { total }),
        (any_stream(), number())
            .prop_map(|(stream, sequence_number)| Frame::Skip { stream, sequence_number }),
        (any_stream(), number()).prop_map(|(stream, end)| Frame::StreamEnd { stream, end }),
        any::<u32>().prop_map(|sender_index| Frame::RekeyRequest { sender_index, ephemeral: &KEY }),
        (any::<u32>(), any::<u32>()).prop_map(|(sender_index, receiver_index)| {
            Frame::RekeyResponse { sender_index, receiver_index, ephemeral: &KEY }
        }),
        any::<[u8; 8]>().prop_map(|token| Frame::PathChallenge { token }),
        any::<[u8; 8]>().prop_map(|token| Frame::PathResponse { token }),
        (number(), number()).prop_map(|(round, list)| Frame::Opened { round, list }),
        (any::<u8>(), any::<[u8; 8]>()).prop_map(|(index, token)| Frame::ProbeMe { index, token }),
        any::<([u8; 16], u16)>()
            .prop_map(|at| Frame::Observed { address: SocketAddr::from(at).into() }),
        (number(), number(), any::<u8>(), 0..=ENTRIES.len()).prop_map(
            |(seq, round, flags, len)| {
                Frame::Candidates(CandidatesFrame { seq, round, flags, list: &ENTRIES[..len] })
            }
        ),
        any_route(),
        any_data().prop_map(Frame::Data),
        (0x40..=0x7f_u8, 0..32_usize)
            .prop_map(|(kind, len)| Frame::Extension { kind, body: &KEY[..len] }),
    ]
}

/// What neighbours say about routes.
fn any_route() -> impl Strategy<Value = Frame<'static>> {
    let numbers = any::<(u64, u32, u32, u16)>();
    prop_oneof![
        (numbers, 1..=MAX_ROUTE_LIFE, any::<u16>()).prop_map(
            |((epoch, seqno, serial, metric), life, left)| {
                let (destination, signature, remaining) = (&KEY, &[7; 64], left % (life + 1));
                Frame::RouteUpdate(RouteUpdate {
                    destination,
                    epoch,
                    seqno,
                    life,
                    signature,
                    serial,
                    remaining,
                    metric,
                })
            }
        ),
        any::<u32>().prop_map(|serial| Frame::RouteRetraction { destination: &KEY, serial }),
        any::<(u64, u32, u8)>().prop_map(|(epoch, seqno, hops)| Frame::SeqnoRequest {
            destination: &KEY,
            epoch,
            seqno,
            hops
        }),
        any::<u8>().prop_map(|hops| Frame::RouteRequest { destination: &KEY, hops }),
        any::<(u8, u8)>().prop_map(|(reason, hops)| Frame::ForwardFailed {
            source: &KEY,
            destination: &KEY,
            reason,
            hops
        }),
    ]
}

/// One legal frame, encoded.
fn any_frame_bytes() -> impl Strategy<Value = Vec<u8>> {
    let plain = any_plain_frame().prop_map(|frame| encoded(&frame));
    prop_oneof![4 => plain, 1 => any_ack_bytes(), 1 => any_retransmit_bytes()]
}

/// Small bytes are frame types and lengths more often than others.
fn any_byte() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 0..0x50_u8, 1 => any::<u8>()]
}

/// Walks `bytes` and checks what must hold whatever they are.
fn check_walk(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut frames = Frames::new(bytes);
    let mut steps = 0;
    loop {
        let before = frames.rest();
        let Some(frame) = frames.next() else { break };
        steps += 1;
        prop_assert!(frames.rest().len() < before.len(), "a step consumes something");
        let Ok(frame) = frame else {
            prop_assert!(frames.next().is_none(), "nothing follows an error");
            break;
        };
        let consumed = &before[..before.len() - frames.rest().len()];
        prop_assert_eq!(frame.encoded_len(), consumed.len());
        prop_assert_eq!(&encoded(&frame)[..], consumed, "{}", frame);
    }
    prop_assert!(steps <= bytes.len());
    Ok(())
}

proptest! {
    #[test]
    fn a_frame_survives_the_round_trip_and_fits_exactly(frame in any_plain_frame()) {
        let bytes = encoded(&frame);
        prop_assert_eq!(parsed(&bytes), Ok(vec![frame]));
        let mut short = vec![0; bytes.len() - 1];
        let mut writer = Writer::new(&mut short);
        prop_assert!(!frame.encode(&mut writer));
        prop_assert_eq!(writer.position(), 0);
    }

    #[test]
    fn a_packet_of_legal_frames_is_read_back_whole(
        frames in prop::collection::vec(any_frame_bytes(), 0..6),
    ) {
        let bytes = frames.concat();
        prop_assert!(parsed(&bytes).is_ok());
        check_walk(&bytes)?;
    }

    #[test]
    fn random_bytes_are_read_to_an_error_or_back_to_themselves(
        bytes in prop::collection::vec(any_byte(), 0..200),
    ) {
        check_walk(&bytes)?;
    }

    #[test]
    fn a_damaged_packet_is_read_to_an_error_or_back_to_itself(
        frames in prop::collection::vec(any_frame_bytes(), 1..4),
        at: prop::sample::Index,
        bit in 0..8_u32,
        cut: prop::sample::Index,
    ) {
        let mut bytes = frames.concat();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        check_walk(&bytes)?;
        check_walk(&bytes[..cut.index(bytes.len())])?;
    }

    #[test]
    fn a_frame_cut_short_is_truncated(frame in any_frame_bytes(), cut: prop::sample::Index) {
        let short = &frame[..cut.index(frame.len())];
        let padding = frame[0] == 0;
        prop_assert!(padding || short.is_empty() || parsed(short).is_err());
    }
}
