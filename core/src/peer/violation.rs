//! What an authenticated peer must not do.

use crate::wire::FrameError;

/// A breach of the protocol inside a sealed packet. It ends the session, with its name as reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    AckOfUnsent,
    BeyondCredit,
    BeyondStreamWindow,
    Frame(FrameError),
    FragmentsDisagree,
    MessageTooLarge,
    NeverAcknowledges,
    SkipOfAnotherStream,
    TooManyPaths,
    TooManyStreams,
    UnusableKey,
}

impl Violation {
    /// The name, as told to the peer and the application.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AckOfUnsent => "acknowledged a packet that was never sent",
            Self::BeyondCredit => "sent beyond its credit",
            Self::BeyondStreamWindow => "sent beyond the window of a stream",
            Self::Frame(error) => error.as_str(),
            Self::FragmentsDisagree => "fragments of one message disagree",
            Self::MessageTooLarge => "sent a message above the limit",
            Self::NeverAcknowledges => "does not acknowledge what it received",
            Self::SkipOfAnotherStream => "skipped on a stream that has no gaps",
            Self::TooManyPaths => "used too many paths",
            Self::TooManyStreams => "used too many streams",
            Self::UnusableKey => "change of keys with an unusable key",
        }
    }
}

impl From<FrameError> for Violation {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// The code of the goodbye that answers a violation.
pub(crate) const VIOLATION_CODE: u16 = 0xff01;
