//! What a handshake leads to.

use crate::context::Context;
use crate::crypto::backend::Suite;
use crate::crypto::noise::Split;
use crate::crypto::schedule::{Role, SessionSecrets};
use crate::net::Via;
use crate::wire::Parameters;

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
}

/// The cipher of a session: AES where both ends have it in hardware.
fn suite(cx: &Context, parameters: &Parameters) -> Suite {
    if cx.config.aes_hardware && parameters.offers(Parameters::AES_HARDWARE) {
        Suite::Aes256Gcm
    } else {
        Suite::ChaCha20Poly1305
    }
}
