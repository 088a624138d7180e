//! Who a peer is: an Ed25519 key (RFC 8032), whose X25519 form is its static key in the handshake.

use core::fmt;
use core::str::FromStr;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use data_encoding::{BASE32_NOPAD, BASE32_NOPAD_NOCASE};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rand_core::TryCryptoRng;
use zeroize::Zeroizing;

use super::backend::active::SecretKey;
use super::backend::is_canonical;

use crate::pack::pack_as;

/// A peer's public key, and so its name: 32 bytes, shown as 52 characters of lower-case base32.
///
/// Every value is a sound key: one that many secrets fit, that can be written in several ways, or
/// that carries a part outside the prime-order group cannot be made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

pack_as!(PeerId: [u8; 32]);

impl PeerId {
    /// Checks and wraps the 32 bytes of an Ed25519 public key.
    ///
    /// # Errors
    /// [`PeerIdError::NotAKey`] if the bytes are not the canonical encoding of a point of the curve,
    /// [`PeerIdError::Weak`] if the point is not of the large prime order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, PeerIdError> {
        Self::with_point(bytes).map(|(id, _)| id)
    }

    /// The same, with the key's X25519 form: to take the point out of its encoding once gives both.
    pub(crate) fn with_x25519(bytes: [u8; 32]) -> Result<(Self, [u8; 32]), PeerIdError> {
        Self::with_point(bytes).map(|(id, point)| (id, point.to_montgomery().to_bytes()))
    }

    fn with_point(bytes: [u8; 32]) -> Result<(Self, EdwardsPoint), PeerIdError> {
        let mut y = bytes;
        y[31] &= 0x7f;
        // Two points have the same y, one of each sign; but for 1 and -1 x is 0, and has no sign.
        let is_signed_zero = bytes != y && (y == ONE || y == MINUS_ONE);
        if !is_canonical(&y) || is_signed_zero {
            return Err(PeerIdError::NotAKey);
        }
        let point = CompressedEdwardsY(bytes).decompress().ok_or(PeerIdError::NotAKey)?;
        if point.is_identity() || !is_torsion_free(&point) {
            return Err(PeerIdError::Weak);
        }
        Ok((Self(bytes), point))
    }

    /// The identity that somebody claims for another: to be compared with those that were checked, no more.
    pub(crate) const fn claimed(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether its owner signed these bytes. Also `false` if it is no sound key, as one that somebody claims may be.
    pub(crate) fn has_signed(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let key = Self::from_bytes(self.0).ok().and_then(|id| VerifyingKey::from_bytes(&id.0).ok());
        let signature = Signature::from_bytes(signature);
        key.is_some_and(|key| key.verify_strict(bytes, &signature).is_ok())
    }

    /// The X25519 (Montgomery) form: the peer's static key in the handshake.
    pub(crate) fn x25519(&self) -> [u8; 32] {
        let point = CompressedEdwardsY(self.0).decompress().expect("checked when made");
        point.to_montgomery().to_bytes()
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; TEXT];
        BASE32_NOPAD.encode_mut(&self.0, &mut text);
        text.make_ascii_lowercase();
        f.pad(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    /// Reads the 52 characters of base32, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        let is_foreign = |c: char| !matches!(c, 'a'..='z' | 'A'..='Z' | '2'..='7');
        if let Some(position) = text.chars().position(is_foreign) {
            return Err(PeerIdError::BadCharacter { position });
        }
        if text.len() != TEXT {
            return Err(PeerIdError::WrongLength { length: text.len() });
        }
        let mut bytes = [0; 32];
        // What is left to go wrong: the last character holds more bits than the key has.
        BASE32_NOPAD_NOCASE
            .decode_mut(text.as_bytes(), &mut bytes)
            .map_err(|partial| PeerIdError::BadCharacter { position: partial.error.position })?;
        Self::from_bytes(bytes)
    }
}

/// Why something is not a [`PeerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerIdError {
    /// The text has another length than 52 characters.
    WrongLength {
        /// Its length.
        length: usize,
    },
    /// A character cannot stand where it stands.
    BadCharacter {
        /// Its position, counted in characters from 0.
        position: usize,
    },
    /// The bytes are not the canonical encoding of an Ed25519 public key.
    NotAKey,
    /// The bytes are a key, but one that is not safe to use: no key pair made properly has it.
    Weak,
}

impl fmt::Display for PeerIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongLength { length } => {
                write!(
                    f,
                    "a peer id has {TEXT} characters, this has {length}: copy the whole of it"
                )
            }
            Self::BadCharacter { position } => write!(
                f,
                "character {} does not belong in a peer id (letters a to z, digits 2 to 7): \
                 copy it again",
                position.saturating_add(1)
            ),
            Self::NotAKey => {
                f.write_str("not the peer id of any key, perhaps mistyped: copy it again")
            }
            Self::Weak => f.write_str("an unsafe key that no sound program makes: do not use it"),
        }
    }
}

impl core::error::Error for PeerIdError {}

/// A key pair: what makes an endpoint the peer it is. Its secret is wiped when dropped.
pub struct Identity {
    id: PeerId,
    secret: SecretKey,
    signing: SigningKey,
}

impl Identity {
    /// The identity of a 32-byte secret seed (an Ed25519 private key as in RFC 8032).
    ///
    /// The same seed always gives the same identity. Draw it once from the operating system and
    /// keep it as you would keep a password; the caller's copy is the caller's to wipe.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        Self::of(SigningKey::from_bytes(&seed))
    }

    /// The same once more, for another shard of the same endpoint ([`Config::for_shard`](crate::Config::for_shard)). Its
    /// copy of the secret is wiped when it is dropped, too.
    #[must_use]
    pub fn for_shard(&self) -> Self {
        Self::of(self.signing.clone())
    }

    fn of(signing: SigningKey) -> Self {
        let scalar = Zeroizing::new(signing.to_scalar_bytes());
        // A clamped multiple of the base point is canonical and has the prime order.
        let id = PeerId(signing.verifying_key().to_bytes());
        Self { id, secret: SecretKey::from_bytes(&scalar), signing }
    }

    /// A new identity, drawn from `rng`, which must be fit for keys.
    ///
    /// The runtimes have `generate_identity`, which draws from the operating system.
    ///
    /// # Errors
    /// Those of the generator.
    pub fn generate<R: TryCryptoRng + ?Sized>(rng: &mut R) -> Result<Self, R::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        rng.try_fill_bytes(&mut *seed)?;
        Ok(Self::from_seed(*seed))
    }

    /// The public half.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// Signs bytes. Each kind of them begins with a label of its own.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.signing.sign(bytes).to_bytes()
    }

    /// The static key pair in the handshake.
    pub(crate) const fn x25519(&self) -> &SecretKey {
        &self.secret
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Whether the point is of the subgroup of large prime order: then that order less one makes its opposite of it. The
/// key is public, so this takes the time that it takes: most bits of this number are zeros.
fn is_torsion_free(point: &EdwardsPoint) -> bool {
    let multiple =
        EdwardsPoint::vartime_double_scalar_mul_basepoint(&-Scalar::ONE, point, &Scalar::ZERO);
    multiple == -point
}

/// 1 and -1, as a y is written.
const ONE: [u8; 32] = {
    let mut one = [0; 32];
    one[0] = 1;
    one
};
const MINUS_ONE: [u8; 32] = {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xec, 0x7f);
    bytes
};

/// Characters of base32 that hold 32 bytes.
const TEXT: usize = 52;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::{LOW_ORDER_EDWARDS, unhex32};
    use alloc::string::{String, ToString};
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_survives_text_in_either_case(seed: [u8; 32]) {
            let id = Identity::from_seed(seed).id();
            let text = id.to_string();
            prop_assert_eq!(text.len(), TEXT);
            prop_assert_eq!(&text.to_lowercase(), &text);
            prop_assert_eq!(text.parse(), Ok(id));
            prop_assert_eq!(text.to_uppercase().parse(), Ok(id));
            prop_assert_eq!(PeerId::from_bytes(*id.as_bytes()), Ok(id));
        }

        #[test]
        fn the_static_key_is_the_same_from_either_half(seed: [u8; 32]) {
            let identity = Identity::from_seed(seed);
            prop_assert_eq!(identity.id().x25519(), identity.x25519().public());
        }

        #[test]
        fn any_text_is_read_or_refused_with_advice(text in ".{0,60}") {
            if let Err(error) = text.parse::<PeerId>() {
                prop_assert!(error.to_string().contains(':'));
            }
        }
    }

    #[test]
    fn the_id_is_the_public_key_of_rfc_8032() {
        let seed = unhex32("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = unhex32("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(Identity::from_seed(seed).id().as_bytes(), &public);
    }

    #[test]
    fn keys_of_low_order_or_with_a_torsion_part_are_refused() {
        for encoding in LOW_ORDER_EDWARDS {
            assert!(PeerId::from_bytes(unhex32(encoding)).is_err(), "{encoding}");
        }
        for torsion in &EIGHT_TORSION {
            assert_eq!(PeerId::from_bytes(torsion.compress().to_bytes()), Err(PeerIdError::Weak));
        }
        for torsion in &EIGHT_TORSION[1..] {
            let mixed = (ED25519_BASEPOINT_POINT + torsion).compress().to_bytes();
            assert_eq!(PeerId::from_bytes(mixed), Err(PeerIdError::Weak));
        }
        assert!(PeerId::from_bytes(ED25519_BASEPOINT_POINT.compress().to_bytes()).is_ok());
    }

    proptest! {
        /// What is asked in few steps is what the protocol demands, in its own words.
        #[test]
        fn a_key_is_taken_exactly_if_it_is_canonical_and_of_the_prime_order(
            scalar: [u8; 32],
            torsion in 0..8_usize,
            other: [u8; 32],
        ) {
            let sound = EdwardsPoint::mul_base_clamped(scalar);
            let made = (sound + EIGHT_TORSION[torsion]).compress().to_bytes();
            for bytes in [made, other, ONE, MINUS_ONE].into_iter().flat_map(|bytes| {
                let mut flipped = bytes;
                flipped[31] ^= 0x80;
                [bytes, flipped]
            }) {
                let encoded = CompressedEdwardsY(bytes);
                let point = encoded.decompress().filter(|point| point.compress() == encoded);
                let expected = match point {
                    None => Err(PeerIdError::NotAKey),
                    Some(point) if point.is_small_order() || !point.is_torsion_free() => {
                        Err(PeerIdError::Weak)
                    }
                    Some(point) => Ok((PeerId(bytes), point.to_montgomery().to_bytes())),
                };
                prop_assert_eq!(PeerId::with_x25519(bytes), expected);
                prop_assert_eq!(PeerId::from_bytes(bytes), expected.map(|(id, _)| id));
            }
        }
    }

    #[test]
    fn no_second_encoding_of_a_y_coordinate_is_accepted() {
        // y and y + p are the same for y < 19, with either sign: none may pass.
        for low in 0xed..=0xff_u8 {
            for top in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, top);
                assert_eq!(PeerId::from_bytes(bytes), Err(PeerIdError::NotAKey), "{low:x} {top:x}");
            }
        }
    }

    #[test]
    fn a_mistake_in_the_text_is_named() {
        let good = Identity::from_seed([7; 32]).id().to_string();
        let parse = |text: &str| text.parse::<PeerId>().expect_err("wrong");
        assert_eq!(parse(&good[..51]), PeerIdError::WrongLength { length: 51 });
        assert_eq!(parse(""), PeerIdError::WrongLength { length: 0 });
        let spoiled = |position: usize, c: &str| {
            let mut text = String::from(&good);
            text.replace_range(position..=position, c);
            text
        };
        assert_eq!(parse(&spoiled(3, "1")), PeerIdError::BadCharacter { position: 3 });
        assert_eq!(parse(&spoiled(5, "é")), PeerIdError::BadCharacter { position: 5 });
        // The last character of 52 carries one bit only: b would set a bit that the key lacks.
        assert_eq!(parse(&spoiled(51, "b")), PeerIdError::BadCharacter { position: 51 });
    }

    #[test]
    fn an_identity_can_be_drawn_from_a_generator() {
        use rand_core::SeedableRng;
        let mut rng = chacha20::ChaCha20Rng::from_seed([1; 32]);
        let [first, second] =
            [0, 1].map(|_| Identity::generate(&mut rng).expect("no failure").id());
        assert_ne!(first, second);
        let mut again = chacha20::ChaCha20Rng::from_seed([1; 32]);
        assert_eq!(Identity::generate(&mut again).expect("no failure").id(), first);
    }

    #[test]
    fn the_secret_is_not_shown() {
        let shown = alloc::format!("{:?}", Identity::from_seed([7; 32]));
        let id = Identity::from_seed([7; 32]).id();
        assert_eq!(shown, alloc::format!("Identity {{ id: {id}, .. }}"));
    }
}
