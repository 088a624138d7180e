//! What a handshake leads to.

use crate::context::Context;
use crate::crypto::backend::Suite;
use crate::crypto::schedule::SessionSecrets;
use crate::net::Via;
use crate::wire::Parameters;

/// The outcome of a handshake, whoever began it.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) local_index: u32,
    pub(crate) remote_index: u32,
    pub(crate) secrets: SessionSecrets,
    pub(crate) key_id: u64,
    pub(crate) initiated_by_us: bool,
    pub(crate) remote_incarnation: u64,
    pub(crate) parameters: Parameters,
    /// The credit that the peer was told.
    pub(crate) granted: u64,
    pub(crate) via: Via,
}

/// The cipher of a session: AES where both ends have it in hardware.
pub(crate) fn suite(cx: &Context, parameters: &Parameters) -> Suite {
    if cx.config.aes_hardware && parameters.offers(Parameters::AES_HARDWARE) {
        Suite::Aes256Gcm
    } else {
        Suite::ChaCha20Poly1305
    }
}
