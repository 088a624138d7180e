//! How to disconnect, and what the peer is told.

use alloc::string::String;
use core::time::Duration;

use crate::pack::pack_never;

/// Why a peer disconnects: what its `Disconnect` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DisconnectReason {
    /// A code of the application; 0 if there is nothing to say. Codes from 0xff00 belong to the protocol.
    pub code: u16,
    /// A text for people, at most 64 bytes of UTF-8.
    pub reason: String,
}

pack_never!(DisconnectReason);

impl DisconnectReason {
    /// The longest text, in bytes of UTF-8.
    pub const MAX_REASON: usize = 64;

    /// The highest code of an application.
    pub const MAX_CODE: u16 = 0xfeff;

    /// The code of an endpoint that has no place for the other end any more: somebody else got it. Dialled
    /// again it may have one.
    pub const FULL: u16 = 0xff01;

    /// There is no place for the peer.
    pub(crate) fn full() -> Self {
        Self::with_any_code(Self::FULL, "no place")
    }

    /// A reason with a code and a text. A code above [`MAX_CODE`](Self::MAX_CODE) becomes `MAX_CODE`; a
    /// text of more than 64 bytes is cut (at a character boundary).
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        Self::with_any_code(code.min(Self::MAX_CODE), reason)
    }

    /// The same with a code that may be the protocol's.
    pub(crate) fn with_any_code(code: u16, reason: &str) -> Self {
        let fits = |end: &usize| *end <= Self::MAX_REASON;
        let ends = reason.char_indices().map(|(at, c)| at + c.len_utf8());
        let end = ends.take_while(fits).last().unwrap_or(0);
        Self { code, reason: String::from(&reason[..end]) }
    }
}

/// How to disconnect. The default is the graceful way: what was sent is still delivered, for at most
/// 5 s.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DisconnectOptions {
    /// The reason that the peer gets.
    pub reason: DisconnectReason,
    /// How long to wait before the `Disconnect` is sent: queued messages are still sent, and reliable
    /// ones acknowledged. The wait ends early when none is left. Zero drops them at once. A peer that is
    /// still being dialled ends at once in any case. Whatever is dropped has its fate reported: `Lost`, or
    /// `Unknown` if some of it was sent.
    pub linger: Duration,
    /// Some message never reached the endpoint.
    pub(crate) is_cut: bool,
}

impl DisconnectOptions {
    /// How long the default lets messages be delivered: 5 s.
    pub const DEFAULT_LINGER: Duration = Duration::from_secs(5);

    /// Disconnects at once. What the peer has not acknowledged is dropped.
    #[must_use]
    pub fn now() -> Self {
        Self::after(Duration::ZERO)
    }

    /// Disconnects when every reliable message is acknowledged and no message is unsent, after `linger` at
    /// the latest.
    #[must_use]
    pub fn after(linger: Duration) -> Self {
        Self { reason: DisconnectReason::default(), linger, is_cut: false }
    }

    /// The same with a reason for the peer.
    #[must_use]
    pub fn with_reason(self, reason: DisconnectReason) -> Self {
        Self { reason, ..self }
    }

    /// The same after a message was lost before it reached the endpoint: whatever becomes of the others,
    /// the peer is not told that all have arrived. For drivers that keep messages of their own.
    #[must_use]
    pub fn incomplete(self) -> Self {
        Self { is_cut: true, ..self }
    }
}

impl Default for DisconnectOptions {
    fn default() -> Self {
        Self::after(Self::DEFAULT_LINGER)
    }
}
