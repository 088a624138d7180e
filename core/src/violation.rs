//! What an authenticated peer must not do.

use core::fmt;

use crate::wire::FrameError;

/// Declares the violations with their reasons, so that no list of them can be incomplete.
macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident = $reason:expr,)*) => {
        /// A rule of the protocol that a peer broke inside a sealed packet.
        ///
        /// The session ends, and the peer gets the code and the reason in a `Disconnect` (PROTOCOL.md
        /// section 22.2).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Violation { $($(#[$doc])* $name,)* }

        impl Violation {
            /// Every violation, in the order of PROTOCOL.md section 22.2.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The reason in words, as it is sent to the peer.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $reason,)* }
            }
        }
    };
}

violations! {
    /// An acknowledgement has more ranges than are allowed.
    AckCount = FrameError::AckCount.as_str(),
    /// A range of an acknowledgement reaches below zero or above the largest counter.
    AckRange = FrameError::AckRange.as_str(),
    /// A channel is above 65,535.
    Channel = FrameError::Channel.as_str(),
    /// A `Disconnect` has a flag that this version does not have.
    Flags = FrameError::Flags.as_str(),
    /// A fragment is empty, too long or outside of its message.
    Fragment = FrameError::Fragment.as_str(),
    /// A mode byte has bits that a stream does not have.
    Mode = FrameError::Mode.as_str(),
    /// An integer is longer than it needs to be.
    NotMinimal = FrameError::NotMinimal.as_str(),
    /// A stream is neither unordered nor sequenced nor ordered.
    Order = FrameError::Order.as_str(),
    /// A reason is too long or not UTF-8.
    Reason = FrameError::Reason.as_str(),
    /// A `Retransmit` has more ranges than are allowed.
    RetransmitCount = FrameError::RetransmitCount.as_str(),
    /// A range of a `Retransmit` is empty, out of order or out of bounds.
    RetransmitRange = FrameError::RetransmitRange.as_str(),
    /// A packet ends inside a frame.
    Truncated = FrameError::Truncated.as_str(),
    /// The type of a frame is unknown and does not announce an extension.
    UnknownFrameType = FrameError::UnknownType.as_str(),
    /// The peer acknowledged a packet that was never sent.
    AckOfUnsent = "acknowledged a packet that was never sent",
    /// The peer does not acknowledge what it receives.
    NeverAcknowledges = "does not acknowledge what it received",
    /// The peer sent more bytes of reliable messages than its credit allows.
    BeyondCredit = "sent beyond its credit",
    /// The peer sent a message too far ahead of those that its stream still lacks.
    BeyondStreamWindow = "sent beyond the window of a stream",
    /// Two fragments of one message disagree about the message.
    FragmentsDisagree = "fragments of one message disagree",
    /// A message is longer than our limit.
    MessageTooLarge = "sent a message above the limit",
    /// The peer skipped messages on a stream that has no gaps.
    SkipOfAnotherStream = "skipped on a stream that has no gaps",
    /// The peer used more paths than are allowed.
    TooManyPaths = "used too many paths",
    /// The peer used more streams than are allowed.
    TooManyStreams = "used too many streams",
    /// The peer sent a key for a rekey with which no secret can be agreed.
    UnusableKey = "change of keys with an unusable key",
    /// A forward frame beside others, outside of its path id, or in a packet that was itself forwarded.
    MisplacedForward = "forward outside of its place",
    /// A list of addresses of the peer is too long.
    CandidateCount = FrameError::CandidateCount.as_str(),
    /// A frame in a packet of the probe id that does not belong there, or one that only belongs there in another.
    MisplacedProbe = "probe outside of its place",
    /// A claim of a destination lives for no time, for too long, or longer than its owner said.
    RouteLife = FrameError::RouteLife.as_str(),
    /// A list of messages that were given up is empty or too long.
    GivenUpCount = FrameError::GivenUpCount.as_str(),
    /// A range of messages that were given up is too long or beyond all numbers.
    GivenUpRange = FrameError::GivenUpRange.as_str(),
    /// The peer gave up a message at another cost than that message has, or than any may have.
    GivenUpCost = "gave up a message at a wrong cost",
    /// The peer ended a stream before its messages were settled, or before one that it sent.
    StreamEnd = "ended a stream before its messages were settled",
}

impl Violation {
    /// The code of the first violation of [`ALL`](Self::ALL); the others follow.
    const FIRST_CODE: u16 = 0xff10;

    /// The code of the `Disconnect` that answers the violation, 0xff10 or above.
    #[must_use]
    pub const fn code(self) -> u16 {
        Self::FIRST_CODE + self as u16
    }

    /// The violation that a `Disconnect` with this code answers: it was ours. `None` if the code stands
    /// for none that this version knows.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|violation| violation.code() == code)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<FrameError> for Violation {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::AckCount => Self::AckCount,
            FrameError::AckRange => Self::AckRange,
            FrameError::CandidateCount => Self::CandidateCount,
            FrameError::Channel => Self::Channel,
            FrameError::Flags => Self::Flags,
            FrameError::Fragment => Self::Fragment,
            FrameError::GivenUpCount => Self::GivenUpCount,
            FrameError::GivenUpRange => Self::GivenUpRange,
            FrameError::Mode => Self::Mode,
            FrameError::NotMinimal => Self::NotMinimal,
            FrameError::Order => Self::Order,
            FrameError::Reason => Self::Reason,
            FrameError::RetransmitCount => Self::RetransmitCount,
            FrameError::RetransmitRange => Self::RetransmitRange,
            FrameError::RouteLife => Self::RouteLife,
            FrameError::Truncated => Self::Truncated,
            FrameError::UnknownType => Self::UnknownFrameType,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn violations_are_those_of_the_protocol_in_its_order() {
        let protocol = include_str!("../../docs/PROTOCOL.md");
        let (_, section) = protocol.split_once("### 22.2 Violations").expect("the section");
        let (section, _) = section.split_once("\n## ").expect("its end");
        let rows: Vec<_> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| 0x")?.split_once(" | `"))
            .map(|(code, rest)| (code, rest.split_once('`').expect("a reason").0))
            .map(|(code, reason)| (u16::from_str_radix(code, 16).expect("hex"), reason))
            .collect();
        let code = |violation: &Violation| (violation.code(), violation.as_str());
        let ours: Vec<_> = Violation::ALL.iter().map(code).collect();
        assert_eq!(ours, rows);
        assert_eq!(ours.len(), 31);
        for violation in Violation::ALL {
            assert_eq!(Violation::from_code(violation.code()), Some(*violation));
        }
        assert_eq!(Violation::from_code(0xff01), None);
    }
}
