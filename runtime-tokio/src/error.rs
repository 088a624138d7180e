//! Errors of the handles.

use std::fmt;

use handfast_core::{CommandError, EndReason};

/// Why a dial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectError {
    /// The dial did not start.
    Refused(handfast_core::ConnectError),
    /// The dial ended without success.
    Ended(EndReason),
    /// The endpoint has stopped.
    Stopped,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Ended(reason) => reason.fmt(f),
            Self::Stopped => Stopped.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The message is too large, the peer allows no further stream, there is no room for an unreliable
    /// message (`NoRoom`), or for any that may not wait ([`Peer::try_send`](crate::Peer::try_send):
    /// `Blocked`), or the peer is closing.
    Refused(handfast_core::SendError),
    /// The peer has ended.
    Ended(EndReason),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Ended(reason) => write!(f, "the peer has ended: {reason}"),
        }
    }
}

impl std::error::Error for SendError {}

/// Why a command for a peer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerError {
    /// The core did not accept the command.
    Refused(CommandError),
    /// The peer has ended.
    Ended(EndReason),
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Ended(reason) => write!(f, "the peer has ended: {reason}"),
        }
    }
}

impl std::error::Error for PeerError {}

/// Why there is no message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a message, none yet, or none ever")]
pub enum TryRecvError {
    /// None has arrived yet.
    Empty,
    /// The peer has ended, and all that it sent is taken.
    Ended,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no message has arrived",
            Self::Ended => "the peer has ended, and all messages are taken",
        })
    }
}

impl std::error::Error for TryRecvError {}

/// The endpoint has stopped: it was closed, or a socket failed permanently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it says one thing")]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the endpoint has stopped")
    }
}

impl std::error::Error for Stopped {}
