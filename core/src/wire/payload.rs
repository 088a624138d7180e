//! What the two ends of a handshake send each other under its seal.
//!
//! Reserved bytes are written as zero and not looked at by the receiver: they are authenticated, so
//! a later version can use them without an older one refusing the handshake.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What the initiator says, 96 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct RequestPayload {
    /// The initiator's Ed25519 key, unchecked.
    pub identity: [u8; 32],
    /// Random, drawn when the initiator's endpoint started.
    pub incarnation: U64,
    /// The initiator's wall clock in milliseconds since 1970, 0 if it has none.
    pub timestamp_ms: U64,
    /// What the initiator offers.
    pub parameters: Parameters,
    reserved: [u8; 20],
}

impl RequestPayload {
    /// Fills in the reserved bytes.
    #[must_use]
    pub fn new(
        identity: [u8; 32],
        incarnation: u64,
        timestamp_ms: u64,
        parameters: Parameters,
    ) -> Self {
        Self {
            identity,
            incarnation: incarnation.into(),
            timestamp_ms: timestamp_ms.into(),
            parameters,
            reserved: [0; 20],
        }
    }
}

/// What the responder says, 60 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ResponsePayload {
    /// Random, drawn when the responder's endpoint started.
    pub incarnation: U64,
    /// What the responder offers.
    pub parameters: Parameters,
    /// Where the request came from.
    pub observed_address: Address,
    /// The responder's index, as in the head of the packet, which the transcript does not cover.
    pub session_index: U32,
    reserved: [u8; 2],
}

impl ResponsePayload {
    /// Fills in the reserved bytes.
    #[must_use]
    pub fn new(
        incarnation: u64,
        parameters: Parameters,
        observed_address: SocketAddr,
        session_index: u32,
    ) -> Self {
        Self {
            incarnation: incarnation.into(),
            parameters,
            observed_address: observed_address.into(),
            session_index: session_index.into(),
            reserved: [0; 2],
        }
    }
}

/// One side's limits and abilities, 28 bytes. Any value parses: the session judges them.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct Parameters {
    /// Bits: see [`Parameters::AES_HARDWARE`]. Unknown ones are ignored.
    pub capabilities: U32,
    /// The largest datagram it takes, in bytes of UDP payload.
    pub max_datagram: U16,
    /// How many streams the other side may open.
    pub max_streams: U16,
    /// How long it bears silence, in milliseconds.
    pub idle_timeout_ms: U32,
    /// How long it may hold back an acknowledgement, in milliseconds.
    pub max_ack_delay_ms: U16,
    /// Written as zero, ignored.
    pub reserved: U16,
    /// The largest message it takes, in bytes.
    pub max_message: U32,
    /// How many bytes of reliable messages the other side may send before it is given credit.
    pub receive_window: U64,
}

impl Parameters {
    /// Capability: AES is fast here.
    pub const AES_HARDWARE: u32 = 1;

    /// Whether every bit of `capability` is offered.
    #[must_use]
    pub const fn offers(&self, capability: u32) -> bool {
        self.capabilities.get() & capability == capability
    }
}

/// An IP address and a UDP port, 18 bytes. IPv4 addresses travel IPv4-mapped (RFC 4291, 2.5.5.2).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Address {
    ip: [u8; 16],
    port: U16,
}

impl From<SocketAddr> for Address {
    /// Flow label and scope stay behind: they mean nothing to another host.
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { ip: ip.octets(), port: address.port().into() }
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        Self::new(Ipv6Addr::from(address.ip).to_canonical(), address.port.get())
    }
}

const _: () = assert!(size_of::<RequestPayload>() == 96);
const _: () = assert!(size_of::<ResponsePayload>() == 60);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARAMETERS: Parameters = Parameters {
        capabilities: U32::from_bytes([1, 0, 0, 0x80]),
        max_datagram: U16::from_bytes([0xb0, 4]),
        max_streams: U16::from_bytes([0, 1]),
        idle_timeout_ms: U32::from_bytes([0x60, 0xea, 0, 0]),
        max_ack_delay_ms: U16::from_bytes([25, 0]),
        reserved: U16::ZERO,
        max_message: U32::from_bytes([0, 0, 0, 1]),
        receive_window: U64::from_bytes([0, 0, 0, 2, 0, 0, 0, 0]),
    };
    const PARAMETER_BYTES: [u8; 28] = [
        1, 0, 0, 0x80, // capabilities
        0xb0, 4, // max_datagram 1200
        0, 1, // max_streams 256
        0x60, 0xea, 0, 0, // idle_timeout_ms 60,000
        25, 0, // max_ack_delay_ms
        0, 0, // reserved
        0, 0, 0, 1, // max_message 16 MiB
        0, 0, 0, 2, 0, 0, 0, 0, // receive_window 32 MiB
    ];

    #[test]
    fn payloads_are_laid_out_as_documented() {
        let request = RequestPayload::new([0x99; 32], 0x0102, 0x0304, PARAMETERS);
        let start =
            [&[0x99; 32][..], &[2, 1, 0, 0, 0, 0, 0, 0], &[4, 3, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(request.as_bytes(), [&start[..], &PARAMETER_BYTES, &[0; 20]].concat());

        let observed = "192.0.2.7:4263".parse().expect("an address");
        let response = ResponsePayload::new(0x0102, PARAMETERS, observed, 0x0807_0605);
        let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7, 0xa7, 0x10];
        let start = [&[2, 1, 0, 0, 0, 0, 0, 0][..], &PARAMETER_BYTES].concat();
        assert_eq!(response.as_bytes(), [&start[..], &address, &[5, 6, 7, 8, 0, 0]].concat());
    }

    #[test]
    fn unknown_capabilities_do_not_hide_known_ones() {
        assert!(PARAMETERS.offers(Parameters::AES_HARDWARE));
        assert!(!Parameters::default().offers(Parameters::AES_HARDWARE));
    }

    proptest! {
        #[test]
        fn addresses_survive_in_canonical_form(ip: [u8; 16], v4: [u8; 4], port: u16) {
            for address in [SocketAddr::from((ip, port)), SocketAddr::from((v4, port))] {
                let back = SocketAddr::from(Address::from(address));
                prop_assert_eq!(back, crate::canonical(address));
            }
        }
    }
}
