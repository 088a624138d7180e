//! A way for tests to be a peer that holds the keys and lies. Not for production.

use alloc::vec;
use alloc::vec::Vec;

use super::Endpoint;
use crate::PeerHandle;
use crate::net::Transmit;
use crate::time::Instant;
use crate::wire::{SEALED_HEADER_LEN, TAG_LEN};

impl Endpoint {
    /// Seals any bytes as the frames of the next packet to a peer, on the path with id `path`, and
    /// says where it would go. `None` without a session.
    ///
    /// The packet takes the next number, so that the session goes on as if it were a legal one.
    /// What is in it is not tracked: nothing is repeated when it is lost.
    #[doc(hidden)]
    pub fn seal_for_test(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        path: u8,
        plaintext: &[u8],
    ) -> Option<(Transmit, Vec<u8>)> {
        self.touch(now);
        let mut packet = vec![0; SEALED_HEADER_LEN];
        packet.extend_from_slice(plaintext);
        packet.resize(packet.len() + TAG_LEN, 0);
        let found = self.peers.get_mut(peer)?;
        let route = found.seal_for_test(&mut self.shared, path, &mut packet);
        self.settle(peer.slot);
        Some((route?.transmit(packet.len()), packet))
    }
}
