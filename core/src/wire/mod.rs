//! Bytes to types and back: everything that the protocol puts on the wire, and nothing else.
//!
//! A datagram is one packet. Its first byte says which kind, its second the version, and wherever
//! there is a receiver index it stands at offset 4, so that a driver can steer packets to shards
//! without understanding them. Numbers are little endian.
//!
//! | type | packet | bytes | says |
//! |---|---|---|---|
//! | `0xC0` | [`KeyRequest`] | 240 | which key is at this address? |
//! | `0xC1` | [`HandshakeRequest`] | 240 | an initiator asks for a session |
//! | `0xC2` | [`HandshakeResponse`] | 140 | the responder's half of the handshake |
//! | `0xC3` | [`HandshakeRetry`] | 80 | send a request with this cookie; this is my key |
//! | `0xC4` | [`SealedHeader`] | 33 or more | frames, encrypted |
//! | `0xC5` | [`Beacon`] | 72 | to the local network: I am here |
//! | `0xC6` | [`UnknownSession`] | 16 | I do not know the session of that packet |
//! | `0xC7` | [`UnsupportedVersion`] | 8 | I speak another version than that request |
//!
//! The lengths are part of the defence: an answer is never longer than the question, so a forged
//! source address gains an attacker nothing. Lengths are exact and reserved bytes zero outside of
//! what is authenticated, so that a packet has one form and garbage is dropped before it costs
//! anything. Inside of what is authenticated, reserved bytes are ignored: room to grow.
//!
//! Once opened, a sealed packet is a sequence of [`Frame`]s. Here the sender is known and holds a
//! key, so a mistake is not noise but a violation, and [`FrameError`] is the reason that the
//! session ends with. Every frame has one encoding: what parses and is encoded again gives the same
//! bytes.
//!
//! Nothing in this module allocates, panics on input or keeps state. Packets are viewed where they
//! lie; frames borrow from the packet. What a field *means* is decided above.

mod ack;
mod data;
mod error;
mod frame;
mod handshake;
mod packet;
mod preamble;
mod reader;
mod stream;
pub mod varint;
mod writer;

pub use ack::{AckFrame, AckRanges, EcnCounts, MAX_ACK_RANGES, encode_ack};
pub use data::{DataFrame, Fragment, MIN_FRAGMENT};
pub use error::{FrameError, ReadError};
pub use frame::{
    CLAIM_LEN, CandidateEntry, CandidatesFrame, FORWARD_HEADER_LEN, FORWARD_PATH, ForwardFrame,
    Frame, Frames, GivenUpFrame, GivenUpRange, GivenUpRanges, HOP_LIMIT, MAX_CANDIDATES,
    MAX_GIVEN_UP_FURTHER, MAX_GIVEN_UP_RANGES, MAX_REASON_LEN, MAX_ROUTE_LIFE, NO_ROUTE,
    PROBE_FRAMES_LEN, PROBE_PATH, RouteUpdate, encode_given_up,
};
pub use frame::{
    EVERY_DESTINATION, MAX_RETRANSMIT_RANGES, RetransmitFrame, RetransmitRanges, encode_retransmit,
};
pub use handshake::{
    Address, Cookie, HandshakeRequest, HandshakeResponse, HandshakeRetry, KeyRequest, MAC_LEN,
    MAX_REFUSAL_REASON, Parameters, REQUEST_CIPHERTEXT_LEN, RESPONSE_CIPHERTEXT_LEN, Refusal,
    RequestPayload, ResponsePayload, ResponseStatus,
};
pub use packet::{
    BEACON_CONTENT_LEN, Beacon, BeaconContent, MIN_SEALED_LEN, Packet, PacketError, PacketNumber,
    SEALED_HEADER_LEN, SealedHeader, TAG_LEN, UnknownSession, UnsupportedVersion,
    request_of_another_version,
};
pub use reader::Reader;
pub use stream::StreamKey;
pub use writer::Writer;

/// The version of the protocol, the second byte of every packet.
pub const VERSION: u8 = 6;

/// The types of packets, their first byte.
pub mod kind {
    /// A [`super::KeyRequest`].
    pub const KEY_REQUEST: u8 = 0xc0;
    /// A [`super::HandshakeRequest`].
    pub const HANDSHAKE_REQUEST: u8 = 0xc1;
    /// A [`super::HandshakeResponse`].
    pub const HANDSHAKE_RESPONSE: u8 = 0xc2;
    /// A [`super::HandshakeRetry`].
    pub const HANDSHAKE_RETRY: u8 = 0xc3;
    /// A [`super::SealedHeader`] and ciphertext.
    pub const SEALED: u8 = 0xc4;
    /// A [`super::Beacon`].
    pub const BEACON: u8 = 0xc5;
    /// A [`super::UnknownSession`].
    pub const UNKNOWN_SESSION: u8 = 0xc6;
    /// A [`super::UnsupportedVersion`], the same in every version.
    pub const UNSUPPORTED_VERSION: u8 = 0xc7;

    /// The name of a type, as logs show it; `None` if the type is unknown.
    #[must_use]
    pub const fn name(kind: u8) -> Option<&'static str> {
        Some(match kind {
            KEY_REQUEST => "KeyRequest",
            HANDSHAKE_REQUEST => "HandshakeRequest",
            HANDSHAKE_RESPONSE => "HandshakeResponse",
            HANDSHAKE_RETRY => "HandshakeRetry",
            SEALED => "Sealed",
            BEACON => "Beacon",
            UNKNOWN_SESSION => "UnknownSession",
            UNSUPPORTED_VERSION => "UnsupportedVersion",
            _ => return None,
        })
    }
}

const _: () = assert!(size_of::<KeyRequest>() == 240);
const _: () = assert!(size_of::<HandshakeRequest>() == 240);
const _: () = assert!(size_of::<HandshakeResponse>() == 140);
const _: () = assert!(size_of::<HandshakeRetry>() == 80);
const _: () = assert!(SEALED_HEADER_LEN == 16);
const _: () = assert!(size_of::<Beacon>() == 72);
const _: () = assert!(size_of::<UnknownSession>() == 16);
const _: () = assert!(size_of::<UnsupportedVersion>() == 8);
