//! Requests that pass the first check, as anyone can make them who knows the server's key.

use blake2::digest::{Digest, KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac256};
use handfast_core::{Endpoint, Identity, Instant, PeerId, Target, ValidConfig};
use handfast_sim::Rng;

/// Makes requests to one server.
pub(super) struct Forge {
    key: [u8; 32],
    genuine: Vec<Vec<u8>>,
}

impl Forge {
    /// Knows the server's key, and prepares `count` requests that are genuine throughout: each by
    /// an identity of its own.
    pub(super) fn new(server: PeerId, count: usize, rng: &mut Rng) -> Self {
        let mut hash = Blake2s256::new();
        hash.update(b"handfast/1 request mac");
        hash.update(server.as_bytes());
        // The application and the network secret of those who have none.
        hash.update([0; 16 + 32]);
        let genuine = (0..count).map(|_| request(server, rng)).collect();
        Self { key: hash.finalize().into(), genuine }
    }

    /// Copies a genuine request.
    pub(super) fn genuine(&self, rng: &mut Rng, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.genuine[rng.index(self.genuine.len())]);
    }

    /// Makes a request that has a valid MAC and nonsense behind it: the server cannot tell before
    /// a Diffie-Hellman exchange.
    pub(super) fn nonsense(&self, rng: &mut Rng, out: &mut Vec<u8>) {
        self.genuine(rng, out);
        out[SENDER_INDEX..SENDER_INDEX + 4].copy_from_slice(&rng.bytes()[..4]);
        out[EPHEMERAL..EPHEMERAL + 32].copy_from_slice(&rng.bytes());
        let (covered, mac) = out.split_last_chunk_mut::<16>().expect("a request has a MAC");
        mac.copy_from_slice(&self.mac(covered));
    }

    fn mac(&self, bytes: &[u8]) -> [u8; 16] {
        let mut mac = Blake2sMac256::new((&self.key).into());
        mac.update(bytes);
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        *full.first_chunk().expect("32 bytes")
    }
}

/// What an endpoint says first when it dials.
fn request(server: PeerId, rng: &mut Rng) -> Vec<u8> {
    let now = Instant::from_micros(1);
    let identity = Identity::from_seed(rng.bytes());
    let mut endpoint = Endpoint::new(ValidConfig::default(), identity, rng.bytes(), now);
    let anywhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    endpoint.connect(now, Target::new(server, [anywhere])).expect("a dial");
    let mut buffer = [0; 2048];
    let transmit = endpoint.poll_transmit(now, &mut buffer).expect("a request");
    buffer[..transmit.len].to_vec()
}

/// Where the fields of a request stand.
const SENDER_INDEX: usize = 4;
const EPHEMERAL: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::Origin;

    /// The server gets past the MAC of both kinds: it answers the one and fails to open the other.
    #[test]
    fn what_is_forged_passes_the_first_check() {
        let (now, mut rng) = (Instant::from_micros(1), Rng::from_seed(1));
        let identity = Identity::from_seed([1; 32]);
        let mut server = Endpoint::new(ValidConfig::default(), identity, [2; 32], now);
        let forge = Forge::new(server.id(), 1, &mut rng);
        let origin = Origin::from_remote(([127, 1, 2, 3], 4).into());
        let (mut genuine, mut nonsense) = (Vec::new(), Vec::new());
        forge.genuine(&mut rng, &mut genuine);
        forge.nonsense(&mut rng, &mut nonsense);
        assert_ne!(genuine, nonsense);
        server.handle_datagram(now, origin, &mut nonsense);
        assert_eq!((server.drops().authentication, server.drops().bad_mac), (1, 0));
        assert!(server.poll_transmit(now, &mut [0; 2048]).is_none());
        server.handle_datagram(now, origin, &mut genuine);
        assert!(server.poll_transmit(now, &mut [0; 2048]).is_some(), "{:?}", server.drops());
    }
}
