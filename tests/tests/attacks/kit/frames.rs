//! Frames that no honest peer would write, byte by byte: nothing here refuses to be absurd.

use handfast_core::Order;
use handfast_core::wire::{
    DataFrame, Fragment, Frame, StreamKey, Writer, encode_ack, encode_retransmit, varint,
};

/// Bytes of frames that fit a packet of 1,200.
pub(crate) const ROOM: usize = 1168;

/// What `write` writes.
pub(crate) fn packet(write: impl FnOnce(&mut Writer<'_>) -> bool) -> Vec<u8> {
    let mut buffer = [0; ROOM];
    let mut writer = Writer::new(&mut buffer);
    assert!(write(&mut writer), "room for the frame");
    writer.written().to_vec()
}

pub(crate) fn frame(frame: Frame<'_>) -> Vec<u8> {
    packet(|writer| frame.encode(writer))
}

/// As many frames as fit, made by `make`.
pub(crate) fn full(mut make: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let next = make();
        if bytes.len() + next.len() > ROOM || next.is_empty() {
            return bytes;
        }
        bytes.extend(next);
    }
}

pub(crate) fn data(stream: StreamKey, sequence_number: u64, payload: &[u8]) -> Vec<u8> {
    fragment(stream, sequence_number, None, payload)
}

pub(crate) fn fragment(
    stream: StreamKey,
    sequence_number: u64,
    fragment: Option<Fragment>,
    payload: &[u8],
) -> Vec<u8> {
    let data = DataFrame { stream, requires_ack: false, sequence_number, fragment, payload };
    packet(|writer| data.encode(writer))
}

/// A fragment with any fields at all, legal or not.
pub(crate) fn raw_data(kind: u8, fields: &[u64], payload: &[u8]) -> Vec<u8> {
    packet(|writer| {
        let fields = fields.iter().all(|field| writer.varint(*field));
        fields && writer.varint(payload.len() as u64) && writer.bytes(payload)
    })
    .into_iter()
    .fold(vec![kind], |mut bytes, byte| {
        bytes.push(byte);
        bytes
    })
}

pub(crate) fn stream(channel: u16, reliable: bool, order: Order) -> StreamKey {
    StreamKey::new(channel, reliable, order)
}

pub(crate) fn ack(path: u8, delay: u64, range: core::ops::RangeInclusive<u64>) -> Vec<u8> {
    packet(|writer| encode_ack(writer, path, delay, None, [range]) > 0)
}

/// An acknowledgement with any numbers: `largest, delay, count, first, (gap, len)...`.
pub(crate) fn raw_ack(kind: u8, path: u8, numbers: &[u64]) -> Vec<u8> {
    packet(|writer| {
        writer.u8(kind)
            && writer.u8(path)
            && numbers.iter().all(|number| writer.varint((*number).min(varint::MAX)))
    })
}

pub(crate) fn retransmit(key: StreamKey, number: u64, until_ms: u64) -> Vec<u8> {
    packet(|writer| encode_retransmit(writer, key, number, until_ms, [0..8, 9..u32::MAX]))
}

pub(crate) fn ordered(channel: u16) -> StreamKey {
    stream(channel, true, Order::Ordered)
}

/// The first piece of a large message.
pub(crate) fn piece(stream: StreamKey, sequence_number: u64, total: u32) -> Vec<u8> {
    fragment(stream, sequence_number, Some(Fragment { total, offset: 0 }), &[7; 256])
}
