//! Passing packets on between peers: for whom, how fast, and what waits meanwhile. It knows identities and
//! bytes, and neither sessions nor keys.

mod forwarder;
mod handover;
mod police;
mod queue;
mod relays;

pub(crate) use forwarder::Forwarder;
pub(crate) use handover::Content as HandedOver;
pub use handover::Handover;
pub(crate) use queue::Passage;
pub(crate) use relays::Relays;
