use super::{Suite, active, is_canonical};
use crate::tests::values::{LOW_ORDER_X25519, unhex, unhex32};
use proptest::prelude::*;

#[test]
fn x25519_agrees_with_rfc_7748() {
    // Section 6.1.
    let alice = unhex32("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob = unhex32("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let [alice, bob] = [alice, bob].map(|key| active::SecretKey::from_bytes(&key));
    let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    assert_eq!(alice.public(), unhex32(public));
    let shared = unhex32("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(*alice.agree(&bob.public()).expect("sound"), shared);
    assert_eq!(*bob.agree(&alice.public()).expect("sound"), shared);
}

#[test]
fn points_of_low_order_give_no_secret() {
    for point in LOW_ORDER_X25519 {
        for secret in [[1; 32], [0xff; 32]] {
            let key = active::SecretKey::from_bytes(&secret);
            assert!(key.agree(&unhex32(point)).is_none(), "{point}");
        }
    }
}

#[test]
fn only_the_least_encoding_of_a_point_is_canonical() {
    let mut key = [0xff; 32];
    key[31] = 0x7f;
    for low in 0..=0xff {
        key[0] = low;
        assert_eq!(is_canonical(&key), low < 0xed, "{low:x}");
    }
    let mut key = active::SecretKey::from_bytes(&[5; 32]).public();
    assert!(is_canonical(&key));
    key[31] |= 0x80;
    assert!(!is_canonical(&key));
    assert!(active::SecretKey::from_bytes(&[6; 32]).agree(&key).is_none());
}

#[test]
fn chacha20_poly1305_agrees_with_rfc_8439() {
    // Appendix A.5, the other way round: its nonce begins with four zeros, as ours do.
    let key = unhex32("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
    let text = "Internet-Drafts are draft documents valid for a maximum of six months and may be \
                updated, replaced, or obsoleted by other documents at any time. It is \
                inappropriate to use Internet-Drafts as reference material or to cite them other \
                than as /\u{201c}work in progress./\u{201d}";
    let mut body = text.as_bytes().to_vec();
    let number = u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
    let key = active::AeadKey::new(Suite::ChaCha20Poly1305, &key);
    let tag = key.seal(number, &unhex("f33388860000000000004e91"), &mut body);
    assert_eq!(body[..16], unhex("64a0861575861af460f062c79be643bd"));
    assert_eq!(tag[..], unhex("eead9d67890cbb22392336fea1851f38"));
}

#[test]
fn aes_256_gcm_agrees_with_its_specification() {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14.
    let mut body = [0; 16];
    let tag = active::AeadKey::new(Suite::Aes256Gcm, &[0; 32]).seal(0, &[], &mut body);
    assert_eq!(body[..], unhex("cea7403d4d606b6e074ec5d3baf39d18"));
    assert_eq!(tag[..], unhex("d0d1c8a799996bf0265b98b5d48ab919"));
}

proptest! {
    #[test]
    fn what_is_changed_does_not_open(
        aes: bool,
        key: [u8; 32],
        number: u64,
        aad: [u8; 16],
        body in prop::collection::vec(any::<u8>(), 1..200),
        at: prop::sample::Index,
        bit in 0..8_u32,
    ) {
        let suite = if aes { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
        let key = active::AeadKey::new(suite, &key);
        let mut sealed = body.clone();
        let tag = key.seal(number, &aad, &mut sealed);

        let flip = |bytes: &mut [u8]| bytes[at.index(bytes.len())] ^= 1_u8 << bit;
        let (mut bad_aad, mut bad_body, mut bad_tag) = (aad, sealed.clone(), tag);
        flip(&mut bad_aad);
        flip(&mut bad_body);
        flip(&mut bad_tag);
        prop_assert!(!key.open(number, &bad_aad, &mut sealed.clone(), &tag));
        prop_assert!(!key.open(number, &aad, &mut bad_body, &tag));
        prop_assert!(!key.open(number, &aad, &mut sealed.clone(), &bad_tag));
        prop_assert!(!key.open(number ^ (1_u64 << bit), &aad, &mut sealed.clone(), &tag));
        prop_assert!(key.open(number, &aad, &mut sealed, &tag));
        prop_assert_eq!(sealed, body);
    }
}

/// The two backends side by side.
#[cfg(all(feature = "rustcrypto", feature = "aws-lc-rs"))]
mod both {
    use super::super::{aws_lc, rustcrypto};
    use super::*;
    use ed25519_dalek::SigningKey;

    proptest! {
        #[test]
        fn they_agree_on_keys_and_secrets(secret: [u8; 32], seed: [u8; 32], point: [u8; 32]) {
            let scalar = SigningKey::from_bytes(&seed).to_scalar_bytes();
            let identity = crate::Identity::from_seed(seed);
            for secret in [secret, scalar] {
                let portable = rustcrypto::SecretKey::from_bytes(&secret);
                let fast = aws_lc::SecretKey::from_bytes(&secret);
                prop_assert_eq!(portable.public(), fast.public());
                for public in [point, identity.id().x25519()] {
                    prop_assert_eq!(portable.agree(&public), fast.agree(&public));
                }
            }
            prop_assert_eq!(
                rustcrypto::SecretKey::from_bytes(&scalar).public(),
                identity.id().x25519()
            );
        }

        #[test]
        fn each_opens_what_the_other_sealed(
            aes: bool,
            key: [u8; 32],
            number: u64,
            aad in prop::collection::vec(any::<u8>(), 0..40),
            body in prop::collection::vec(any::<u8>(), 0..2100),
        ) {
            let suite = if aes { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
            let portable = rustcrypto::AeadKey::new(suite, &key);
            let fast = aws_lc::AeadKey::new(suite, &key);

            let mut packet = body.clone();
            let tag = portable.seal(number, &aad, &mut packet);
            let sealed = packet.clone();
            prop_assert!(fast.open(number, &aad, &mut packet, &tag));
            prop_assert_eq!(&packet, &body);
            prop_assert_eq!(fast.seal(number, &aad, &mut packet), tag);
            prop_assert_eq!(&packet, &sealed);
            prop_assert!(portable.open(number, &aad, &mut packet, &tag));
            prop_assert_eq!(packet, body);
        }
    }

    #[test]
    fn they_refuse_the_same_points() {
        for point in LOW_ORDER_X25519.map(unhex32) {
            assert!(rustcrypto::SecretKey::from_bytes(&[9; 32]).agree(&point).is_none());
            assert!(aws_lc::SecretKey::from_bytes(&[9; 32]).agree(&point).is_none());
        }
    }
}

#[cfg(feature = "rustcrypto")]
#[test]
fn the_keys_of_the_portable_backend_are_wiped() {
    use super::rustcrypto::{AeadKey, SecretKey};
    use crate::tests::values::assert_wiped;
    let SecretKey { secret, public: _ } = SecretKey::from_bytes(&[1; 32]);
    assert_wiped(&secret);
    for suite in [Suite::ChaCha20Poly1305, Suite::Aes256Gcm] {
        match AeadKey::new(suite, &[1; 32]) {
            AeadKey::ChaCha20Poly1305(key) => assert_wiped(&key),
            AeadKey::Aes256Gcm(key) => assert_wiped(&*key),
        }
    }
}
