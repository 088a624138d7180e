//! The packet by which an endpoint makes itself known in its local network.

use core::net::SocketAddr;

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::wire::preamble::{Layout, Preamble};
use crate::wire::{TAG_LEN, kind};

/// The length of a sealed [`BeaconContent`], without its tag.
pub const BEACON_CONTENT_LEN: usize = size_of::<BeaconContent>();

/// Says who is at the address that it comes from. Sealed with a key of its own.
#[derive(Clone, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Beacon {
    preamble: Preamble,
    /// Random, new for each beacon: what its key is made of, beside the network secret.
    pub salt: [u8; 16],
    /// A [`BeaconContent`], sealed.
    pub ciphertext: [u8; BEACON_CONTENT_LEN],
    /// Its tag.
    pub tag: [u8; TAG_LEN],
}

impl Beacon {
    /// One whose content is still to be sealed.
    #[must_use]
    pub fn new(salt: [u8; 16], content: &BeaconContent) -> Self {
        let mut ciphertext = [0; BEACON_CONTENT_LEN];
        ciphertext.copy_from_slice(content.as_bytes());
        Self { preamble: Preamble::new(kind::BEACON), salt, ciphertext, tag: [0; TAG_LEN] }
    }

    /// What the tag covers besides the content: the 20 bytes before it.
    #[must_use]
    pub fn head(&self) -> [u8; 20] {
        let mut head = [0; 20];
        head.copy_from_slice(&self.as_bytes()[..20]);
        head
    }
}

impl Layout for Beacon {
    fn reserved_is_zero(&self) -> bool {
        self.preamble.reserved_is_zero()
    }
}

/// What a [`Beacon`] says.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct BeaconContent {
    /// Who sends it.
    pub identity: [u8; 32],
    /// The port at which its sender takes handshakes; its address is where the beacon came from.
    pub port: U16,
    /// [`Self::FORWARDS`]; other bits are zero, and are ignored.
    pub flags: U16,
}

impl BeaconContent {
    /// Its sender passes packets on for others.
    pub const FORWARDS: u16 = 1;

    /// Whether its sender passes packets on for others.
    #[must_use]
    pub const fn forwards(&self) -> bool {
        self.flags.get() & Self::FORWARDS != 0
    }

    /// Where its sender takes handshakes, if it came from `source`.
    #[must_use]
    pub const fn address(&self, source: SocketAddr) -> SocketAddr {
        let mut address = source;
        address.set_port(self.port.get());
        address
    }
}
