//! What is known of a peer, for those who ask its handle.

use handfast_core::{PackedInfo, PeerInfo};

/// The peer as it was last; nothing before it was connected.
#[derive(Default)]
pub(super) enum Known {
    #[default]
    Nothing,
    /// Of a peer that has something to do: it changes often.
    Open(Box<PeerInfo>),
    /// Of one that is quiet.
    Packed(PackedInfo),
}

impl Known {
    pub(super) fn info(&self) -> Option<PeerInfo> {
        match self {
            Self::Nothing => None,
            Self::Open(info) => Some((**info).clone()),
            Self::Packed(packed) => packed.unpack(),
        }
    }

    pub(super) fn set(&mut self, info: PeerInfo) {
        match self {
            Self::Open(known) => **known = info,
            _ => *self = Self::Open(Box::new(info)),
        }
    }

    /// Nobody asked lately.
    pub(super) fn rest(&mut self) {
        if let Self::Open(info) = self
            && let Some(packed) = info.pack()
        {
            *self = Self::Packed(packed);
        }
    }
}
