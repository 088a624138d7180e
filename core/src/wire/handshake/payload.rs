//! What the two ends of a handshake send each other under its seal, and how a responder refuses.
//!
//! Reserved bytes are written as zero and not looked at by the receiver: they are authenticated, so
//! a later version can use them without an older one refusing the handshake.

use core::mem::offset_of;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::pack::{Pack, Packer, Unpacker, pack_plain};

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
    /// Where the request came from: zeros if a neighbour carried it.
    pub observed_address: Address,
    /// The responder's index, as in the head of the packet, which the transcript does not cover.
    pub session_index: U32,
    /// 0: this is an answer. Else it is a [`Refusal`].
    status: u8,
    /// Bits: see [`ResponsePayload::DISPLACED`]. Unknown ones are ignored.
    flags: u8,
}

impl ResponsePayload {
    /// The initiator's incarnation in the request is a former one: another instance with the
    /// initiator's key took its place since.
    const DISPLACED: u8 = 1;

    /// Fills in the reserved bytes.
    #[must_use]
    pub fn new(
        incarnation: u64,
        parameters: Parameters,
        observed_address: impl Into<Address>,
        session_index: u32,
    ) -> Self {
        Self {
            incarnation: incarnation.into(),
            parameters,
            observed_address: observed_address.into(),
            session_index: session_index.into(),
            status: 0,
            flags: 0,
        }
    }

    /// Says whether another instance took the place of the initiator since its last handshake.
    #[must_use]
    pub const fn with_displaced(mut self, displaced: bool) -> Self {
        self.flags = if displaced { Self::DISPLACED } else { 0 };
        self
    }

    /// Whether another instance took the place of the initiator since its last handshake.
    #[must_use]
    pub const fn is_displaced(&self) -> bool {
        self.flags & Self::DISPLACED != 0
    }

    /// Whether the responder takes the initiator in; `None` if the status is of a later version.
    #[must_use]
    pub const fn status(&self) -> Option<ResponseStatus> {
        ResponseStatus::from_u8(self.status)
    }
}

/// Whether a responder takes an initiator in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseStatus {
    /// It does: the payload is a [`ResponsePayload`].
    Accepted,
    /// Its application does not admit the initiator.
    NotAdmitted,
    /// It has no place for another peer.
    Full,
    /// It parted from the incarnation of the initiator that made the request, with this code and reason.
    Parted,
}

impl ResponseStatus {
    /// The byte on the wire.
    #[must_use]
    pub const fn to_u8(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::NotAdmitted => 1,
            Self::Full => 2,
            Self::Parted => 3,
        }
    }

    const fn from_u8(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Accepted,
            1 => Self::NotAdmitted,
            2 => Self::Full,
            3 => Self::Parted,
            _ => return None,
        })
    }
}

/// The longest reason in a [`Refusal`], in bytes.
pub const MAX_REFUSAL_REASON: usize = 40;

/// What a responder says in the place of a [`ResponsePayload`] when it does not take an initiator in, 60
/// bytes. There is no session, so the index is zero.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Refusal {
    incarnation: U64,
    /// Why, for programs.
    pub code: U16,
    reason_len: u8,
    reason: [u8; MAX_REFUSAL_REASON],
    unused: [u8; 3],
    session_index: U32,
    status: u8,
    reserved: u8,
}

impl Refusal {
    /// A refusal. Of `reason` as many whole characters are kept as fit into [`MAX_REFUSAL_REASON`] bytes.
    #[must_use]
    pub fn new(status: ResponseStatus, code: u16, reason: &str) -> Self {
        let mut end = reason.len().min(MAX_REFUSAL_REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let mut text = [0; MAX_REFUSAL_REASON];
        text[..end].copy_from_slice(&reason.as_bytes()[..end]);
        Self {
            incarnation: U64::ZERO,
            code: code.into(),
            reason_len: u8::try_from(end).unwrap_or(0),
            reason: text,
            unused: [0; 3],
            session_index: U32::ZERO,
            status: status.to_u8(),
            reserved: 0,
        }
    }

    /// Why, for people; empty if it is too long or not UTF-8.
    #[must_use]
    pub fn reason(&self) -> &str {
        let reason = self.reason.get(..self.reason_len.into()).unwrap_or_default();
        core::str::from_utf8(reason).unwrap_or_default()
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
    /// How far ahead of the lowest message that a reliable stream lacks its numbers may be: two to the power of
    /// this, see [`Parameters::stream_window`].
    pub stream_window_log2: u8,
    /// Written as zero, ignored.
    pub reserved: u8,
    /// The largest message it takes, in bytes.
    pub max_message: U32,
    /// How many bytes of reliable messages the other side may send before it is given credit.
    pub receive_window: U64,
}

impl Parameters {
    /// Capability: AES is fast here.
    pub const AES_HARDWARE: u32 = 1;
    /// Capability: it forwards packets between its neighbours.
    pub const FORWARDS: u32 = 2;
    /// Capability: it knows routes, and takes frames about them.
    pub const ROUTES: u32 = 4;

    /// How many numbers of a reliable stream the other side may use from the lowest on that is not settled.
    #[must_use]
    pub const fn stream_window(&self) -> u64 {
        let log2 = self.stream_window_log2;
        let least = if log2 < LEAST_WINDOW_LOG2 { LEAST_WINDOW_LOG2 } else { log2 };
        1 << if least > LARGEST_WINDOW_LOG2 { LARGEST_WINDOW_LOG2 } else { least }
    }

    /// Whether every bit of `capability` is offered.
    #[must_use]
    pub const fn offers(&self, capability: u32) -> bool {
        self.capabilities.get() & capability == capability
    }
}

/// Stream windows are this power of two at least,
const LEAST_WINDOW_LOG2: u8 = 6;
/// and this one at most, whatever is announced.
const LARGEST_WINDOW_LOG2: u8 = 30;

/// An IP address and a UDP port, 18 bytes. IPv4 addresses travel IPv4-mapped (RFC 4291, 2.5.5.2).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Address {
    ip: [u8; 16],
    port: U16,
}

impl Pack for Address {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        (self.ip, self.port.get()).pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let (ip, port): (_, u16) = Pack::unpack(from)?;
        Some(Self { ip, port: U16::new(port) })
    }

    pack_plain!();
}

impl Address {
    /// No address: zeros.
    pub const NONE: Self = Self { ip: [0; 16], port: U16::ZERO };
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
const _: () = assert!(size_of::<Refusal>() == 60);
const _: () = assert!(offset_of!(Refusal, status) == offset_of!(ResponsePayload, status));
const _: () =
    assert!(offset_of!(Refusal, session_index) == offset_of!(ResponsePayload, session_index));

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
        stream_window_log2: 16,
        reserved: 0,
        max_message: U32::from_bytes([0, 0, 0, 1]),
        receive_window: U64::from_bytes([0, 0, 0, 2, 0, 0, 0, 0]),
    };
    const PARAMETER_BYTES: [u8; 28] = [
        1, 0, 0, 0x80, // capabilities
        0xb0, 4, // max_datagram 1200
        0, 1, // max_streams 256
        0x60, 0xea, 0, 0, // idle_timeout_ms 60,000
        25, 0, // max_ack_delay_ms
        16, 0, // stream_window 65,536, reserved
        0, 0, 0, 1, // max_message 16 MiB
        0, 0, 0, 2, 0, 0, 0, 0, // receive_window 32 MiB
    ];

    #[test]
    fn any_stream_window_is_taken_for_one_that_is_possible() {
        let window =
            |stream_window_log2| Parameters { stream_window_log2, ..PARAMETERS }.stream_window();
        assert_eq!(
            [0, 6, 7, 16, 30, 31, 255].map(window),
            [64, 64, 128, 65_536, 1 << 30, 1 << 30, 1 << 30]
        );
    }

    #[test]
    fn payloads_are_laid_out_as_documented() {
        let request = RequestPayload::new([0x99; 32], 0x0102, 0x0304, PARAMETERS);
        let start =
            [&[0x99; 32][..], &[2, 1, 0, 0, 0, 0, 0, 0], &[4, 3, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(request.as_bytes(), [&start[..], &PARAMETER_BYTES, &[0; 20]].concat());

        let observed: SocketAddr = "192.0.2.7:4263".parse().expect("an address");
        let response = ResponsePayload::new(0x0102, PARAMETERS, observed, 0x0807_0605);
        let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7, 0xa7, 0x10];
        let start = [&[2, 1, 0, 0, 0, 0, 0, 0][..], &PARAMETER_BYTES].concat();
        assert_eq!(response.as_bytes(), [&start[..], &address, &[5, 6, 7, 8, 0, 0]].concat());
    }

    #[test]
    fn a_refusal_is_laid_out_as_documented() {
        let refusal = Refusal::new(ResponseStatus::Parted, 0x0102, "h\u{e9}");
        let reason = [&[3, b'h', 0xc3, 0xa9][..], &[0; 37]].concat();
        let bytes = [&[0; 8][..], &[2, 1], &reason, &[0; 3], &[0; 4], &[3, 0]].concat();
        assert_eq!(refusal.as_bytes(), bytes);
        assert_eq!(refusal.reason(), "h\u{e9}");
        let (payload, _) = ResponsePayload::read_from_prefix(&bytes).expect("of the same length");
        assert_eq!(payload.status(), Some(ResponseStatus::Parted));
        assert_eq!(ResponseStatus::from_u8(4), None);
        for status in (0..4).filter_map(ResponseStatus::from_u8) {
            assert_eq!(ResponseStatus::from_u8(status.to_u8()), Some(status));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters_and_a_bad_one_is_none() {
        let long = "\u{e9}".repeat(30);
        assert_eq!(Refusal::new(ResponseStatus::Full, 0, &long).reason(), &long[..40]);
        assert_eq!(
            Refusal::new(ResponseStatus::Full, 0, &std::format!("x{long}")).reason().len(),
            39
        );
        for (len, byte) in [(41, b'x'), (1, 0xff)] {
            let mut refusal = Refusal::new(ResponseStatus::Full, 0, "");
            (refusal.reason_len, refusal.reason[0]) = (len, byte);
            assert_eq!(refusal.reason(), "");
        }
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
