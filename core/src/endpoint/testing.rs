//! A way for tests to be a peer that holds the keys and lies. Not for production.

use alloc::vec;
use alloc::vec::Vec;

use super::Endpoint;
use super::output::transmit;
use crate::PeerHandle;
use crate::net::{Departure, Transmit, Via};
use crate::session::Distortion;
use crate::time::Instant;
use crate::wire::{PacketNumber, SEALED_HEADER_LEN, TAG_LEN};

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
        let mut packet = unsealed(plaintext);
        let found = self.peers.get_mut(peer)?;
        let via = found.seal_for_test(&mut self.shared, path, &mut packet);
        self.refresh_indices(peer.slot);
        Some((directly(via?, packet.len())?, packet))
    }

    /// The same for a peer that a neighbour's packets reach: the packet alone, for the caller to have carried.
    #[doc(hidden)]
    pub fn seal_carried_for_test(
        &mut self,
        now: Instant,
        peer: PeerHandle,
        path: u8,
        plaintext: &[u8],
    ) -> Option<Vec<u8>> {
        self.touch(now);
        let mut packet = unsealed(plaintext);
        let found = self.peers.get_mut(peer)?;
        let sealed = found.seal_for_test(&mut self.shared, path, &mut packet).map(|_| packet);
        self.refresh_indices(peer.slot);
        sealed
    }

    /// As [`Self::seal_for_test`], under a number of the caller's choice: the session takes no note of it, so that the
    /// peer's acknowledgement of it will be taken for a lie.
    #[doc(hidden)]
    pub fn seal_numbered_for_test(
        &mut self,
        peer: PeerHandle,
        number: PacketNumber,
        plaintext: &[u8],
    ) -> Option<(Transmit, Vec<u8>)> {
        let mut packet = unsealed(plaintext);
        let found = self.peers.get_mut(peer)?;
        let via = found.seal_numbered_for_test(&mut self.shared, number, &mut packet)?;
        Some((directly(via, packet.len())?, packet))
    }

    /// Closes the path with this id, as if it was of no more use. The peer is not told.
    #[doc(hidden)]
    pub fn close_path_for_test(&mut self, peer: PeerHandle, path: u8) {
        self.peers.get_mut(peer).into_iter().for_each(|peer| peer.close_path_for_test(path));
    }

    /// Changes the payload of every handshake from now on, before it is sealed: what an end says of
    /// itself there is no longer true. Zeros are the truth.
    #[doc(hidden)]
    pub fn distort_handshakes_for_test(&mut self, change: [u8; 96]) {
        self.shared.distortion = Distortion(change);
    }
}

/// How a packet of `len` bytes goes to the far end of `via`, if no neighbour carries it.
fn directly(via: Via, len: usize) -> Option<Transmit> {
    let Via::Direct(tuple) = via else { return None };
    Some(transmit(tuple, &Departure::single(via, len)))
}

/// Room for a header, the frames, room for a tag.
fn unsealed(plaintext: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; SEALED_HEADER_LEN];
    packet.extend_from_slice(plaintext);
    packet.resize(packet.len() + TAG_LEN, 0);
    packet
}
