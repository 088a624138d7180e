//! What a handshake leads to.

use zerocopy::IntoBytes;

use super::packet::PacketBuffer;
use crate::context::Context;
use crate::crypto::backend::Suite;
use crate::crypto::backend::active::AeadKey;
use crate::crypto::noise::Split;
use crate::crypto::schedule::{Role, SessionSecrets};
use crate::disconnect::DisconnectReason;
use crate::net::Via;
use crate::wire::{Frame, PacketNumber, Parameters, SEALED_HEADER_LEN, SealedHeader};

/// Names the states of both ends about each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) ours: u64,
    pub(crate) theirs: u64,
}

/// What the two ends sent each other in a handshake, and what carried it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) local_index: u32,
    pub(crate) remote_index: u32,
    pub(crate) initiated_by_us: bool,
    /// What both ends told each other to name their state: ours and the peer's.
    pub(crate) incarnations: Pair,
    pub(crate) parameters: Parameters,
    /// The credit that was granted to the peer.
    pub(crate) granted: u64,
    pub(crate) via: Via,
    /// The peer has shown that it is at the far end of `via`: it answered what was sent there.
    pub(crate) is_there: bool,
}

/// The outcome of a handshake, whoever began it.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) terms: Terms,
    pub(crate) secrets: SessionSecrets,
    pub(crate) key_id: u64,
}

impl Established {
    /// The outcome of a handshake that ended with `split`.
    pub(crate) fn new(cx: &mut Context, split: &Split, terms: Terms) -> Self {
        let role = if terms.initiated_by_us { Role::Initiator } else { Role::Responder };
        let suite = suite(cx, &terms.parameters);
        let secrets = SessionSecrets::from_split(split, suite, role);
        Self { terms, secrets, key_id: cx.key_id() }
    }

    /// Writes the only packet that this end ever sends under the keys: the handshake comes to nothing. `None`
    /// if the buffer is too short.
    pub(crate) fn write_goodbye<'b>(
        &self,
        reason: &DisconnectReason,
        buffer: &'b mut [u8],
    ) -> Option<&'b [u8]> {
        let mut packet = PacketBuffer::new(buffer, 0)?;
        let (code, reason) = (reason.code, &reason.reason);
        let mut writer = packet.frames();
        if !(Frame::Disconnect { complete: false, code, reason }).encode(&mut writer) {
            return None;
        }
        let len = writer.position();
        let packet = packet.into_packet(len);
        let (head, rest) = packet.split_at_mut(SEALED_HEADER_LEN);
        let (body, tag) = rest.split_at_mut(len);
        let number = PacketNumber::new(0, 0)?;
        head.copy_from_slice(SealedHeader::new(self.terms.remote_index, number).as_bytes());
        let keys = &self.secrets.keys;
        tag.copy_from_slice(&AeadKey::new(keys.suite, &keys.send).seal(
            number.to_u64(),
            head,
            body,
        ));
        Some(packet)
    }
}

/// The cipher of a session: AES where both ends have it in hardware.
fn suite(cx: &Context, parameters: &Parameters) -> Suite {
    if cx.config.aes_hardware && parameters.offers(Parameters::AES_HARDWARE) {
        Suite::Aes256Gcm
    } else {
        Suite::ChaCha20Poly1305
    }
}
