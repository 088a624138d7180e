//! Why bytes are no value, and a packet's content no frame.

use core::fmt;

/// Why a value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The bytes end inside the value.
    Truncated,
    /// An integer that is longer than it needs to be.
    NotMinimal,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a value is cut off",
            Self::NotMinimal => "an integer is not in its shortest form",
        })
    }
}

impl core::error::Error for ReadError {}

/// Why the frames of a packet are not legal. The sender held the session's key, so this is a
/// violation of the protocol and ends the session; [`as_str`](Self::as_str) is the reason given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// More ranges than [`super::MAX_ACK_RANGES`].
    AckCount,
    /// A range that reaches below zero or above the largest counter.
    AckRange,
    /// More addresses than [`super::MAX_CANDIDATES`].
    CandidateCount,
    /// A channel above 65,535.
    Channel,
    /// A flag of a `Disconnect` that this version does not have.
    Flags,
    /// A fragment that [`super::Fragment::admits`] refuses, or of a message above 4 GiB.
    Fragment,
    /// No range, or more than [`super::MAX_GIVEN_UP_RANGES`].
    GivenUpCount,
    /// A range of more numbers than [`super::MAX_GIVEN_UP_FURTHER`] and one, or beyond all numbers.
    GivenUpRange,
    /// A mode byte with bits that a stream does not have.
    Mode,
    /// An integer that is longer than it needs to be.
    NotMinimal,
    /// Neither unordered nor sequenced nor ordered.
    Order,
    /// A reason that is too long or not UTF-8.
    Reason,
    /// More ranges than [`super::MAX_RETRANSMIT_RANGES`].
    RetransmitCount,
    /// A range that is empty, out of order, or ends above 4 GiB.
    RetransmitRange,
    /// A claim that lives for no time, for too long, or longer than its owner said.
    RouteLife,
    /// The packet ends inside the frame.
    Truncated,
    /// A frame type that this version does not have and that is not an extension.
    UnknownType,
}

impl FrameError {
    /// The reason in words, short enough for a [`Frame::Disconnect`](super::Frame::Disconnect).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AckCount => "ack with too many ranges",
            Self::AckRange => "ack range out of bounds",
            Self::CandidateCount => "too many candidates",
            Self::Channel => "channel out of bounds",
            Self::Flags => "unknown flags",
            Self::Fragment => "fragment breaks the rules of fragments",
            Self::GivenUpCount => "given up with no or too many ranges",
            Self::GivenUpRange => "range given up out of bounds",
            Self::Mode => "unknown mode bits",
            Self::NotMinimal => "integer not in its shortest form",
            Self::Order => "unknown order",
            Self::Reason => "reason too long or not UTF-8",
            Self::RetransmitCount => "retransmit with too many ranges",
            Self::RetransmitRange => "retransmit range out of bounds or order",
            Self::RouteLife => "life of a route out of bounds",
            Self::Truncated => "frame cut off",
            Self::UnknownType => "unknown frame type",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for FrameError {}

impl From<ReadError> for FrameError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Truncated => Self::Truncated,
            ReadError::NotMinimal => Self::NotMinimal,
        }
    }
}
