//! Telling packets apart, and the header of sealed ones.

mod beacon;

pub use beacon::{BEACON_CONTENT_LEN, Beacon, BeaconContent};

use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::handshake::{HandshakeRequest, HandshakeResponse, HandshakeRetry, KeyRequest};
use super::preamble::{Layout, Preamble};
use super::{VERSION, kind};

/// The length of a [`SealedHeader`], after which the ciphertext begins.
pub const SEALED_HEADER_LEN: usize = size_of::<SealedHeader>();
/// The length of the authentication tag that ends a sealed packet.
pub const TAG_LEN: usize = 16;
/// The length of the shortest sealed packet: one byte of frames.
pub const MIN_SEALED_LEN: usize = SEALED_HEADER_LEN + 1 + TAG_LEN;

/// A received datagram, viewed in place. Its form is checked, nothing is authenticated.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// Asks for the key behind an address.
    KeyRequest(&'a KeyRequest),
    /// Opens a handshake.
    HandshakeRequest(&'a HandshakeRequest),
    /// Completes a handshake.
    HandshakeResponse(&'a HandshakeResponse),
    /// Asks the initiator to come again with a cookie.
    HandshakeRetry(&'a HandshakeRetry),
    /// Frames under a session's key: the datagram has at least [`MIN_SEALED_LEN`] bytes.
    Sealed(&'a SealedHeader),
    /// Says who is in the local network.
    Beacon(&'a Beacon),
    /// A sealed packet reached an endpoint that does not know its session.
    UnknownSession(&'a UnknownSession),
    /// A request reached an endpoint that speaks another version.
    UnsupportedVersion(&'a UnsupportedVersion),
}

/// Why a datagram is no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// The first byte names no type of this version.
    UnknownType,
    /// The second byte is not [`VERSION`].
    UnknownVersion,
    /// The length is wrong for the type, or a reserved byte is set.
    Malformed,
}

impl<'a> Packet<'a> {
    /// Recognises `datagram` by its type, then its version, its length and its reserved bytes.
    ///
    /// # Errors
    /// The first of these that is wrong. A datagram that ends before its version is malformed.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let &kind = datagram.first().ok_or(PacketError::Malformed)?;
        match kind {
            kind::UNSUPPORTED_VERSION => return exact(datagram).map(Self::UnsupportedVersion),
            kind::KEY_REQUEST..=kind::UNKNOWN_SESSION => {}
            _ => return Err(PacketError::UnknownType),
        }
        match datagram.get(1) {
            Some(&VERSION) => {}
            Some(_) => return Err(PacketError::UnknownVersion),
            None => return Err(PacketError::Malformed),
        }
        match kind {
            kind::SEALED => sealed(datagram).map(Self::Sealed),
            kind::KEY_REQUEST => exact(datagram).map(Self::KeyRequest),
            kind::HANDSHAKE_REQUEST => exact(datagram).map(Self::HandshakeRequest),
            kind::HANDSHAKE_RESPONSE => exact(datagram).map(Self::HandshakeResponse),
            kind::HANDSHAKE_RETRY => exact(datagram).map(Self::HandshakeRetry),
            kind::BEACON => exact(datagram).map(Self::Beacon),
            kind::UNKNOWN_SESSION => exact(datagram).map(Self::UnknownSession),
            _ => Err(PacketError::UnknownType),
        }
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownType => "unknown packet type",
            Self::UnknownVersion => "unknown protocol version",
            Self::Malformed => "wrong length or a reserved byte is set",
        })
    }
}

impl core::error::Error for PacketError {}

/// The first bytes of a sealed packet, in the clear but authenticated (the AEAD's associated data).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct SealedHeader {
    preamble: Preamble,
    /// The session's index at the receiver.
    pub receiver_index: U32,
    packet_number: U64,
}

impl SealedHeader {
    /// The header of packet `packet_number` to the session that is `receiver_index` over there.
    #[must_use]
    pub fn new(receiver_index: u32, packet_number: PacketNumber) -> Self {
        Self {
            preamble: Preamble::new(kind::SEALED),
            receiver_index: receiver_index.into(),
            packet_number: packet_number.to_u64().into(),
        }
    }

    /// The path and the place of the packet on it.
    #[must_use]
    pub const fn packet_number(&self) -> PacketNumber {
        PacketNumber::from_u64(self.packet_number.get())
    }
}

/// The echo of a sealed packet's header by an endpoint that does not know its session.
///
/// Nothing authenticates it: it may hasten a handshake, never end or change a session.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct UnknownSession {
    preamble: Preamble,
    /// The receiver index that named no session: the *remote* index of the end that gets this packet.
    pub receiver_index: U32,
    packet_number: U64,
}

impl UnknownSession {
    /// The answer to a sealed packet with this header.
    #[must_use]
    pub fn new(header: &SealedHeader) -> Self {
        Self {
            preamble: Preamble::new(kind::UNKNOWN_SESSION),
            receiver_index: header.receiver_index,
            packet_number: header.packet_number,
        }
    }

    /// The number of the packet that was not understood.
    #[must_use]
    pub const fn packet_number(&self) -> PacketNumber {
        PacketNumber::from_u64(self.packet_number.get())
    }
}

/// The answer to a request of another version. Its layout is that of every version to come.
///
/// Nothing authenticates it: it may explain why a handshake came to nothing, never end one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct UnsupportedVersion {
    preamble: Preamble,
    /// The initiator's index, from its request.
    pub receiver_index: U32,
}

impl UnsupportedVersion {
    /// The answer to a request in which the initiator named this index.
    #[must_use]
    pub fn new(receiver_index: u32) -> Self {
        Self {
            preamble: Preamble::new(kind::UNSUPPORTED_VERSION),
            receiver_index: receiver_index.into(),
        }
    }

    /// The version that the sender speaks.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.preamble.version()
    }
}

/// The initiator's index, if `datagram` is a request of a version that is not [`VERSION`]: its type and
/// the place of its index are the same in every version.
#[must_use]
pub fn request_of_another_version(datagram: &[u8]) -> Option<u32> {
    let (head, _) = UnsupportedVersion::ref_from_prefix(datagram).ok()?;
    let is_request =
        matches!(datagram.first(), Some(&(kind::KEY_REQUEST | kind::HANDSHAKE_REQUEST)));
    (is_request && head.version() != VERSION).then(|| head.receiver_index.get())
}

/// Names a sealed packet within its session: the path it travels on and its counter there.
///
/// The number is also the AEAD's nonce, so no two packets under a key may share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketNumber(u64);

impl PacketNumber {
    /// The largest counter, 2^56 - 1.
    pub const MAX_COUNTER: u64 = (1 << 56) - 1;

    /// Packet `counter` of `path`, or `None` above [`MAX_COUNTER`](Self::MAX_COUNTER): a counter
    /// cut to size would repeat a nonce.
    #[must_use]
    pub const fn new(path: u8, counter: u64) -> Option<Self> {
        if counter > Self::MAX_COUNTER {
            return None;
        }
        Some(Self((path as u64) << 56 | counter))
    }

    /// The number as it stands on the wire.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number as it goes on the wire and into the nonce.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The path.
    #[must_use]
    pub const fn path(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// The place on the path, at most [`MAX_COUNTER`](Self::MAX_COUNTER).
    #[must_use]
    pub const fn counter(self) -> u64 {
        self.0 & Self::MAX_COUNTER
    }
}

impl fmt::Display for PacketNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path(), self.counter())
    }
}

impl Layout for SealedHeader {
    fn reserved_is_zero(&self) -> bool {
        self.preamble.reserved_is_zero()
    }
}

impl Layout for UnknownSession {
    fn reserved_is_zero(&self) -> bool {
        self.preamble.reserved_is_zero()
    }
}

impl Layout for UnsupportedVersion {
    fn reserved_is_zero(&self) -> bool {
        self.preamble.reserved_is_zero()
    }
}

fn exact<T: Layout>(datagram: &[u8]) -> Result<&T, PacketError> {
    match T::ref_from_bytes(datagram) {
        Ok(packet) if packet.reserved_is_zero() => Ok(packet),
        _ => Err(PacketError::Malformed),
    }
}

fn sealed(datagram: &[u8]) -> Result<&SealedHeader, PacketError> {
    match datagram.split_at_checked(SEALED_HEADER_LEN) {
        Some((header, _)) if datagram.len() >= MIN_SEALED_LEN => exact(header),
        _ => Err(PacketError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    const FIXED: [(u8, usize); 7] = [
        (kind::KEY_REQUEST, 240),
        (kind::HANDSHAKE_REQUEST, 240),
        (kind::HANDSHAKE_RESPONSE, 140),
        (kind::HANDSHAKE_RETRY, 80),
        (kind::BEACON, 72),
        (kind::UNKNOWN_SESSION, 16),
        (kind::UNSUPPORTED_VERSION, 8),
    ];

    fn blank(kind: u8, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        bytes.iter_mut().zip([kind, VERSION]).for_each(|(byte, value)| *byte = value);
        bytes
    }

    #[test]
    fn only_the_exact_length_of_a_type_parses() {
        for kind in 0..=u8::MAX {
            for len in 1..=512 {
                let fixed = FIXED.iter().find(|(fixed, _)| *fixed == kind);
                let expected = match fixed {
                    Some((_, exact)) => (*exact == len).then_some(()).ok_or(PacketError::Malformed),
                    None if kind == kind::SEALED && len >= 33 => Ok(()),
                    None if kind == kind::SEALED => Err(PacketError::Malformed),
                    None => Err(PacketError::UnknownType),
                };
                let bytes = blank(kind, len);
                assert_eq!(Packet::parse(&bytes).map(|_| ()), expected, "{kind:#x} {len}");
            }
        }
        assert_eq!(Packet::parse(&[]).err(), Some(PacketError::Malformed));
    }

    #[test]
    fn type_is_checked_before_version_and_version_before_length() {
        assert_eq!(Packet::parse(&[0xc8, 1]).err(), Some(PacketError::UnknownType));
        assert_eq!(Packet::parse(&[0xc4, 1]).err(), Some(PacketError::UnknownVersion));
        assert_eq!(Packet::parse(&[0xc4, VERSION]).err(), Some(PacketError::Malformed));
        assert_eq!(Packet::parse(&[0xc4]).err(), Some(PacketError::Malformed));
    }

    #[test]
    fn exactly_the_reserved_bytes_must_be_zero() {
        let reserved: [(u8, usize, &[core::ops::Range<usize>]); 8] = [
            (kind::KEY_REQUEST, 240, &[2..4, 40..240]),
            (kind::HANDSHAKE_REQUEST, 240, &[2..4, 28..32]),
            (kind::HANDSHAKE_RESPONSE, 140, &[2..4, 12..16]),
            (kind::HANDSHAKE_RETRY, 80, &[2..4, 60..64]),
            (kind::SEALED, 33, &[2..4, 0..0]),
            (kind::BEACON, 72, &[2..4, 0..0]),
            (kind::UNKNOWN_SESSION, 16, &[2..4, 0..0]),
            (kind::UNSUPPORTED_VERSION, 8, &[2..4, 0..0]),
        ];
        for (kind, len, ranges) in reserved {
            for at in 2..len {
                let mut bytes = blank(kind, len);
                bytes[at] = 0x80;
                let must_be_zero = ranges.iter().any(|range| range.contains(&at));
                assert_eq!(Packet::parse(&bytes).is_err(), must_be_zero, "{kind:#x} byte {at}");
            }
        }
    }

    #[test]
    fn a_sealed_header_is_laid_out_as_documented() {
        let number = PacketNumber::new(0x21, 0x0807_0605_0403).expect("in range");
        let header = SealedHeader::new(0xd4c3_b2a1, number);
        let bytes = [
            0xc4, 6, 0, 0, // type, version, reserved
            0xa1, 0xb2, 0xc3, 0xd4, // receiver_index
            3, 4, 5, 6, 7, 8, 0, 0x21, // packet_number: counter, path
        ];
        assert_eq!(header.as_bytes(), bytes);
        let datagram = [&bytes[..], &[0xff; 17]].concat();
        let Ok(Packet::Sealed(parsed)) = Packet::parse(&datagram) else { panic!("sealed") };
        assert_eq!(parsed.packet_number(), number);
        assert_eq!(parsed.receiver_index, 0xd4c3_b2a1);
    }

    #[test]
    fn a_hint_echoes_the_header_it_answers() {
        let number = PacketNumber::new(1, 2).expect("in range");
        let hint = UnknownSession::new(&SealedHeader::new(0xd4c3_b2a1, number));
        let bytes = [0xc6, 6, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4, 2, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(hint.as_bytes(), bytes);
        let Ok(Packet::UnknownSession(parsed)) = Packet::parse(&bytes) else { panic!("hint") };
        assert_eq!(parsed.packet_number(), number);
    }

    #[test]
    fn a_request_of_another_version_is_answered_in_a_form_that_every_version_reads() {
        for (kind, index) in [(0xc0, Some(0xd4c3_b2a1)), (0xc1, Some(0xd4c3_b2a1)), (0xc2, None)] {
            for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
                let request =
                    [&[kind, version, 7, 7, 0xa1, 0xb2, 0xc3, 0xd4][..], &[9; 40]].concat();
                assert_eq!(request_of_another_version(&request), index);
                assert_eq!(request_of_another_version(&request[..7]), None);
            }
            let ours = [kind, VERSION, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4];
            assert_eq!(request_of_another_version(&ours), None);
        }
        let answer = UnsupportedVersion::new(0xd4c3_b2a1);
        assert_eq!(answer.as_bytes(), [0xc7, VERSION, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4]);
        for version in 0..=u8::MAX {
            let bytes = [0xc7, version, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4];
            let Ok(Packet::UnsupportedVersion(parsed)) = Packet::parse(&bytes) else { panic!() };
            assert_eq!((parsed.version(), parsed.receiver_index.get()), (version, 0xd4c3_b2a1));
        }
    }

    #[test]
    fn a_counter_that_would_repeat_a_nonce_is_refused() {
        assert!(PacketNumber::new(255, PacketNumber::MAX_COUNTER).is_some());
        for counter in [PacketNumber::MAX_COUNTER + 1, 1 << 63, u64::MAX] {
            assert_eq!(PacketNumber::new(0, counter), None);
        }
    }

    proptest! {
        #[test]
        fn packet_numbers_survive_the_round_trip(
            path: u8,
            counter in 0..=PacketNumber::MAX_COUNTER,
        ) {
            let number = PacketNumber::new(path, counter).expect("in range");
            prop_assert_eq!((number.path(), number.counter()), (path, counter));
            prop_assert_eq!(PacketNumber::from_u64(number.to_u64()), number);
        }

        #[test]
        fn random_datagrams_never_panic(
            kind in 0xbf_u8..=0xc8,
            version in 0_u8..4,
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let datagram = [&[kind, version][..], &rest].concat();
            let _ignored = Packet::parse(&datagram);
            let _ignored = Packet::parse(&rest);
        }
    }
}
