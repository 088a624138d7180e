//! Frames: what a sealed packet says once it is opened. The packet is simply one after another.

mod disconnect;
mod display;
mod forward;
mod given_up;
mod probe;
mod retransmit;
mod route;

use core::iter::FusedIterator;

use zerocopy::IntoBytes;

use super::ack::{self, AckFrame};
use super::data::{self, DataFrame};
use super::error::FrameError;
use super::handshake::Address;
use super::reader::Reader;
use super::stream::StreamKey;
use super::varint;
use super::writer::Writer;

pub use disconnect::MAX_REASON_LEN;
pub use forward::{FORWARD_HEADER_LEN, FORWARD_PATH, ForwardFrame, HOP_LIMIT};
pub use given_up::{
    GivenUpFrame, GivenUpRange, GivenUpRanges, MAX_GIVEN_UP_FURTHER, MAX_GIVEN_UP_RANGES,
    encode_given_up,
};
pub use probe::{CandidateEntry, CandidatesFrame, MAX_CANDIDATES, PROBE_FRAMES_LEN, PROBE_PATH};
pub use retransmit::{MAX_RETRANSMIT_RANGES, RetransmitFrame, RetransmitRanges, encode_retransmit};
pub use route::{CLAIM_LEN, EVERY_DESTINATION, MAX_ROUTE_LIFE, NO_ROUTE, RouteUpdate};

const PADDING: u8 = 0x00;
const PING: u8 = 0x01;
const PONG: u8 = 0x02;
const CREDIT: u8 = 0x07;
const BLOCKED: u8 = 0x08;
const SKIP: u8 = 0x09;
const REKEY_REQUEST: u8 = 0x0a;
const REKEY_RESPONSE: u8 = 0x0b;
const PATH_CHALLENGE: u8 = 0x0c;
const PATH_RESPONSE: u8 = 0x0d;
const ACK_NOW: u8 = 0x0e;
const CHANNEL_CREDIT: u8 = 0x0f;
const STREAM_END: u8 = 0x1b;
const RECLAIM: u8 = 0x1d;
const FORFEIT: u8 = 0x1e;
const FIRST_EXTENSION: u8 = 0x40;
const LAST_EXTENSION: u8 = 0x7f;

/// One statement of a sealed packet, borrowed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Nothing, this many bytes of it.
    Padding(usize),
    /// Asks for a [`Frame::Pong`].
    Ping {
        /// Comes back in the answer.
        token: u64,
    },
    /// Answers a [`Frame::Ping`].
    Pong {
        /// The token of the ping.
        token: u64,
    },
    /// Which packets arrived.
    Ack(AckFrame<'a>),
    /// Which parts of a message are still missing and wanted.
    Retransmit(RetransmitFrame<'a>),
    /// Asks for an acknowledgement at once.
    AckNow,
    /// Ends the session.
    Disconnect {
        /// All reliable messages that its sender's application handed over are acknowledged.
        complete: bool,
        /// Why, for programs.
        code: u16,
        /// Why, for people: at most [`MAX_REASON_LEN`] bytes.
        reason: &'a str,
    },
    /// Allows to send.
    Credit {
        /// How many bytes of reliable messages, counted from the beginning.
        limit: u64,
    },
    /// What a channel no longer holds of the credit.
    ChannelCredit {
        /// The channel.
        channel: u16,
        /// The cost of all its reliable messages that were taken, counted from the beginning.
        returned: u64,
    },
    /// Would begin a message if it were allowed to.
    Blocked {
        /// The limit that it knows.
        limit: u64,
        /// What the message costs.
        cost: u64,
    },
    /// Memory is scarce: asks to give up credit that is not used.
    Reclaim {
        /// How much of it may be kept.
        keep: u64,
    },
    /// Credit that will not be used.
    Forfeit {
        /// All that was given up, counted from the beginning.
        total: u64,
    },
    /// Messages that will not come (any more).
    Skip {
        /// Their stream.
        stream: StreamKey,
        /// Every message below this one is delivered or gone.
        sequence_number: u64,
    },
    /// The sender needs a stream no more, for now.
    StreamEnd {
        /// Which.
        stream: StreamKey,
        /// Every message below this one is settled. If the stream is used again, it goes on with this one.
        end: u64,
    },
    /// Messages of a reliable stream that will not come any more.
    GivenUp(GivenUpFrame<'a>),
    /// Opens a change of keys.
    RekeyRequest {
        /// The sender's index of the keys to be.
        sender_index: u32,
        /// A fresh X25519 key.
        ephemeral: &'a [u8; 32],
    },
    /// Completes a change of keys.
    RekeyResponse {
        /// The sender's index of the keys to be.
        sender_index: u32,
        /// The other side's index, from its request.
        receiver_index: u32,
        /// A fresh X25519 key.
        ephemeral: &'a [u8; 32],
    },
    /// Asks whether the path leads to the peer.
    PathChallenge {
        /// Random.
        token: [u8; 8],
    },
    /// Proves that it does.
    PathResponse {
        /// The token of the challenge.
        token: [u8; 8],
    },
    /// A packet that a neighbour carries. Nothing else is in its packet.
    Forward(ForwardFrame<'a>),
    /// A packet that the neighbour was to carry did not go on.
    ForwardRefused {
        /// The identity of the end that it was for.
        destination: &'a [u8; 32],
        /// Why.
        reason: u8,
    },
    /// A packet between two others did not go on, several hops away from its source.
    ForwardFailed {
        /// The identity of the end that made it, which is to hear of this.
        source: &'a [u8; 32],
        /// The identity of the end that it was for.
        destination: &'a [u8; 32],
        /// As in [`Frame::ForwardRefused`].
        reason: u8,
        /// How often this may still be passed on.
        hops: u8,
    },
    /// Where the sender may be reached.
    Candidates(CandidatesFrame<'a>),
    /// The sender opened its NAT for a round of probes.
    Opened {
        /// The round.
        round: u64,
        /// The newest list of the receiver that was taken into account, by its number.
        list: u64,
    },
    /// Where a [`Frame::PathChallenge`] came from.
    Observed {
        /// The address of its sender, as it is seen here.
        address: Address,
    },
    /// Asks for a [`Frame::PathChallenge`] from another socket.
    ProbeMe {
        /// Which of the sockets that are there for it.
        index: u8,
        /// The token of the challenge.
        token: [u8; 8],
    },
    /// The sender has a route.
    RouteUpdate(RouteUpdate<'a>),
    /// The sender has no route to this destination.
    RouteRetraction {
        /// The identity of the destination.
        destination: &'a [u8; 32],
        /// As in [`RouteUpdate`].
        serial: u32,
    },
    /// Asks a destination for a claim that is at least as new as this.
    SeqnoRequest {
        /// The identity of the destination.
        destination: &'a [u8; 32],
        /// Of the claim.
        epoch: u64,
        /// Of the claim.
        seqno: u32,
        /// How often the question may still be passed on, and one more.
        hops: u8,
    },
    /// Asks for a route, or for all of them.
    RouteRequest {
        /// The identity of the destination, or [`EVERY_DESTINATION`].
        destination: &'a [u8; 32],
        /// As in [`Frame::SeqnoRequest`].
        hops: u8,
    },
    /// A message or a fragment of one.
    Data(DataFrame<'a>),
    /// Something of a later version, to be skipped.
    Extension {
        /// The frame's type, `0x40` to `0x7f`.
        kind: u8,
        /// Its content.
        body: &'a [u8],
    },
}

/// The frames of an opened packet, in order. Ends after the first error.
///
/// Every step consumes at least one byte and allocates nothing.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    reader: Reader<'a>,
}

impl<'a> Frames<'a> {
    /// Starts at the first byte of `plaintext`.
    #[must_use]
    pub const fn new(plaintext: &'a [u8]) -> Self {
        Self { reader: Reader::new(plaintext) }
    }

    /// The next frame, if it is a whole message, legal, and not at the end of the packet: most are. `None` says nothing about
    /// it.
    #[inline]
    pub(crate) fn next_whole(&mut self) -> Option<DataFrame<'a>> {
        let (frame, rest) = DataFrame::parse_whole(self.reader.rest())?;
        self.reader = Reader::new(rest);
        Some(frame)
    }

    /// The next frame, if it is a message or a part of one: most are, and these come without a detour by [`Frame`].
    #[inline]
    pub fn next_data(&mut self) -> Option<Result<DataFrame<'a>, FrameError>> {
        let mut reader = self.reader;
        let kind = reader.u8().ok().filter(|kind| (0x20..0x40).contains(kind))?;
        let frame = DataFrame::parse(kind, &mut reader);
        self.reader = if frame.is_ok() { reader } else { Reader::new(&[]) };
        Some(frame)
    }

    /// The bytes of the frames to come; none after an error.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.reader.u8().ok()?;
        let frame = Frame::parse(kind, &mut self.reader);
        if frame.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(frame)
    }
}

impl FusedIterator for Frames<'_> {}

impl<'a> Frame<'a> {
    /// Whether the receiver is to acknowledge the packet that carries this frame.
    #[must_use]
    pub const fn is_ack_eliciting(&self) -> bool {
        !matches!(self, Self::Padding(_) | Self::Ack(_) | Self::Forward(_) | Self::Observed { .. })
    }

    /// Writes the frame whole, or nothing. `false` means that it does not fit, or that it is not
    /// legal and no receiver would take it (a number above [`varint::MAX`], say).
    #[must_use]
    pub fn encode(&self, writer: &mut Writer<'_>) -> bool {
        let start = writer.position();
        let written = self.write(writer);
        if !written {
            writer.rollback(start);
        }
        written
    }

    /// How many bytes the frame takes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Padding(len) => *len,
            Self::Ping { .. }
            | Self::Pong { .. }
            | Self::PathChallenge { .. }
            | Self::PathResponse { .. } => 9,
            Self::Ack(frame) => frame.encoded_len(),
            Self::Retransmit(frame) => frame.encoded_len(),
            Self::AckNow => 1,
            Self::Disconnect { reason, .. } => 5 + reason.len(),
            Self::Credit { limit: number }
            | Self::Reclaim { keep: number }
            | Self::Forfeit { total: number } => 1 + varint::size(*number),
            Self::ChannelCredit { channel, returned } => {
                1 + varint::size(u64::from(*channel)) + varint::size(*returned)
            }
            Self::Blocked { limit, cost } => 1 + varint::size(*limit) + varint::size(*cost),
            Self::Skip { stream, sequence_number: number }
            | Self::StreamEnd { stream, end: number } => {
                2 + stream.channel_size() + varint::size(*number)
            }
            Self::GivenUp(frame) => frame.encoded_len(),
            Self::RekeyRequest { .. } => 37,
            Self::RekeyResponse { .. } => 41,
            Self::Forward(frame) => frame.encoded_len(),
            Self::ForwardRefused { .. } => 34,
            Self::ForwardFailed { .. } => 67,
            Self::Candidates(frame) => frame.encoded_len(),
            Self::Opened { round, list } => 1 + varint::size(*round) + varint::size(*list),
            Self::Observed { .. } => 19,
            Self::ProbeMe { .. } => 10,
            Self::RouteUpdate(_) => 119,
            Self::RouteRetraction { .. } => 37,
            Self::SeqnoRequest { .. } => 46,
            Self::RouteRequest { .. } => 34,
            Self::Data(frame) => frame.encoded_len(),
            Self::Extension { body, .. } => 1 + varint::size(body.len() as u64) + body.len(),
        }
    }

    #[inline]
    fn parse(kind: u8, reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        // The two that come with every packet first.
        match kind {
            0x20..0x40 => DataFrame::parse(kind, reader).map(Self::Data),
            ack::ACK | ack::ACK_ECN => AckFrame::parse(kind, reader).map(Self::Ack),
            _ => Self::parse_other(kind, reader),
        }
    }

    fn parse_other(kind: u8, reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        Ok(match kind {
            PADDING => Self::Padding(1 + skip_zeros(reader)),
            PING => Self::Ping { token: reader.u64()? },
            PONG => Self::Pong { token: reader.u64()? },
            retransmit::RETRANSMIT => Self::Retransmit(RetransmitFrame::parse(reader)?),
            disconnect::DISCONNECT => disconnect::parse(reader)?,
            CREDIT => Self::Credit { limit: reader.varint()? },
            BLOCKED => Self::Blocked { limit: reader.varint()?, cost: reader.varint()? },
            RECLAIM => Self::Reclaim { keep: reader.varint()? },
            FORFEIT => Self::Forfeit { total: reader.varint()? },
            ACK_NOW => Self::AckNow,
            CHANNEL_CREDIT => {
                Self::ChannelCredit { channel: read_channel(reader)?, returned: reader.varint()? }
            }
            SKIP => {
                Self::Skip { stream: StreamKey::read(reader)?, sequence_number: reader.varint()? }
            }
            STREAM_END => {
                Self::StreamEnd { stream: StreamKey::read(reader)?, end: reader.varint()? }
            }
            given_up::GIVEN_UP => Self::GivenUp(GivenUpFrame::parse(reader)?),
            REKEY_REQUEST => {
                Self::RekeyRequest { sender_index: reader.u32()?, ephemeral: reader.array()? }
            }
            REKEY_RESPONSE => Self::RekeyResponse {
                sender_index: reader.u32()?,
                receiver_index: reader.u32()?,
                ephemeral: reader.array()?,
            },
            PATH_CHALLENGE => Self::PathChallenge { token: *reader.array()? },
            PATH_RESPONSE => Self::PathResponse { token: *reader.array()? },
            forward::FORWARD | forward::FORWARD_REFUSED | forward::FORWARD_FAILED => {
                forward::parse(kind, reader)?
            }
            probe::CANDIDATES => Self::Candidates(CandidatesFrame::parse(reader)?),
            probe::OPENED => Self::Opened { round: reader.varint()?, list: reader.varint()? },
            probe::OBSERVED => Self::Observed { address: probe::parse_address(reader)? },
            probe::PROBE_ME => Self::ProbeMe { index: reader.u8()?, token: *reader.array()? },
            route::ROUTE_UPDATE..=route::ROUTE_REQUEST => route::parse(kind, reader)?,
            FIRST_EXTENSION..=LAST_EXTENSION => {
                let len = reader.varint()?;
                Self::Extension { kind, body: reader.bytes(len)? }
            }
            _ => return Err(FrameError::UnknownType),
        })
    }

    fn write(&self, w: &mut Writer<'_>) -> bool {
        match self {
            Self::Padding(len) => w.zeros(*len),
            Self::Ping { token } => w.u8(PING) && w.u64(*token),
            Self::Pong { token } => w.u8(PONG) && w.u64(*token),
            Self::Ack(frame) => frame.write(w),
            Self::Retransmit(frame) => frame.write(w),
            Self::AckNow => w.u8(ACK_NOW),
            Self::Disconnect { complete, code, reason } => {
                disconnect::write(w, *complete, *code, reason)
            }
            Self::Credit { limit } => w.u8(CREDIT) && w.varint(*limit),
            Self::ChannelCredit { channel, returned } => {
                w.u8(CHANNEL_CREDIT) && w.varint(u64::from(*channel)) && w.varint(*returned)
            }
            Self::Blocked { limit, cost } => w.u8(BLOCKED) && w.varint(*limit) && w.varint(*cost),
            Self::Reclaim { keep } => w.u8(RECLAIM) && w.varint(*keep),
            Self::Forfeit { total } => w.u8(FORFEIT) && w.varint(*total),
            Self::Skip { stream, sequence_number } => {
                w.u8(SKIP) && stream.write(w) && w.varint(*sequence_number)
            }
            Self::StreamEnd { stream, end } => {
                w.u8(STREAM_END) && stream.write(w) && w.varint(*end)
            }
            Self::GivenUp(frame) => frame.write(w),
            Self::RekeyRequest { sender_index, ephemeral } => {
                w.u8(REKEY_REQUEST) && w.u32(*sender_index) && w.bytes(*ephemeral)
            }
            Self::RekeyResponse { sender_index, receiver_index, ephemeral } => {
                w.u8(REKEY_RESPONSE)
                    && w.u32(*sender_index)
                    && w.u32(*receiver_index)
                    && w.bytes(*ephemeral)
            }
            Self::PathChallenge { token } => w.u8(PATH_CHALLENGE) && w.bytes(token),
            Self::PathResponse { token } => w.u8(PATH_RESPONSE) && w.bytes(token),
            Self::Forward(frame) => frame.write(w),
            Self::ForwardRefused { .. } | Self::ForwardFailed { .. } => forward::write(w, self),
            Self::Candidates(frame) => frame.write(w),
            Self::Opened { round, list } => {
                w.u8(probe::OPENED) && w.varint(*round) && w.varint(*list)
            }
            Self::Observed { address } => w.u8(probe::OBSERVED) && w.bytes(address.as_bytes()),
            Self::ProbeMe { index, token } => {
                w.u8(probe::PROBE_ME) && w.u8(*index) && w.bytes(token)
            }
            Self::RouteUpdate(frame) => frame.write(w),
            Self::RouteRetraction { .. }
            | Self::SeqnoRequest { .. }
            | Self::RouteRequest { .. } => route::write(w, self),
            Self::Data(frame) => frame.encode(w),
            Self::Extension { kind, body } => {
                (FIRST_EXTENSION..=LAST_EXTENSION).contains(kind)
                    && w.u8(*kind)
                    && w.varint(body.len() as u64)
                    && w.bytes(body)
            }
        }
    }
}

const _: () = assert!(data::KIND == 0x20, "parse tells data frames by their range");

fn read_channel(reader: &mut Reader<'_>) -> Result<u16, FrameError> {
    u16::try_from(reader.varint()?).map_err(|_| FrameError::Channel)
}

/// Passes over the zero bytes that come next and returns how many there were.
fn skip_zeros(reader: &mut Reader<'_>) -> usize {
    let rest = reader.rest();
    let zeros = rest.iter().position(|byte| *byte != PADDING).unwrap_or(rest.len());
    *reader = Reader::new(rest.get(zeros..).unwrap_or_default());
    zeros
}

#[cfg(test)]
mod tests;
