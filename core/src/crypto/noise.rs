//! `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s` (the Noise Protocol Framework, revision 34), both sides.
//!
//! Our own rather than a library's for two properties: reading never changes the reader (a forged
//! message costs its sender a packet and us nothing), and every key is wiped when dropped.
//!
//! In this pattern every key that encrypts does so exactly once, so the nonce is always 0 and no
//! counter is kept. An initiator must therefore never make two messages with one ephemeral key.

use super::TAG;
use super::backend::{AeadKey, Suite, active::SecretKey};
use super::hash::{Secret, blake2s, hkdf2, hkdf3};
use super::transcript::Transcript;

/// What the first message carries besides the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    /// The initiator's ephemeral public key.
    pub(crate) ephemeral: [u8; 32],
    /// The initiator's static public key, encrypted.
    pub(crate) static_ciphertext: [u8; 32 + TAG],
}

/// What a finished handshake leaves.
pub(crate) struct Split {
    /// For what the initiator sends.
    pub(crate) initiator: Secret,
    /// For what the responder sends.
    pub(crate) responder: Secret,
    /// Its hash is the same on both sides and different for every handshake: it names the session.
    pub(crate) transcript: Transcript,
}

/// The initiator's side, after its message and before the answer.
pub(crate) struct Initiation {
    state: Symmetric,
    ephemeral: SecretKey,
}

impl Initiation {
    /// Makes the first message for the owner of `remote`.
    ///
    /// `payload` is the plaintext followed by 16 bytes of room for its tag, and is encrypted in
    /// place. `ephemeral` is fresh for every call. `agree` tells what `local` and `remote` agree on. `None` if `remote` is
    /// not a usable key or `payload` has no room for a tag.
    pub(crate) fn new(
        local: &SecretKey,
        remote: &[u8; 32],
        prologue: &[u8],
        ephemeral: SecretKey,
        payload: &mut [u8],
        agree: impl FnOnce(&[u8; 32]) -> Option<Secret>,
    ) -> Option<(Self, Opening)> {
        let mut state = Symmetric::new(prologue, remote);
        state.mix_ephemeral(&ephemeral.public());
        state.mix_key(&*ephemeral.agree(remote)?);
        let mut static_ciphertext = [0; 32 + TAG];
        static_ciphertext[..32].copy_from_slice(&local.public());
        state.encrypt(&mut static_ciphertext)?;
        state.mix_key(&*agree(remote)?);
        state.encrypt(payload)?;
        let opening = Opening { ephemeral: ephemeral.public(), static_ciphertext };
        Some((Self { state, ephemeral }, opening))
    }

    /// The ephemeral public key of the message that was made.
    pub(crate) fn ephemeral(&self) -> [u8; 32] {
        self.ephemeral.public()
    }

    /// Reads the answer. `payload` is decrypted in place: the plaintext is all but its last 16
    /// bytes. `None` if the answer is not genuine: `payload` is rubbish then, but another answer
    /// can still be read.
    pub(crate) fn finish(
        &self,
        local: &SecretKey,
        psk: &[u8; 32],
        ephemeral: &[u8; 32],
        payload: &mut [u8],
    ) -> Option<Split> {
        let mut state = self.state.clone();
        state.mix_ephemeral(ephemeral);
        state.mix_key(&*self.ephemeral.agree(ephemeral)?);
        state.mix_key(&*local.agree(ephemeral)?);
        state.mix_psk(psk);
        state.decrypt(payload)?;
        Some(state.split())
    }
}

/// The responder's side, after a genuine first message and before the answer.
///
/// Between the two, admission looks at who the initiator is and what it says, and may just drop this.
pub(crate) struct Accepted {
    state: Symmetric,
    remote_static: [u8; 32],
    static_secret: Secret,
    remote_ephemeral: [u8; 32],
}

impl Accepted {
    /// Reads a first message: a pure function of it. `payload` is decrypted in place: the plaintext
    /// is all but its last 16 bytes. `agree` tells what `local` and the initiator's static key agree on. `None` if the
    /// message is not genuine.
    pub(crate) fn read(
        local: &SecretKey,
        prologue: &[u8],
        opening: &Opening,
        payload: &mut [u8],
        agree: impl FnOnce(&[u8; 32]) -> Option<Secret>,
    ) -> Option<Self> {
        let mut state = Symmetric::new(prologue, &local.public());
        state.mix_ephemeral(&opening.ephemeral);
        state.mix_key(&*local.agree(&opening.ephemeral)?);
        let mut static_key = opening.static_ciphertext;
        state.decrypt(&mut static_key)?;
        let (&remote_static, _) = static_key.split_first_chunk()?;
        let static_secret = agree(&remote_static)?;
        state.mix_key(&static_secret);
        state.decrypt(payload)?;
        Some(Self { state, remote_static, static_secret, remote_ephemeral: opening.ephemeral })
    }

    /// The initiator's static key, which it has proved to own.
    pub(crate) const fn remote_static(&self) -> &[u8; 32] {
        &self.remote_static
    }

    /// What the static keys of both agree on.
    pub(crate) const fn static_secret(&self) -> &Secret {
        &self.static_secret
    }

    /// Makes the answer; its ephemeral key is the public half of `ephemeral`.
    ///
    /// `payload` is the plaintext followed by 16 bytes of room for its tag, and is encrypted in
    /// place. `None` if it has no room for a tag.
    pub(crate) fn respond(
        mut self,
        ephemeral: &SecretKey,
        psk: &[u8; 32],
        payload: &mut [u8],
    ) -> Option<Split> {
        self.state.mix_ephemeral(&ephemeral.public());
        self.state.mix_key(&*ephemeral.agree(&self.remote_ephemeral)?);
        self.state.mix_key(&*ephemeral.agree(&self.remote_static)?);
        self.state.mix_psk(psk);
        self.state.encrypt(payload)?;
        Some(self.state.split())
    }
}

/// The `SymmetricState` of Noise, with the cipher key of its `CipherState`.
#[derive(Clone)]
struct Symmetric {
    chaining_key: Secret,
    key: Secret,
    transcript: Transcript,
}

impl Symmetric {
    /// The state both sides start from.
    fn new(prologue: &[u8], responder: &[u8; 32]) -> Self {
        let name = blake2s(&[PROTOCOL]);
        let mut state = Self {
            chaining_key: Secret::new(name),
            key: Secret::default(),
            transcript: Transcript::new(name),
        };
        state.mix_hash(prologue);
        state.mix_hash(responder);
        state
    }

    fn mix_hash(&mut self, data: &[u8]) {
        self.transcript.set(self.transcript.after(data));
        self.record();
    }

    fn mix_key(&mut self, input: &[u8; 32]) {
        [self.chaining_key, self.key] = hkdf2(&self.chaining_key, input);
        self.record();
    }

    /// The psk patterns mix ephemeral keys into the keys too, as the psk alone is not fresh.
    fn mix_ephemeral(&mut self, public: &[u8; 32]) {
        self.mix_hash(public);
        self.mix_key(public);
    }

    fn mix_psk(&mut self, psk: &[u8; 32]) {
        let [chaining_key, hash, key] = hkdf3(&self.chaining_key, psk);
        (self.chaining_key, self.key) = (chaining_key, key);
        self.mix_hash(&*hash);
    }

    /// Encrypts all but the last 16 bytes of `text` in place and puts the tag there.
    fn encrypt(&mut self, text: &mut [u8]) -> Option<()> {
        let (body, tag) = text.split_last_chunk_mut()?;
        *tag = self.cipher().seal(0, self.transcript.hash(), body);
        self.mix_hash(text);
        Some(())
    }

    /// Decrypts all but the last 16 bytes of `text` in place; these are the tag.
    fn decrypt(&mut self, text: &mut [u8]) -> Option<()> {
        let hash = self.transcript.after(text);
        let (body, tag) = text.split_last_chunk_mut()?;
        if !self.cipher().open(0, self.transcript.hash(), body, tag) {
            return None;
        }
        self.transcript.set(hash);
        self.record();
        Some(())
    }

    fn cipher(&self) -> AeadKey {
        AeadKey::new(Suite::ChaCha20Poly1305, &self.key)
    }

    fn split(&self) -> Split {
        let [initiator, responder] = hkdf2(&self.chaining_key, &[]);
        Split { initiator, responder, transcript: self.transcript.clone() }
    }

    fn record(&mut self) {
        self.transcript.record(&self.chaining_key, &self.key);
    }
}

/// The name of the protocol, from which the transcript starts.
const PROTOCOL: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";

#[cfg(test)]
mod tests;
