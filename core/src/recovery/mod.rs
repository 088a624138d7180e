//! Packets of one path: which arrived, which were lost, and how many may be under way.
//!
//! Everything here is a plain state machine over counters and times. Nothing here knows peers,
//! addresses, keys or messages.

mod ack;
mod congestion;
mod lateness;
mod loss;
mod marking;
mod pacer;
mod ranges;
mod received;
mod replay;
mod rtt;
mod sent;
mod space;
mod spaces;
mod untracked;

pub(crate) use congestion::{Congestion, Controller, Signs};
pub(crate) use loss::{Loss, LossOutcome, Timeout};
pub(crate) use marking::{Arrived, Marking};
pub(crate) use pacer::{Pace, Pacer};
pub(crate) use rtt::Rtt;
pub(crate) use sent::{ResolvedPacket, Sent};
pub(crate) use space::{AckWant, PacketSpace};
pub(crate) use spaces::PacketSpaces;
pub(crate) use untracked::UntrackedNumbers;
