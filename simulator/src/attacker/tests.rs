use super::*;
use handfast_core::wire::{HandshakeRequest, Packet, PacketNumber, SealedHeader};
use zerocopy::IntoBytes;

const A: ([u8; 4], u16) = ([10, 0, 0, 1], 1);
const B: ([u8; 4], u16) = ([10, 0, 0, 2], 2);
const OWN: ([u8; 4], u16) = ([10, 6, 6, 6], 6);

fn from_a_to_b(bytes: &[u8]) -> Datagram {
    let (source, destination) = (A.into(), B.into());
    let (from, to) = (NodeId(0), NodeId(1));
    Datagram { from, to, source, destination, ecn: None, bytes: bytes.to_vec() }
}

fn sealed(counter: u64) -> Datagram {
    let number = PacketNumber::new(0, counter).expect("a number");
    let mut bytes = SealedHeader::new(0x0102_0304, number).as_bytes().to_vec();
    bytes.extend([7; 40]);
    from_a_to_b(&bytes)
}

fn sends(acts: Acts, seen: &[Datagram]) -> (Vec<(Duration, Datagram)>, Faults) {
    let (mut attacker, mut faults) = (Attacker::new(1, OWN.into(), acts), Faults::default());
    for datagram in seen {
        // What becomes of the original is the business of other tests.
        let _verdict = attacker.observe(Duration::ZERO, datagram, &mut faults).is_ok();
    }
    (attacker.take_sent(), faults)
}

#[test]
fn it_does_nothing_by_default_and_everything_passes() {
    let mut attacker = Attacker::new(1, OWN.into(), Acts::default());
    let mut faults = Faults::default();
    for counter in 0..1_000 {
        assert!(attacker.observe(Duration::ZERO, &sealed(counter), &mut faults).is_ok());
    }
    assert_eq!((attacker.take_sent(), faults), (vec![], Faults::default()));
}

#[test]
fn a_race_comes_from_its_own_address_before_the_original_and_answers_are_passed_on() {
    let acts = Acts { race: Probability::ALWAYS, relay: true, ..Acts::default() };
    let mut attacker = Attacker::new(1, OWN.into(), acts);
    let mut faults = Faults::default();
    assert!(attacker.observe(Duration::ZERO, &sealed(1), &mut faults).is_ok());
    let raced =
        Datagram { from: NodeId::NOBODY, to: NodeId::NOBODY, source: OWN.into(), ..sealed(1) };
    assert_eq!(attacker.take_sent(), [(Duration::ZERO, raced.clone())]);
    let answer = Datagram { source: B.into(), destination: OWN.into(), ..sealed(9) };
    assert!(attacker.observe(Duration::ZERO, &answer, &mut faults).is_err(), "it was for itself");
    let onward = Datagram { destination: A.into(), bytes: sealed(9).bytes, ..raced };
    assert_eq!(attacker.take_sent(), [(RELAY_DELAY, onward)]);
    assert_eq!((faults.attack_races, faults.attack_relays), (1, 1));
}

#[test]
fn what_is_held_back_arrives_later_and_only_once() {
    let acts = Acts { delay: Probability::ALWAYS, ..Acts::default() };
    let (mut attacker, mut faults) = (Attacker::new(1, OWN.into(), acts), Faults::default());
    assert!(attacker.observe(Duration::ZERO, &sealed(1), &mut faults).is_err());
    let sent = attacker.take_sent();
    assert!(sent.len() == 1 && sent[0].0 > Duration::ZERO && sent[0].0 <= HELD_BACK);
    assert_eq!(sent[0].1.bytes, sealed(1).bytes);
}

#[test]
fn replays_are_of_what_was_seen_from_several_addresses() {
    let seen: Vec<_> = (0..500).map(sealed).collect();
    let known = |datagram: &Datagram| seen.iter().any(|seen| seen.bytes == datagram.bytes);
    let (sent, _) = sends(Acts { replay: Probability::ALWAYS, ..Acts::default() }, &seen);
    assert_eq!(sent.len(), 500);
    assert!(sent.iter().all(|(_, datagram)| known(datagram)));
    assert!(sent.iter().any(|(_, datagram)| datagram.source == OWN.into()));
    assert!(sent.iter().any(|(_, datagram)| datagram.source == A.into()));
}

#[test]
fn what_was_mangled_differs() {
    let mut rng = Rng::from_seed(3);
    for len in (0..100).chain([1_200; 100]) {
        let original = vec![len as u8; len];
        let mut changed = original.clone();
        mangle::mangle(&mut changed, &mut rng);
        assert_ne!(changed, original);
    }
}

#[test]
fn spoofs_and_forgeries_are_packets_by_their_form() {
    let seen: Vec<_> = (0..200).map(sealed).collect();
    let (sent, _) = sends(Acts { spoof: Probability::ALWAYS, ..Acts::default() }, &seen);
    assert_eq!(sent.len(), 200);
    for (_, datagram) in &sent {
        let Ok(Packet::Sealed(header)) = Packet::parse(&datagram.bytes) else { panic!("sealed") };
        assert_eq!(header.receiver_index.get(), 0x0102_0304);
        assert_eq!((datagram.source, datagram.destination), (A.into(), B.into()));
    }
    let forge = Acts { forge: Probability::ALWAYS, ..Acts::default() };
    let (sent, _) = sends(forge, &seen);
    assert!(sent.len() == 200 && sent.iter().all(|(_, datagram)| datagram.destination == A.into()));
    assert!(matches!(Packet::parse(&sent[0].1.bytes), Ok(Packet::UnknownSession(_))));
    let request = HandshakeRequest::new(5, handfast_core::wire::Cookie::NONE);
    let (sent, _) = sends(forge, &[from_a_to_b(request.as_bytes())]);
    assert!(matches!(Packet::parse(&sent[0].1.bytes), Ok(Packet::HandshakeRetry(_))));
}
