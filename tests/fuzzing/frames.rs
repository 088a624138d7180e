//! What an opened packet may hold: bytes of a peer that has the keys and is not to be trusted.

use handfast_core::wire::{
    AckFrame, DataFrame, Frame, Frames, MAX_ACK_RANGES, MAX_REASON_LEN, MAX_RETRANSMIT_RANGES,
    PacketNumber, RetransmitFrame, Writer, encode_ack,
};

/// Parsing ends, every frame has one encoding, and what it says is well-formed.
///
/// # Panics
/// A property does not hold.
pub fn frames(data: &[u8]) {
    let mut frames = Frames::new(data);
    let mut steps = 0;
    loop {
        let before = frames.rest();
        let Some(parsed) = frames.next() else { break };
        steps += 1;
        assert!(steps <= data.len(), "more frames than bytes");
        match parsed {
            Ok(frame) => {
                let consumed = &before[..before.len() - frames.rest().len()];
                check_encoding(&frame, consumed);
                check_content(&frame, consumed);
            }
            Err(error) => {
                assert!(error.as_str().len() <= MAX_REASON_LEN, "{error} does not fit a goodbye");
                assert!(frames.next().is_none(), "frames after an error");
            }
        }
    }
    assert!(frames.rest().is_empty());
}

fn check_encoding(frame: &Frame<'_>, consumed: &[u8]) {
    assert!(!consumed.is_empty(), "{frame} took nothing");
    assert_eq!(frame.encoded_len(), consumed.len(), "{frame}");
    let mut buffer = vec![0xff; consumed.len()];
    let mut writer = Writer::new(&mut buffer);
    assert!(frame.encode(&mut writer), "{frame} cannot be written");
    assert_eq!(writer.written(), consumed, "{frame}");
    let mut writer = Writer::new(&mut buffer[1..]);
    assert!(!frame.encode(&mut writer), "{frame} was written in part");
    assert_eq!(writer.position(), 0, "{frame} was left in part");
}

fn check_content(frame: &Frame<'_>, consumed: &[u8]) {
    match frame {
        Frame::Ack(ack) => check_ack(ack, consumed),
        Frame::Data(data) => check_data(data),
        Frame::Retransmit(retransmit) => check_retransmit(retransmit),
        Frame::Disconnect { reason, .. } => assert!(reason.len() <= MAX_REASON_LEN),
        Frame::Padding(len) => assert_eq!(*len, consumed.len()),
        _ => {}
    }
}

fn check_ack(ack: &AckFrame<'_>, consumed: &[u8]) {
    let ranges: Vec<_> = ack.ranges().collect();
    assert!((1..=MAX_ACK_RANGES).contains(&ranges.len()));
    assert_eq!(ranges.first().map(|range| *range.end()), Some(ack.largest));
    assert!(ack.largest <= PacketNumber::MAX_COUNTER);
    assert!(ranges.iter().all(|range| range.start() <= range.end()));
    let apart = |pair: &[core::ops::RangeInclusive<u64>]| pair[1].end() + 1 < *pair[0].start();
    assert!(ranges.windows(2).all(apart), "{ack} has ranges that touch");
    let mut buffer = vec![0; consumed.len()];
    let mut writer = Writer::new(&mut buffer);
    let written =
        encode_ack(&mut writer, ack.path, ack.delay_micros, ack.ecn, ranges.iter().cloned());
    assert_eq!((written, writer.written()), (ranges.len(), consumed));
}

fn check_data(data: &DataFrame<'_>) {
    assert!(data.fragment.is_none_or(|fragment| fragment.admits(data.payload.len())), "{data}");
    let (stream, number) = (data.stream, data.sequence_number);
    let header = DataFrame::header_len(stream, number, data.fragment, data.payload.len());
    let space = header + data.payload.len();
    let most = DataFrame::max_payload(space, stream, number, data.fragment);
    assert_eq!(most, Some(data.payload.len()), "{data}");
}

fn check_retransmit(retransmit: &RetransmitFrame<'_>) {
    let ranges: Vec<_> = retransmit.ranges().collect();
    assert!(ranges.len() <= MAX_RETRANSMIT_RANGES);
    assert_eq!(ranges.is_empty(), retransmit.is_whole_message());
    assert!(ranges.iter().all(|range| range.start < range.end));
    assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start));
}
