//! The packets of the handshake: bytes with names. What they mean is the business of `crypto`.

mod payload;

use core::mem::offset_of;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::kind;
use super::preamble::{Layout, Preamble};

pub use payload::{
    Address, MAX_REFUSAL_REASON, Parameters, Refusal, RequestPayload, ResponsePayload,
    ResponseStatus,
};

/// The length of a message authentication code.
pub const MAC_LEN: usize = 16;
/// The length of a [`HandshakeRequest`]'s sealed [`RequestPayload`].
pub const REQUEST_CIPHERTEXT_LEN: usize = size_of::<RequestPayload>() + super::TAG_LEN;
/// The length of a [`HandshakeResponse`]'s sealed [`ResponsePayload`].
pub const RESPONSE_CIPHERTEXT_LEN: usize = size_of::<ResponsePayload>() + super::TAG_LEN;

/// Asks for the key behind an address, for an initiator who knows nothing else.
///
/// As large as a [`HandshakeRequest`], so that its answer amplifies nothing.
#[derive(Clone, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct KeyRequest {
    preamble: Preamble,
    /// The index that the answer is to carry.
    pub sender_index: U32,
    /// Random: the answer proves that its sender read it.
    pub nonce: [u8; 16],
    /// Proof that the initiator knows the network secret and the application id.
    pub network_mac: [u8; MAC_LEN],
    padding: [u8; 200],
}

impl KeyRequest {
    /// A request without its MAC.
    #[must_use]
    pub fn new(sender_index: u32, nonce: [u8; 16]) -> Self {
        Self {
            preamble: Preamble::new(kind::KEY_REQUEST),
            sender_index: sender_index.into(),
            nonce,
            network_mac: [0; MAC_LEN],
            padding: [0; 200],
        }
    }

    /// What `network_mac` covers: the 24 bytes before it. Those behind it are zero.
    #[must_use]
    pub fn authenticated(&self) -> &[u8] {
        &self.as_bytes()[..offset_of!(Self, network_mac)]
    }
}

/// Opens a handshake: the first message of Noise IKpsk2.
#[derive(Clone, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct HandshakeRequest {
    preamble: Preamble,
    /// The initiator's index of the session to be.
    pub sender_index: U32,
    /// The cookie of a [`HandshakeRetry`], or [`Cookie::NONE`].
    pub cookie: Cookie,
    reserved: [u8; 4],
    /// The initiator's ephemeral X25519 key.
    pub ephemeral: [u8; 32],
    /// The initiator's static X25519 key, sealed.
    pub static_ciphertext: [u8; 48],
    /// The [`RequestPayload`], sealed.
    pub payload_ciphertext: [u8; REQUEST_CIPHERTEXT_LEN],
    /// Shows that the initiator knows the responder's key, the network secret and the application id.
    pub mac: [u8; MAC_LEN],
}

impl HandshakeRequest {
    /// A request with its prologue filled in and everything behind it zero.
    #[must_use]
    pub fn new(sender_index: u32, cookie: Cookie) -> Self {
        Self {
            preamble: Preamble::new(kind::HANDSHAKE_REQUEST),
            sender_index: sender_index.into(),
            cookie,
            reserved: [0; 4],
            ephemeral: [0; 32],
            static_ciphertext: [0; 48],
            payload_ciphertext: [0; REQUEST_CIPHERTEXT_LEN],
            mac: [0; MAC_LEN],
        }
    }

    /// The part before the Noise message, which the Noise prologue binds.
    #[must_use]
    pub fn prologue(&self) -> &[u8; offset_of!(Self, ephemeral)] {
        self.as_bytes().first_chunk().expect("a request is longer than its prologue")
    }

    /// What `mac` covers: everything before it.
    #[must_use]
    pub fn authenticated(&self) -> &[u8] {
        &self.as_bytes()[..offset_of!(Self, mac)]
    }
}

/// Completes a handshake: the second message of Noise IKpsk2.
#[derive(Clone, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct HandshakeResponse {
    preamble: Preamble,
    /// The initiator's index, from its request.
    pub receiver_index: U32,
    /// The responder's index of the same session.
    pub sender_index: U32,
    reserved: [u8; 4],
    /// The responder's ephemeral X25519 key.
    pub ephemeral: [u8; 32],
    /// The [`ResponsePayload`], sealed.
    pub payload_ciphertext: [u8; RESPONSE_CIPHERTEXT_LEN],
    /// Proof, cheap to check, that the responder read the request.
    pub mac: [u8; MAC_LEN],
}

impl HandshakeResponse {
    /// A response with its header filled in and everything behind it zero.
    #[must_use]
    pub fn new(receiver_index: u32, sender_index: u32) -> Self {
        Self {
            preamble: Preamble::new(kind::HANDSHAKE_RESPONSE),
            receiver_index: receiver_index.into(),
            sender_index: sender_index.into(),
            reserved: [0; 4],
            ephemeral: [0; 32],
            payload_ciphertext: [0; RESPONSE_CIPHERTEXT_LEN],
            mac: [0; MAC_LEN],
        }
    }

    /// What `mac` covers: everything before it.
    #[must_use]
    pub fn authenticated(&self) -> &[u8] {
        &self.as_bytes()[..offset_of!(Self, mac)]
    }
}

/// Asks an initiator to send a request with a cookie, and may disclose the key that it asked for.
#[derive(Clone, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct HandshakeRetry {
    preamble: Preamble,
    /// The initiator's index, from its request.
    pub receiver_index: U32,
    /// What to put into the next request.
    pub cookie: Cookie,
    identity: [u8; 32],
    reserved: [u8; 4],
    /// Proof that the sender read the request this answers.
    pub mac: [u8; MAC_LEN],
}

impl HandshakeRetry {
    /// A retry without its MAC. `identity` is the responder's Ed25519 key, `None` to hide it.
    #[must_use]
    pub fn new(receiver_index: u32, cookie: Cookie, identity: Option<[u8; 32]>) -> Self {
        Self {
            preamble: Preamble::new(kind::HANDSHAKE_RETRY),
            receiver_index: receiver_index.into(),
            cookie,
            identity: identity.unwrap_or([0; 32]),
            reserved: [0; 4],
            mac: [0; MAC_LEN],
        }
    }

    /// The responder's Ed25519 key, unchecked, if it was disclosed.
    #[must_use]
    pub fn identity(&self) -> Option<&[u8; 32]> {
        Some(&self.identity).filter(|identity| **identity != [0; 32])
    }

    /// What `mac` covers: everything before it.
    #[must_use]
    pub fn authenticated(&self) -> &[u8] {
        &self.as_bytes()[..offset_of!(Self, mac)]
    }
}

/// Proof that an initiator receives what is sent to its address.
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
pub struct Cookie {
    /// When it was made, in seconds of the responder's clock.
    pub time: U32,
    /// The responder's MAC over the initiator's origin, the time and the initiator's index.
    pub mac: [u8; MAC_LEN],
}

impl Cookie {
    /// Stands where there is no cookie: all zero.
    pub const NONE: Self = Self { time: U32::ZERO, mac: [0; MAC_LEN] };

    /// Whether this is [`NONE`](Self::NONE).
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl Layout for KeyRequest {
    fn reserved_is_zero(&self) -> bool {
        self.preamble.reserved_is_zero() && self.padding == [0; 200]
    }
}

impl Layout for HandshakeRequest {
    fn reserved_is_zero(&self) -> bool {
        self.preamble.reserved_is_zero() && self.reserved == [0; 4]
    }
}

impl Layout for HandshakeResponse {
    fn reserved_is_zero(&self) -> bool {
        self.preamble.reserved_is_zero() && self.reserved == [0; 4]
    }
}

impl Layout for HandshakeRetry {
    fn reserved_is_zero(&self) -> bool {
        self.preamble.reserved_is_zero() && self.reserved == [0; 4]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Packet;
    use super::*;
    use std::vec::Vec;

    /// `value` repeated over a field of `len` bytes.
    fn field(value: u8, len: usize) -> Vec<u8> {
        std::vec![value; len]
    }

    const COOKIE: Cookie = Cookie { time: U32::from_bytes([1, 2, 3, 4]), mac: [0xcc; 16] };

    #[test]
    fn a_key_request_is_laid_out_as_documented() {
        let mut request = KeyRequest::new(0xd4c3_b2a1, [0x11; 16]);
        request.network_mac = [0x22; 16];
        let covered = [&[0xc0, 6, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4][..], &field(0x11, 16)].concat();
        let bytes = [covered.clone(), field(0x22, 16), field(0, 200)].concat();
        assert_eq!(request.as_bytes(), bytes);
        let Ok(Packet::KeyRequest(parsed)) = Packet::parse(&bytes) else { panic!("{bytes:?}") };
        assert_eq!(parsed.authenticated(), covered);
    }

    #[test]
    fn a_handshake_request_is_laid_out_as_documented() {
        let mut request = HandshakeRequest::new(0xd4c3_b2a1, COOKIE);
        request.ephemeral = [0xee; 32];
        request.static_ciphertext = [0x55; 48];
        request.payload_ciphertext = [0x66; 112];
        request.mac = [0x77; 16];
        let start = [0xc1, 6, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4, 1, 2, 3, 4];
        let prologue = [&start[..], &field(0xcc, 16), &[0; 4]].concat();
        let noise = [field(0xee, 32), field(0x55, 48), field(0x66, 112)].concat();
        let bytes = [prologue.clone(), noise, field(0x77, 16)].concat();
        assert_eq!(request.as_bytes(), bytes);
        let Ok(Packet::HandshakeRequest(parsed)) = Packet::parse(&bytes) else {
            panic!("{bytes:?}")
        };
        assert_eq!(parsed.prologue()[..], prologue);
        assert_eq!(parsed.authenticated(), &bytes[..224]);
    }

    #[test]
    fn a_handshake_response_is_laid_out_as_documented() {
        let mut response = HandshakeResponse::new(0xd4c3_b2a1, 0x1413_1211);
        response.ephemeral = [0xee; 32];
        response.payload_ciphertext = [0x66; 76];
        response.mac = [0x77; 16];
        let header = [0xc2, 6, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4, 0x11, 0x12, 0x13, 0x14, 0, 0, 0, 0];
        let bytes = [&header[..], &field(0xee, 32), &field(0x66, 76), &field(0x77, 16)].concat();
        assert_eq!(response.as_bytes(), bytes);
        let Ok(Packet::HandshakeResponse(parsed)) = Packet::parse(&bytes) else {
            panic!("{bytes:?}")
        };
        assert_eq!(parsed.authenticated(), &bytes[..124]);
    }

    #[test]
    fn a_handshake_retry_is_laid_out_as_documented() {
        let mut retry = HandshakeRetry::new(0xd4c3_b2a1, COOKIE, Some([0x99; 32]));
        retry.mac = [0x77; 16];
        let start = [0xc3, 6, 0, 0, 0xa1, 0xb2, 0xc3, 0xd4, 1, 2, 3, 4];
        let covered = [&start[..], &field(0xcc, 16), &field(0x99, 32), &[0; 4]].concat();
        let bytes = [covered.clone(), field(0x77, 16)].concat();
        assert_eq!(retry.as_bytes(), bytes);
        let Ok(Packet::HandshakeRetry(parsed)) = Packet::parse(&bytes) else { panic!("{bytes:?}") };
        assert_eq!(parsed.authenticated(), covered);
        assert_eq!(parsed.identity(), Some(&[0x99; 32]));
        assert_eq!(HandshakeRetry::new(1, COOKIE, None).identity(), None);
    }

    #[test]
    fn a_cookie_of_any_set_byte_is_a_cookie() {
        assert!(Cookie::NONE.is_none() && Cookie::default().is_none());
        assert!(!Cookie { time: 1.into(), ..Cookie::NONE }.is_none());
        assert!(!COOKIE.is_none());
    }
}
