//! What all packets begin with.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::VERSION;

/// The four bytes that every packet starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Preamble {
    kind: u8,
    version: u8,
    reserved: [u8; 2],
}

impl Preamble {
    pub(super) const fn new(kind: u8) -> Self {
        Self { kind, version: VERSION, reserved: [0; 2] }
    }

    pub(super) fn reserved_is_zero(&self) -> bool {
        self.reserved == [0; 2]
    }

    pub(super) const fn version(&self) -> u8 {
        self.version
    }
}

/// A packet of fixed length.
pub(super) trait Layout: FromBytes + KnownLayout + Immutable + Unaligned {
    /// Whether every byte that must be zero is.
    fn reserved_is_zero(&self) -> bool;
}
