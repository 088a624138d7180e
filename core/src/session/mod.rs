//! Sessions: how the initiator makes one, which keys it has, and how they change.

mod answer;
mod distortion;
mod established;
mod incarnation;
mod index;
mod initiator;
mod keys;
mod packet;
mod rekey;
mod target;

pub(crate) use answer::{Answer, Opened, Refused, Unopened};
pub(crate) use distortion::Distortion;
pub(crate) use established::{Established, Pair, Terms};
pub(crate) use incarnation::Incarnations;
pub(crate) use index::{ForgottenList, Indices, Owner};
pub(crate) use initiator::{Dial, prologue};
pub(crate) use keys::{Session, Sessions};
pub(crate) use packet::{OVERHEAD, PacketBuffer};
pub(crate) use rekey::{Rekey, RekeyFrame};
pub(crate) use target::HandshakeTarget;
