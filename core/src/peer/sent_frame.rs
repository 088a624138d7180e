//! What a packet carried, as remembered until the packet is acknowledged or lost.

use crate::message::Part;
use crate::session::RekeyFrame;

/// One frame of a sent packet whose arrival or loss matters. Frames are never sent again as they
/// were: a loss only makes the same content due again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SentFrame {
    Blocked,
    Credit,
    Disconnect,
    Part(Part),
    Ping { token: u64 },
    Pong { token: u64 },
    Rekey(RekeyFrame),
    Skip { stream: u16 },
}
