//! Who calls.

use crate::PeerId;
use crate::admission::Source;
use crate::crypto::noise::Accepted;
use crate::wire::RequestPayload;

/// A caller that proved its identity.
pub(super) struct Caller {
    pub(super) id: PeerId,
    pub(super) payload: RequestPayload,
    /// It proved its address, too.
    pub(super) proved: bool,
    pub(super) source: Source,
    pub(super) accepted: Accepted,
}
