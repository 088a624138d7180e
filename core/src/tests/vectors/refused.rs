//! What must be refused: bytes that a careless reader would take.

use alloc::format;
use alloc::string::String;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

use super::Vectors;
use super::script::{IDENTITY_A, NETWORK_SECRET};
use crate::crypto::backend::active::SecretKey;
use crate::wire::{Frames, Packet, PacketError, UnsupportedVersion, VERSION, varint};
use crate::{Identity, PeerId};

/// The prime 2^255 - 19, little endian.
const PRIME: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed;
    bytes[31] = 0x7f;
    bytes
};

/// `PRIME + n`, which is another encoding of `n`.
const fn not_canonical(n: u8) -> [u8; 32] {
    let mut bytes = PRIME;
    bytes[0] += n;
    bytes
}

pub(super) fn examples(vectors: &mut Vectors) {
    peer_ids(vectors);
    texts(vectors);
    shared_secrets(vectors);
    integers(vectors);
    frames(vectors);
    unsupported_version(vectors);
}

fn peer_ids(vectors: &mut Vectors) {
    let torsion = (ED25519_BASEPOINT_POINT + EIGHT_TORSION[1]).compress().to_bytes();
    let no_point = (0..).map(|n| [[n; 1].as_slice(), &[0; 31]].concat());
    let no_point = no_point.map(|bytes| <[u8; 32]>::try_from(bytes).expect("32 bytes"));
    let is_point = |bytes: &[u8; 32]| {
        curve25519_dalek::edwards::CompressedEdwardsY(*bytes).decompress().is_some()
    };
    let no_point = no_point.into_iter().find(|bytes| !is_point(bytes)).expect("every second");
    let mut identity = [0; 32];
    identity[0] = 1;
    for (name, bytes) in [
        ("identity_element", identity),
        ("small_order", EIGHT_TORSION[1].compress().to_bytes()),
        ("torsion", torsion),
        ("not_canonical", not_canonical(3)),
        ("no_point", no_point),
    ] {
        assert!(PeerId::from_bytes(bytes).is_err(), "{name}");
        vectors.hex(&format!("refused.peer_id.{name}"), bytes);
    }
}

/// Forms of a `PeerId` as text.
fn texts(vectors: &mut Vectors) {
    let sound = format!("{}", Identity::from_seed(IDENTITY_A).id());
    let with = |at: usize, c: &str| {
        let mut text = sound.clone();
        text.replace_range(at..=at, c);
        text
    };
    for (name, text) in [
        ("short", String::from(&sound[..51])),
        ("long", format!("{sound}a")),
        ("padded", format!("{sound}====")),
        ("foreign_character", with(0, "1")),
        ("unused_bits", with(51, "r")),
    ] {
        assert!(text.parse::<PeerId>().is_err(), "{name}");
        vectors.text(&format!("refused.peer_id.{name}.text"), text);
    }
}

/// Public X25519 keys with which nothing is agreed, whatever the secret.
fn shared_secrets(vectors: &mut Vectors) {
    let secret = SecretKey::from_bytes(&NETWORK_SECRET);
    let (mut one, mut above) = ([0; 32], Identity::from_seed(IDENTITY_A).id().x25519());
    one[0] = 1;
    above[31] |= 0x80;
    let order_8 = EIGHT_TORSION[1].to_montgomery().to_bytes();
    for (name, bytes) in [
        ("zero", [0; 32]),
        ("one", one),
        ("order_8", order_8),
        ("not_canonical", not_canonical(9)),
        ("top_bit", above),
    ] {
        assert!(secret.agree(&bytes).is_none(), "{name}");
        vectors.hex(&format!("refused.x25519.{name}"), bytes);
    }
}

/// Integers that are longer than they need to be, or cut off.
fn integers(vectors: &mut Vectors) {
    for (name, bytes) in [
        ("zero_in_2", &[0x01, 0][..]),
        ("63_in_2", &[0xfd, 0]),
        ("64_in_4", &[0x02, 1, 0, 0]),
        ("16384_in_8", &[0x03, 0, 1, 0, 0, 0, 0, 0]),
        ("cut_off", &[0x02, 0, 1]),
    ] {
        assert!(varint::decode(bytes).is_err(), "{name}");
        vectors.hex(&format!("refused.varint.{name}"), bytes);
    }
}

/// Frames that are violations.
fn frames(vectors: &mut Vectors) {
    for (name, bytes) in [
        ("disconnect_flags", &[0x06, 0x02, 0, 0, 0][..]),
        ("disconnect_not_utf8", &[0x06, 0, 0, 0, 1, 0xff]),
        ("order", &[0x23, 0, 0, 0]),
        ("ack_below_zero", &[0x03, 0, 0x04, 0, 0, 0x08]),
        ("fragment_empty", &[0x30, 0, 0, 0x11, 0x10, 0, 0]),
        ("channel", &[0x0f, 0x02, 0, 0x04, 0, 0]),
        ("forward_too_short", &[&[0x10, 0x30][..], &[0; 64], &[0xc6; 15]].concat()),
        ("candidates_too_many", &[&[0x12, 0, 0, 0, 17][..], &[0; 17 * 19]].concat()),
        ("route_life", &route_life()),
        ("unknown_type", &[0x1f]),
    ] {
        assert!(Frames::new(bytes).any(|frame| frame.is_err()), "{name}");
        vectors.hex(&format!("refused.frame.{name}"), bytes);
    }
}

/// A claim that lives for longer than an hour.
fn route_life() -> [u8; 119] {
    let mut bytes = [0; 119];
    bytes[0] = 0x16;
    bytes[45..47].copy_from_slice(&3601_u16.to_le_bytes());
    bytes
}

/// The answer to a request of another version, and a request that gets it.
fn unsupported_version(vectors: &mut Vectors) {
    use zerocopy::IntoBytes;
    let mut request = [0; 240];
    request[..8].copy_from_slice(&[0xc1, VERSION + 1, 0, 0, 0x44, 0x33, 0x22, 0x11]);
    assert_eq!(Packet::parse(&request).err(), Some(PacketError::UnknownVersion));
    let index = crate::wire::request_of_another_version(&request).expect("a request");
    vectors.hex("unsupported_version.request_head", &request[..8]);
    vectors.hex("unsupported_version.packet", UnsupportedVersion::new(index).as_bytes());
}
