//! Packets that an attacker without keys can make up from those that it sees.

use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac256, Digest};
use handfast_core::wire::{
    Cookie, HandshakeRetry, Packet, PacketNumber, SealedHeader, UnknownSession,
};

use super::reversed;
use crate::network::Datagram;
use crate::rng::Rng;

/// Rubbish for the session of a sealed packet, with a number near the one that was seen or far off.
pub(super) fn sealed(seen: &Datagram, rng: &mut Rng) -> Option<Datagram> {
    let Ok(Packet::Sealed(header)) = Packet::parse(&seen.bytes) else { return None };
    let counter = header.packet_number().counter();
    let counter = match rng.index(3) {
        0 => counter + 1,
        1 => counter.saturating_add(rng.range(2..=100_000)),
        _ => rng.next_u64() >> 8,
    };
    let path = if rng.index(4) == 0 { rng.next_u64() as u8 } else { header.packet_number().path() };
    let number = PacketNumber::new(path, counter.min((1 << 56) - 1))?;
    let header = SealedHeader::new(header.receiver_index.get(), number);
    let mut bytes = zerocopy::IntoBytes::as_bytes(&header).to_vec();
    bytes.extend((0..rng.range(17..=200)).map(|_| rng.next_u64() as u8));
    Some(Datagram { bytes, ..seen.clone() })
}

/// An answer to what was seen: "session unknown" to a sealed packet, "come again" or another
/// handshake's response to a request.
pub(super) fn answer(seen: &Datagram, kept: &[Datagram], rng: &mut Rng) -> Option<Datagram> {
    let bytes = match Packet::parse(&seen.bytes).ok()? {
        Packet::Sealed(header) => {
            zerocopy::IntoBytes::as_bytes(&UnknownSession::new(header)).to_vec()
        }
        Packet::KeyRequest(request) => retry(request.sender_index.get(), &request.nonce, rng),
        Packet::HandshakeRequest(request) => {
            let response = |kept: &&Datagram| {
                matches!(Packet::parse(&kept.bytes), Ok(Packet::HandshakeResponse(_)))
            };
            match kept.iter().find(response).filter(|_| rng.index(2) == 0) {
                Some(other) => {
                    let mut bytes = other.bytes.clone();
                    bytes[4..8].copy_from_slice(&request.sender_index.get().to_le_bytes());
                    bytes
                }
                None => retry(request.sender_index.get(), &request.mac, rng),
            }
        }
        _ => return None,
    };
    Some(reversed(seen, bytes))
}

/// A retry with a cookie that the responder will not know, and a key that is none.
fn retry(index: u32, proof: &[u8; 16], rng: &mut Rng) -> Vec<u8> {
    let [a, b] = [rng.next_u64(), rng.next_u64()];
    let mut mac = [0; 16];
    mac[..8].copy_from_slice(&a.to_le_bytes());
    mac[8..].copy_from_slice(&b.to_le_bytes());
    let cookie = Cookie { time: (a as u32).into(), mac };
    let no_point = [0xff; 32];
    let identity = (rng.index(2) == 0).then_some(no_point);
    let mut retry = HandshakeRetry::new(index, cookie, identity);
    retry.mac = retry_mac(proof, retry.authenticated());
    zerocopy::IntoBytes::as_bytes(&retry).to_vec()
}

/// The MAC of a retry to the packet that carried `proof`, as in section 8 of the protocol.
pub(super) fn retry_mac(proof: &[u8; 16], bytes: &[u8]) -> [u8; 16] {
    let key = Blake2s256::new().chain_update(b"handfast/1 retry mac").chain_update(proof);
    let mut mac = Blake2sMac256::new(&key.finalize());
    mac.update(bytes);
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let mut tag = [0; 16];
    tag.copy_from_slice(&full[..16]);
    tag
}
