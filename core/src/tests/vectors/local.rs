//! A beacon of the local network, and STUN.

use zerocopy::FromBytes;

use super::Vectors;
use super::script::{APPLICATION, NETWORK_SECRET, Script, address_b};
use crate::crypto::backend::{AeadKey, Suite};
use crate::crypto::hash::{Secret, expand};
use crate::wire::{Beacon, BeaconContent};
use crate::{Event, ForwardingPolicy, Origin};

/// B says where it is, and A hears it.
pub(super) fn beacon(vectors: &mut Vectors) {
    let mut script = Script::new(|config| {
        (config.discovery.announce, config.discovery.listen) = (true, true);
        config.forwarding.policy = ForwardingPolicy::Anyone;
    });
    let packet = script.b.endpoint.make_beacon(script.now, 1, 4263).expect("the first");
    let beacon = Beacon::read_from_bytes(&packet).expect("as long as one");
    let key = expand(&Secret::new(NETWORK_SECRET), [b"handfast/1 beacon", &beacon.salt]);
    let associated = [&packet[..20], &APPLICATION].concat();
    let mut content = beacon.ciphertext;
    let opened = AeadKey::new(Suite::ChaCha20Poly1305, &key);
    assert!(opened.open(0, &associated, &mut content, &beacon.tag));
    assert!(BeaconContent::read_from_bytes(&content).is_ok_and(|content| content.forwards()));
    vectors.hex("beacon.salt", beacon.salt);
    vectors.hex("beacon.key", *key);
    vectors.hex("beacon.associated_data", associated);
    vectors.hex("beacon.content", content);
    vectors.hex("beacon.packet", packet);
    script.a.endpoint.handle_beacon(script.now, address_b(), &packet);
    let heard = script.a.endpoint.poll_event();
    assert!(matches!(heard, Some(Event::Discovered { forwards: true, .. })), "{heard:?}");
}

/// B asks A where it is seen, and asks for more than A understands.
pub(super) fn stun(vectors: &mut Vectors) {
    let mut script = Script::new(|config| config.answer_stun = true);
    let mut ask = |name: &str, request: &[u8]| {
        let origin = Origin::from_remote(address_b());
        script.a.endpoint.handle_datagram(script.now, origin, &mut request.to_vec());
        let answer = script.leaves_a().pop().expect("an answer");
        vectors.hex(&alloc::format!("stun.{name}.request"), request);
        vectors.hex(&alloc::format!("stun.{name}.answer"), answer);
    };
    let head = |length| [&[0, 1, 0, length, 0x21, 0x12, 0xa4, 0x42][..], &[0x5a; 12]].concat();
    ask("plain", &head(0));
    // CHANGE-REQUEST.
    ask("not_understood", &[&head(8)[..], &[0, 3, 0, 4, 0, 0, 0, 6]].concat());
}
