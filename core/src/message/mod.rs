//! Messages on their way out and in: numbering, order, fragments, credit and fates.
//!
//! Everything here is a plain state machine over frames. Nothing here knows peers, packets or keys.

mod assembly;
mod copies;
mod credit;
mod fragment;
mod outgoing;
mod receive;
mod receive_stream;
mod redundancy;
mod schedule;
mod send;
mod send_buffer;
mod send_stream;
mod spans;
mod waiting;
mod window;

pub(crate) use credit::{FIRST_WINDOW, MESSAGE_CHARGE, Review};
pub(crate) use outgoing::Part;
pub(crate) use receive::{ReceiveLimits, ReceiveQueue};
pub(crate) use send::{Pass, SendQueue, Told};
pub(crate) use send_buffer::SendLimits;
