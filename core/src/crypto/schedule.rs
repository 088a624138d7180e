//! From the handshake to the keys of a session, and from one generation of keys to the next.
//!
//! Both are HKDF (RFC 5869) on BLAKE2s. A rekey mixes a fresh X25519 secret into a secret that only
//! the two ends of the session have: it needs no identities, and someone who once learned the keys
//! loses track at the next rekey.

use core::fmt;

use zeroize::Zeroizing;

use super::backend::{Suite, active::SecretKey};
use super::hash::{Secret, expand, hmac};
use super::noise::Split;

use crate::pack::pack;

/// Which end of an exchange, handshake or rekey, one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sent the request.
    Initiator,
    /// Answered it.
    Responder,
}

/// The keys that seal packets, unexpanded: what an idle peer keeps.
pub(crate) struct SessionKeys {
    pub(crate) suite: Suite,
    pub(crate) send: Secret,
    pub(crate) receive: Secret,
}

pack!(SessionKeys: suite, send, receive);

/// Everything one generation of a session's keys consists of.
pub(crate) struct SessionSecrets {
    pub(crate) keys: SessionKeys,
    /// What the next generation grows from; it opens no packet.
    pub(crate) rekey: Secret,
}

pack!(SessionSecrets: keys, rekey);

impl SessionSecrets {
    /// The first generation.
    pub(crate) fn from_split(split: &Split, suite: Suite, role: Role) -> Self {
        let both = both(&split.initiator, &split.responder);
        let rekey = expand(&both, [REKEY, split.transcript.hash()]);
        Self { keys: data_keys(&split.initiator, &split.responder, suite, role), rekey }
    }

    /// The next generation. `role` is that of the rekey, whatever it was in the handshake.
    ///
    /// `None` if `remote` is not a usable X25519 key.
    pub(crate) fn rekey(
        &self,
        role: Role,
        ephemeral: &SecretKey,
        remote: &[u8; 32],
    ) -> Option<Self> {
        let shared = ephemeral.agree(remote)?;
        let local = ephemeral.public();
        let (initiator, responder) = match role {
            Role::Initiator => (&local, remote),
            Role::Responder => (remote, &local),
        };
        let root = rekey_root(&self.rekey, &shared, initiator, responder);
        let initiator = expand(&root, [REKEY_INITIATOR, &[]]);
        let responder = expand(&root, [REKEY_RESPONDER, &[]]);
        let rekey = expand(&root, [REKEY_NEXT, &[]]);
        Some(Self { keys: data_keys(&initiator, &responder, self.keys.suite, role), rekey })
    }
}

impl fmt::Debug for SessionSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSecrets").field("suite", &self.keys.suite).finish_non_exhaustive()
    }
}

/// HKDF-Extract of a rekey: the salt is the previous generation's rekey secret.
pub(crate) fn rekey_root(
    previous: &Secret,
    shared: &Secret,
    initiator: &[u8; 32],
    responder: &[u8; 32],
) -> Secret {
    hmac(previous, &[&**shared, initiator, responder])
}

/// The key that seals what the owner of `direction` sends.
pub(crate) fn data_key(direction: &Secret, suite: Suite) -> Secret {
    expand(direction, [DATA, &[suite.id()]])
}

fn data_keys(initiator: &Secret, responder: &Secret, suite: Suite, role: Role) -> SessionKeys {
    let (send, receive) = match role {
        Role::Initiator => (initiator, responder),
        Role::Responder => (responder, initiator),
    };
    SessionKeys { suite, send: data_key(send, suite), receive: data_key(receive, suite) }
}

fn both(initiator: &Secret, responder: &Secret) -> Zeroizing<[u8; 64]> {
    let mut both = Zeroizing::new([0; 64]);
    both[..32].copy_from_slice(&**initiator);
    both[32..].copy_from_slice(&**responder);
    both
}

const DATA: &[u8] = b"handfast/1 data";
const REKEY: &[u8] = b"handfast/1 rekey";
const REKEY_INITIATOR: &[u8] = b"handfast/1 rekey initiator";
const REKEY_RESPONDER: &[u8] = b"handfast/1 rekey responder";
const REKEY_NEXT: &[u8] = b"handfast/1 rekey next";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hash::blake2s;
    use crate::crypto::transcript::Transcript;
    use crate::tests::values::{LOW_ORDER_X25519, assert_wiped, unhex32};
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    fn generation(seed: [u8; 32], suite: Suite, role: Role) -> SessionSecrets {
        let secret = |label: &[u8]| Secret::new(blake2s(&[&seed, label]));
        let split = Split {
            initiator: secret(b"initiator"),
            responder: secret(b"responder"),
            transcript: Transcript::new(seed),
        };
        SessionSecrets::from_split(&split, suite, role)
    }

    fn assert_paired(a: &SessionSecrets, b: &SessionSecrets) {
        assert_eq!(a.keys.send, b.keys.receive);
        assert_eq!(a.keys.receive, b.keys.send);
        assert_eq!(a.rekey, b.rekey);
        assert_eq!(a.keys.suite, b.keys.suite);
    }

    proptest! {
        #[test]
        fn both_ends_agree_through_any_rekeys_and_no_key_ever_comes_back(
            seed: [u8; 32],
            aes: bool,
            rekeys in prop::collection::vec(any::<([u8; 32], [u8; 32], bool)>(), 0..4),
        ) {
            let suite = if aes { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
            let mut a = generation(seed, suite, Role::Initiator);
            let mut b = generation(seed, suite, Role::Responder);
            let mut keys = BTreeSet::new();
            let mut expected = 0;
            for (one, other, a_starts) in rekeys {
                assert_paired(&a, &b);
                keys.extend([*a.keys.send, *a.keys.receive, *a.rekey]);
                expected += 3;
                let (one, other) = (SecretKey::from_bytes(&one), SecretKey::from_bytes(&other));
                let roles = [Role::Initiator, Role::Responder];
                let [role_a, role_b] = if a_starts { roles } else { [roles[1], roles[0]] };
                let next = a.rekey(role_a, &one, &other.public()).expect("a sound key");
                b = b.rekey(role_b, &other, &one.public()).expect("a sound key");
                a = next;
            }
            assert_paired(&a, &b);
            keys.extend([*a.keys.send, *a.keys.receive, *a.rekey]);
            prop_assert_eq!(keys.len(), expected + 3);
        }
    }

    #[test]
    fn the_suite_the_hash_and_the_split_each_change_every_key_they_should() {
        let chacha = generation([1; 32], Suite::ChaCha20Poly1305, Role::Initiator);
        let aes = generation([1; 32], Suite::Aes256Gcm, Role::Initiator);
        let other = generation([2; 32], Suite::ChaCha20Poly1305, Role::Initiator);
        assert_ne!(chacha.keys.send, aes.keys.send);
        assert_ne!(chacha.keys.receive, aes.keys.receive);
        assert_ne!(chacha.keys.send, other.keys.send);
        assert_ne!(chacha.rekey, other.rekey);
    }

    /// The hash of the transcript is no secret: it alone must not decide.
    #[test]
    fn what_later_keys_are_made_of_depends_on_either_half_of_the_split() {
        let rekey = |initiator: u8, responder: u8| {
            let transcript = Transcript::new([7; 32]);
            let [initiator, responder] = [initiator, responder].map(|n| Secret::new([n; 32]));
            let split = Split { initiator, responder, transcript };
            *SessionSecrets::from_split(&split, Suite::Aes256Gcm, Role::Initiator).rekey
        };
        let all: BTreeSet<_> = [rekey(1, 2), rekey(3, 2), rekey(1, 3), rekey(2, 1)].into();
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn a_rekey_with_an_unusable_key_is_refused() {
        let secrets = generation([1; 32], Suite::ChaCha20Poly1305, Role::Initiator);
        let ephemeral = SecretKey::from_bytes(&[3; 32]);
        for point in LOW_ORDER_X25519.map(unhex32) {
            assert!(secrets.rekey(Role::Responder, &ephemeral, &point).is_none());
        }
    }

    #[test]
    fn every_key_of_a_session_is_wiped() {
        let SessionSecrets { keys, rekey } = generation([1; 32], Suite::Aes256Gcm, Role::Initiator);
        let SessionKeys { suite: _, send, receive } = keys;
        [rekey, send, receive].iter().for_each(assert_wiped);
    }

    #[test]
    fn no_key_is_shown() {
        let secrets = generation([1; 32], Suite::Aes256Gcm, Role::Initiator);
        assert_eq!(alloc::format!("{secrets:?}"), "SessionSecrets { suite: Aes256Gcm, .. }");
    }
}
