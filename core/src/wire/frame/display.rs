//! Frames in traces.

use core::fmt;
use core::net::SocketAddr;

use super::Frame;

impl fmt::Display for Frame<'_> {
    /// One line for a trace: the fields by name, no payload, no secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Padding(len) => write!(f, "Padding length={len}"),
            Self::Ping { token } => write!(f, "Ping token={token:#x}"),
            Self::Pong { token } => write!(f, "Pong token={token:#x}"),
            Self::Ack(frame) => frame.fmt(f),
            Self::Retransmit(frame) => frame.fmt(f),
            Self::AckNow => f.write_str("AckNow"),
            Self::Disconnect { complete, code, reason } => {
                write!(f, "Disconnect complete={complete} code={code} reason={reason:?}")
            }
            Self::Credit { limit } => write!(f, "Credit limit={limit}"),
            Self::ChannelCredit { channel, returned } => {
                write!(f, "ChannelCredit channel={channel} returned={returned}")
            }
            Self::Blocked { limit, cost } => write!(f, "Blocked limit={limit} cost={cost}"),
            Self::Reclaim { keep } => write!(f, "Reclaim keep={keep}"),
            Self::Forfeit { total } => write!(f, "Forfeit total={total}"),
            Self::Skip { stream, sequence_number } => {
                write!(f, "Skip stream={stream} sequence_number={sequence_number}")
            }
            Self::StreamEnd { stream, end } => write!(f, "StreamEnd stream={stream} end={end}"),
            Self::GivenUp(frame) => frame.fmt(f),
            Self::RekeyRequest { sender_index, .. } => {
                write!(f, "RekeyRequest sender_index={sender_index:#x}")
            }
            Self::RekeyResponse { sender_index, receiver_index, .. } => {
                write!(f, "RekeyResponse sender_index={sender_index:#x}")?;
                write!(f, " receiver_index={receiver_index:#x}")
            }
            Self::PathChallenge { token } => {
                write!(f, "PathChallenge token={:#x}", u64::from_le_bytes(*token))
            }
            Self::PathResponse { token } => {
                write!(f, "PathResponse token={:#x}", u64::from_le_bytes(*token))
            }
            Self::Forward(frame) => frame.fmt(f),
            Self::ForwardRefused { reason, .. } => write!(f, "ForwardRefused reason={reason}"),
            Self::ForwardFailed { reason, hops, .. } => {
                write!(f, "ForwardFailed reason={reason} hops={hops}")
            }
            Self::Candidates(frame) => frame.fmt(f),
            Self::Opened { round, list } => write!(f, "Opened round={round} list={list}"),
            Self::Observed { address } => {
                write!(f, "Observed address={}", SocketAddr::from(*address))
            }
            Self::ProbeMe { index, token } => {
                write!(f, "ProbeMe index={index} token={:#x}", u64::from_le_bytes(*token))
            }
            Self::RouteUpdate(frame) => frame.fmt(f),
            Self::RouteRetraction { serial, .. } => write!(f, "RouteRetraction serial={serial}"),
            Self::SeqnoRequest { epoch, seqno, hops, .. } => {
                write!(f, "SeqnoRequest epoch={epoch} seqno={seqno} hops={hops}")
            }
            Self::RouteRequest { hops, .. } => write!(f, "RouteRequest hops={hops}"),
            Self::Data(frame) => frame.fmt(f),
            Self::Extension { kind, body } => {
                write!(f, "Extension kind={kind:#x} length={}", body.len())
            }
        }
    }
}
